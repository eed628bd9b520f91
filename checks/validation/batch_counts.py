"""Statistics of a batch, one column a time, in one pass: what monitoring and drift read instead of the data."""

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

import polars as pl

from assay.checks.contract.rules import Column
from assay.checks.validation.scan import Scan

BatchCounts = dict[str, dict[str, Any]]


def batch_counts(scan: Scan, columns: tuple[Column, ...]) -> BatchCounts:
    """Per column: count, null, nan (floats), distinct (approximate); min, max of numbers and times; mean of numbers.

    JSON-ready: times are ISO text, decimals text. Holds no value of a text column and none of personal data.
    """
    wanted, exprs = _wanted(columns)
    count, *row = scan.collect(scan.rows.select(exprs)).row(0)
    result: BatchCounts = {column.name: {"count": count} for column in columns}
    for (column, name), value in zip(wanted, row, strict=True):
        result[column][name] = plain(value)
    for values in result.values():
        if "distinct" in values:  # an estimate, which may find more than there are, even in no values at all
            values["distinct"] = min(values["distinct"], count - values["null"] - values.get("nan", 0))
    return result


@lru_cache(64)
def _wanted(columns: tuple[Column, ...]) -> tuple[list[tuple[str, str]], list[pl.Expr]]:
    """(column, statistic) and how to find them all, after the number of rows."""
    wanted = {(column.name, name): expr for column in columns for name, expr in _statistics(column).items()}
    return list(wanted), [pl.len().alias("count"), *(expr.alias(f"{n}") for n, expr in enumerate(wanted.values()))]


def _statistics(column: Column) -> dict[str, pl.Expr]:
    dtype = column.dtype
    value = pl.col(column.name)
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
