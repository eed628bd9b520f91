"""Where the nodes of a graph go: columns from left to right, few crossings, nothing on top of anything else.

The layered method of Sugiyama, Tagawa and Toda (1981): columns by longest path, dummy nodes where an edge passes columns,
eight barycentre sweeps against crossings, then heights by isotonic regression, as near to the neighbours as the order
allows. The same graph always gets the same picture. Pure computation, about linear in nodes plus dummies.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

SWEEPS = 8
PASSES = 4  # over the heights
COLUMN_GAP, ROW_GAP, MARGIN = 56, 14, 16
_LONGEST = 40  # an edge over more columns than this is drawn straight: its dummies would outnumber the nodes
_HEAVY = 1e6  # how much more a node that was there already wants to stay than a new one wants its place

Size = tuple[str, int, int]  # id, width, height
Edge = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Box:
    """A placed node, in pixels; `column` counts from the left."""

    id: str
    x: float
    y: float
    width: int
    height: int
    column: int

    @property
    def middle(self) -> float:
        return self.y + self.height / 2


@dataclass(frozen=True, slots=True)
class Route:
    """An edge as the points it passes, from the source's right side to the target's left side. `back` edges close a
    cycle and run from right to left."""

    source: str
    target: str
    points: tuple[tuple[float, float], ...]
    back: bool = False


@dataclass(frozen=True, slots=True)
class Layout:
    boxes: tuple[Box, ...]
    routes: tuple[Route, ...]
    width: float
    height: float


def arrange(nodes: Iterable[Size], edges: Iterable[Edge], before: Layout | None = None) -> Layout:
    """Place nodes (unique ids) and edges between them; edges to unknown nodes or from a node to itself are left out.

    `before` is an earlier layout of a part of this graph: its nodes keep their order from top to bottom, and their heights
    wherever there is room. Results are kept by content.
    """
    sizes = tuple(sorted(nodes))
    known = {name for name, _, _ in sizes}
    kept = sorted({(a, b) for a, b in edges if a != b and a in known and b in known})
    return _arrange(sizes, tuple(kept), before)


@lru_cache(maxsize=64)
def _arrange(nodes: tuple[Size, ...], edges: tuple[Edge, ...], before: Layout | None) -> Layout:
    if not nodes:
        return Layout((), (), 0, 0)
    number = {name: index for index, (name, _, _) in enumerate(nodes)}
    pairs = [(number[a], number[b]) for a, b in edges]
    forward, turned = _acyclic(len(nodes), pairs)
    columns = _columns(len(nodes), forward)
    placed = {number[box.id]: box for box in before.boxes if box.id in number} if before else {}
    heights: list[int] = [height for _, _, height in nodes]
    chains = [_chain(a, b, columns, heights) for a, b in forward]
    layers: list[list[int]] = [[] for _ in range(max(columns) + 1)]
    for node, column in enumerate(columns):
        layers[column].append(node)
    links = [(a, b) for chain in chains for a, b in pairwise(chain)]
    left, right = _neighbours(len(columns), links)
    wanted = {node: box.middle for node, box in placed.items()}
    _untangle(layers, left, right, wanted)
    middles = _heights(layers, left, right, heights, wanted)
    top = min(middles[node] - heights[node] / 2 for node in range(len(nodes)))
    return _drawn(nodes, layers, columns, chains, turned, heights, [middle - top + MARGIN for middle in middles])


def _acyclic(count: int, pairs: Sequence[tuple[int, int]]) -> tuple[list[tuple[int, int]], list[bool]]:
    """The edges with those that close a cycle (in a depth-first walk) turned round, and which those are."""
    following: list[list[int]] = [[] for _ in range(count)]
    for a, b in pairs:
        following[a].append(b)
    state = [0] * count  # 1: on the path being walked, 2: done
    back: set[tuple[int, int]] = set()
    # Sources first: what only leads out of a cycle must not decide where the cycle is cut.
    targets = {b for _, b in pairs}
    for start in sorted(range(count), key=lambda node: (node in targets, node)):
        stack = [] if state[start] else [(start, iter(following[start]))]
        state[start] = state[start] or 1
        while stack:
            node, rest = stack[-1]
            target = next(rest, None)
            if target is None:
                state[node] = 2
                stack.pop()
            elif state[target] == 1:
                back.add((node, target))
            elif state[target] == 0:
                state[target] = 1
                stack.append((target, iter(following[target])))
    turned = [pair in back for pair in pairs]
    return [(b, a) if is_back else (a, b) for (a, b), is_back in zip(pairs, turned, strict=True)], turned


def _columns(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """Longest path from the sources; a source stands right before the first that uses it."""
    following: list[list[int]] = [[] for _ in range(count)]
    waiting = [0] * count
    for a, b in edges:
        following[a].append(b)
        waiting[b] += 1
    sources = [node for node in range(count) if not waiting[node]]
    columns = [0] * count
    ready = list(sources)
    for node in ready:  # grows as it is walked
        for target in following[node]:
            columns[target] = max(columns[target], columns[node] + 1)
            waiting[target] -= 1
            if not waiting[target]:
                ready.append(target)
    for node in sources:
        if following[node]:
            columns[node] = min(columns[target] for target in following[node]) - 1
    return columns


def _chain(a: int, b: int, columns: list[int], heights: list[int]) -> list[int]:
    """An edge as a way over new dummy nodes, one for each column between."""
    between = range(columns[a] + 1, columns[b])
    if len(between) >= _LONGEST:
        return [a, b]
    first = len(columns)
    columns.extend(between)
    heights.extend([0] * len(between))
    return [a, *range(first, len(columns)), b]


def _neighbours(count: int, links: Iterable[tuple[int, int]]) -> tuple[list[list[int]], list[list[int]]]:
    left: list[list[int]] = [[] for _ in range(count)]
    right: list[list[int]] = [[] for _ in range(count)]
    for a, b in links:
        right[a].append(b)
        left[b].append(a)
    return left, right


def _untangle(
    layers: list[list[int]], left: list[list[int]], right: list[list[int]], wanted: Mapping[int, float]
) -> None:
    """Order every column by the mean place of the neighbours, sweeping to and fro. Those with a wanted height keep their
    order among each other."""
    place = [0.0] * len(left)
    for layer in layers:
        _number(layer, place, wanted)
    for sweep in range(SWEEPS):
        beside, order = (left, layers[1:]) if sweep % 2 == 0 else (right, layers[-2::-1])
        for layer in order:
            key = {n: sum(place[m] for m in beside[n]) / len(beside[n]) if beside[n] else place[n] for n in layer}
            layer.sort(key=key.__getitem__)
            _number(layer, place, wanted)


def _number(layer: list[int], place: list[float], wanted: Mapping[int, float]) -> None:
    slots = [index for index, node in enumerate(layer) if node in wanted]
    for index, node in zip(slots, sorted((layer[i] for i in slots), key=lambda n: (wanted[n], n)), strict=True):
        layer[index] = node
    size = len(layer)
    for index, node in enumerate(layer):
        place[node] = (index + 0.5) / size  # a share of the column: columns differ in length


def _heights(
    layers: Sequence[Sequence[int]],
    left: list[list[int]],
    right: list[list[int]],
    heights: Sequence[int],
    wanted: Mapping[int, float],
) -> list[float]:
    """Middles: every node as near to its neighbours' mean as its column's order allows."""
    middles = [0.0] * len(heights)
    for layer in layers:
        edge = 0.0
        for node in layer:
            middles[node] = wanted.get(node, edge + heights[node] / 2)
            edge += heights[node] + ROW_GAP
    for turn in range(PASSES):
        order = layers if turn % 2 == 0 else layers[::-1]
        for layer in order:
            # To one side in the first passes, so that a change travels along a chain; both sides in the end.
            targets = []
            for node in layer:
                beside = left[node] + right[node] if turn >= PASSES - 2 else (left, right)[turn % 2][node]
                near = sum(middles[m] for m in beside) / len(beside) if beside else middles[node]
                targets.append((wanted[node], _HEAVY) if node in wanted else (near, 1.0))
            _apart(layer, targets, heights, middles)
    return middles


def _apart(
    layer: Sequence[int], targets: Sequence[tuple[float, float]], heights: Sequence[int], middles: list[float]
) -> None:
    """Least moves such that a column's nodes, in this order, have their gaps (pool adjacent violators)."""
    offset, offsets = 0.0, []
    for index, node in enumerate(layer):
        if index:
            offset += (heights[layer[index - 1]] + heights[node]) / 2 + ROW_GAP
        offsets.append(offset)
    blocks: list[tuple[float, float, int]] = []  # sum of weight × place, weight, how many
    for (target, weight), shift in zip(targets, offsets, strict=True):
        block = ((target - shift) * weight, weight, 1)
        while blocks and blocks[-1][0] / blocks[-1][1] >= block[0] / block[1]:
            last = blocks.pop()
            block = (last[0] + block[0], last[1] + block[1], last[2] + block[2])
        blocks.append(block)
    index = 0
    for total, weight, size in blocks:
        for _ in range(size):
            middles[layer[index]] = total / weight + offsets[index]
            index += 1


def _drawn(
    nodes: Sequence[Size],
    layers: Sequence[Sequence[int]],
    columns: Sequence[int],
    chains: Sequence[Sequence[int]],
    turned: Sequence[bool],
    heights: Sequence[int],
    middles: Sequence[float],
) -> Layout:
    lefts, widths, edge = [], [], float(MARGIN)
    for layer in layers:
        widths.append(max((nodes[node][1] for node in layer if node < len(nodes)), default=0))
        lefts.append(edge)
        edge += widths[-1] + COLUMN_GAP
    boxes = tuple(
        Box(name, lefts[columns[n]], round(middles[n] - height / 2, 1), width, height, columns[n])
        for n, (name, width, height) in enumerate(nodes)
    )
    routes = []
    for chain, back in zip(chains, turned, strict=True):
        first, last = boxes[chain[0]], boxes[chain[-1]]
        points = [(first.x + first.width, first.middle)]
        for node in chain[1:-1]:  # straight through a column, so that no box there is cut
            y, x = round(middles[node], 1), lefts[columns[node]]
            points += [(x, y), (x + widths[columns[node]], y)]
        points.append((last.x, last.middle))
        ends = (last.id, first.id) if back else (first.id, last.id)
        routes.append(Route(*ends, tuple(points[::-1] if back else points), back))
    bottom = max([box.y + box.height for box in boxes] + [y for route in routes for _, y in route.points])
    return Layout(boxes, tuple(routes), edge - COLUMN_GAP + MARGIN, bottom + MARGIN)


def rings(focus: str, edges: Iterable[Edge], *, up: int, down: int) -> tuple[dict[str, int], dict[str, int]]:
    """Distances from a node, against and along the edges, as far as asked (the node itself is at 0)."""
    incoming: dict[str, list[str]] = defaultdict(list)
    outgoing: dict[str, list[str]] = defaultdict(list)
    for a, b in edges:
        incoming[b].append(a)
        outgoing[a].append(b)
    return _distances(focus, incoming, up), _distances(focus, outgoing, down)


def _distances(focus: str, beside: Mapping[str, Sequence[str]], limit: int) -> dict[str, int]:
    found, edge = {focus: 0}, [focus]
    for distance in range(1, limit + 1):
        edge = [b for b in dict.fromkeys(b for a in edge for b in beside.get(a, ())) if b not in found]
        found |= dict.fromkeys(edge, distance)
    return found
