"""Mean and spread of numbers, so that those of parts can be joined."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from assay.checks.profiles.array_codec import pack_number, unpack_number


@dataclass(frozen=True, slots=True)
class Moments:
    """count, mean, and the sums of (x - mean) to the powers 2, 3 and 4.

    Joined by Pébay's formulas (2008); the result is that of the whole up to rounding.
    """

    count: int = 0
    mean: float = 0.0
    m2: float = 0.0
    m3: float = 0.0
    m4: float = 0.0

    @classmethod
    def of(cls, values: np.ndarray) -> "Moments":
        """Of finite numbers (float64, n). Sums of very large numbers may be infinite."""
        if not len(values):
            return cls()
        with np.errstate(over="ignore", invalid="ignore"):
            mean = float(values.mean())
            distance = values - mean
            square = distance * distance
            m2 = float(square.sum())
            m3 = float(
                np.multiply(square, distance, out=distance).sum()
            )  # in place: new memory costs more than the product
            m4 = float(np.multiply(square, square, out=square).sum())
        return cls(len(values), mean, m2, m3, m4)

    def merge(self, other: "Moments") -> "Moments":
        """The moments of both."""
        if not self.count or not other.count:
            return other if not self.count else self
        a, b = float(self.count), float(other.count)
        n, d = a + b, other.mean - self.mean
        m2 = self.m2 + other.m2 + d * d * a * b / n
        m3 = self.m3 + other.m3 + d**3 * a * b * (a - b) / n**2 + 3 * d * (a * other.m2 - b * self.m2) / n
        m4 = (
            (self.m4 + other.m4 + d**4 * a * b * (a * a - a * b + b * b) / n**3)
            + 6 * d * d * (a * a * other.m2 + b * b * self.m2) / n**2
            + 4 * d * (a * other.m3 - b * self.m3) / n
        )
        return Moments(self.count + other.count, self.mean + d * b / n, m2, m3, m4)

    @property
    def std(self) -> float | None:
        """The standard deviation of the values themselves (divided by count); None of nothing."""
        return math.sqrt(self.m2 / self.count) if self.count else None

    def to_dict(self) -> dict[str, Any]:
        return {name: pack_number(value) for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Moments":
        return cls(**{name: unpack_number(value) for name, value in data.items()})
