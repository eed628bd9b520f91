"""Who read which rows, as the commits of all tables say it: what impact and column lineage walk on.

Each log is read once, and only when it is asked for. No table is opened: its log has everything.
"""

import io
import json
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import cached_property
from typing import TypeVar

import polars as pl

from assay.errors import AssayError
from assay.features.storage.commit_metadata import Commit
from assay.features.storage.index_store import index_store
from assay.features.storage.parquet_files import PARTITION
from assay.features.storage.reads import (
    Reader,
    Span,
    count_lookups,
    inputs,
    readers,
    sourced_lookups,
)
from assay.features.storage.snapshot import Slice
from assay.features.storage.table_index import Write
from assay.features.tables.kinds import Kind, own_name
from assay.features.tables.lake import Lake, TableMissing
from assay.features.tables.table_log import TableLog, read_log
from assay.lineage.predictions.find_prediction import UNREADABLE

T = TypeVar("T")
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
            self.reasons |= {f"the log of {table} is damaged at version {version}": None for version in damaged}
        return self._logs[table]

    def origin(self, table: str, version: int | None, column: str | None = None) -> TableLog:
        """The log of a table that has this version, and at it (None: at the latest) this column. Raises AssayError for what
        is not there."""
        self.lake.table(table)  # refuses what is no table's name
        log = self.log(table)
        if log is None:
            raise TableMissing(f"There is no table {table} in {self.lake.storage.root} (see: assay tables).", table)
        if version is not None and not log.index.first <= version <= log.latest:
            raise AssayError(f"{table} has no version {version} (see: assay tables {table}).")
        columns = log.columns(log.latest if version is None else version)
        if column is not None and column not in columns:
            raise AssayError(f"{table} has no column {column!r}. It has: {', '.join(columns) or 'none'}.")
        return log

    def commit(self, version: Version) -> Commit | None:
        """The commit of a version; None where its log is damaged or gone."""
        log = self.log(version[0])
        return log.commit(version[1]) if log else None

    def writes(self, table: str, versions: Sequence[int]) -> list[Write]:
        """What versions of a table wrote, in their order, from its index."""
        log = self.log(table)
        assert log is not None  # versions come from commits
        writes = log.index.writes(versions)
        return [writes[version] for version in versions]

    def columns(self, version: Version) -> frozenset[str]:
        """The columns that a version wrote."""
        log = self.log(version[0])
        return frozenset(log.columns(version[1]) if log else ()) - {PARTITION}

    def writers(self, reader: Commit, read: Slice) -> list[int]:
        """The versions that wrote the rows that somebody read, and of rows that were only confirmed then those that had written
        them before. A prediction takes from a table of models only its own."""
        name = read.snapshot.table
        log = self.log(name)
        if log is None or log.table_id != read.snapshot.table_id:
            self._not_followed(name)
            return []
        versions = log.index.makers(read.snapshot.version, read.partitions, read.excluded)
        model = model_of(reader) if takes_one_model(reader, read) else None
        if model is None:
            return versions
        # Predictions are made by the newest model of their time: the first one looked at, as a rule.
        own = next((version for version in reversed(versions) if model in self.models((name, version))), None)
        return versions if own is None else [own]

    def readers(self, version: Version, *, lookups: bool = False) -> dict[Version, bool]:
        """Who read rows that a version wrote; True: only to look something up, which are found with `lookups` alone."""
        by_reader = self._readers([version], lookups=lookups)
        if Kind.MODELS.holds(version[0]):
            by_reader = {
                reader: lookup for reader, lookup in by_reader.items() if lookup or self._takes(reader, version)
            }
        return by_reader

    def readers_of(self, versions: Collection[Version], *, lookups: bool = False) -> dict[Version, bool]:
        """The same for several versions, asked at once. Who took data from one of them did not only look something up."""
        found = self._readers([version for version in versions if not Kind.MODELS.holds(version[0])], lookups=lookups)
        for version in versions:
            if Kind.MODELS.holds(version[0]):
                for reader, lookup in self.readers(version, lookups=lookups).items():
                    found[reader] = lookup and found.get(reader, True)
        return found

    def _readers(self, versions: Sequence[Version], *, lookups: bool) -> dict[Version, bool]:
        spans = self._spans(versions)
        found = self._ask(lambda index: readers(index, spans, lookups=lookups)) if spans else []
        return {(item.table, item.version): item.lookup for item in found if self._has(item)}

    def sourced_lookups(self, version: Version) -> list[Version]:
        """Who only looked something up in these rows, and declares columns that come from their table."""
        spans = self._spans([version])
        found = self._ask(lambda index: sourced_lookups(index, spans))
        return [(item.table, item.version) for item in found if self._has(item)]

    def count_lookups(self, versions: Iterable[Version]) -> dict[str, int]:
        """By table, how many other versions only looked something up in the rows that these wrote."""
        nodes = list(versions)
        spans = self._spans(nodes)
        found = self._ask(lambda index: count_lookups(index, spans, set(nodes)))
        return {table: count for table, count in found.items() if table in self._tables}

    def _takes(self, reader: Version, version: Version) -> bool:
        """Whether rows of a version of models are among those that a reader takes: a prediction takes only its own."""
        commit = self.commit(reader)
        reads = (item for item in commit.inputs if not item.lookup) if commit else ()
        return any(commit and version[1] in self.writers(commit, i) for i in reads if i.snapshot.table == version[0])

    def _spans(self, versions: Iterable[Version]) -> list[Span]:
        tables: dict[str, list[int]] = defaultdict(list)
        for table, version in versions:
            tables[table].append(version)
        spans: list[Span] = []
        for table, numbers in tables.items():
            log = self.log(table)
            assert log is not None  # nodes come from commits
            spans += log.index.spans(numbers)
        return spans

    def _has(self, reader: Reader) -> bool:
        """Whether a reader was there when its table's log was opened."""
        log = self.log(reader.table) if reader.table in self._tables else None
        return log is not None and reader.version <= log.latest

    @cached_property
    def _tables(self) -> frozenset[str]:
        """All tables of the lake, with their indexes as far as their logs go."""
        tables = frozenset(table for table in self.lake.tables() if self.log(table) is not None)
        for reader, name, table_id in index_store(self.lake.storage).read(inputs):
            if reader in tables and ((log := self.log(name)) is None or log.table_id != table_id):
                self._not_followed(name)
        return tables

    def _ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """Ask the index of all tables about their readers. Raises AssayError where it is taken away again and again."""
        for _ in range(5):
            logs = [log for table in self._tables if (log := self.log(table)) is not None]
            asked = _of_tables(question, [log.index.known.id for log in logs])
            if (answer := index_store(self.lake.storage).read(asked)) is not None:
                return answer[0]
            self._logs.clear()
            self.__dict__.pop("_tables", None)
        raise AssayError(
            "The index of the lake's tables was made anew again and again while it was asked. Run it again."
        )

    def _not_followed(self, table: str) -> None:
        self.reasons[f"{table} was deleted or made anew: what was made from it before is not followed"] = None

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


def _of_tables(
    question: Callable[[sqlite3.Connection], T], ids: list[int]
) -> Callable[[sqlite3.Connection], tuple[T] | None]:
    """The question, if the index has these tables; one that somebody made anew meanwhile has not all of them yet."""

    def asked(index: sqlite3.Connection) -> tuple[T] | None:
        there = "SELECT count(*) FROM tables WHERE id IN (SELECT value FROM json_each(?))"
        (count,) = index.execute(there, (json.dumps(ids),)).fetchone()
        return (question(index),) if count == len(ids) else None

    return asked


def takes_one_model(reader: Commit, read: Slice) -> bool:
    """Whether a read is that of a prediction, of the table of the models that may have made it."""
    models = Kind.MODELS.table(own_name(reader.table))
    return Kind.PREDICTIONS.holds(reader.table) and read.snapshot.table == models and not read.lookup


def model_of(prediction: Commit) -> str | None:
    """The version of the model that made the predictions of a commit."""
    return prediction.predictions.version or None if prediction.predictions else None
