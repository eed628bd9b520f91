"""How good a model is: fitted on earlier rows of its training set, measured on the later ones, which it has not seen."""

import math
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime

import polars as pl

Metrics = Callable[[pl.DataFrame, pl.DataFrame], Mapping[str, float]]


def first_held_back(times: pl.Series, held_back: float | date) -> datetime | None:
    """The moment from which rows are held back: the start of a day (UTC), or such that about this share of the rows (sorted
    by time) comes after it. None where nothing would be left on one of the two sides."""
    if isinstance(held_back, date):
        cut = datetime.combine(held_back, datetime.min.time(), UTC)
    elif held_back and len(times):
        cut = times.sort()[min(math.floor(len(times) * (1 - held_back)), len(times) - 1)]
    else:
        return None
    return cut if (times < cut).any() and (times >= cut).any() else None


def default_metrics(label: str, rows: pl.DataFrame, predicted: pl.DataFrame) -> dict[str, float]:
    """`accuracy` of the first output; for numbers with a fraction `rmse` and `mae`. Rows without an answer count as wrong,
    and make the errors of numbers unknown (`answered` says for how many rows there is one)."""
    actual, answer = rows[label], predicted.to_series(0)
    answered = answer.len() - answer.null_count()
    share = {} if answered == answer.len() else {"answered": answered / answer.len()}
    if actual.dtype.is_numeric() and answer.dtype.is_numeric() and (actual.dtype.is_float() or answer.dtype.is_float()):
        errors = (actual.cast(pl.Float64) - answer.cast(pl.Float64)).drop_nulls().drop_nans()
        if errors.is_empty():
            return share
        return {
            "rmse": math.sqrt(float((errors**2).sum()) / errors.len()),
            "mae": float(errors.abs().sum()) / errors.len(),
        } | share
    same = actual.cast(pl.String) == answer.cast(pl.String)
    return {"accuracy": float(same.sum()) / same.len()} | share
