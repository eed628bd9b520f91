"""Columns in the picture: those of open tables, the sources of each, and the whole path of a selected one.

A line between columns of two tables is a source that the later table's commit declares. A column without a declaration is
unknown, and no line leads to it. The path of a selected column comes from `assay.lineage.columns.graph`.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain

from assay.errors import AssayError
from assay.features.storage.commit_metadata import Commit
from assay.features.tables.lake import Lake
from assay.features.tables.table_log import TableLog, read_log
from assay.lineage.columns.graph import ColumnNode, ColumnTrace, column_downstream, column_upstream
from assay.lineage.events.columns import ColumnLineage, column_lineage
from assay.lineage.queries.nodes import GraphNode
from assay.lineage.queries.walk import GraphEdge
from assay.own_columns import is_link
from assay.web.node_labels import logical

_READ = ("input", "reference")


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """A column of a node; all of its rows, with no column."""

    node: str
    column: str = ""


@dataclass(frozen=True, slots=True, order=True)
class Link:
    """Values of `target` are those of `source`, or were made from them (direct); or were chosen, grouped or ordered by them.
    `via` is the run that did it."""

    source: Cell
    target: Cell
    direct: bool
    via: str = ""


@dataclass(frozen=True, slots=True)
class ColumnPath:
    """Where a column's values come from and go to: in the whole lake (`up`, `down`), and in the picture (`cells`, `links`)."""

    up: ColumnTrace
    down: ColumnTrace
    cells: frozenset[Cell]
    links: frozenset[Link]


@dataclass(frozen=True)
class Columns:
    """The columns of the nodes that are shown."""

    lake: Lake
    nodes: Mapping[str, GraphNode]
    edges: Sequence[GraphEdge]
    _logs: dict[str, TableLog | None] = field(default_factory=dict)
    _lineages: dict[tuple[str, int], ColumnLineage] = field(default_factory=dict)
    _names: dict[tuple[str, int | None], tuple[str, ...] | None] = field(default_factory=dict)

    def names(self, node_id: str) -> tuple[str, ...] | None:
        """The columns of a table of the lake at this version, without those that Assay adds; None where they cannot be
        read."""
        node, log = self.nodes[node_id], self._log(node_id)
        if log is None:
            return None
        changed = log.columns_since(int(node.version or 0))
        key = (log.table, changed)  # a version that changed no metadata has the columns of the one before
        if key not in self._names:
            self._names[key] = _shown_columns(self.lake, *key)
        return self._names[key]

    def unknown(self, node_id: str) -> frozenset[str]:
        """Columns without declared sources. Delivered columns come from files and are not unknown."""
        commit = self._commit(node_id)
        if commit is None or not commit.inputs:
            return frozenset()
        return frozenset(self.names(node_id) or ()) - {*self._declared(commit).known}

    def sources(self, node_id: str, column: str, *, direct: bool) -> list[str]:
        """What a column was made from (direct), or its rows and itself were chosen, grouped or ordered by: `table.column`."""
        commit = self._commit(node_id)
        if commit is None:
            return []
        lineage = self._declared(commit)
        edges = (*lineage.of(column), *lineage.of(None))
        return sorted({f"{edge.table}.{edge.source}" for edge in edges if edge.direct == direct})

    def partitions(self) -> dict[str, str]:
        """Which partition each version of a table of the lake wrote, where it wrote one."""
        nodes: dict[str, list[str]] = defaultdict(list)
        for node_id in self.nodes:
            if self._log(node_id) is not None:
                nodes[logical(self.nodes[node_id])].append(node_id)
        found: dict[str, str] = {}
        for ids in nodes.values():
            log = self._log(ids[0])
            versions = {node_id: int(self.nodes[node_id].version or 0) for node_id in ids}
            writes = log.index.writes(list(versions.values())) if log is not None else {}
            found |= {i: writes[at].partition or "" for i, at in versions.items() if at in writes}
        return found

    def path(self, node_id: str, column: str) -> ColumnPath:
        """Raises AssayError where the node has no such column, or it cannot be read."""
        node = self.nodes[node_id]
        if column not in (self.names(node_id) or ()):
            raise AssayError(f"{logical(node) or node.name} has no column {column!r} that can be read.")
        place = logical(node), column, int(node.version or 0)
        up, down = column_upstream(self.lake, *place), column_downstream(self.lake, *place)
        origin = Cell(node_id, column)
        before, after = self._follow(origin, up, back=True), self._follow(origin, down, back=False)
        return ColumnPath(up, down, frozenset(before | after), frozenset().union(*before.values(), *after.values()))

    def _follow(self, origin: Cell, trace: ColumnTrace, *, back: bool) -> dict[Cell, set[Link]]:
        """The cells of a trace that are shown, with the links that lead on from each. A link into a table counts if the trace
        knows what was written there; one to where that was carried, if it knows what was written before."""
        places = {*trace.origin, *(end for edge in trace.edges for end in (edge.source, edge.target))}
        beside: dict[Cell, list[Link]] = defaultdict(list)
        for link in self._links:
            beside[link.target if back else link.source].append(link)
        links: dict[Cell, set[Link]] = {origin: set()}
        queue = [origin]
        for cell in queue:  # grows as it is walked
            for link in chain(beside[cell], beside[Cell(cell.node)] if cell.column else ()):
                there = link.source if back else link.target
                ends = [there] if there.column else [Cell(there.node, name) for name in self.names(there.node) or ()]
                for end in ends:
                    nearer = (cell if back else end) if link.via else (end if back else cell)
                    if self._place(nearer) in places:
                        links[cell].add(link)
                        if end not in links:
                            links[end] = set()
                            queue.append(end)
        return links

    def _place(self, cell: Cell) -> ColumnNode:
        node = self.nodes[cell.node]
        return ColumnNode(logical(node), int(node.version or 0), cell.column)

    # -- declarations ---------------------------------------------------------------------------------------------

    def _commit(self, node_id: str) -> Commit | None:
        """Of the version that a node is."""
        log = self._log(node_id)
        entry = log.entry(int(self.nodes[node_id].version or 0)) if log else None
        return entry.commit if entry else None

    def _log(self, node_id: str) -> TableLog | None:
        """Of the table that a node is a version of, if that table is still there."""
        node = self.nodes[node_id]
        table = logical(node) if node.kind == "dataset" else ""
        if not table or not (node.version or "").isdecimal():
            return None
        if table not in self._logs:
            self._logs[table] = read_log(self.lake, table)
        log = self._logs[table]
        return log if log is not None and log.table_id == node.facts.get("table_id") else None

    def _declared(self, commit: Commit) -> ColumnLineage:
        key = commit.table, commit.version
        if key not in self._lineages:
            read = {item.snapshot.table for item in commit.inputs}
            self._lineages[key] = column_lineage(commit.column_lineage or {}, read)
        return self._lineages[key]

    @cached_property
    def _links(self) -> list[Link]:
        reads: dict[str, list[str]] = defaultdict(list)
        for edge in self.edges:
            if edge.role in _READ:
                reads[edge.target].append(edge.source)
        links: dict[Link, None] = {}
        for edge in self.edges:
            if edge.role == "carried":
                links |= dict.fromkeys(self._carried(edge.source, edge.target))
            elif edge.role == "output":
                links |= dict.fromkeys(self._written(edge.source, edge.target, reads[edge.source]))
        return list(links)

    def _carried(self, source: str, target: str) -> Iterator[Link]:
        for name in self.names(source) or ():
            if name in (self.names(target) or ()):
                yield Link(Cell(source, name), Cell(target, name), True)

    def _written(self, run: str, target: str, sources: Iterable[str]) -> Iterator[Link]:
        commit = self._commit(target)
        if commit is None:
            return
        lineage = self._declared(commit)
        read = {(item.snapshot.table, str(item.snapshot.version)) for item in commit.inputs}
        for source in sources:
            node = self.nodes[source]
            if (logical(node), node.version) in read:
                for edge in lineage.edges:
                    if edge.table == logical(node):
                        yield Link(Cell(source, edge.source), Cell(target, edge.column or ""), edge.direct, run)


def _shown_columns(lake: Lake, table: str, version: int | None) -> tuple[str, ...] | None:
    try:
        schema = lake.table(table).at(version).schema
    except AssayError:
        return None
    return tuple(name for name in schema if not is_link(name))
