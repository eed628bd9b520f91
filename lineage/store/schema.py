"""The lineage store's tables: raw events, and the graph read from them. Times are in µs since 1970, UTC."""

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
    SmallInteger,
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
    Column("event_us", BigInteger, nullable=False, index=True),
    Column("body", LargeBinary, nullable=False),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", _Key, primary_key=True, autoincrement=True),
    Column("namespace", Text, nullable=False),
    Column("name", Text, nullable=False),
    UniqueConstraint("namespace", "name"),
    Index("ix_jobs_name", "name"),
)

runs = Table(
    "runs",
    metadata,
    Column("id", _Key, primary_key=True, autoincrement=True),
    Column("run_id", String(36), nullable=False, unique=True),
    Column("job_id", BigInteger, ForeignKey("jobs.id"), nullable=False),
    Column("state", String(16), nullable=False),
    Column("first_us", BigInteger, nullable=False),  # of all its events
    Column("started_us", BigInteger),
    Column("ended_us", BigInteger),
    Column("parent_id", String(36), index=True),
    Index("ix_runs_job", "job_id", "first_us"),
    Index("ix_runs_state", "state"),
)

datasets = Table(
    "datasets",
    metadata,
    Column("id", _Key, primary_key=True, autoincrement=True),
    Column("namespace", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("table_id", Text, nullable=False),  # "" where the producer named none
    Column("table_name", Text, nullable=False),
    # The incarnation of the table: the dataset itself if it has a table id, else the only table seen at its address; NULL: not
    # known. (A table that is deleted and made anew is another incarnation.)
    Column("life", BigInteger, key="incarnation"),
    UniqueConstraint("namespace", "name", "table_id"),
    Index("ix_datasets_name", "name"),
    Index("ix_datasets_table_name", "table_name"),
    Index("ix_datasets_table", "table_id"),
)

# Rows are carried from one version of a Delta table to the next: the table is a timeline, and its versions are positions on it.
# Of other datasets no order of versions is known: each version is a timeline of its own (-id, 0).
versions = Table(
    "dataset_versions",
    metadata,
    Column("id", _Key, primary_key=True, autoincrement=True),
    Column("dataset_id", BigInteger, ForeignKey("datasets.id"), nullable=False),
    Column("version", Text, nullable=False),  # "" where the producer named none
    Column("commit_sha256", Text, nullable=False),
    Column("line", BigInteger, nullable=False, key="timeline"),
    Column("number", BigInteger, nullable=False, key="position"),
    UniqueConstraint("dataset_id", "version"),
    Index("ix_dataset_versions_line", "timeline", "position"),
    Index("ix_dataset_versions_commit", "commit_sha256"),  # digests are found by their beginning
    Index("ix_dataset_versions_version", "version"),
)

# One row per partition: `partition` is ALL for the whole table (or all of it but for `excluded`), NONE for a list that is empty.
edges = Table(
    "edges",
    metadata,
    Column("run_key", BigInteger, ForeignKey("runs.id"), primary_key=True, autoincrement=False),
    Column("version_id", BigInteger, ForeignKey("dataset_versions.id"), primary_key=True, autoincrement=False),
    # input, reference (looked up), output, unchanged (already held this result), audited (checked, then published)
    Column("role", String(16), primary_key=True),
    Column("partition", Text, primary_key=True),
    Column("line", BigInteger, nullable=False, key="timeline"),
    Column("number", BigInteger, nullable=False, key="position"),
    Column("flow", SmallInteger, nullable=False),
    Column("digest", Text),
    # of outputs: replace (of the partition, or of the table), append; NULL: not recorded
    Column("mode", String(16)),
    Column("excluded", Text),  # of ALL: a JSON list of the partitions that were left out; NULL: none
    Index("ix_edges_version", "version_id", "flow"),
    # Who read, added to and replaced a partition at which version: every step of a walk is a range of this index.
    Index("ix_edges_line", "timeline", "partition", "flow", "position"),
    sqlite_with_rowid=False,
)

ALL, NONE = "", "[]"
# What an edge does to the rows; the greater one is kept where a run has both.
READS, LOOKS_UP, ADDS, REPLACES, ASIDE = 0, 1, 2, 3, 9

checks = Table(
    "checks",
    metadata,
    Column("run_key", BigInteger, ForeignKey("runs.id"), primary_key=True, autoincrement=False),
    Column("dataset", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("column", Text, primary_key=True, default=""),
    Column("passed", Boolean, nullable=False),
    Column("severity", Text, nullable=False, default=""),
    Column("actual", Text),
    sqlite_with_rowid=False,
)

# The latest event that mentions an entity (a dataset, a version, a job, a run) in a facet shape; see `facet_index.py`. Without
# foreign keys: an event has several rows here, and PostgreSQL would look up every reference of each.
shapes = Table(
    "shapes",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("role", String(16), nullable=False),
    Column("names", Text, nullable=False),  # JSON: per side the names of its facets; whether a version is named
)

mentions = Table(
    "mentions",
    metadata,
    Column("kind", SmallInteger, primary_key=True, autoincrement=False),
    Column("entity", BigInteger, primary_key=True, autoincrement=False),
    Column("shape", BigInteger, primary_key=True, autoincrement=False),
    Column("first_us", BigInteger, nullable=False),
    Column("last_us", BigInteger, nullable=False),
    Column("event_id", BigInteger, nullable=False),  # the last
    sqlite_with_rowid=False,
)

# Other names of a dataset, with the latest event that named each. A row with an empty name records the latest event that carried
# the facet; aliases missing from that event are no longer valid.
symlinks = Table(
    "symlinks",
    metadata,
    Column("dataset_id", BigInteger, ForeignKey("datasets.id"), primary_key=True, autoincrement=False),
    Column("namespace", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("first_us", BigInteger, nullable=False),
    Column("last_us", BigInteger, nullable=False),
    Column("event_id", BigInteger, ForeignKey("events.id"), nullable=False),
    Index("ix_symlinks_name", "namespace", "name"),
    sqlite_with_rowid=False,
)

# The datasets that a job reads or writes according to any event, in any version.
job_datasets = Table(
    "job_datasets",
    metadata,
    Column("job_id", BigInteger, ForeignKey("jobs.id"), primary_key=True, autoincrement=False),
    Column("dataset_id", BigInteger, ForeignKey("datasets.id"), primary_key=True, autoincrement=False),
    Column("written", Boolean, primary_key=True),
    Index("ix_job_datasets_dataset", "dataset_id"),
    sqlite_with_rowid=False,
)

# Datasets with columns that come from a dataset of this name, according to any event.
column_sources = Table(
    "column_sources",
    metadata,
    Column("namespace", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("dataset_id", BigInteger, ForeignKey("datasets.id"), primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)

# What an output of a run was made from, where an event says so (see `explicit.py`): datasets by name, one row each; an empty name
# where it was made from none.
derivations = Table(
    "derivations",
    metadata,
    Column("run_key", BigInteger, ForeignKey("runs.id"), primary_key=True, autoincrement=False),
    Column("dataset_id", BigInteger, ForeignKey("datasets.id"), primary_key=True, autoincrement=False),
    Column("namespace", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    sqlite_with_rowid=False,
)

# The words by which datasets and jobs are found (see `labels.py`): `text` is a column, an owner, a tag, a rule or another name;
# "" stands for the name itself. `label_sets` has the digest of each set of labels that was written.
label_sets = Table("label_sets", metadata, Column("id", BigInteger, primary_key=True, autoincrement=False))

labels = Table(
    "labels",
    metadata,
    Column("id", _Key, primary_key=True, autoincrement=True),
    Column("kind", SmallInteger, nullable=False),
    Column("namespace", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("text", Text, nullable=False),
    UniqueConstraint("namespace", "name", "kind", "text"),
    Index("ix_labels_kind", "kind", "text"),
)

words = Table(
    "words",
    metadata,
    Column("id", _Key, primary_key=True, autoincrement=True),
    Column("word", Text, nullable=False, unique=True),
)

label_words = Table(
    "label_words",
    metadata,
    Column("word_id", BigInteger, ForeignKey("words.id"), primary_key=True, autoincrement=False),
    Column("label_id", BigInteger, ForeignKey("labels.id"), primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)

# While the index is made anew (see `reindex.py`), one row: the events up to `until` are to be read, those up to `done` have been.
unread = Table(
    "unread",
    metadata,
    Column("until", BigInteger, primary_key=True, autoincrement=False),
    Column("done", BigInteger, nullable=False),
)

# Per table of a lake (`place`), the version up to which the end of every run that wrote it is stored, with the SHA-256 of that
# version's commit: a table that was made anew, or put back from a backup, does not match it. Looked at are later commits only.
complete = Table(
    "complete",
    metadata,
    Column("place", Text, primary_key=True),
    Column("table_name", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("commit_sha256", Text, nullable=False),
)

INDEX = (
    label_words,
    words,
    labels,
    label_sets,
    derivations,
    column_sources,
    job_datasets,
    symlinks,
    mentions,
    shapes,
    checks,
    edges,
    versions,
    datasets,
    runs,
    jobs,
)  # tables that are rebuilt from the events, in the order of deletion

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
