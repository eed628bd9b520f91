"""A histogram whose edges never depend on the data, so that those of parts can be added."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

_SHIFT = np.int64(50)  # of a float's 64 bits: sign, exponent and two bits of the fraction stay
_NEGATIVE = 1 << 13


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts per bin; empty bins are left out.

    Bins are the same for every column for all time: four to each doubling (… 1, 1.25, 1.5, 1.75, 2, 2.5, 3, 3.5, 4 …),
    lower edge included, mirrored for negative numbers; so sums are exact, and two histograms always compare bin by bin.
    Times are counted by month instead: bins are months since year 0.
    """

    counts: Mapping[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, values: np.ndarray) -> "Histogram":
        """Of finite numbers (float64, n)."""
        bits = (values + 0.0).view(np.int64) >> _SHIFT  # + 0.0: minus zero is zero
        shifted = np.where(bits < 0, -(bits + _NEGATIVE) - 1, bits)
        counts = np.bincount(shifted + _NEGATIVE)
        return cls({int(index) - _NEGATIVE: int(counts[index]) for index in np.flatnonzero(counts)})

    def merge(self, other: "Histogram") -> "Histogram":
        """The histogram of both."""
        bins = sorted({*self.counts, *other.counts})
        return Histogram({bin_: self.counts.get(bin_, 0) + other.counts.get(bin_, 0) for bin_ in bins})

    def months(self) -> list[tuple[str, int]]:
        """(month as 2026-09, count) of a histogram of times, ascending."""
        return [(f"{bin_ // 12:04d}-{bin_ % 12 + 1:02d}", count) for bin_, count in sorted(self.counts.items())]

    def bars(self) -> list[tuple[float, float, int]]:
        """(from, to, count) of the bins with values, ascending."""
        return [(*_edges(bin_), count) for bin_, count in sorted(self.counts.items())]

    def to_dict(self) -> dict[str, Any]:
        return {"counts": [[bin_, count] for bin_, count in self.counts.items()]}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Histogram":
        return cls(dict(data["counts"]))


def _edges(bin_: int) -> tuple[float, float]:
    if bin_ < 0:
        low, high = _edges(-bin_ - 1)
        return -high, -low
    return _float(bin_), _float(bin_ + 1)


def _float(bin_: int) -> float:
    return struct.unpack("<d", struct.pack("<q", bin_ << 50))[0]
