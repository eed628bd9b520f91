"""Layouts of random graphs: nothing overlaps, edges go to the right, the same graph gets the same picture."""

from itertools import combinations, pairwise
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from assay.web.layout import Box, Layout, arrange

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
def test_every_node_has_its_own_place_inside_the_picture(graph: Graph) -> None:
    nodes, edges = graph
    layout = arrange(nodes, edges)
    assert sorted((box.id, box.width, box.height) for box in layout.boxes) == sorted(nodes)
    assert all(apart(one, other) for one, other in combinations(layout.boxes, 2))
    assert all(box.x >= 0 and box.y >= 0 for box in layout.boxes)
    assert all(box.x + box.width <= layout.width and box.y + box.height <= layout.height for box in layout.boxes)


@given(graphs())
def test_edges_go_from_left_to_right_between_their_nodes(graph: Graph) -> None:
    nodes, edges = graph
    layout = arrange(nodes, edges)
    placed = boxes(layout)
    assert {(route.source, route.target) for route in layout.routes} == set(edges)
    for route, points in layout.points():
        source, target = placed[route.source], placed[route.target]
        assert source.column < target.column
        assert points[0] == (source.right, source.y + source.height / 2)
        assert points[-1] == (target.x, target.y + target.height / 2)
        assert all(a[0] < b[0] for a, b in pairwise(points))


@given(graphs())
def test_no_edge_runs_through_a_node(graph: Graph) -> None:
    nodes, edges = graph
    layout = arrange(nodes, edges)
    for _, points in layout.points():
        for (x, y), (nx, ny) in pairwise(points):
            assert not [b for b in layout.boxes if y == ny and b.x >= x and b.right <= nx and b.y < y < b.bottom]


@given(graphs(cycles=True))
def test_an_edge_that_closes_a_cycle_runs_back(graph: Graph) -> None:
    layout = arrange(*graph)
    placed = boxes(layout)
    ahead: dict[str, set[str]] = {box.id: set() for box in layout.boxes}
    for route, points in layout.points():
        source, target = placed[route.source], placed[route.target]
        assert source.column != target.column
        if source.column > target.column:
            assert points[0] == (source.x, source.port)
            assert points[-1] == (target.right, target.port)
        else:
            ahead[route.source].add(route.target)
    for route in layout.routes:  # without those that close one, there is a way from its target to its source
        if placed[route.source].column > placed[route.target].column:
            met, queue = {route.target}, [route.target]
            for name in queue:
                queue += sorted(ahead[name] - met)
                met |= ahead[name]
            assert route.source in met


@given(graphs(cycles=True), st.randoms(use_true_random=False))
def test_the_order_of_nodes_and_edges_does_not_matter(graph: Graph, chance: Random) -> None:
    nodes, edges = graph
    first = arrange(nodes, edges)
    mixed = (chance.sample(nodes, len(nodes)), chance.sample(edges, len(edges)))
    assert arrange(*mixed) == first


def test_ten_thousand_nodes_are_placed_without_overlap() -> None:
    edges = [(f"n{max(0, number - 1 - (number * 37) % 150)}", f"n{number}") for number in range(1, 10_000)]
    edges += [(f"n{max(0, number - 1 - (number * 91) % 90)}", f"n{number}") for number in range(1, 10_000, 2)]
    nodes = [(f"n{number}", 200, 40) for number in range(10_000)]
    layout = arrange(nodes, edges)
    assert len(layout.boxes) == 10_000
    assert len({(box.x, box.y) for box in layout.boxes}) == 10_000


def test_nothing_is_an_empty_picture() -> None:
    assert arrange([], []) == Layout((), (), ())
