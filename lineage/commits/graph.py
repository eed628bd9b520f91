"""Who read which rows, as the commits of all tables say it: what impact and column lineage walk on.

Each log is read once, and only when it is asked for. No table is opened: its log has everything.
"""

import io
from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property

import polars as pl

from assay.errors import AssayError
from assay.features.tables.commit_metadata import Commit
from assay.features.tables.kinds import Kind, own_name
from assay.features.tables.lake import Lake, TableMissing
from assay.features.tables.parquet_files import PARTITION
from assay.features.tables.snapshot import Slice
from assay.features.tables.table_log import TableLog, read_log
from assay.lineage.predictions.find_prediction import UNREADABLE

Version = tuple[str, int]  # a table and the version that wrote some of its rows


class CommitGraph:
    """The commits of one lake. `reasons` (ordered, without repetition) say what could not be read or followed so far."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self.reasons: dict[str, None] = {}
        self._logs: dict[str, TableLog | None] = {}
        self._models: dict[Version, tuple[str, ...]] = {}

    def log(self, table: str) -> TableLog | None:
        """The log of a table; None when there is no such table (any more)."""
        if table not in self._logs:
            self._logs[table] = log = read_log(self.lake, table)
            damaged = log.damaged if log else ()
            self.reasons |= {f"the log of {table} is damaged at version {entry.version}": None for entry in damaged}
        return self._logs[table]

    def origin(self, table: str, version: int | None, column: str | None = None) -> TableLog:
        """The log of a table that has this version, and at it (None: at the latest) this column. Raises AssayError for what
        is not there."""
        self.lake.table(table)  # refuses what is no table's name
        log = self.log(table)
        if log is None:
            raise TableMissing(f"There is no table {table} in {self.lake.storage.root} (see: assay tables).", table)
        if version is not None and log.entry(version) is None:
            raise AssayError(f"{table} has no version {version} (see: assay tables {table}).")
        columns = log.columns(log.latest if version is None else version)
        if column is not None and column not in columns:
            raise AssayError(f"{table} has no column {column!r}. It has: {', '.join(columns) or 'none'}.")
        return log

    def commit(self, version: Version) -> Commit | None:
        """The commit of a version; None where its log is damaged or gone."""
        log = self.log(version[0])
        entry = log.entry(version[1]) if log else None
        return entry.commit if entry else None

    def columns(self, version: Version) -> frozenset[str]:
        """The columns that a version wrote."""
        log = self.log(version[0])
        return frozenset(log.columns(version[1]) if log else ()) - {PARTITION}

    def writers(self, reader: Commit, read: Slice) -> list[int]:
        """The versions that wrote the rows that somebody read. A prediction takes from a table of models only its own."""
        name = read.snapshot.table
        log = self.log(name)
        if log is None or log.table_id != read.snapshot.table_id:
            self.reasons[f"{name} was deleted or made anew: what was made from it before is not followed"] = None
            return []
        versions = [commit.version for commit in log.writers(read.snapshot.version, read.partitions, read.excluded)]
        model = model_of(reader) if takes_one_model(reader, read) else None
        own = [version for version in versions if model in self.models((name, version))] if model is not None else []
        return own or versions

    @cached_property
    def readers(self) -> dict[Version, dict[Version, bool]]:
        """By version, who read rows that it wrote, over the whole lake; True: only to look something up."""
        readers_by_version: dict[Version, dict[Version, bool]] = defaultdict(dict)
        for table in self.lake.tables():
            log = self.log(table)
            for commit in log.commits if log else ():
                reader = (table, commit.version)
                for item in commit.inputs:
                    for version in self.writers(commit, item):
                        reads = readers_by_version[item.snapshot.table, version]
                        reads[reader] = item.lookup and reads.get(reader, True)
        return readers_by_version

    def models(self, version: Version) -> tuple[str, ...]:
        """The model versions in the rows that a version of a table of models wrote."""
        if version not in self._models:
            log = self.log(version[0])
            entry = log.entry(version[1]) if log else None
            paths = [f"{version[0]}/{file.path}" for file in (entry.added if entry else ())]
            self._models[version] = tuple(name for path in paths for name in self._model_versions(path))
        return self._models[version]

    def _model_versions(self, path: str) -> Iterable[str]:
        try:
            return pl.read_parquet(io.BytesIO(self.lake.storage.get(path)), columns=["model_version"]).to_series()
        except (AssayError, *UNREADABLE):
            self.reasons[f"{path} is gone or damaged: which models it held is not known"] = None
            return []


def takes_one_model(reader: Commit, read: Slice) -> bool:
    """Whether a read is that of a prediction, of the table of the models that may have made it."""
    models = Kind.MODELS.table(own_name(reader.table))
    return Kind.PREDICTIONS.holds(reader.table) and read.snapshot.table == models and not read.lookup


def model_of(prediction: Commit) -> str | None:
    """The version of the model that made the predictions of a commit."""
    return prediction.predictions.version or None if prediction.predictions else None
