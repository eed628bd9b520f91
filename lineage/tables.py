"""The lineage store's tables: raw events, and the graph that is read out of them. Instants are µs since 1970, UTC."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()

_Key = BigInteger().with_variant(Integer, "sqlite")  # only INTEGER counts up by itself in SQLite

events = Table(
    "events",
    metadata,
    Column("id", _Key, primary_key=True, autoincrement=True),
    Column("sha256", String(64), nullable=False, unique=True),
    Column("run_id", String(36), index=True),
    # "<run>:START" or "<run>:END" for our own events, of which there is one each; NULL for other producers'
    Column("slot", String(48), unique=True),
    Column("event_type", String(16), nullable=False),
    Column("event_us", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

runs = Table(
    "runs",
    metadata,
    Column("run_id", String(36), primary_key=True),
    Column("namespace", Text, nullable=False),
    Column("job", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("started_us", BigInteger),
    Column("ended_us", BigInteger),
    Column("parent_id", String(36), index=True),
    Index("ix_runs_job", "namespace", "job"),
)

versions = Table(
    "dataset_versions",
    metadata,
    Column("id", _Key, primary_key=True, autoincrement=True),
    Column("namespace", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("version", Text, nullable=False, default=""),  # "" where the producer named none
    Column("table_id", Text, nullable=False, default=""),
    Column("table_name", Text, nullable=False, default=""),
    Column("commit_sha256", Text, nullable=False, default=""),
    UniqueConstraint("namespace", "name", "version", "table_id"),
    Index("ix_dataset_versions_table", "table_id", "version"),
    Index("ix_dataset_versions_table_name", "table_name"),
    Index("ix_dataset_versions_name", "name"),
)

edges = Table(
    "edges",
    metadata,
    Column("run_id", String(36), primary_key=True),
    Column("version_id", BigInteger, ForeignKey("dataset_versions.id"), primary_key=True),
    # input, reference (looked up), output, unchanged (already held this result), audited (checked, then published)
    Column("role", String(16), primary_key=True),
    Column("partitions", Text),  # JSON list; NULL: all of the table
    Column("digest", Text),
    # of outputs: replace (of the partition, or of the table), append; NULL: not said
    Column("mode", String(16)),
    Index("ix_edges_version", "version_id", "role"),
)

checks = Table(
    "checks",
    metadata,
    Column("run_id", String(36), primary_key=True),
    Column("dataset", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("column", Text, primary_key=True, default=""),
    Column("passed", Boolean, nullable=False),
    Column("severity", Text, nullable=False, default=""),
    Column("actual", Text),
)

outbox = Table(
    "outbox",
    metadata,
    Column("event_id", BigInteger, ForeignKey("events.id"), primary_key=True, autoincrement=False),
    Column("lane", String(64), nullable=False),  # events of one lane (a run) are delivered in order
    Column("attempts", Integer, nullable=False, default=0),
    Column("due", Float, nullable=False, default=0.0),  # Unix seconds; not before
    Column("leased_until", Float, nullable=False, default=0.0),  # somebody is sending it now
    Column("parked", Boolean, nullable=False, default=False),  # the endpoint will never take it
    Column("problem", Text, nullable=False, default=""),
    Index("ix_outbox_lane", "lane", "event_id"),
)
