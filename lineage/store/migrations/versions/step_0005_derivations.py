"""What outputs were made from where producers say so. The index is made anew from the events."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

INDEX = (
    *("derivations", "column_sources", "job_datasets", "symlinks", "mentions", "shapes", "checks"),
    *("edges", "dataset_versions", "datasets", "runs", "jobs"),
)


def upgrade() -> None:
    op.create_table(
        "derivations",
        sa.Column("run_key", sa.BigInteger, sa.ForeignKey("runs.id"), primary_key=True, autoincrement=False),
        sa.Column("dataset_id", sa.BigInteger, sa.ForeignKey("datasets.id"), primary_key=True, autoincrement=False),
        sa.Column("namespace", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sqlite_with_rowid=False,
    )
    for table in INDEX:
        op.execute(f"DELETE FROM {table}")
