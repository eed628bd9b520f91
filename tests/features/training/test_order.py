"""The order of an epoch: each position once, the same on every machine, and any part of it."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.features.training.order import Order, blocks_of, joined, part_of, without

SPANS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)).map(lambda ends: (min(ends), max(ends))), max_size=5)


def covered(spans) -> list[int]:
    return [place for low, high in spans for place in range(low, high)]


@given(
    rows=st.lists(st.integers(0, 9), max_size=4),
    size=st.integers(1, 5),
    seed=st.none() | st.integers(0, 3),
    data=st.data(),
)
@settings(deadline=None, max_examples=100)
def test_each_row_that_is_taken_has_one_position(rows, size, seed, data) -> None:
    taken = data.draw(st.none() | st.sets(st.integers(0, max(sum(rows) - 1, 0))))
    wanted = None if taken is None else np.array(sorted(place for place in taken if place < sum(rows)), dtype=np.int64)
    order = Order(tuple(blocks_of(rows, wanted, size)), seed)
    starts = np.cumsum([0, *rows])
    seen = []
    for position, block, first, last in order.pieces([(0, order.rows)]):
        assert position == len(seen)
        place, within = order.blocks[block], order.within(block)
        chosen = range(place.rows) if within is None else within
        seen += [starts[place.file] + place.first + chosen[row] for row in range(first, last)]
    assert sorted(seen) == (list(range(sum(rows))) if wanted is None else wanted.tolist())
    if seed is None:
        assert seen == sorted(seen)


def test_the_order_is_written_down_for_ever() -> None:
    order = Order(tuple(blocks_of([7, 3], size=4)), seed=5, epoch=1)
    assert order.sequence() == SEQUENCE
    first = order.within(0)
    assert first is not None
    assert first.tolist() == WITHIN
    assert Order(order.blocks, 5, 2).sequence() != order.sequence() or Order(order.blocks, 6, 1).sequence() != SEQUENCE


SEQUENCE, WITHIN = [0, 2, 1], [3, 1, 0, 2]


@given(spans=SPANS, parts=st.integers(1, 6))
@settings(deadline=None, max_examples=100)
def test_parts_are_equal_and_make_the_whole(spans, parts) -> None:
    made = [part_of(spans, part, parts) for part in range(parts)]
    assert [place for part in made for place in covered(part)] == covered(spans)
    sizes = [len(covered(part)) for part in made]
    assert max(sizes) - min(sizes) <= 1


@given(spans=SPANS.map(joined), done=SPANS)
@settings(deadline=None, max_examples=100)
def test_what_is_done_is_left_out(spans, done) -> None:
    assert covered(without(spans, done)) == [place for place in covered(spans) if place not in covered(done)]
    assert covered(joined(done)) == sorted(set(covered(done)))
