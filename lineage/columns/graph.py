"""From a column to the columns it came from, and to those that came from it: version by version, as commits declared them.

A commit declares the sources of its columns, and records which versions of which tables it read. Together they lead from the rows
that one version wrote to the rows that others wrote. Where a declaration is missing, the answer names the column and stops.
"""

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from assay.features.storage.commit_metadata import Commit
from assay.features.storage.parquet_files import PARTITION
from assay.features.tables.lake import Lake
from assay.lineage.commits.graph import CommitGraph, Version
from assay.lineage.events.columns import Edge, column_lineage
from assay.lineage.outline import Line, Outline, Span, leaf, line


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
    """All edges upstream or downstream of a column. `unknown` columns have no declared sources.
    `reasons`: what could not be read, or followed, at all."""

    origin: tuple[ColumnNode, ...]
    edges: tuple[ColumnEdge, ...]
    unknown: tuple[ColumnNode, ...]
    reasons: tuple[str, ...]
    direction: Literal["up", "down"]

    @property
    def complete(self) -> bool:
        return not self.unknown and not self.reasons

    def to_dict(self) -> dict[str, Any]:
        return {
            "origin": [node._asdict() for node in self.origin],
            "direction": self.direction,
            "complete": self.complete,
            "edges": [
                {"source": edge.source._asdict(), "target": edge.target._asdict(), "direct": edge.direct}
                for edge in self.edges
            ],
            "unknown": [node._asdict() for node in self.unknown],
            "truncated": list(self.reasons),
        }

    def outline(self) -> Outline:
        """From the column outwards in words: a line per column, whatever the number of versions. A column met again is only
        named."""
        versions: dict[_Column, set[int]] = defaultdict(set)
        for node in (*self.origin, *(end for edge in self.edges for end in (edge.source, edge.target))):
            versions[node.table, node.column].add(node.version)
        onward: dict[_Column, dict[_Column, set[bool]]] = defaultdict(lambda: defaultdict(set))
        for edge in self.edges:
            near, far = (edge.target, edge.source) if self.direction == "up" else (edge.source, edge.target)
            onward[near.table, near.column][far.table, far.column].add(edge.direct)
        title, below = line(Span("nothing was written", "strong")), []
        for column in dict.fromkeys((node.table, node.column) for node in self.origin):
            verb = "comes from" if self.direction == "up" else "leads to"
            title = (*_title(column, versions[column]), Span(f" {verb}", "dim"))
            below += _branches(column, onward, versions, {column})
        unknown: dict[str, dict[str, None]] = defaultdict(dict)
        for node in self.unknown:
            unknown[node.table][node.column] = None
        for table, names in unknown.items():
            below.append(leaf(Span(f"{table} does not declare the sources of: {', '.join(names)}", "warning")))
        return Outline((title,), (*below, *(leaf(Span(reason, "warning")) for reason in self.reasons)))

    def __str__(self) -> str:
        return str(self.outline())


_Column = tuple[str, str]  # table, column
_Onward = Mapping[_Column, Mapping[_Column, set[bool]]]


def _branches(
    column: _Column, onward: _Onward, versions: Mapping[_Column, set[int]], seen: set[_Column]
) -> Iterator[Outline]:
    for other, direct in sorted(onward.get(column, {}).items(), key=lambda item: (True not in item[1], item[0])):
        how = " and ".join(name for name, kind in (("direct", True), ("indirect", False)) if kind in direct)
        if other in seen:
            yield leaf(*_title(other), f"  {how} ", Span("(shown above)", "dim"))
            continue
        seen.add(other)
        title = line(*_title(other, versions[other]), f"  {how}")
        yield Outline((title,), tuple(_branches(other, onward, versions, seen)))


def _title(column: _Column, versions: set[int] | None = None) -> Line:
    return line(
        Span(".".join(column), "strong"), Span(f"  {_versions_text(sorted(versions))}" if versions else "", "dim")
    )


def _versions_text(versions: Sequence[int]) -> str:
    """`version 3`, or `30 versions 1 … 30`."""
    if len(versions) == 1:
        return f"version {versions[0]}"
    return f"{len(versions)} versions {versions[0]} … {versions[-1]}"


def column_upstream(
    lake: Lake, table: str, column: str, version: int | None = None, *, limit: int | None = None
) -> ColumnTrace:
    """Everything that a column of a table came from, back to the columns as delivered.

    Args:
        lake: Where the tables are.
        table: Its name.
        column: The column.
        version: Of the table. Default: the latest.
        limit: At most so many edges; `reasons` names the limit where there are more.

    Raises:
        AssayError: There is no such table, version or column.
    """
    commits = CommitGraph(lake)
    log = commits.origin(table, version, column)
    origin = log.writer_versions(log.latest if version is None else version, None)
    nodes = [ColumnNode(table, number, column) for number in origin]
    return _walk(ColumnGraph(commits), nodes, "up", limit)


def column_downstream(
    lake: Lake, table: str, column: str, version: int | None = None, *, limit: int | None = None
) -> ColumnTrace:
    """Everything that came from a column of the rows that a version of a table wrote.

    Columns of commits that read those rows, without declaring their sources, are `unknown` and not followed.

    Args:
        lake: Where the tables are.
        table: Its name.
        column: The column.
        version: Of the table. Default: every version.
        limit: At most so many edges; `reasons` names the limit where there are more.

    Raises:
        AssayError: There is no such table, version or column.
    """
    commits = CommitGraph(lake)
    log = commits.origin(table, version, column)
    origin = log.written() if version is None else log.index.wrote(version)
    nodes = [ColumnNode(table, number, column) for number in origin]
    return _walk(ColumnGraph(commits), nodes, "down", limit)


def _walk(
    graph: "ColumnGraph", origin: list[ColumnNode], direction: Literal["up", "down"], limit: int | None
) -> ColumnTrace:
    step = graph.sources if direction == "up" else graph.targets
    edges: set[ColumnEdge] = set()
    unknown: set[ColumnNode] = set()
    seen, queue = set(origin), deque(origin)
    while queue:
        met, undeclared = step(queue.popleft())
        edges.update(met)
        unknown.update(undeclared)
        if limit is not None and len(edges) > limit:
            graph.commits.reasons[f"there are more than {limit:,} edges"] = None
            edges = set(sorted(edges)[:limit])
            break
        new = {node for edge in met for node in (edge.source, edge.target)} - seen
        seen |= new
        queue.extend(sorted(new))
    reasons = tuple(graph.commits.reasons)
    return ColumnTrace(tuple(origin), tuple(sorted(edges)), tuple(sorted(unknown)), reasons, direction)


@dataclass(frozen=True, slots=True)
class DeclaredColumns:
    """What a commit declares about its columns. `into`: the sources of each column. `out_of`: by table and column, the columns
    made from it, and whether directly. `undeclared`: columns the commit wrote without declaring their sources."""

    into: Mapping[str, tuple[Edge, ...]]
    out_of: Mapping[tuple[str, str], tuple[tuple[str, bool], ...]]
    undeclared: frozenset[str]


@dataclass
class ColumnGraph:
    """Columns of versions, and what leads from one to the other."""

    commits: CommitGraph
    _declared: dict[Version, DeclaredColumns] = field(default_factory=dict)

    def sources(self, node: ColumnNode) -> tuple[list[ColumnEdge], list[ColumnNode]]:
        """The edges into a column; and the column itself, if its commit does not declare its sources. A delivered column and
        the name of a partition have no sources."""
        commit = self.commits.commit(node[:2])
        if commit is None or node.column == PARTITION:
            return [], []
        into = self.declared(commit).into.get(node.column)
        if into is None:
            return [], [node] if any(not item.lookup for item in commit.inputs) else []
        writers: dict[str, set[int]] = defaultdict(set)
        for item in commit.inputs:
            if any(edge.table == item.snapshot.table for edge in into):
                writers[item.snapshot.table].update(self.commits.writers(commit, item))
        return [
            ColumnEdge(ColumnNode(edge.table, version, edge.source), node, edge.direct)
            for edge in into
            for version in writers[edge.table]
        ], []

    def targets(self, node: ColumnNode) -> tuple[list[ColumnEdge], list[ColumnNode]]:
        """The edges out of a column; and the columns that may come from it, because their commit read its rows and does not
        declare their sources. Commits that only looked something up in the rows need not declare it."""
        edges, undeclared = [], []
        for commit, looked_up in self.readers(node[:2]):
            declared = self.declared(commit)
            for column, direct in declared.out_of.get((node.table, node.column), ()):
                edges.append(ColumnEdge(node, ColumnNode(commit.table, commit.version, column), direct))
            if not looked_up:
                undeclared += [ColumnNode(commit.table, commit.version, column) for column in declared.undeclared]
        return edges, undeclared

    def readers(self, version: Version, *, lookups: bool = False) -> Iterator[tuple[Commit, bool]]:
        """The commits that read rows of a version; True: only to look something up. Of these only the ones that declare columns
        from there, unless all `lookups` are asked for."""
        found = self.commits.readers(version, lookups=lookups)
        sourced = self.commits.sourced_lookups(version) if not lookups else ()
        for reader, looked_up in (dict.fromkeys(sourced, True) | found).items():
            commit = self.commits.commit(reader)
            assert commit is not None  # readers are commits
            yield commit, looked_up

    def declared(self, commit: Commit) -> DeclaredColumns:
        """The declarations of a commit. One that names a table the commit did not read counts as undeclared."""
        key = (commit.table, commit.version)
        if key not in self._declared:
            read = {item.snapshot.table for item in commit.inputs}
            lineage = column_lineage(commit.column_lineage or {}, read)
            every = lineage.of(None)
            into = {column: (*lineage.of(column), *every) for column in lineage.known}
            out_of: dict[tuple[str, str], list[tuple[str, bool]]] = defaultdict(list)
            for column, edges in into.items():
                for edge in edges:
                    out_of[edge.table, edge.source].append((column, edge.direct))
            written = self.commits.columns(key) | set(lineage.unknown)
            self._declared[key] = DeclaredColumns(
                into, {key: tuple(cells) for key, cells in out_of.items()}, written - into.keys()
            )
        return self._declared[key]
