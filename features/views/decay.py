"""Sums over events that count for less as they age."""

from __future__ import annotations

import math
from datetime import timedelta

import polars as pl

from assay.errors import AssayError
from assay.features.views.timestamps import microseconds, parse_duration

AGE = "__age"  # a column that windows give to expressions: how long before t an event was, in µs (Float64)


def decayed(value: pl.Expr, half_life: timedelta | str) -> pl.Expr:
    """The sum of a value over the events of a window, each counting half as much for every half-life that passed since.

    `windows(["365d"], source="clean/orders", time="at", recent=decayed(pl.col("amount"), "30d"))`: an order of today counts in
    full, one of 30 days ago half, one of 60 days ago a quarter. `decayed(pl.lit(1.0), …)` is refused, as any constant; count
    events with `decayed(pl.col("order_id").is_not_null(), …)`.

    Args:
        value: A number or a boolean for each event; null counts for nothing. Leave events out with `pl.when(…).then(…)`.
        half_life: A timedelta or a text such as `"30d"`.

    Returns:
        An aggregation for `windows` and `Windowed` (Float64).

    Raises:
        AssayError: For a value that is no expression, and a half-life that is no duration.
    """
    if not isinstance(value, pl.Expr):
        raise AssayError("decayed: the value must be a Polars expression such as pl.col('amount')")
    rate = math.log(2) / microseconds(parse_duration(half_life, "decayed: half_life"))
    return (value.cast(pl.Float64) * (pl.col(AGE) * -rate).exp()).sum()
