"""The graph of runs and dataset versions: upstream, downstream, neighbourhood, as it is or as it was.

A run reads versions and writes versions. A version of a partitioned table also holds what earlier versions wrote, and a
run reads some of its partitions; so what a read leads to are the writes whose rows it could see, and no others. Such a
write of an earlier version is shown as an edge `carried` from that version to the one that was read.

What a run only looked up (`reference`) is shown, not followed. Every answer is complete, or says why not (`truncated`).
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from assay.lineage.diff import Diff, diff
from assay.lineage.graph_nodes import GraphNode, NodeReader, micros
from assay.lineage.graph_tables import Tables, Write, partitions_of
from assay.lineage.store import LineageStore
from assay.lineage.tables import checks, edges, runs, versions

__all__ = [
    "Diff",
    "GraphEdge",
    "GraphNode",
    "Subgraph",
    "diff",
    "downstream",
    "find",
    "graph",
    "graph_hash",
    "neighbourhood",
    "search",
    "upstream",
]

Kind = Literal["dataset", "job", "run"]
# ("run", run id) | ("write", version): what it wrote | ("read", version, partitions): what it held | ("carrier", version,
# version of the write): those who read that write there
_State = tuple[Any, ...]
_Step = tuple[str, str, str, _State | None]  # source, target, role, where to go on (None: nowhere)


@dataclass(frozen=True, slots=True)
class GraphEdge:
    """Data flows from `source` to `target`. Roles: input, reference, output, unchanged, carried."""

    source: str
    target: str
    role: str


@dataclass(frozen=True, slots=True)
class Subgraph:
    """`truncated` is None for a complete answer, or says why it is not."""

    nodes: tuple[GraphNode, ...]
    edges: tuple[GraphEdge, ...]
    truncated: str | None = None


def find(store: LineageStore, node_id: str) -> GraphNode | None:
    """The node with this id, or None. `dataset:{namespace}:{name}@{version}` (without @version: the latest),
    `job:{namespace}:{name}`, `run:{id}`; Assay's own tables also by `dataset:assay:{table}`."""
    with store.reading() as connection:
        return NodeReader(connection).find(node_id)


def search(store: LineageStore, text: str, *, kinds: Iterable[Kind] | None = None, limit: int = 50) -> list[GraphNode]:
    """Datasets (at their latest version) and jobs whose name holds the text, and the run with this id."""
    with store.reading() as connection:
        return NodeReader(connection).search(text, set(kinds or ("dataset", "job", "run")), limit)


def upstream(
    store: LineageStore, node_id: str, depth: int | None = None, *, as_of: datetime | None = None, limit: int = 10_000
) -> Subgraph:
    """Everything that a node was made from; `depth` counts edges. Empty when there is no such node."""
    return _around(store, node_id, depth, 0, as_of, limit)


def downstream(
    store: LineageStore, node_id: str, depth: int | None = None, *, as_of: datetime | None = None, limit: int = 10_000
) -> Subgraph:
    """Everything that was made from a node: from the rows that a version wrote, wherever they were read, and by whoever
    read that version."""
    return _around(store, node_id, 0, depth, as_of, limit)


def neighbourhood(
    store: LineageStore, node_id: str, *, up: int = 1, down: int = 1, as_of: datetime | None = None, limit: int = 300
) -> Subgraph:
    """A node with what is at most `up` edges before it and `down` edges after it."""
    return _around(store, node_id, up, down, as_of, limit)


def graph(store: LineageStore, as_of: datetime | None = None, *, limit: int = 10_000) -> Subgraph:
    """The whole graph as recorded, or as it was: runs that had ended by then, or had begun and not ended to this day."""
    roles = ("input", "reference", "output", "unchanged")
    query = sa.select(edges.c.run_id, edges.c.version_id, edges.c.role).join(runs, runs.c.run_id == edges.c.run_id)
    query = query.where(edges.c.role.in_(roles), present(as_of)).order_by(edges.c.run_id, edges.c.version_id)
    walk = _Walk(limit)
    with store.reading() as connection:
        for run_id, version_id, role in connection.execute(query):
            ends = (f"v{version_id}", f"r{run_id}")
            if not walk.add(*(ends if role in ("input", "reference") else ends[::-1]), role):
                break
        return walk.result(NodeReader(connection))


def present(as_of: datetime | None) -> sa.ColumnElement[bool]:
    """Whether a run counts at a time. An ended run counts from its end: what it wrote was not known before."""
    if as_of is None:
        return sa.true()
    return sa.func.coalesce(runs.c.ended_us, runs.c.started_us, 0) <= micros(as_of)


def graph_hash(store: LineageStore, *, written: bool = False) -> str:
    """SHA-256 of the graph: runs, edges, snapshots and checks, whatever the order in which they came. Equal graphs have
    equal hashes on any database.

    `written`: only what the tables' own commits tell too: runs that wrote a version, what they read and wrote, and their
    checks (without runs that failed or found nothing to do, and the moment at which a run ended).
    """
    wrote = sa.select(edges.c.run_id).join(versions).where(edges.c.role == "output", versions.c.table_id != "")
    told = runs.c.run_id.in_(wrote) if written else sa.true()
    run = [runs.c.run_id, runs.c.namespace, runs.c.job, runs.c.state, runs.c.started_us, runs.c.parent_id]
    edge = [
        column for table in (edges, versions) for column in table.columns if column.name not in ("id", "version_id")
    ]
    linked = sa.select(*edge).select_from(edges.join(versions).join(runs, runs.c.run_id == edges.c.run_id)).where(told)
    if written:
        linked = linked.where(edges.c.role.in_(("input", "reference", "output")))
    judged = sa.select(checks).join(runs, runs.c.run_id == checks.c.run_id).where(told)
    state = hashlib.sha256()
    with store.reading() as connection:
        for query in (sa.select(*run, *(() if written else (runs.c.ended_us,))).where(told), linked, judged):
            rows = sorted(json.dumps(list(row)) for row in connection.execute(query))
            state.update(json.dumps(rows).encode())
    return state.hexdigest()


# -- walking -----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Walk:
    """What was found. Keys: v<version row>, r<run>, or the id of a job."""

    limit: int
    keys: dict[str, None] = field(default_factory=dict)
    found: dict[tuple[str, str, str], None] = field(default_factory=dict)
    truncated: str | None = None

    def add(self, source: str, target: str, role: str) -> bool:
        """Whether there was room for it."""
        new = {key for key in (source, target) if key not in self.keys}
        if len(self.keys) + len(new) > self.limit:
            self.truncated = f"there are more than {self.limit:,} nodes"
            return False
        self.keys[source] = self.keys[target] = None
        self.found[source, target, role] = None
        return True

    def result(self, reader: NodeReader) -> Subgraph:
        nodes = reader.nodes(self.keys)
        named = (GraphEdge(nodes[a].id, nodes[b].id, role) for a, b, role in self.found)
        edges_ = sorted(set(named), key=lambda edge: (edge.source, edge.target, edge.role))
        return Subgraph(tuple(sorted(nodes.values(), key=lambda node: node.id)), tuple(edges_), self.truncated)


def _around(
    store: LineageStore, node_id: str, up: int | None, down: int | None, as_of: datetime | None, limit: int
) -> Subgraph:
    with store.reading() as connection:
        reader = NodeReader(connection)
        focus = reader.key(node_id)
        if focus is None:
            return Subgraph((), ())
        where = present(as_of)
        tables = Tables(connection, where)
        walk = _Walk(max(1, limit))
        if focus.startswith("v"):
            if as_of is not None and not reader.touched(int(focus[1:]), where):
                return Subgraph((), ())
            begin: list[_State] = [("read", int(focus[1:]), None)]
        else:
            ids = [focus[1:]] if focus.startswith("r") else reader.runs_of(focus, where, limit)
            begin = [("run", run_id) for run_id in ids if tables.has_run(run_id)]
            if not begin:
                return Subgraph((), ())
            if len(begin) > limit:
                begin, walk.truncated = begin[:limit], f"{node_id} has more than {limit:,} runs"
        walk.keys[focus] = None
        alias = {f"r{state[1]}": focus for state in begin if state[0] == "run"}  # a job stands for its runs
        _spread(begin, up, lambda states: _up(tables, states), walk, alias)
        _spread(begin, down, lambda states: _down(tables, states), walk, alias)
        return walk.result(reader)


def _spread(
    begin: list[_State],
    depth: int | None,
    step: Callable[[list[_State]], Iterator[_Step]],
    walk: _Walk,
    alias: dict[str, str],
) -> None:
    """Breadth first, level by level: few queries a level, and each state is entered at its least depth."""
    seen, frontier, level = set(begin), begin, 0
    while frontier and (depth is None or level < depth):
        following: dict[_State, None] = {}
        for source, target, role, state in step(frontier):
            if not walk.add(alias.get(source, source), alias.get(target, target), role):
                return
            if state is not None and state not in seen:
                seen.add(state)
                following[state] = None
        frontier, level = list(following), level + 1


def _up(tables: Tables, states: list[_State]) -> Iterator[_Step]:
    ids = [state[1] for state in states if state[0] == "run"]
    for use in tables.uses(ids, ("input", "reference")):
        onward = ("read", use.version_id, partitions_of(use.partitions)) if use.role == "input" else None
        yield f"v{use.version_id}", f"r{use.run_id}", use.role, onward
    tables.load([state[1] for state in states if state[0] != "run"])
    for state in states:
        if state[0] == "read":
            for write in tables.held(state[1], state[2]):
                if write.version_id != state[1]:
                    yield (
                        f"v{write.version_id}",
                        f"v{state[1]}",
                        "carried",
                        ("write", write.version_id, write.partition),
                    )
                else:
                    yield from _writers(write)
        elif state[0] == "write":
            for write in tables.writes_of(state[1]):
                yield from _writers(write)


def _writers(write: Write) -> Iterator[_Step]:
    for run_id, role in write.runs:
        yield f"r{run_id}", f"v{write.version_id}", role, ("run", run_id)


def _down(tables: Tables, states: list[_State]) -> Iterator[_Step]:
    ids = [state[1] for state in states if state[0] == "run"]
    for use in tables.uses(ids, ("output", "unchanged")):
        yield f"r{use.run_id}", f"v{use.version_id}", use.role, ("write", use.version_id, None)
    tables.load([state[1] for state in states if state[0] != "run"], readers=True)
    for state in states:
        if state[0] == "run":
            continue
        for read in tables.reads_of(state[1]):
            direct = state[0] == "read" or tables.sees(read, state[2] if state[0] == "carrier" else state[1])
            if direct:
                yield f"v{state[1]}", f"r{read.run_id}", "input", ("run", read.run_id)
        if state[0] != "carrier":
            for later in tables.carriers(state[1]):
                yield f"v{state[1]}", f"v{later}", "carried", ("carrier", later, state[1])
