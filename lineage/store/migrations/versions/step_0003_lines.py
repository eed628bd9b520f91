"""The index with numbers for names, an edge per partition, and for each event the facets that it named. It is made anew
from the events when the store is opened."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("checks", "edges", "dataset_versions", "runs"):
        op.drop_table(table)
    key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "jobs",
        sa.Column("id", key, primary_key=True, autoincrement=True),
        sa.Column("namespace", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.UniqueConstraint("namespace", "name"),
    )
    op.create_index("ix_jobs_name", "jobs", ["name"])
    op.create_table(
        "runs",
        sa.Column("id", key, primary_key=True, autoincrement=True),
        sa.Column("run_id", sa.String(36), nullable=False, unique=True),
        sa.Column("job_id", sa.BigInteger, sa.ForeignKey("jobs.id"), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("first_us", sa.BigInteger, nullable=False),
        sa.Column("started_us", sa.BigInteger),
        sa.Column("ended_us", sa.BigInteger),
        sa.Column("parent_id", sa.String(36), index=True),
    )
    op.create_index("ix_runs_job", "runs", ["job_id", "first_us"])
    op.create_table(
        "datasets",
        sa.Column("id", key, primary_key=True, autoincrement=True),
        sa.Column("namespace", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("table_id", sa.Text, nullable=False),
        sa.Column("table_name", sa.Text, nullable=False),
        sa.Column("life", sa.BigInteger),
        sa.UniqueConstraint("namespace", "name", "table_id"),
    )
    op.create_index("ix_datasets_name", "datasets", ["name"])
    op.create_index("ix_datasets_table_name", "datasets", ["table_name"])
    op.create_index("ix_datasets_table", "datasets", ["table_id"])
    op.create_table(
        "dataset_versions",
        sa.Column("id", key, primary_key=True, autoincrement=True),
        sa.Column("dataset_id", sa.BigInteger, sa.ForeignKey("datasets.id"), nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("commit_sha256", sa.Text, nullable=False),
        sa.Column("line", sa.BigInteger, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("dataset_id", "version"),
    )
    op.create_index("ix_dataset_versions_line", "dataset_versions", ["line", "number"])
    op.create_table(
        "edges",
        sa.Column("run_key", sa.BigInteger, sa.ForeignKey("runs.id"), primary_key=True, autoincrement=False),
        sa.Column(
            "version_id", sa.BigInteger, sa.ForeignKey("dataset_versions.id"), primary_key=True, autoincrement=False
        ),
        sa.Column("role", sa.String(16), primary_key=True),
        sa.Column("partition", sa.Text, primary_key=True),
        sa.Column("line", sa.BigInteger, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("flow", sa.SmallInteger, nullable=False),
        sa.Column("digest", sa.Text),
        sa.Column("mode", sa.String(16)),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_edges_version", "edges", ["version_id", "flow"])
    op.create_index("ix_edges_line", "edges", ["line", "partition", "flow", "number"])
    op.create_table(
        "checks",
        sa.Column("run_key", sa.BigInteger, sa.ForeignKey("runs.id"), primary_key=True, autoincrement=False),
        sa.Column("dataset", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("column", sa.Text, primary_key=True),
        sa.Column("passed", sa.Boolean, nullable=False),
        sa.Column("severity", sa.Text, nullable=False),
        sa.Column("actual", sa.Text),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_events_event_us", "events", ["event_us"])
    op.create_table(
        "shapes",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("names", sa.Text, nullable=False),
    )
    op.create_table(
        "mentions",
        sa.Column("kind", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("entity", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("shape", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("first_us", sa.BigInteger, nullable=False),
        sa.Column("last_us", sa.BigInteger, nullable=False),
        sa.Column("event_id", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "symlinks",
        sa.Column("dataset_id", sa.BigInteger, sa.ForeignKey("datasets.id"), primary_key=True, autoincrement=False),
        sa.Column("namespace", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("first_us", sa.BigInteger, nullable=False),
        sa.Column("last_us", sa.BigInteger, nullable=False),
        sa.Column("event_id", sa.BigInteger, sa.ForeignKey("events.id"), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_symlinks_name", "symlinks", ["namespace", "name"])
    op.create_table(
        "job_datasets",
        sa.Column("job_id", sa.BigInteger, sa.ForeignKey("jobs.id"), primary_key=True, autoincrement=False),
        sa.Column("dataset_id", sa.BigInteger, sa.ForeignKey("datasets.id"), primary_key=True, autoincrement=False),
        sa.Column("written", sa.Boolean, primary_key=True),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_job_datasets_dataset", "job_datasets", ["dataset_id"])
    op.create_table(
        "column_sources",
        sa.Column("namespace", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("dataset_id", sa.BigInteger, sa.ForeignKey("datasets.id"), primary_key=True, autoincrement=False),
        sqlite_with_rowid=False,
    )
