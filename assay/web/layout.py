"""Where the nodes of a graph go: columns from left to right, few crossings, nothing on top of anything else.

The layered method of Sugiyama, Tagawa and Toda (1981): columns by longest path, dummy nodes where an edge passes columns,
eight barycentre sweeps against crossings, then heights by isotonic regression, as near to the neighbours as the order
allows. The same graph always gets the same picture. Pure computation, about linear in nodes plus dummies.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

SWEEPS = 8
PASSES = 4  # over the heights
COLUMN_GAP, ROW_GAP, MARGIN = 52, 14, 16
_LONGEST = 40  # an edge over more columns than this is drawn straight: its dummies would outnumber the nodes

Size = tuple[str, int, int]  # id, width, height
Edge = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Box:
    """A placed node, in pixels; `column` counts from the left. Edges leave and arrive at the height `port`."""

    id: str
    x: float
    y: float
    width: int
    height: int
    column: int
    port: float

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def bottom(self) -> float:
        return self.y + self.height


@dataclass(frozen=True, slots=True)
class Route:
    """An edge. `levels`: the columns that it passes, in its order, each with the height at which it does."""

    source: str
    target: str
    levels: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Layout:
    """`columns`: left side and width, from left to right."""

    boxes: tuple[Box, ...]
    routes: tuple[Route, ...]
    columns: tuple[tuple[float, int], ...]

    @property
    def width(self) -> float:
        return max((left + width for left, width in self.columns), default=-MARGIN) + MARGIN

    @property
    def height(self) -> float:
        levels = (y for route in self.routes for _, y in route.levels)
        return max([*(box.bottom for box in self.boxes), *levels], default=-MARGIN) + MARGIN

    def points(self) -> Iterator[tuple[Route, list[tuple[float, float]]]]:
        """Every edge with the points it passes: from the right side of its source to the left side of its target. One that
        runs back goes from a left side to a right side; one within a column, from a right side to a right side."""
        boxes = {box.id: box for box in self.boxes}
        for route in self.routes:
            source, target = boxes[route.source], boxes[route.target]
            back = source.column > target.column
            points = [(source.x if back else source.right, source.port)]
            for column, y in route.levels:  # straight through a column, so that no box there is cut
                left, width = self.columns[column]
                points += [(left + width, y), (left, y)] if back else [(left, y), (left + width, y)]
            points.append((target.x if source.column < target.column else target.right, target.port))
            yield route, points


def natural(text: str) -> tuple[Any, ...]:
    """A key by which @2 comes before @10."""
    parts = re.split(r"([0-9]+)", text)
    return (*((int(part) if part.isascii() and part.isdecimal() else -1, part) for part in parts), text)


def arrange(nodes: Iterable[Size], edges: Iterable[Edge], *, sources_left: bool = False) -> Layout:
    """Place nodes (unique ids) and edges between them; edges to unknown nodes or from a node to itself are left out.
    Edges that close a cycle run back, from right to left. With `sources_left` all that nothing leads to stand in the first
    column, else right before the first that uses them. Results are kept by content."""
    sizes = tuple(sorted(nodes, key=lambda size: natural(size[0])))
    named = {name for name, _, _ in sizes}
    kept = sorted({(a, b) for a, b in edges if a != b and a in named and b in named})
    return _arrange(sizes, tuple(kept), sources_left)


@lru_cache(maxsize=64)
def _arrange(nodes: tuple[Size, ...], edges: tuple[Edge, ...], sources_left: bool) -> Layout:
    if not nodes:
        return Layout((), (), ())
    number = {name: index for index, (name, _, _) in enumerate(nodes)}
    forward, turned = _acyclic(len(nodes), [(number[a], number[b]) for a, b in edges])
    columns = _columns(len(nodes), forward, sources_left=sources_left)
    heights: list[int] = [height for _, _, height in nodes]
    chains = [_chain(a, b, columns, heights) for a, b in forward]
    layers: list[list[int]] = [[] for _ in range(max(columns) + 1)]
    for node, column in enumerate(columns):
        layers[column].append(node)
    left, right = _neighbours(len(columns), [link for chain in chains for link in pairwise(chain)])
    _untangle(layers, left, right)
    middles = _heights(layers, left, right, heights)
    top = min(middles[node] - heights[node] / 2 for node in range(len(middles)))
    return _drawn(nodes, layers, columns, chains, turned, [middle - top + MARGIN for middle in middles])


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


def _columns(count: int, edges: Sequence[tuple[int, int]], *, sources_left: bool) -> list[int]:
    """Longest path from the sources; these stand on the left, or right before the first that uses them."""
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
    for node in sources if not sources_left else ():
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


def _untangle(layers: list[list[int]], left: list[list[int]], right: list[list[int]]) -> None:
    """Order every column by the mean place of the neighbours, sweeping to and fro."""
    place = [0.0] * len(left)
    for layer in layers:
        _number(layer, place)
    for sweep in range(SWEEPS):
        beside, order = (left, layers[1:]) if sweep % 2 == 0 else (right, layers[-2::-1])
        for layer in order:
            key = {n: sum(place[m] for m in beside[n]) / len(beside[n]) if beside[n] else place[n] for n in layer}
            layer.sort(key=key.__getitem__)
            _number(layer, place)


def _number(layer: list[int], place: list[float]) -> None:
    size = len(layer)
    for index, node in enumerate(layer):
        place[node] = (index + 0.5) / size  # a share of the column: columns differ in length


def _heights(
    layers: Sequence[Sequence[int]], left: list[list[int]], right: list[list[int]], heights: Sequence[int]
) -> list[float]:
    """Middles: every node as near to its neighbours' mean as its column's order allows."""
    middles = [0.0] * len(heights)
    for layer in layers:
        edge = 0.0
        for node in layer:
            middles[node] = edge + heights[node] / 2
            edge += heights[node] + ROW_GAP
    for turn in range(PASSES):
        order = layers if turn % 2 == 0 else layers[::-1]
        for layer in order:
            # To one side in the first passes, so that a change travels along a chain; both sides in the end.
            targets = []
            for node in layer:
                beside = left[node] + right[node] if turn >= PASSES - 2 else (left, right)[turn % 2][node]
                targets.append(sum(middles[m] for m in beside) / len(beside) if beside else middles[node])
            _apart(layer, targets, heights, middles)
    return middles


def _apart(layer: Sequence[int], targets: Sequence[float], heights: Sequence[int], middles: list[float]) -> None:
    """Least moves such that a column's nodes, in this order, have their gaps (pool adjacent violators)."""
    offset, offsets = 0.0, []
    for index, node in enumerate(layer):
        if index:
            offset += (heights[layer[index - 1]] + heights[node]) / 2 + ROW_GAP
        offsets.append(offset)
    blocks: list[tuple[float, int]] = []  # sum of places, how many
    for target, shift in zip(targets, offsets, strict=True):
        total, size = target - shift, 1
        while blocks and blocks[-1][0] / blocks[-1][1] >= total / size:
            last = blocks.pop()
            total, size = total + last[0], size + last[1]
        blocks.append((total, size))
    index = 0
    for total, size in blocks:
        for _ in range(size):
            middles[layer[index]] = total / size + offsets[index]
            index += 1


def _drawn(
    nodes: Sequence[Size],
    layers: Sequence[Sequence[int]],
    columns: Sequence[int],
    chains: Sequence[Sequence[int]],
    turned: Sequence[bool],
    middles: Sequence[float],
) -> Layout:
    sides, edge = [], float(MARGIN)
    for layer in layers:
        sides.append((edge, max((nodes[node][1] for node in layer if node < len(nodes)), default=0)))
        edge += sides[-1][1] + COLUMN_GAP
    boxes = []
    for node, (name, width, height) in enumerate(nodes):
        y = round(middles[node] - height / 2, 1)
        boxes.append(Box(name, sides[columns[node]][0], y, width, height, columns[node], y + height / 2))
    routes = []
    for chain, back in zip(chains, turned, strict=True):
        way = chain[::-1] if back else chain
        levels = tuple((columns[node], round(middles[node], 1)) for node in way[1:-1])
        routes.append(Route(boxes[way[0]].id, boxes[way[-1]].id, levels))
    return Layout(tuple(boxes), tuple(routes), tuple(sides))
