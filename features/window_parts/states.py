"""The states of an entity's events, from which aggregations over them follow: made of events, joined, and turned into values.

A state is one or more columns. States of consecutive spans of time join to the state of the whole span. Whoever joins the same
states in the same order gets the same bytes; float sums depend on where they are cut, so windows are always cut alike
(`assay.features.window_parts.blocks`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from assay.features.storage.parquet_files import stored_type
from assay.features.views.timestamps import INSTANT
from assay.features.views.windowed import TIME, Windowed
from assay.features.window_parts.decompose import Aggregation, Decomposed

_GROUP = "__group"
_AT = "__at"
_FLOATS = (pl.Float32(), pl.Float64())


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One column of a state: what it is over events in the order of time, and over such columns of parts in that order."""

    column: str
    made: pl.Expr
    joined: pl.Expr
    dtype: pl.DataType


@dataclass(frozen=True, slots=True, eq=False)
class States:
    """How the features over one table are computed of parts.

    Attributes:
        keys: Of the entity.
        parts: The columns of the states of all features.
        values: The value of each aggregation, from the columns of its state.
        features: Each feature, from the values of its aggregations.
    """

    keys: tuple[str, ...]
    parts: tuple[Part, ...]
    values: Mapping[str, pl.Expr]
    features: Mapping[str, pl.Expr]

    def of_events(self, events: pl.DataFrame) -> pl.DataFrame:
        """The states of entities: keys and state, a row for each entity with events.

        Args:
            events: With the keys, their time as `TIME`, and what the aggregations read. Those without a key are left out.
                Events at the same time are taken in the order in which they come.
        """
        ordered = events.drop_nulls(self.keys).sort(*self.keys, TIME, maintain_order=True)
        return self._grouped(ordered, [part.made.alias(part.column) for part in self.parts], self.keys)

    def join(self, frames: Sequence[pl.DataFrame], by: Sequence[str] = ()) -> pl.DataFrame:
        """The states over several spans of time, given in order, as the states over all of them; `by` the keys, or by a column
        that stands for them."""
        if len(frames) == 1:
            return frames[0]
        keys = list(by or self.keys)
        ordered = pl.concat(frames).sort(*keys, maintain_order=True)
        return self._grouped(ordered, [part.joined.alias(part.column) for part in self.parts], keys)

    def features_of(self, states: pl.DataFrame, names: Sequence[str], by: str, at: datetime) -> pl.DataFrame:
        """The values of these features at a time, row by row, beside the column `by`."""
        needed = {root for name in names for root in self.features[name].meta.root_names()}
        timed = states.with_columns(pl.lit(at, dtype=INSTANT).alias(_AT))
        rows = timed.with_columns(value.alias(name) for name, value in self.values.items() if name in needed)
        return rows.select(by, *(self.features[name].alias(name) for name in names))

    def _grouped(self, ordered: pl.DataFrame, states: Sequence[pl.Expr], keys: Sequence[str]) -> pl.DataFrame:
        # Each group is one contiguous slice, and in memory: float sums then do not depend on the number of threads.
        return (
            ordered.lazy()
            .with_columns(pl.struct(keys).rle_id().alias(_GROUP))
            .group_by(_GROUP, maintain_order=True)
            .agg(*(pl.col(key).first() for key in keys), *states)
            .drop(_GROUP)
            .collect(engine="in-memory")
        )

    @property
    def schema(self) -> dict[str, pl.DataType]:
        """The columns of the states, without the keys."""
        return {part.column: part.dtype for part in self.parts}


class _Unstorable(Exception):
    """A state has a type that a table does not hold as it is."""


def states_of(
    keys: Sequence[str], features: Sequence[Windowed], taken_apart: Sequence[Decomposed], empty: pl.DataFrame
) -> States | None:
    """How features over one table are computed of parts; None where a state cannot be stored as it is.

    Args:
        keys: Of the entity.
        features: Those over the table.
        taken_apart: Their expressions.
        empty: The columns that they read, without rows, and `AGE`.
    """
    parts: dict[str, Part] = {}
    values: dict[str, pl.Expr] = {}
    for one in taken_apart:
        for aggregation in one.aggregations:
            try:
                state, values[aggregation.column] = _state(aggregation, empty)
            except _Unstorable:
                return None
            parts |= {part.column: part for part in state}
    made = {feature.name: one.value for feature, one in zip(features, taken_apart, strict=True)}
    return States(tuple(keys), tuple(parts.values()), values, made)


def _state(aggregation: Aggregation, empty: pl.DataFrame) -> tuple[list[Part], pl.Expr]:
    """The columns of a state, and the value from them. Raises _Unstorable."""
    value, kind = aggregation.value, aggregation.kind
    dtype = empty.select(aggregation.expr).dtypes[0]
    if aggregation.join is not None:
        part = _part(aggregation, kind.lower(), aggregation.expr, aggregation.join, dtype)
        return [part], pl.col(part.column)
    given = empty.select(value).dtypes[0]
    if kind == "Decayed":
        return _decayed(aggregation)
    if kind == "NUnique":
        part = _part(aggregation, "distinct", value.unique().sort(), _united, pl.List(given))
        return [part], pl.col(part.column).list.len().cast(dtype)
    if dtype not in _FLOATS or not (given.is_integer() or given in _FLOATS or given == pl.Boolean()):
        raise _Unstorable
    number = value.cast(pl.Float64)
    count = _part(aggregation, "count", value.count(), _total, pl.UInt32())
    n = pl.col(count.column)
    if kind == "Mean":
        total = _part(aggregation, "total", number.sum(), _total, pl.Float64())
        return [count, total], _divided(pl.col(total.column), n, 0).cast(dtype)
    # Chan, Golub and LeVeque (1979): the squares around the mean of all, from those around the means of parts.
    mean = _part(
        aggregation, "mean", number.mean(), lambda part: _divided((n * pl.col(part)).sum(), n.sum(), 0), pl.Float64()
    )
    squares = _part(
        aggregation,
        "squares",
        ((number - number.mean()) ** 2).sum(),
        lambda part: pl.col(part).sum() + (n * (pl.col(mean.column) - mean.joined) ** 2).sum(),
        pl.Float64(),
    )
    variance = _divided(pl.col(squares.column), n, aggregation.ddof)
    return [count, mean, squares], (variance.sqrt() if kind == "Std" else variance).cast(dtype)


def _decayed(aggregation: Aggregation) -> tuple[list[Part], pl.Expr]:
    """A decayed sum as of the last event, which can be aged to any later time."""

    def aged(value: pl.Expr, since: pl.Expr, until: pl.Expr) -> pl.Expr:
        return value * ((until - since).dt.total_microseconds().cast(pl.Float64) * aggregation.rate).exp()

    time = pl.col(TIME)
    latest = _part(aggregation, "latest", time.max(), lambda part: pl.col(part).max(), INSTANT)
    total = _part(
        aggregation,
        "decayed",
        aged(aggregation.value, time, time.max()).sum(),
        lambda part: aged(pl.col(part), pl.col(latest.column), latest.joined).sum(),
        pl.Float64(),
    )
    return [latest, total], aged(pl.col(total.column), pl.col(latest.column), pl.col(_AT))


def _part(
    aggregation: Aggregation, what: str, made: pl.Expr, joined: Callable[[str], pl.Expr], dtype: pl.DataType
) -> Part:
    stored = stored_type(dtype)
    if stored is None or (stored != dtype and not dtype.is_integer()):
        raise _Unstorable
    # The type is part of the name: a column keeps its type for as long as its table is there.
    column = f"{what}_{hashlib.sha256(f'{aggregation.column} {dtype}'.encode()).hexdigest()[:12]}"
    return Part(column, made, joined(column), dtype)


def _total(part: str) -> pl.Expr:
    return pl.col(part).sum()


def _united(part: str) -> pl.Expr:
    return pl.col(part).explode(empty_as_null=False).unique().sort()


def _divided(total: pl.Expr, count: pl.Expr, less: int) -> pl.Expr:
    """Null where there are not more than so many."""
    return total / pl.when(count > less).then(count.cast(pl.Float64) - less)
