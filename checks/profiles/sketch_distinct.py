"""How many different values there are: a HyperLogLog sketch, so that the answers of parts can be joined."""

import functools
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from assay.checks.profiles.array_codec import pack, unpack
from assay.errors import AssayError

_BITS = 12
_REGISTERS = 1 << _BITS
_RANKS = 64 - _BITS + 1  # the highest rank of a 52-bit rest is 53


@functools.cache
def hash_in_use() -> str:
    """What identifies the hash function: polars may change its own, and sketches of two functions must never be joined.

    Not found out at import: it starts the threads of polars, and a process that has them cannot be forked.
    """
    canary = pl.DataFrame({"text": ["assay"], "number": [1]})
    return "-".join(f"{value:016x}" for value in canary.select(pl.all().hash(seed=0)).row(0))


@dataclass(frozen=True, slots=True, eq=False)
class Distinct:
    """HyperLogLog with 4096 registers (Flajolet et al. 2007), read by Ertl's improved estimator (2017, algorithm 6).

    Relative standard error 1.6 %; joining is exact: the sketch of the parts is the sketch of the whole.
    """

    registers: np.ndarray = field(default_factory=lambda: np.zeros(_REGISTERS, np.uint8))
    hash: str = field(default_factory=hash_in_use)

    @classmethod
    def of(cls, hashes: np.ndarray) -> "Distinct":
        """The sketch of values given by their 64-bit hashes (uint64, n)."""
        # Of a register only the highest rank counts, that is the smallest rest. Of many values, those with small rests are
        # enough: with these bounds about sixteen for each register. One that gets none (hardly ever) needs the others.
        if len(hashes) >> 5 >= _REGISTERS:
            few = cls._of(hashes[hashes < np.uint64((_REGISTERS << 68) // len(hashes))])
            if few.registers.all():
                return few
        return cls._of(hashes)

    @classmethod
    def _of(cls, hashes: np.ndarray) -> "Distinct":
        rest = hashes >> np.uint64(_BITS)
        # The position of the highest set bit: as a float, a 52-bit integer is exact and its exponent says it (of 0: none).
        exponent = np.maximum((rest.astype(np.float64).view(np.int64) >> 52) - 1022, 0)
        rank = 64 - _BITS + 1 - exponent
        seen = np.bincount(
            (hashes & np.uint64(_REGISTERS - 1)).astype(np.int64) * (_RANKS + 1) + rank,
            minlength=_REGISTERS * (_RANKS + 1),
        ).reshape(_REGISTERS, _RANKS + 1)
        highest = _RANKS - np.argmax(seen[:, ::-1] > 0, axis=1)
        return cls(np.where(seen.any(axis=1), highest, 0).astype(np.uint8))

    def merge(self, other: "Distinct") -> "Distinct":
        """The sketch of both. Raises AssayError when another version of polars hashed the other's values."""
        if self.hash != other.hash:
            raise AssayError(
                "Distinct values cannot be counted across profiles made with different hash functions "
                f"({self.hash}, {other.hash}): profile the older part again."
            )
        return Distinct(np.maximum(self.registers, other.registers), self.hash)

    def estimate(self) -> int:
        counts = np.bincount(self.registers, minlength=_RANKS + 1)
        z = _REGISTERS * _tau(1 - counts[_RANKS] / _REGISTERS)
        for rank in range(_RANKS - 1, 0, -1):
            z = 0.5 * (z + float(counts[rank]))
        z += _REGISTERS * _sigma(counts[0] / _REGISTERS)
        return round(_REGISTERS**2 / (2 * math.log(2) * z))

    def to_dict(self) -> dict[str, Any]:
        return {"registers": pack(self.registers), "hash": self.hash}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Distinct":
        return cls(unpack(data["registers"], np.uint8), data["hash"])


def _sigma(x: float) -> float:
    if x == 1:
        return math.inf
    y, z, before = 1.0, x, -1.0
    while z != before:
        x, before = x * x, z
        z, y = z + x * y, 2 * y
    return z


def _tau(x: float) -> float:
    if x in (0, 1):
        return 0.0
    y, z, before = 1.0, 1 - x, -1.0
    while z != before:
        x, before, y = math.sqrt(x), z, 0.5 * y
        z -= (1 - x) ** 2 * y
    return z / 3
