"""Reads of all but some partitions; up to which commit the lineage of a table is known to be complete; runs without an end, found
without looking at the others."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("edges", sa.Column("excluded", sa.Text))
    op.create_table(
        "complete",
        sa.Column("place", sa.Text, primary_key=True),
        sa.Column("table_name", sa.Text, primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("commit_sha256", sa.Text, nullable=False),
    )
    op.create_index("ix_runs_state", "runs", ["state"])
