"""Blocks of whole lines: all bytes in their order, whatever the pieces that they come in."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.assets.sources.deliveries import DeliveryError
from assay.assets.sources.limits import Limits
from assay.assets.sources.line_blocks import LineBlocks

_TEXT = st.text(alphabet="ab\n", max_size=60).map(str.encode)


def cut(content: bytes, sizes: list[int]) -> list[bytes]:
    pieces, start = [], 0
    for size in sizes:
        pieces.append(content[start : start + size])
        start += size
    return [*pieces, content[start:]]


def blocks(source: LineBlocks, size: int) -> list[bytes]:
    taken = []
    while block := source.next(size):
        taken.append(block)
    return taken


@given(content=_TEXT, sizes=st.lists(st.integers(0, 20), max_size=8), size=st.integers(1, 24), peeked=st.integers(0, 9))
def test_blocks_are_whole_lines_of_the_content(content: bytes, sizes: list[int], size: int, peeked: int) -> None:
    source = LineBlocks("a.csv", iter(cut(content, sizes)))
    assert source.peek(peeked) == content[:peeked]
    taken = blocks(source, size)
    assert b"".join(taken) == content and source.empty
    assert all(block.endswith(b"\n") for block in taken[:-1])
    for block in taken:  # a longer block is one line
        assert len(block) <= size or block.count(b"\n", 0, -1) == 0


@given(content=_TEXT)
def test_pieces_of_the_size_of_a_block_fill_it(content: bytes) -> None:
    source = LineBlocks("a.csv", iter(cut(content, [10] * 6)))
    taken = blocks(source, 10)
    for block, following in pairwise(taken):  # none ends before it must; that a text ends is not known before
        line = following.partition(b"\n")[0] + b"\n"
        assert len(block) + len(line) > 10


def test_a_line_that_is_too_long_is_refused_with_its_number() -> None:
    content = b"a\nb\n" + b"x" * 2_000_000 + b"\n"
    source = LineBlocks("a.csv", iter(cut(content, [1_000_000])), Limits(line_mb=1))
    with pytest.raises(DeliveryError, match="line 3"):
        blocks(source, 1 << 23)
