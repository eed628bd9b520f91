"""A range that a column keeps: from the usual extremes of batches, with room to both sides, if the last batches kept it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import floor, log10
from typing import Any

import polars as pl

#: A range needs so many batches. To both sides it gets so many times its own width.
BATCHES, ROOM = 14, 2
#: So many of the largest and smallest numbers are kept; if more lie outside, there is no range.
_KEPT = 50
#: More than this share of the rows outside is another kind of values.
OUTSIDE = 0.001


@dataclass
class Range:
    """The extremes of batches: those of each, and the outermost numbers of all with whether a late batch had them."""

    lows: list[tuple[Any, bool]] = field(default_factory=list)
    highs: list[tuple[Any, bool]] = field(default_factory=list)
    smallest: list[Any] = field(default_factory=list)
    largest: list[Any] = field(default_factory=list)
    rows: int = 0

    def add(self, numbers: pl.Series, *, late: bool) -> None:
        """The finite numbers of one more batch."""
        self.rows += len(numbers)
        lowest, highest = numbers.bottom_k(_KEPT).sort(), numbers.top_k(_KEPT).sort(descending=True)
        self.lows.append((lowest[0], late))
        self.highs.append((highest[0], late))
        self.smallest = sorted([*self.smallest, *lowest.to_list()])[:_KEPT]
        self.largest = sorted([*self.largest, *highest.to_list()], reverse=True)[:_KEPT]

    def bounds(self) -> tuple[Any, Any] | None:
        """The range, if each half of the batches keeps that of the other one; a single batch may have its outliers."""
        sides = [self._of(lambda is_late: not is_late), self._of(lambda is_late: is_late), self._of(lambda _: True)]
        if len(self.lows) < BATCHES or any(one is None or self._outside(*one) > OUTSIDE * self.rows for one in sides):
            return None
        return sides[-1]

    def _of(self, chosen: Callable[[bool], bool]) -> tuple[Any, Any] | None:
        lows, highs = ([number for number, late in each if chosen(late)] for each in (self.lows, self.highs))
        return _with_room(lows, highs)

    def _outside(self, low: Any, high: Any) -> float:
        below = sum(number < low for number in self.smallest)
        above = sum(number > high for number in self.largest)
        return float("inf") if _KEPT in (below, above) and self.rows > _KEPT else below + above


def _with_room(lows: list[Any], highs: list[Any]) -> tuple[Any, Any] | None:
    """From the lower quarter of the lows to the upper quarter of the highs, with room, in round numbers."""
    if not lows:
        return None
    low, high = sorted(lows)[len(lows) // 4], sorted(highs, reverse=True)[len(highs) // 4]
    width = high - low
    if not width > 0:
        return None
    step = 10.0 ** floor(log10(float(width)))
    bottom = floor((float(low) - ROOM * float(width)) / step) * step
    top = -floor(-(float(high) + ROOM * float(width)) / step) * step
    return (int(bottom), int(top)) if step >= 1 else (float(f"{bottom:.12g}"), float(f"{top:.12g}"))
