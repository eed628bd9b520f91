"""Which nodes and edges a view of the graph shows, in which order they came, and how many more there are beside each.

On the side of a node that leads away from the focus, "more" is what the focus's own lineage holds: exactly what was read on
that way. On its other side (who else read it, what else was made) it is the node's own lineage.
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

Counts = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Step:
    """An act, the nodes that it added, and the edges that say where these belong. None of it depends on later acts."""

    act: Act
    nodes: tuple[str, ...]
    edges: tuple[Edge, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """`first` is the picture before `steps`; `nodes` and `edges` are all that is shown after them, `opened` those of the
    nodes that are open. `more`: how many neighbours are hidden on each side of which node; `counted`: whether these could
    all be counted."""

    first: Subgraph
    steps: tuple[Step, ...]
    nodes: tuple[GraphNode, ...]
    edges: tuple[GraphEdge, ...]
    opened: frozenset[str]
    more: Mapping[Side, Counts]
    truncated: str | None
    counted: bool


@dataclass(frozen=True, slots=True)
class _Way:
    """One side of a node, as far as `depth`: how far away everything there is, and by node what is next to it, one edge on."""

    depth: int
    found: Subgraph
    distance: Mapping[str, int]
    beyond: Mapping[str, frozenset[str]]


def show(store: LineageStore, focus: str, view: View) -> Shown:
    """The view around a node with this id. Shows nothing where the node was not there at that time."""
    first = neighbourhood(store, focus, up=view.up, down=view.down, as_of=view.as_of, limit=DRAWN)
    nodes = {node.id: node for node in first.nodes}
    ways = {side: _way(store, focus, side, depth + 1, view) for side, depth in (("up", view.up), ("down", view.down))}
    along = {side: nodes.keys() & way.distance.keys() for side, way in ways.items()}
    growth = _Growth(store, view, focus, ways, nodes, along, first.truncated)
    edges = growth.edges().union(first.edges)
    steps = [step for act in view.then if (step := growth.step(act)) is not None]
    opened = frozenset(step.act.node for step in steps if step.act.kind == "open")
    more = {side: growth.more(side, opened) for side in SIDES}
    return Shown(
        first=replace(first, edges=tuple(sorted(edges, key=_order))),
        steps=tuple(steps),
        nodes=tuple(nodes.values()),
        edges=tuple(sorted(edges | growth.edges(), key=_order)),
        opened=opened,
        more=more,
        truncated=growth.truncated,
        counted=not any(way.found.truncated for way in ways.values()),
    )


@dataclass(slots=True)
class _Growth:
    """`nodes` are those shown so far; `along` are those of them that lie on a way from the focus. The ways are walked no
    farther than what is done needs: a longer walk may find more beside a node, and must not change what an act did."""

    store: LineageStore
    view: View
    focus: str
    ways: dict[Side, _Way]
    nodes: dict[str, GraphNode]
    along: dict[Side, set[str]]
    truncated: str | None
    own: dict[tuple[str, Side], _Way] = field(default_factory=dict)

    def step(self, act: Act) -> Step | None:
        """Do one act; None where its node is not there: it was when the address was made."""
        if act.node and act.node not in self.nodes:
            return None
        if act.kind == "open":
            return Step(act, (), ())
        along = self.along[act.kind]
        if act.node:
            edges = [(act.node, name) for name in self._hidden(act.node, act.kind)]
        else:
            edges = list(self._beyond(along, self._way(act.kind, STEP)))
        new = sorted({far for _, far in edges})
        room = DRAWN - len(self.nodes)
        if len(new) > room:
            new, self.truncated = new[:room], f"at most {DRAWN} nodes are drawn"
        found = {node.id: node for way in (*self.ways.values(), *self.own.values()) for node in way.found.nodes}
        self.nodes |= {name: found[name] for name in new}
        if not act.node or act.node in along:
            along |= set(new)
        return Step(act, tuple(new), tuple(edges if act.kind == "down" else (edge[::-1] for edge in edges)))

    def _beyond(self, shown: Collection[str], way: _Way) -> Iterator[Edge]:
        """What lies up to `STEP` edges beyond what is shown, by the edges on which it is met first."""
        met, frontier = set(self.nodes), sorted(shown)
        for _ in range(STEP):
            edges = [(near, far) for near in frontier for far in way.beyond.get(near, ()) if far not in met]
            yield from edges
            frontier = sorted({far for _, far in edges})
            met.update(frontier)

    def _way(self, side: Side, beyond: int) -> _Way:
        """The way on one side, at least so far beyond all that is shown of it."""
        way = self.ways[side]
        depth = max((way.distance[name] for name in self.along[side]), default=0) + beyond
        if depth > way.depth:
            self.ways[side] = _way(self.store, self.focus, side, depth, self.view)
        return self.ways[side]

    def more(self, side: Side, opened: frozenset[str]) -> Counts:
        names = [name for name in self.nodes if name in self.along[side] or name in opened]
        return {name: count for name in names if (count := len(self._hidden(name, side)))}

    def edges(self) -> set[GraphEdge]:
        found = (way.found.edges for way in (*self.ways.values(), *self.own.values()))
        return _between(self.nodes, chain.from_iterable(found))

    def _hidden(self, node: str, side: Side) -> list[str]:
        if node in self.along[side]:
            way = self._way(side, 1)
        else:
            if (node, side) not in self.own:
                self.own[node, side] = _way(self.store, node, side, 1, self.view)
            way = self.own[node, side]
        return sorted(way.beyond.get(node, frozenset()) - self.nodes.keys())


def _between(nodes: Collection[str], edges: Iterable[GraphEdge]) -> set[GraphEdge]:
    return {edge for edge in edges if edge.source in nodes and edge.target in nodes}


def _order(edge: GraphEdge) -> tuple[str, str, str]:
    return edge.source, edge.target, edge.role


def _way(store: LineageStore, node: str, side: Side, depth: int, view: View) -> _Way:
    """Breadth first, so that a deeper walk finds the same before it goes on, even where it ends at its limit."""
    walk = upstream if side == "up" else downstream
    found = walk(store, node, depth, as_of=view.as_of, limit=COUNTED)
    beyond: dict[str, set[str]] = defaultdict(set)
    for edge in found.edges:
        near, far = (edge.target, edge.source) if side == "up" else (edge.source, edge.target)
        beyond[near].add(far)
    distance, frontier = {node: 0}, [node]
    for name in frontier:  # grows as it is walked
        for far in sorted(beyond.get(name, ())):
            if far not in distance:
                distance[far] = distance[name] + 1
                frontier.append(far)
    return _Way(depth, found, distance, {near: frozenset(far) for near, far in beyond.items()})
