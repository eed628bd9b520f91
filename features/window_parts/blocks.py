"""Windows as blocks: a window over n partitions is cut into at most 2·log₂(n) blocks of 1, 2, 4, 8 … partitions.

A block of 2^k partitions ends at a position that is a multiple of 2^k, and is made of its two halves, so that one more
partition completes one block, or a few. The cut depends on nothing but the window: who computes it again joins the same blocks
in the same order. This is the tree of Fenwick (1994), whose nodes end where they are stored.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from assay.features.tables.partitioning import Partitioning

_HOUR = 3600  # seconds


@dataclass(frozen=True, slots=True, order=True)
class Block:
    """The 2^level partitions up to the one at a position."""

    last: int
    level: int

    @property
    def first(self) -> int:
        """The position of its first partition."""
        return self.last - (1 << self.level) + 1

    def halves(self) -> tuple[Block, Block]:
        """The two blocks that it is made of, in order."""
        half = 1 << (self.level - 1)
        return Block(self.last - half, self.level - 1), Block(self.last, self.level - 1)


def cut(first: int, last: int) -> Iterator[Block]:
    """The fewest blocks that are the positions from `first` to `last` (both inclusive), in order; none where there are none."""
    while first <= last:
        level = min((first & -first).bit_length() - 1 if first else 63, (last - first + 1).bit_length() - 1)
        yield Block(first + (1 << level) - 1, level)
        first += 1 << level


def ending_at(position: int, length: int) -> list[Block]:
    """The blocks that end at a position and that windows over at most `length` partitions can be cut into, smallest first."""
    highest = min(((position + 1) & -(position + 1)).bit_length() - 1, length.bit_length() - 1)
    return [Block(position, level) for level in range(highest + 1)]


def position_of(partitioning: Partitioning, key: str) -> int:
    """The place of a partition among those of its kind: one more for each next one, but for those that the clocks skip."""
    if partitioning.kind == "monthly":
        year, month = key.split("-")
        return int(year) * 12 + int(month)
    if partitioning.kind == "hourly":
        return int(partitioning.bounds(key)[0].timestamp()) // _HOUR
    day = date.fromisoformat(key).toordinal()
    return day // 7 if partitioning.kind == "weekly" else day
