"""Whether a column's numbers are in another unit than before: the whole distribution is scaled, its shape is the same."""

from dataclasses import dataclass

import numpy as np
import polars as pl

Numbers = np.ndarray
#: Fewer values than this say nothing; a factor that no unit explains needs more of them.
FEW, MANY = 30, 200
QUANTILES = np.arange(0.1, 0.901, 0.05)
#: How far the distribution must have moved at least, in mean deviations.
MOVED = 0.3

#: What a change of unit is called -> (factor, offset): new = factor × old + offset.
_UNITS: dict[str, tuple[float, float]] = {
    **{f"×{10**power:,}": (10.0**power, 0.0) for power in range(1, 10)},
    "×60 (minutes to seconds)": (60.0, 0.0),
    "×24 (days to hours)": (24.0, 0.0),
    "×3,600 (hours to seconds)": (3600.0, 0.0),
    "×86,400 (days to seconds)": (86400.0, 0.0),
    **{f"×1,024^{power} (binary prefixes)": (1024.0**power, 0.0) for power in (1, 2, 3)},
    "×1.609 (miles to kilometres)": (1.609344, 0.0),
    "×2.205 (kilograms to pounds)": (2.2046226, 0.0),
    "×2.54 (inches to centimetres)": (2.54, 0.0),
    "×3.281 (metres to feet)": (3.2808399, 0.0),
    "Celsius to Fahrenheit": (1.8, 32.0),
    "Celsius to kelvin": (1.0, 273.15),
}


def _inverse(name: str) -> str:
    if name.startswith("×"):
        return f"÷{name[1:]}"
    here, there = name.split(" to ")
    return f"{there.capitalize()} to {here}"


UNITS = _UNITS | {_inverse(name): (1 / factor, -offset / factor) for name, (factor, offset) in _UNITS.items()}


@dataclass(frozen=True, slots=True)
class UnitShift:
    """A likely change of unit. `units`: all that fit within the tolerance, best first; empty: no unit that we know.

    factor: new / old of the best fit. distance: how far the new distribution is from the old one so converted, in mean
    deviations; before: how far unconverted.
    """

    units: tuple[str, ...]
    factor: float
    distance: float
    before: float


def unit_shift(old: pl.Series, new: pl.Series) -> UnitShift | None:
    """The change of unit between two batches of one numeric column; None if there is none, or too few values to tell.

    The quantiles (10 % to 90 %) of the old values, converted, are compared with those of the new ones; the tolerance shrinks
    with the square root of the smaller batch. Null, NaN and infinity are left out.
    """
    first, second = _finite(old), _finite(new)
    size = min(len(first), len(second))
    if size < FEW:
        return None
    before, after = np.quantile(first, QUANTILES), np.quantile(second, QUANTILES)
    scale = float(np.abs(after - np.median(after)).mean())
    if scale == 0 or np.ptp(before) == 0:
        return None
    tolerance = 0.05 + 6 / np.sqrt(size)
    moved = _distance(before, after, scale)
    if moved < max(MOVED, 2 * tolerance):
        return None
    fits = sorted((_distance(factor * before + offset, after, scale), name) for name, (factor, offset) in UNITS.items())
    best, name = fits[0]
    if best <= tolerance:
        near = tuple(other for distance, other in fits if distance <= tolerance)
        return UnitShift(near, UNITS[name][0], best, moved)
    nonzero = before != 0
    if size < MANY or not nonzero.any():
        return None
    factor = float(np.median(after[nonzero] / before[nonzero]))
    distance = _distance(factor * before, after, scale)
    return UnitShift((), factor, distance, moved) if distance <= tolerance / 2 else None


def _finite(values: pl.Series) -> Numbers:
    numbers = values.drop_nulls().cast(pl.Float64).to_numpy()
    return numbers[np.isfinite(numbers)]


def _distance(one: Numbers, other: Numbers, scale: float) -> float:
    return float(np.abs(one - other).mean()) / scale
