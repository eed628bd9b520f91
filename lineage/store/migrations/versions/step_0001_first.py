"""Events, runs, dataset versions, edges, checks, outbox."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "events",
        sa.Column("id", key, primary_key=True, autoincrement=True),
        sa.Column("sha256", sa.String(64), nullable=False, unique=True),
        sa.Column("run_id", sa.String(36), index=True),
        sa.Column("slot", sa.String(48), unique=True),
        sa.Column("event_type", sa.String(16), nullable=False),
        sa.Column("event_us", sa.BigInteger, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "runs",
        sa.Column("run_id", sa.String(36), primary_key=True),
        sa.Column("namespace", sa.Text, nullable=False),
        sa.Column("job", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("started_us", sa.BigInteger),
        sa.Column("ended_us", sa.BigInteger),
        sa.Column("parent_id", sa.String(36), index=True),
    )
    op.create_table(
        "dataset_versions",
        sa.Column("id", key, primary_key=True, autoincrement=True),
        sa.Column("namespace", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("table_id", sa.Text, nullable=False),
        sa.Column("table_name", sa.Text, nullable=False),
        sa.Column("commit_sha256", sa.Text, nullable=False),
        sa.UniqueConstraint("namespace", "name", "version", "table_id"),
    )
    op.create_index("ix_dataset_versions_table", "dataset_versions", ["table_id", "version"])
    op.create_table(
        "edges",
        sa.Column("run_id", sa.String(36), primary_key=True),
        sa.Column("version_id", sa.BigInteger, sa.ForeignKey("dataset_versions.id"), primary_key=True),
        sa.Column("role", sa.String(16), primary_key=True),
        sa.Column("partitions", sa.Text),
        sa.Column("digest", sa.Text),
    )
    op.create_index("ix_edges_version", "edges", ["version_id", "role"])
    op.create_table(
        "checks",
        sa.Column("run_id", sa.String(36), primary_key=True),
        sa.Column("dataset", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("column", sa.Text, primary_key=True),
        sa.Column("passed", sa.Boolean, nullable=False),
        sa.Column("severity", sa.Text, nullable=False),
        sa.Column("actual", sa.Text),
    )
    op.create_table(
        "outbox",
        sa.Column("event_id", sa.BigInteger, sa.ForeignKey("events.id"), primary_key=True, autoincrement=False),
        sa.Column("lane", sa.String(64), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("due", sa.Float, nullable=False),
        sa.Column("leased_until", sa.Float, nullable=False),
        sa.Column("parked", sa.Boolean, nullable=False),
        sa.Column("problem", sa.Text, nullable=False),
    )
    op.create_index("ix_outbox_lane", "outbox", ["lane", "event_id"])
