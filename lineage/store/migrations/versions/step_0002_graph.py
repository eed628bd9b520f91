"""What an output did to what was there before; names and jobs can be looked up."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("edges", sa.Column("mode", sa.String(16)))
    op.create_index("ix_dataset_versions_table_name", "dataset_versions", ["table_name"])
    op.create_index("ix_runs_job", "runs", ["namespace", "job"])
    op.create_index("ix_dataset_versions_name", "dataset_versions", ["name"])
