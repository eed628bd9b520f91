"""A column's distribution in a few numbers, and how far two of them are apart; no value of a column that may be personal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
MOST_NAMED = 20  # categories of a column


@dataclass(frozen=True, slots=True)
class Distribution:
    """A column in numbers.

    Args:
        rows: How many there are.
        nulls: How many of them have no value.
        distinct: How many different values there are, null not counted; None for lists and structs.
        summary: `mean`, `min`, `max` and quantiles of numbers, `min` and `max` of times; {} where they would be values that
            are not to be shown.
        shares: Of the most frequent categories, by name; {} where they are not to be shown.
    """

    rows: int
    nulls: int
    distinct: int | None
    summary: Mapping[str, float | str | None]
    shares: Mapping[str, float]

    def to_dict(self) -> dict[str, Any]:
        values = {"rows": self.rows, "nulls": self.nulls, "distinct": self.distinct}
        return values | dict(self.summary) | ({"shares": dict(self.shares)} if self.shares else {})


def distribution(column: pl.Series, *, summarised: bool, named: bool) -> Distribution:
    """Describe a column.

    Args:
        column: The values.
        summarised: Whether its numbers and times may be shown as means and quantiles.
        named: Whether its categories may be shown.
    """
    flat = not column.dtype.is_nested()
    there = column.drop_nulls()
    summary: dict[str, float | str | None] = {}
    shares: dict[str, float] = {}
    if summarised and (column.dtype.is_numeric() or column.dtype == pl.Boolean):
        numbers = there.cast(pl.Float64)
        numbers = numbers.filter(numbers.is_finite())
        summary = {"mean": _number(numbers.mean()), "min": _number(numbers.min()), "max": _number(numbers.max())}
        summary |= {f"q{quantile:g}": _number(numbers.quantile(quantile, "nearest")) for quantile in QUANTILES}
    elif summarised and column.dtype.is_temporal():
        summary = {"min": _text(there.min()), "max": _text(there.max())}
    distinct = there.n_unique() if flat else None
    if named and flat and not column.dtype.is_numeric() and distinct and distinct <= MOST_NAMED:
        counts = there.cast(pl.String).value_counts(sort=True, name="__count")
        shares = {str(value): count / len(column) for value, count in counts.sort("__count", column.name,
                  descending=[True, False]).rows()}  # fmt: skip
    return Distribution(len(column), column.null_count(), distinct, summary, shares)


def shift(a: pl.Series, b: pl.Series) -> float | None:
    """How far two distributions are apart, 0 (the same) to 1: of numbers and times the largest difference of their cumulative
    shares (Kolmogorov and Smirnov), of others half the sum of the differences of their shares (total variation). Nulls count
    as a value of their own. None for lists and structs, and where one has no rows."""
    if a.dtype.is_nested() or b.dtype.is_nested() or not len(a) or not len(b):
        return None
    nulls = abs(a.null_count() / len(a) - b.null_count() / len(b))
    if all(column.dtype.is_numeric() or column.dtype.is_temporal() for column in (a, b)):
        return max(nulls, _largest_step(_ordered(a), _ordered(b)))
    counts = [column.cast(pl.String).value_counts(name="n").rename({column.name: "value"}) for column in (a, b)]
    joined = counts[0].join(counts[1], on="value", how="full", nulls_equal=True, coalesce=True, suffix="_b")
    shares = [joined[name].fill_null(0) / length for name, length in (("n", len(a)), ("n_b", len(b)))]
    return float((shares[0] - shares[1]).abs().sum()) / 2


def _ordered(column: pl.Series) -> np.ndarray[Any, Any]:
    values = column.drop_nulls()
    numbers = values.to_physical().cast(pl.Float64) if values.dtype.is_temporal() else values.cast(pl.Float64)
    return np.sort(numbers.to_numpy())


def _largest_step(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> float:
    if not len(a) or not len(b):
        return 0.0 if len(a) == len(b) else 1.0
    every = np.concatenate([a, b])
    steps = [np.searchsorted(side, every, side="right") / len(side) for side in (a, b)]
    return float(np.abs(steps[0] - steps[1]).max())


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _text(value: Any) -> str | None:
    return (
        value.isoformat()
        if isinstance(value, datetime | date)
        else str(value)
        if isinstance(value, timedelta)
        else None
    )
