"""Which nodes and edges a view of the graph shows, in which order they were added, and how many more neighbours each has.

On the side of a node that leads away from the focus, "more" counts nodes of the focus's own lineage. On its other side (other
readers, other outputs) it counts nodes of the node's own lineage.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain

from assay.lineage.queries.nodes import GraphNode
from assay.lineage.queries.walk import GraphEdge, Subgraph, downstream, neighbourhood, upstream
from assay.lineage.store.lineage_store import LineageStore
from assay.web.layout import Edge
from assay.web.view import SIDES, STEP, Act, Side, View

DRAWN = 300  # nodes
COUNTED = 2_000  # nodes looked at, on each side, to say how many more there are
# The same for the picture that is drawn unasked: a version of a table is carried by all later ones, and a picture of years
# says no more than one of a month.
FIRST_DRAWN = 40
FIRST_COUNTED = 200

Counts = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class GraphAct:
    """An act as it was done: the nodes that it added, and the edges that place them. Independent of later acts."""

    act: Act
    nodes: tuple[str, ...]
    edges: tuple[Edge, ...]


@dataclass(frozen=True, slots=True)
class VisibleGraph:
    """`first` is the graph before `acts`; `nodes` and `edges` are all that is visible after them, `opened` the ids of open
    nodes. `more`: hidden neighbours, by side and node; `counted`: whether all of them could be counted."""

    first: Subgraph
    acts: tuple[GraphAct, ...]
    nodes: tuple[GraphNode, ...]
    edges: tuple[GraphEdge, ...]
    opened: frozenset[str]
    more: Mapping[Side, Counts]
    truncated: str | None
    counted: bool


@dataclass(frozen=True, slots=True)
class _Reach:
    """One side of a node, up to `depth` edges away: the distance of every node there, and the neighbours one edge beyond each
    node."""

    depth: int
    found: Subgraph
    distance: Mapping[str, int]
    beyond: Mapping[str, frozenset[str]]


def visible_graph(store: LineageStore, focus: str, view: View) -> VisibleGraph:
    """The graph that a view shows around a node; empty where the node did not exist at that time."""
    first = _first(store, focus, view)
    nodes = {node.id: node for node in first.nodes}
    reaches: dict[Side, _Reach] = {
        "up": _reach(store, focus, "up", view.up + 1, view),
        "down": _reach(store, focus, "down", view.down + 1, view),
    }
    along: dict[Side, set[str]] = {}
    for side in SIDES:
        along[side] = nodes.keys() & reaches[side].distance.keys()
    growth = _Growth(store, view, focus, reaches, nodes, along, first.truncated)
    edges = growth.edges().union(first.edges)
    acts = [done for act in view.then if (done := growth.apply(act)) is not None]
    opened = frozenset(item.act.node for item in acts if item.act.kind == "open")
    more: dict[Side, Counts] = {"up": growth.more("up", opened), "down": growth.more("down", opened)}
    return VisibleGraph(
        first=replace(first, edges=tuple(sorted(edges, key=_order))),
        acts=tuple(acts),
        nodes=tuple(nodes.values()),
        edges=tuple(sorted(edges | growth.edges(), key=_order)),
        opened=opened,
        more=more,
        truncated=growth.truncated,
        counted=not any(reach.found.truncated for reach in reaches.values()),
    )


@dataclass(slots=True)
class _Growth:
    """`nodes` are those visible so far; `along` are those of them that a walk from the focus reaches. Walks go no farther than
    the acts need: a longer walk may find more neighbours, and must not change the result of an earlier act."""

    store: LineageStore
    view: View
    focus: str
    reaches: dict[Side, _Reach]
    nodes: dict[str, GraphNode]
    along: dict[Side, set[str]]
    truncated: str | None
    own: dict[tuple[str, Side], _Reach] = field(default_factory=dict)

    def apply(self, act: Act) -> GraphAct | None:
        """Apply one act; None where its node is not visible any more (it was when the address was made)."""
        if act.node and act.node not in self.nodes:
            return None
        if act.kind == "open":
            return GraphAct(act, (), ())
        along = self.along[act.kind]
        if act.node:
            edges = [(act.node, name) for name in self._hidden(act.node, act.kind)]
        else:
            edges = list(self._beyond(along, self._reach(act.kind, STEP)))
        new = sorted({far for _, far in edges})
        room = DRAWN - len(self.nodes)
        if len(new) > room:
            new, self.truncated = new[:room], f"at most {DRAWN} nodes are drawn"
        nodes = {node.id: node for reach in (*self.reaches.values(), *self.own.values()) for node in reach.found.nodes}
        self.nodes |= {name: nodes[name] for name in new}
        if not act.node or act.node in along:
            along |= set(new)
        away = edges if act.kind == "down" else [(far, near) for near, far in edges]
        return GraphAct(act, tuple(new), tuple(away))

    def _beyond(self, visible: Collection[str], reach: _Reach) -> Iterator[Edge]:
        """The edges by which nodes up to `STEP` edges past the visible ones are met first."""
        met, frontier = set(self.nodes), sorted(visible)
        for _ in range(STEP):
            edges = [(near, far) for near in frontier for far in reach.beyond.get(near, ()) if far not in met]
            yield from edges
            frontier = sorted({far for _, far in edges})
            met.update(frontier)

    def _reach(self, side: Side, beyond: int) -> _Reach:
        """What the focus reaches on one side, at least `beyond` edges past the visible nodes."""
        reach = self.reaches[side]
        depth = max((reach.distance[name] for name in self.along[side]), default=0) + beyond
        if depth > reach.depth:
            self.reaches[side] = _reach(self.store, self.focus, side, depth, self.view)
        return self.reaches[side]

    def more(self, side: Side, opened: frozenset[str]) -> Counts:
        names = [name for name in self.nodes if name in self.along[side] or name in opened]
        return {name: count for name in names if (count := len(self._hidden(name, side)))}

    def edges(self) -> set[GraphEdge]:
        edges = (reach.found.edges for reach in (*self.reaches.values(), *self.own.values()))
        return _between(self.nodes, chain.from_iterable(edges))

    def _hidden(self, node: str, side: Side) -> list[str]:
        if node in self.along[side]:
            reach = self._reach(side, 1)
        else:
            if (node, side) not in self.own:
                self.own[node, side] = _reach(self.store, node, side, 1, self.view)
            reach = self.own[node, side]
        return sorted(reach.beyond.get(node, frozenset()) - self.nodes.keys())


def _first(store: LineageStore, focus: str, view: View) -> Subgraph:
    """The picture that acts begin with. The near one has room for as many nodes on either side: what a table holds must not
    hide who reads it."""
    if not _is_near(view):
        return neighbourhood(store, focus, up=view.up, down=view.down, as_of=view.as_of, limit=DRAWN)
    half = FIRST_DRAWN // 2
    before = upstream(store, focus, view.up, as_of=view.as_of, limit=half)
    after = downstream(store, focus, view.down, as_of=view.as_of, limit=half)
    nodes = {node.id: node for node in (*before.nodes, *after.nodes)}
    cut = f"the nearest {len(nodes)} nodes are drawn" if before.truncated or after.truncated else None
    return Subgraph(tuple(nodes[name] for name in sorted(nodes)), (*before.edges, *after.edges), cut)


def _is_near(view: View) -> bool:
    """Whether nobody asked for a picture that goes far."""
    return max(view.up, view.down) <= STEP


def _between(nodes: Collection[str], edges: Iterable[GraphEdge]) -> set[GraphEdge]:
    return {edge for edge in edges if edge.source in nodes and edge.target in nodes}


def _order(edge: GraphEdge) -> tuple[str, str, str]:
    return edge.source, edge.target, edge.role


def _reach(store: LineageStore, node: str, side: Side, depth: int, view: View) -> _Reach:
    """Breadth first: a deeper walk begins with the nodes of a shallower one, also where it stops at its limit."""
    walk = upstream if side == "up" else downstream
    limit = COUNTED if view.then or not _is_near(view) else FIRST_COUNTED
    walked = walk(store, node, depth, as_of=view.as_of, limit=limit)
    beyond: dict[str, set[str]] = defaultdict(set)
    for edge in walked.edges:
        near, far = (edge.target, edge.source) if side == "up" else (edge.source, edge.target)
        beyond[near].add(far)
    distance, frontier = {node: 0}, [node]
    for name in frontier:  # grows as it is walked
        for far in sorted(beyond.get(name, ())):
            if far not in distance:
                distance[far] = distance[name] + 1
                frontier.append(far)
    return _Reach(depth, walked, distance, {near: frozenset(far) for near, far in beyond.items()})
