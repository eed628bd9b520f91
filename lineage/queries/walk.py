"""The graph of runs and dataset versions: upstream, downstream, neighbourhood, as it is or as it was.

A run reads versions and writes versions. A version of a partitioned table also holds rows of earlier versions, and a run reads
some of its partitions. A read therefore leads to the writes whose rows it could see, and to no others. Such a write of an
earlier version is an edge `carried` from that version to the one that was read.

Lookups (role `reference`) are shown, not followed. Where the producer says which outputs a run made from which inputs, a walk
follows only these. Every answer is complete, or gives the reason why not (`truncated`).
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from operator import attrgetter
from typing import Any, NamedTuple

import sqlalchemy as sa

from assay.lineage.queries.nodes import GraphNode, Key, NodeReader, micros, present
from assay.lineage.queries.walk_queries import Point, WalkQueries, Write
from assay.lineage.store.lineage_store import LineageStore
from assay.lineage.store.parse_event import DECLARED
from assay.lineage.store.schema import (
    ADDS,
    ALL,
    LOOKS_UP,
    READS,
    REPLACES,
    checks,
    datasets,
    edges,
    jobs,
    runs,
    versions,
)

# ("run", run, the version through which it was met; None: the run itself was asked for)
# | ("read", timeline, partition or ALL, position, excluded): the rows held there
# | ("write", timeline, position, its runs)
# | ("written", timeline, partition, position): the readers of that | ("readers", timeline, position, its runs)
# | ("point", timeline, position)
_State = tuple[Any, ...]
_WRITES = 10
_Hop = tuple[Key, Key, str, _State | None]  # source, target, role, where to go on (None: nowhere)


class GraphEdge(NamedTuple):
    """Data flows from `source` to `target`. Roles: input, reference, output, unchanged, carried."""

    source: str
    target: str
    role: str


@dataclass(frozen=True, slots=True)
class Subgraph:
    """`truncated` is None for a complete answer, else the reason why it is not."""

    nodes: tuple[GraphNode, ...]
    edges: tuple[GraphEdge, ...]
    truncated: str | None = None


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
    query = sa.select(edges.c.run_key, edges.c.timeline, edges.c.position, edges.c.role, edges.c.flow)
    query = query.join(runs, runs.c.id == edges.c.run_key).where(edges.c.flow <= REPLACES, present(as_of))
    walk = _Walk(limit)
    with store.reading() as connection:
        for run, timeline, position, role, flow in connection.execute(
            query.order_by(edges.c.run_key, edges.c.version_id)
        ):
            ends: tuple[Key, Key] = ((timeline, position), run)
            source, target = ends if flow <= LOOKS_UP else ends[::-1]
            if not walk.add(source, target, "input" if role == DECLARED else role):
                break
        return walk.result(NodeReader(connection))


def graph_hash(store: LineageStore, *, written: bool = False) -> str:
    """SHA-256 of the graph: runs, edges, snapshots and checks, whatever the order in which they came. Equal graphs have
    equal hashes on any database.

    `written`: only what the tables' own commits record as well: runs that wrote a version, their reads and writes, and their
    checks (without failed runs, runs with nothing to do, and the end times of runs).
    """
    wrote = sa.select(edges.c.run_key).select_from(edges.join(versions).join(datasets))
    wrote = wrote.where(edges.c.role == "output", datasets.c.table_id != "")
    included = runs.c.id.in_(wrote) if written else sa.true()
    run = [runs.c.run_id, jobs.c.namespace, jobs.c.name, runs.c.state, runs.c.started_us, runs.c.parent_id]
    run += [] if written else [runs.c.ended_us]
    part = edges.c.partition + sa.func.coalesce(edges.c.excluded, "")
    edge = [runs.c.run_id, edges.c.role, part, edges.c.digest, edges.c.mode]
    edge += [versions.c.version, versions.c.commit_sha256]
    edge += [datasets.c.namespace, datasets.c.name, datasets.c.table_id, datasets.c.table_name]
    linked = sa.select(*edge).select_from(edges.join(versions).join(datasets).join(runs)).where(included)
    if written:
        linked = linked.where(edges.c.role.in_(("input", "reference", "output")))
    check = [runs.c.run_id, *(column for column in checks.columns if column.name != "run_key")]
    judged = sa.select(*check).select_from(checks.join(runs)).where(included)
    state = hashlib.sha256()
    with store.reading() as connection:
        for query in (sa.select(*run).select_from(runs.join(jobs)).where(included), linked, judged):
            rows = sorted(json.dumps(list(row)) for row in connection.execute(query))
            state.update(json.dumps(rows).encode())
    return state.hexdigest()


# -- walking -----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Walk:
    """The nodes and edges found so far. Keys are those of `NodeReader`."""

    limit: int
    keys: dict[Key, None] = field(default_factory=dict)
    found: dict[tuple[Key, Key, str], None] = field(default_factory=dict)
    truncated: str | None = None

    def add(self, source: Key, target: Key, role: str) -> bool:
        """Whether there was room for it."""
        keys = self.keys
        if source not in keys or target not in keys:
            if len(keys) + (source not in keys) + (target not in keys) > self.limit:
                self.truncated = f"there are more than {self.limit:,} nodes"
                return False
            keys[source] = keys[target] = None
        self.found[source, target, role] = None
        return True

    def result(self, reader: NodeReader) -> Subgraph:
        nodes = reader.nodes(self.keys)
        ids = {key: node.id for key, node in nodes.items()}
        named = sorted({(ids[source], ids[target], role) for source, target, role in self.found})
        edges_ = tuple(map(_edge, named))
        return Subgraph(tuple(sorted(nodes.values(), key=_id)), edges_, self.truncated)


_edge = partial(tuple.__new__, GraphEdge)  # as `GraphEdge._make`, without a Python call for each
_id = attrgetter("id")


def _around(
    store: LineageStore, node_id: str, up: int | None, down: int | None, as_of: datetime | None, limit: int
) -> Subgraph:
    with store.reading() as connection:
        reader = NodeReader(connection)
        focus = reader.key(node_id)
        if focus is None:
            return Subgraph((), ())
        walk = _Walk(max(1, limit))
        # A write is a node or two: so many of them fill the walk, unless hundreds of them are of one version.
        most = _WRITES * walk.limit
        queries = WalkQueries(connection, None if as_of is None else micros(as_of), most)
        alias: dict[Key, Key] = {}
        if isinstance(focus, tuple):
            if as_of is not None and not queries.at(focus):
                return Subgraph((), ())
            before: list[_State] = [("read", focus[0], ALL, focus[1], None)]
            after: list[_State] = [("point", *focus)]
        else:
            ids = reader.runs_of(focus, present(as_of), limit)
            if not ids and as_of is not None:
                return Subgraph((), ())
            if len(ids) > limit:
                ids, walk.truncated = ids[:limit], f"{node_id} has more than {limit:,} runs"
            alias = dict.fromkeys(ids, focus)  # a job stands for its runs
            before = after = [("run", run, None) for run in ids]
        walk.keys[focus] = None
        _spread(before, up, lambda states: _up(queries, states), walk, alias)
        _spread(after, down, lambda states: _down(queries, states), walk, alias)
        if queries.cut and walk.truncated is None:
            walk.truncated = f"there are more than {most:,} writes"
        return walk.result(reader)


def _spread(
    begin: list[_State],
    depth: int | None,
    step: Callable[[list[_State]], Iterator[_Hop]],
    walk: _Walk,
    alias: dict[Key, Key],
) -> None:
    """Breadth first, level by level: few queries a level, and each state is entered at its least depth."""
    stands_for, add = alias.get, walk.add
    seen, frontier, level = set(begin), begin, 0
    while frontier and (depth is None or level < depth):
        following: dict[_State, None] = {}
        for source, target, role, state in step(frontier):
            if alias:
                source, target = stands_for(source, source), stands_for(target, target)
            if not add(source, target, role):
                return
            if state is not None and state not in seen:
                seen.add(state)
                following[state] = None
        frontier, level = list(following), level + 1


def _up(queries: WalkQueries, states: list[_State]) -> Iterator[_Hop]:
    """From runs to what they read; from there to the writes whose rows it held; from there to the runs that wrote them."""
    if met := _met(queries, states):
        for run, timeline, position, partition, flow, excluded, role in queries.uses(met, READS, LOOKS_UP):
            point = (timeline, position)
            if queries.is_declared(run) and not any(by is None or queries.feeds(run, point, by) for by in met[run]):
                continue
            yield point, run, role, ("read", timeline, partition, position, excluded) if flow == READS else None
    reads = {state[1:]: None for state in states if state[0] == "read"}
    held = queries.held(dict.fromkeys(read[:3] for read in reads))
    for timeline, part, position, excluded in reads:
        writes: Iterable[Write] = held.get((timeline, part, position), ())
        if excluded:
            left_out = json.loads(excluded)
            writes = [item for item in writes if item[1] not in left_out]
        for earlier, runs_ in _by_number(writes):
            if earlier == position:
                yield from _wrote((timeline, position), runs_)
            else:
                yield (timeline, earlier), (timeline, position), "carried", ("write", timeline, earlier, runs_)
    for state in states:
        if state[0] == "write":
            yield from _wrote(state[1:3], state[3])


def _wrote(point: Point, runs_: Iterable[tuple[int, str]]) -> Iterator[_Hop]:
    for run, role in runs_:
        yield run, point, role, ("run", run, point)


def _met(queries: WalkQueries, states: Iterable[_State]) -> dict[int, list[Point | None]]:
    """The runs among the states, with the versions through which each was met."""
    met: dict[int, list[Point | None]] = {}
    for state in states:
        if state[0] == "run":
            met.setdefault(state[1], []).append(state[2])
    queries.learn_derivations(met)
    return met


def _by_number(writes: Iterable[Write]) -> Iterator[tuple[int, tuple[tuple[int, str], ...]]]:
    runs_by_position: dict[int, dict[tuple[int, str], None]] = {}
    for position, _, run, role in writes:
        runs_by_position.setdefault(position, {})[run, role] = None
    return ((position, tuple(runs_)) for position, runs_ in runs_by_position.items())


def _down(queries: WalkQueries, states: list[_State]) -> Iterator[_Hop]:
    """From runs to what they wrote; from there to the runs that saw it, at that version or carried to a later one."""
    if met := _met(queries, states):
        for run, timeline, position, partition, _, _, role in queries.uses(met, ADDS, REPLACES):
            point = (timeline, position)
            if queries.is_declared(run) and not any(by is None or queries.feeds(run, by, point) for by in met[run]):
                continue
            yield run, point, role, ("written", timeline, partition, position)
    written = {state[1:]: None for state in states if state[0] == "written"}
    for state in states:
        if state[0] == "point":
            for edge in queries.at(state[1:]):
                if edge.flow == READS:  # whatever they took from it: written here or carried here
                    yield state[1:], edge.run_key, "input", ("run", edge.run_key, state[1:])
                elif edge.flow >= ADDS:
                    written[edge.timeline, edge.partition, edge.position] = None
    readers: dict[tuple[int, int, int], list[int]] = {}
    for timeline, wrote, position, run in queries.seen(written):
        readers.setdefault((timeline, wrote, position), []).append(run)
    for (timeline, wrote, position), ids in readers.items():
        if position == wrote:
            for run in ids:
                yield (timeline, position), run, "input", ("run", run, (timeline, position))
        else:
            yield (timeline, wrote), (timeline, position), "carried", ("readers", timeline, position, tuple(ids))
    for state in states:
        if state[0] == "readers":
            for run in state[3]:
                yield state[1:3], run, "input", ("run", run, state[1:3])
