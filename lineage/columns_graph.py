"""From a column to the columns it came from, and to those that came from it: version by version, as commits declared them.

A commit says what its columns come from, and which versions of which tables it read; together that leads from the rows
that one version wrote to the rows that others wrote. Where a commit does not say, the answer says so and goes no further.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from assay.errors import AssayError
from assay.features.commits import Commit
from assay.features.files import PARTITION
from assay.features.lake import Lake, TableMissing
from assay.features.snapshot import Slice
from assay.lineage.columns import ColumnLineage, column_lineage
from assay.lineage.log import TableLog, read_log


class ColumnNode(NamedTuple):
    """A column of the rows that a version of a table wrote."""

    table: str
    version: int
    column: str


@dataclass(frozen=True, slots=True, order=True)
class ColumnEdge:
    """Values of `target` were made from `source` (direct), or chosen, grouped or ordered by it."""

    source: ColumnNode
    target: ColumnNode
    direct: bool


@dataclass(frozen=True, slots=True)
class ColumnTrace:
    """All edges upstream or downstream of a column. `unknown` columns were written without saying where they come from.
    `reasons`: what could not be read at all."""

    origin: tuple[ColumnNode, ...]
    edges: tuple[ColumnEdge, ...]
    unknown: tuple[ColumnNode, ...]
    reasons: tuple[str, ...]

    @property
    def complete(self) -> bool:
        return not self.unknown and not self.reasons

    def to_dict(self) -> dict[str, Any]:
        return {
            "origin": [node._asdict() for node in self.origin],
            "complete": self.complete,
            "edges": [
                {"source": edge.source._asdict(), "target": edge.target._asdict(), "direct": edge.direct}
                for edge in self.edges
            ],
            "unknown": [node._asdict() for node in self.unknown],
            "truncated": list(self.reasons),
        }


def column_upstream(lake: Lake, table: str, column: str, version: int | None = None) -> ColumnTrace:
    """Everything that a column of a table at a version (None: the latest) came from, back to the columns as delivered.

    Raises AssayError for a table, version or column that is not there.
    """
    found = _Columns(lake)
    log = _log(found, table, column, version)
    writers = log.writers(log.latest if version is None else version, None)
    return found.walk([ColumnNode(table, commit.version, column) for commit in writers], found.sources)


def column_downstream(lake: Lake, table: str, column: str, version: int | None = None) -> ColumnTrace:
    """Everything that came from a column of the rows that a version of a table wrote (None: every version).

    Columns that were written by who read those rows, without saying where they come from, are `unknown` and not followed.
    Raises AssayError for a table, version or column that is not there.
    """
    found = _Columns(lake)
    log = _log(found, table, column, version)
    origin = [commit for commit in log.commits if version in (None, commit.version)]
    return found.walk([ColumnNode(table, commit.version, column) for commit in origin], found.targets)


def _log(columns: "_Columns", table: str, column: str, version: int | None) -> TableLog:
    log = columns.log(table)
    if log is None:
        raise TableMissing(f"There is no table {table} in {columns.lake.storage.root}.")
    if version is not None and log.entry(version) is None:
        raise AssayError(f"{table} has no version {version} (see: assay tables {table}).")
    if column not in columns.lake.table(table).at(version).schema:
        raise AssayError(f"{table} has no column {column!r}.")
    return log


Version = tuple[str, int]  # a table and the version that wrote some of its rows


@dataclass
class _Columns:
    """Commits and what they say of their columns, each read once; and what is met on the way that is not known."""

    lake: Lake
    unknown: set[ColumnNode] = field(default_factory=set)
    reasons: dict[str, None] = field(default_factory=dict)  # ordered, without repetition
    logs: dict[str, TableLog | None] = field(default_factory=dict)
    said: dict[Version, ColumnLineage] = field(default_factory=dict)
    written: dict[Version, frozenset[str]] = field(default_factory=dict)

    def walk(self, origin: list[ColumnNode], step: Callable[[ColumnNode], Iterable[ColumnEdge]]) -> ColumnTrace:
        edges: set[ColumnEdge] = set()
        seen, queue = set(origin), deque(origin)
        while queue:
            for edge in step(queue.popleft()):
                edges.add(edge)
                new = {edge.source, edge.target} - seen
                seen |= new
                queue.extend(new)
        return ColumnTrace(tuple(origin), tuple(sorted(edges)), tuple(sorted(self.unknown)), tuple(self.reasons))

    def sources(self, node: ColumnNode) -> Iterator[ColumnEdge]:
        """The edges into a column. A delivered column, and the name of a partition, come from no other column."""
        commit = self.commit(node.table, node.version)
        if commit is None or node.column == PARTITION or not commit.inputs:
            return
        lineage = self.declared(commit)
        if node.column not in lineage.known:
            self.unknown.add(node)
            return
        for edge in (*lineage.of(node.column), *lineage.of(None)):
            reads = [item for item in commit.inputs if item.snapshot.table == edge.table]
            for version in {version for item in reads for version in self.writers(item)}:
                yield ColumnEdge(ColumnNode(edge.table, version, edge.source), node, edge.direct)

    def targets(self, node: ColumnNode) -> Iterator[ColumnEdge]:
        """The edges out of a column. Who only looked something up in its rows need not say what for."""
        for (table, version), looked_up in self.readers.get((node.table, node.version), {}).items():
            commit = self.commit(table, version)
            assert commit is not None  # readers are commits
            lineage = self.declared(commit)
            for column in lineage.known:
                for edge in (*lineage.of(column), *lineage.of(None)):
                    if (edge.table, edge.source) == (node.table, node.column):
                        yield ColumnEdge(node, ColumnNode(table, version, column), edge.direct)
            if not looked_up:
                silent = self.columns(table, version) - {PARTITION, *lineage.known}
                self.unknown |= {ColumnNode(table, version, column) for column in silent}

    @cached_property
    def readers(self) -> dict[Version, dict[Version, bool]]:
        """Who read which version's rows, over the whole lake; True: only to look something up."""
        found: dict[Version, dict[Version, bool]] = defaultdict(dict)
        for table in self.lake.tables():
            log = self.log(table)
            for commit in log.commits if log else ():
                for item in commit.inputs:
                    for version in self.writers(item):
                        reads = found[item.snapshot.table, version]
                        reader = (table, commit.version)
                        reads[reader] = item.reference and reads.get(reader, True)
        return found

    def writers(self, read: Slice) -> list[int]:
        """The versions that wrote the rows of a slice."""
        name = read.snapshot.table
        log = self.log(name)
        if log is None or log.table_id != read.snapshot.table_id:
            self.reasons[f"{name} was deleted or made anew: what was read from it before is not followed"] = None
            return []
        return [commit.version for commit in log.writers(read.snapshot.version, read.partitions)]

    def log(self, table: str) -> TableLog | None:
        if table not in self.logs:
            self.logs[table] = log = read_log(self.lake, table)
            damaged = log.damaged if log else ()
            self.reasons |= {f"the log of {table} is damaged at version {entry.version}": None for entry in damaged}
        return self.logs[table]

    def commit(self, table: str, version: int) -> Commit | None:
        log = self.log(table)
        entry = log.entry(version) if log else None
        return entry.commit if entry else None

    def declared(self, commit: Commit) -> ColumnLineage:
        """What a commit says of its columns; what contradicts what it read is unknown."""
        key = (commit.table, commit.version)
        if key not in self.said:
            read = {item.snapshot.table for item in commit.inputs}
            self.said[key] = column_lineage(commit.extra.get("column_lineage") or {}, read)
        return self.said[key]

    def columns(self, table: str, version: int) -> frozenset[str]:
        if (table, version) not in self.written:
            self.written[table, version] = frozenset(self.lake.table(table).at(version).schema)
        return self.written[table, version]
