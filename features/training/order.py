"""In which order an epoch has the rows of a training set, and who reads which of them. Pure: no file is opened.

The files are cut into blocks. An epoch is one sequence of all rows: the blocks in an order that the seed decides, and the rows of
each block in an order that the seed decides. Ranks and workers take adjacent parts of that sequence, so that each row is read
once, whoever reads it, and what is done is a few spans of positions in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from assay.features.storage.parquet_files import ROWS_PER_GROUP

Numbers = np.ndarray[Any, np.dtype[np.int64]]
Span = tuple[int, int]
"""Positions from the first to before the second."""


@dataclass(frozen=True, slots=True)
class Block:
    """Rows of a file that lie beside each other.

    Args:
        file: The number of the file.
        first: The block's first row in the file.
        size: How many rows of the file it spans.
        rows: How many of these are taken.
        taken: Which ones, as places in the block; None: all.
    """

    file: int
    first: int
    size: int
    rows: int
    taken: Numbers | None = field(default=None, compare=False, repr=False)


def blocks_of(rows: Sequence[int], taken: Numbers | None = None, size: int = ROWS_PER_GROUP) -> list[Block]:
    """Files in blocks of at most `size` rows, which is how Parquet files are cut.

    Args:
        rows: How many each file has.
        taken: The positions of the rows to take, over all files, ascending; None: all.
        size: Of a block.
    """
    found, begin = [], 0
    for file, count in enumerate(rows):
        for first in range(0, count, size):
            length = min(size, count - first)
            if taken is None:
                found.append(Block(file, first, length, length))
            else:
                low, high = np.searchsorted(taken, [begin + first, begin + first + length])
                chosen = taken[low:high] - (begin + first)
                if len(chosen):
                    found.append(Block(file, first, length, len(chosen), chosen))
        begin += count
    return found


@dataclass(frozen=True, slots=True)
class Order:
    """The sequence of one epoch. Without a seed it is the order of the files."""

    blocks: tuple[Block, ...]
    seed: int | None = None
    epoch: int = 0

    @property
    def rows(self) -> int:
        return sum(block.rows for block in self.blocks)

    def sequence(self) -> list[int]:
        """The blocks by their place in the sequence. Sorted by a hash, so that it is the same on every machine, for ever."""
        places = list(range(len(self.blocks)))
        return places if self.seed is None else sorted(places, key=lambda place: self._hash(place))

    def within(self, block: int) -> Numbers | None:
        """The rows of a block in their order, as places in the block; None: all as they are."""
        taken = self.blocks[block].taken
        if self.seed is None:
            return taken
        # RandomState, whose numbers numpy has frozen.
        number = int.from_bytes(self._hash(block)[:4], "big")
        order = np.random.RandomState(number).permutation(self.blocks[block].rows)
        return order if taken is None else taken[order]

    def pieces(self, spans: Iterable[Span]) -> Iterator[tuple[int, int, int, int]]:
        """The parts of blocks that spans of positions cover: position, block, first and last row within its order."""
        starts, position = [], 0
        for block in self.sequence():
            starts.append((position, block))
            position += self.blocks[block].rows
        for low, high in spans:
            for start, block in starts:
                first, last = max(low, start), min(high, start + self.blocks[block].rows)
                if first < last:
                    yield first, block, first - start, last - start

    def _hash(self, block: int) -> bytes:
        return hashlib.sha256(f"assay.order/1 {self.seed} {self.epoch} {block}".encode()).digest()


def part_of(spans: Sequence[Span], part: int, parts: int) -> list[Span]:
    """One of several equal parts (to within one row) of what spans cover."""
    total = sum(high - low for low, high in spans)
    begin, end = total * part // parts, total * (part + 1) // parts
    found, passed = [], 0
    for low, high in spans:
        first, last = max(low, low + begin - passed), min(high, low + end - passed)
        if first < last:
            found.append((first, last))
        passed += high - low
    return found


def without(spans: Sequence[Span], done: Sequence[Span]) -> list[Span]:
    """What spans cover and `done` does not."""
    left = []
    for low, high in spans:
        for first, last in sorted(done):
            if low < first < high:
                left.append((low, first))
            if first < high and last > low:
                low = max(low, last)
        if low < high:
            left.append((low, high))
    return left


def joined(spans: Iterable[Span]) -> list[Span]:
    """The same positions in as few spans as possible, ascending."""
    found: list[Span] = []
    for low, high in sorted(spans):
        if found and low <= found[-1][1]:
            found[-1] = (found[-1][0], max(high, found[-1][1]))
        elif low < high:
            found.append((low, high))
    return found
