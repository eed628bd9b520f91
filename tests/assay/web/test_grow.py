"""Layouts that grow: whatever is added or opened, what was there stays, nothing overlaps, and no edge is lost."""

from itertools import combinations, pairwise
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from assay.web.grow import extend, unfold
from assay.web.layout import Layout, arrange
from tests.assay.web.test_layout import apart, boxes

SIZE = (200, 46)
Growth = tuple[Layout, list[tuple[list[str], list[tuple[str, str]]]]]  # a picture, and nodes with edges to add to it


@st.composite
def growths(draw: st.DrawFn) -> Growth:
    chance: Random = draw(st.randoms(use_true_random=False))
    names = [f"n{number:02}" for number in range(draw(st.integers(1, 24)))]
    edges = [(a, b) for a, b in combinations(names, 2) if chance.random() < 0.15]
    chance.shuffle(names)
    cuts = sorted({0, len(names), *draw(st.lists(st.integers(1, len(names)), max_size=4))})
    parts = [names[a:b] for a, b in pairwise(cuts)]
    first = arrange([(name, *SIZE) for name in parts[0]], edges)
    return first, [(part, edges) for part in parts[1:]]


def moves(before: Layout, after: Layout, names: set[str]) -> set[tuple[float, float]]:
    old, new = boxes(before), boxes(after)
    return {(round(new[name].x - old[name].x, 6), round(new[name].y - old[name].y, 6)) for name in names}


def check(layout: Layout) -> None:
    assert all(apart(one, other) for one, other in combinations(layout.boxes, 2))
    assert all(box.x >= 0 and box.y >= 0 for box in layout.boxes)
    assert all(box.right <= layout.width and box.bottom <= layout.height for box in layout.boxes)
    for box in layout.boxes:
        assert layout.columns[box.column] == (box.x, SIZE[0])
    for route, points in layout.points():
        assert 0 <= min(y for _, y in points) <= max(y for _, y in points) <= layout.height
        source, target = boxes(layout)[route.source], boxes(layout)[route.target]
        passed = [column for column, _ in route.levels]
        assert passed == list(range(source.column + 1, target.column)) or passed == list(
            range(source.column - 1, target.column, -1)
        )
        for column, y in route.levels:
            assert not [box for box in layout.boxes if box.column == column and box.y < y < box.bottom]


@given(growths())
def test_adding_nodes_moves_nothing(growth: Growth) -> None:
    layout, steps = growth
    for names, edges in steps:
        before, layout = layout, extend(layout, names, SIZE, edges)
        there = boxes(layout).keys()
        assert there == {*boxes(before), *names}
        assert len(moves(before, layout, set(boxes(before)))) == 1
        assert {(r.source, r.target) for r in layout.routes} == {e for e in edges if there >= {*e}}
        dx, dy = moves(before, layout, set(boxes(before))).pop()
        old = {(r.source, r.target): points for r, points in before.points()}
        new = {(r.source, r.target): points for r, points in layout.points()}
        for ends, points in old.items():
            assert [(round(x + dx, 6), round(y + dy, 6)) for x, y in points] == [
                (round(x, 6), round(y, 6)) for x, y in new[ends]
            ]
        check(layout)


@given(growths(), st.data())
def test_opening_makes_room_below_in_one_column_only(growth: Growth, data: st.DataObject) -> None:
    layout, steps = growth
    for names, edges in steps:
        name = data.draw(st.sampled_from(sorted(boxes(layout))))
        before, layout = layout, unfold(layout, name, data.draw(st.integers(SIZE[1], 300)))
        opened = boxes(before)[name]
        assert boxes(layout)[name].port == opened.port  # its lines do not move
        for box in before.boxes:
            below = box.column == opened.column and box.y > opened.y
            dx, dy = moves(before, layout, {box.id}).pop()
            assert dx == 0
            assert dy >= 0 if below else dy == 0
        check(layout)
        before, layout = layout, extend(layout, names, SIZE, edges)
        assert len(moves(before, layout, set(boxes(before)))) == 1
        check(layout)


def test_new_neighbours_stand_beside_their_node_in_order() -> None:
    layout = arrange([("m", *SIZE)], [])
    names = [f"a{number}" for number in range(5)]
    layout = extend(layout, names, SIZE, [(name, "m") for name in names])
    placed = boxes(layout)
    assert {placed[name].column for name in names} == {0}
    assert placed["m"].column == 1
    assert sorted(names, key=lambda name: placed[name].y) == names
    assert abs(placed["a2"].port - placed["m"].port) <= SIZE[1]  # around it, not all below


def test_a_node_is_pushed_no_farther_than_needed() -> None:
    layout = arrange([(name, *SIZE) for name in "abc"], [])
    column = sorted(layout.boxes, key=lambda box: box.y)
    taller = boxes(unfold(layout, column[0].id, SIZE[1] + 30))
    assert [taller[box.id].y - box.y for box in column] == [0, 30, 30]
