"""Layouts of random graphs: nothing overlaps, edges go to the right, the same graph gets the same picture, a graph that
grows keeps its order."""

from itertools import combinations, pairwise
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from assay.lineage.web.layout import Box, Layout, arrange, rings

Graph = tuple[list[tuple[str, int, int]], list[tuple[str, str]]]


@st.composite
def graphs(draw: st.DrawFn, cycles: bool = False) -> Graph:
    count = draw(st.integers(1, 24))
    sizes = st.tuples(st.integers(20, 240), st.integers(20, 200))
    nodes = [(f"n{number:02}", *draw(sizes)) for number in range(count)]
    ends = st.tuples(st.integers(0, count - 1), st.integers(0, count - 1))
    pairs = draw(st.lists(ends, max_size=3 * count))
    return nodes, [(f"n{a:02}", f"n{b:02}") for a, b in pairs if cycles or a < b]


def boxes(layout: Layout) -> dict[str, Box]:
    return {box.id: box for box in layout.boxes}


def apart(one: Box, other: Box) -> bool:
    beside = one.x + one.width < other.x or other.x + other.width < one.x
    return beside or one.y + one.height < other.y or other.y + other.height < one.y


@given(graphs(cycles=True))
@settings(max_examples=150, deadline=None)
def test_every_node_has_its_own_place_inside_the_picture(graph: Graph) -> None:
    nodes, edges = graph
    layout = arrange(nodes, edges)
    assert sorted((box.id, box.width, box.height) for box in layout.boxes) == sorted(nodes)
    assert all(apart(one, other) for one, other in combinations(layout.boxes, 2))
    assert all(box.x >= 0 and box.y >= 0 for box in layout.boxes)
    assert all(box.x + box.width <= layout.width and box.y + box.height <= layout.height for box in layout.boxes)


@given(graphs())
@settings(max_examples=150, deadline=None)
def test_edges_go_from_left_to_right_between_their_nodes(graph: Graph) -> None:
    nodes, edges = graph
    layout = arrange(nodes, edges)
    placed = boxes(layout)
    assert {(route.source, route.target) for route in layout.routes} == set(edges)
    for route in layout.routes:
        source, target = placed[route.source], placed[route.target]
        assert not route.back
        assert source.column < target.column
        assert route.points[0] == (source.x + source.width, source.middle)
        assert route.points[-1] == (target.x, target.middle)
        assert all(a[0] < b[0] for a, b in pairwise(route.points))


@given(graphs())
@settings(max_examples=150, deadline=None)
def test_no_edge_runs_through_a_node(graph: Graph) -> None:
    nodes, edges = graph
    layout = arrange(nodes, edges)
    for route in layout.routes:
        for (x, y), (nx, ny) in pairwise(route.points):
            level = [
                b for b in layout.boxes if y == ny and b.x >= x and b.x + b.width <= nx and b.y < y < b.y + b.height
            ]
            assert not level


@given(graphs(cycles=True))
@settings(max_examples=100, deadline=None)
def test_a_cycle_is_cut_by_edges_marked_as_going_back(graph: Graph) -> None:
    layout = arrange(*graph)
    placed = boxes(layout)
    for route in layout.routes:
        assert (placed[route.source].column > placed[route.target].column) == route.back


@given(graphs(cycles=True), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_the_order_of_nodes_and_edges_does_not_matter(graph: Graph, chance: Random) -> None:
    nodes, edges = graph
    first = arrange(nodes, edges)
    mixed = (chance.sample(nodes, len(nodes)), chance.sample(edges, len(edges)))
    assert arrange(*mixed) == first


@given(graphs(), st.data())
@settings(max_examples=200, deadline=None)
def test_a_growing_graph_keeps_the_order_of_what_it_had(graph: Graph, data: st.DataObject) -> None:
    nodes, edges = graph
    kept = data.draw(st.lists(st.sampled_from(nodes), min_size=1, unique=True))
    before = boxes(arrange(kept, edges))
    after = boxes(arrange(nodes, edges, arrange(kept, edges)))
    for one, other in combinations([name for name, _, _ in kept], 2):
        if after[one].column == after[other].column and before[one].middle != before[other].middle:
            above = before[one].middle < before[other].middle
            assert (after[one].middle < after[other].middle) == above
            assert (after[one].y < after[other].y) == above


def test_expanding_does_not_move_what_is_there() -> None:
    """One more ring of neighbours on either side: everything keeps its height and its distance to the focus."""
    near = [("a", "f"), ("b", "f"), ("f", "c"), ("f", "d")]
    far = [(f"{name}{n}", name) for name in "ab" for n in range(4)] + [
        (name, f"{name}{n}") for name in "cd" for n in range(3)
    ]
    small = arrange([(name, 100, 40) for name in "abcdf"], near)
    names = sorted({name for edge in near + far for name in edge})
    large = arrange([(name, 100, 40) for name in names], near + far, small)
    old, new = boxes(small), boxes(large)
    moved = {(round(new[name].x - old[name].x, 6), round(new[name].y - old[name].y, 6)) for name in old}
    assert len(moved) == 1


def test_ten_thousand_nodes_are_placed_without_overlap() -> None:
    edges = [(f"n{max(0, number - 1 - (number * 37) % 150)}", f"n{number}") for number in range(1, 10_000)]
    edges += [(f"n{max(0, number - 1 - (number * 91) % 90)}", f"n{number}") for number in range(1, 10_000, 2)]
    nodes = [(f"n{number}", 200, 40) for number in range(10_000)]
    layout = arrange(nodes, edges)
    assert len(layout.boxes) == 10_000
    assert len({(box.x, box.y) for box in layout.boxes}) == 10_000


def test_nothing_is_an_empty_picture() -> None:
    assert arrange([], []) == Layout((), (), 0, 0)


def test_rings_count_steps_against_and_along_the_edges() -> None:
    edges = [("a", "b"), ("b", "f"), ("a", "f"), ("f", "c"), ("c", "d")]
    assert rings("f", edges, up=5, down=1) == ({"f": 0, "a": 1, "b": 1}, {"f": 0, "c": 1})
