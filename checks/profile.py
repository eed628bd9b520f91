"""Statistics of a batch, one column a time, in one pass: what monitoring and drift read instead of the data."""

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import polars as pl

from assay.checks.rules import Column

Profile = dict[str, dict[str, Any]]


def profile(frame: pl.LazyFrame, columns: Sequence[Column]) -> Profile:
    """Per column: count, null, nan (floats), distinct (approximate); min, max of numbers and times; mean of numbers.

    JSON-ready: times are ISO text, decimals text. Holds no value of a text column and none of personal data.
    """
    wanted = {(column.name, name): expr for column in columns for name, expr in _statistics(column).items()}
    exprs = [pl.len().alias("count"), *(expr.alias(f"{index}") for index, expr in enumerate(wanted.values()))]
    # Streaming also where memory would do: there polars finds one distinct value in no rows.
    count, *row = frame.select(exprs).collect(engine="streaming").row(0)
    result: Profile = {column.name: {"count": count} for column in columns}
    for (column, name), value in zip(wanted, row, strict=True):
        result[column][name] = plain(value)
    return result


def _statistics(column: Column) -> dict[str, pl.Expr]:
    value, dtype = pl.col(column.name), column.dtype
    result = {"null": value.null_count()}
    if dtype.is_float():
        result["nan"] = value.is_nan().sum()
        value = value.fill_nan(None)
    if not dtype.is_nested():
        result["distinct"] = value.drop_nulls().approx_n_unique()
    if column.options.pii is None and (dtype.is_numeric() or dtype.is_temporal()):
        result |= {"min": value.min(), "max": value.max()}
        if dtype.is_numeric():
            result["mean"] = value.cast(pl.Float64).mean()
    return result


def plain(value: Any) -> Any:
    """A statistic as JSON has it."""
    match value:
        case datetime() | date() | time():
            return value.isoformat()
        case Decimal():
            return str(value)
        case timedelta():
            return value.total_seconds()
        case _:
            return value
