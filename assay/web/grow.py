"""A layout that grows in place: nodes and edges are added, a box unfolds, and what was there stays where it is.

Columns may be added on the left, which moves the whole of it by as much; nothing else that was there moves when nodes are
added.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from assay.web.layout import COLUMN_GAP, MARGIN, ROW_GAP, Box, Edge, Layout, Route

LINE_GAP = 6  # between an edge that passes a column and what stands there
_Spans = list[tuple[float, float]]  # from where to where a column is taken
_Key = str | tuple[str, str, int]  # a box by its id, or where an edge passes: its ends, and which of its levels


def extend(layout: Layout, names: Iterable[str], size: tuple[int, int], edges: Iterable[Edge]) -> Layout:
    """Add nodes, all of one width and height, each in the free place nearest to its neighbours; and the edges between nodes
    that are there then. An edge runs back, or within its column, where the places leave no other way."""
    boxes = {box.id: box for box in layout.boxes}
    new = set(names) - boxes.keys()
    placed = {*boxes, *new}
    drawn = {(route.source, route.target) for route in layout.routes}
    added = sorted({(a, b) for a, b in edges if a != b and a in placed and b in placed} - drawn)
    columns = dict(enumerate(layout.columns))
    taken = _taken(layout)
    while new:
        group = _next_group(new, added, boxes)
        column, middle = group[0]
        if column not in columns:
            columns[column] = (_side(columns, column, size[0]), size[0])
        tops = []
        for _ in group[1]:
            tops.append(round(_free(taken[column], middle - size[1] / 2, size[1], ROW_GAP), 1))
            taken[column].append((tops[-1], tops[-1] + size[1]))
        for name, top in zip(group[1], sorted(tops), strict=True):
            boxes[name] = Box(name, columns[column][0], top, *size, column, top + size[1] / 2)
        new -= boxes.keys()
    routes = list(layout.routes)
    for a, b in added:
        routes.append(Route(a, b, _levels(boxes[a], boxes[b], taken)))
        for column, y in routes[-1].levels:
            taken[column].append((y, y))
    return _settled(boxes.values(), routes, columns)


def unfold(layout: Layout, name: str, height: int) -> Layout:
    """Give a box another height. What stands below it in its column makes room, no more than is needed."""
    box = next(box for box in layout.boxes if box.id == name)
    below: list[tuple[float, int, int, _Key]] = [
        (other.y, other.height, ROW_GAP, other.id)
        for other in layout.boxes
        if other.column == box.column and other.y > box.y
    ]
    below += [
        (y, 0, LINE_GAP, (route.source, route.target, at))
        for route in layout.routes
        for at, (column, y) in enumerate(route.levels)
        if column == box.column and y > box.y
    ]
    edge, down = box.y + height, defaultdict[_Key, float](float)
    for top, size, gap, key in sorted(below, key=lambda item: item[:2]):
        down[key] = max(0.0, edge + gap - top)
        edge = max(edge, top + down[key] + size)
    boxes = [replace(item, y=item.y + down[item.id], port=item.port + down[item.id]) for item in layout.boxes]
    routes = [
        replace(
            route,
            levels=tuple((c, y + down[route.source, route.target, at]) for at, (c, y) in enumerate(route.levels)),
        )
        for route in layout.routes
    ]
    taller = (replace(item, height=height) if item.id == name else item for item in boxes)
    return replace(layout, boxes=tuple(taller), routes=tuple(routes))


def _taken(layout: Layout) -> dict[int, _Spans]:
    taken: dict[int, _Spans] = defaultdict(list)
    for box in layout.boxes:
        taken[box.column].append((box.y, box.bottom))
    for route in layout.routes:
        for column, y in route.levels:
            taken[column].append((y, y))
    return taken


def _next_group(new: set[str], edges: Sequence[Edge], boxes: Mapping[str, Box]) -> tuple[tuple[int, float], list[str]]:
    """Nodes that belong to one place, (column, middle), in their order: those with the most to the left and top first."""
    sources: dict[str, list[Box]] = defaultdict(list)
    targets: dict[str, list[Box]] = defaultdict(list)
    for a, b in edges:
        if a in boxes and b in new:
            sources[b].append(boxes[a])
        if b in boxes and a in new:
            targets[a].append(boxes[b])
    groups: dict[tuple[int, float], list[str]] = defaultdict(list)
    for name in sorted(new):
        beside = sources[name] + targets[name]
        if not beside:
            continue
        after = [box.column + 1 for box in sources[name]]
        column = max(after) if after else min(box.column for box in targets[name]) - 1
        groups[column, sum(box.port for box in beside) / len(beside)].append(name)
    if not groups:  # connected to nothing that is there
        return (0, 0.0), sorted(new)
    return min(groups.items())


def _side(columns: Mapping[int, tuple[float, int]], column: int, width: int) -> float:
    """The left side of a column that is new at one of the ends."""
    if not columns:
        return MARGIN
    if column < min(columns):
        return columns[min(columns)][0] - COLUMN_GAP - width
    left, last = columns[max(columns)]
    return left + last + COLUMN_GAP


def _free(taken: _Spans, wanted: float, size: float, gap: int) -> float:
    """The free top nearest to the wanted one, with a gap to what stands above and below."""
    best, above = None, float("-inf")
    for top, bottom in [*sorted(taken), (float("inf"), float("inf"))]:
        if above + size <= top - gap:
            place = min(max(wanted, above), top - gap - size)
            if best is None or abs(place - wanted) < abs(best - wanted):
                best = place
        above = max(above, bottom + gap)
    assert best is not None  # there is always room below
    return best


def _levels(source: Box, target: Box, taken: Mapping[int, _Spans]) -> tuple[tuple[int, float], ...]:
    """Where an edge passes the columns between its ends: near the straight line, and through no box."""
    step = 1 if source.column < target.column else -1
    between = range(source.column + step, target.column, step) if source.column != target.column else ()
    slope = (target.port - source.port) / max(abs(target.column - source.column), 1)
    return tuple(
        (column, _free(taken[column], source.port + slope * abs(column - source.column), 0, LINE_GAP))
        for column in between
    )


def _settled(boxes: Iterable[Box], routes: Iterable[Route], columns: Mapping[int, tuple[float, int]]) -> Layout:
    """Columns counted from 0, and all of it moved to the corner."""
    boxes, routes, first = tuple(boxes), tuple(routes), min(columns, default=0)
    x = MARGIN - columns[first][0] if columns else 0.0
    y = MARGIN - min(
        [*(box.y for box in boxes), *(level for route in routes for _, level in route.levels)], default=MARGIN
    )
    return Layout(
        tuple(replace(box, x=box.x + x, y=box.y + y, port=box.port + y, column=box.column - first) for box in boxes),
        tuple(
            replace(route, levels=tuple((column - first, level + y) for column, level in route.levels))
            for route in routes
        ),
        tuple((columns[column][0] + x, columns[column][1]) for column in sorted(columns)),
    )
