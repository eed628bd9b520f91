"""Windowed features: for every entity with recent events, aggregations over `[t − w, t)` at given times t.

The window is half-open, so an event exactly at t is not yet in it (as in Chronon), while the as-of join serves a value
from t on: a row computed at t knows only what happened before t.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import polars as pl
from polars.exceptions import PolarsError

from assay.errors import AssayError
from assay.features.views.columns import ColumnLineage, require_columns
from assay.features.views.decay import AGE
from assay.features.views.expressions import check_feature, describe_feature, is_aggregation, root_columns
from assay.features.views.timestamps import INSTANT, format_duration, instant, microseconds, parse_duration, utc
from assay.features.views.transformation import RowsRead, ViewDeclaration

# Internal columns; the names cannot collide with features, which begin with a letter.
_ENTITY = "__entity"
TIME = "__time"
_SEEN = "__seen"


@dataclass(frozen=True, slots=True, eq=False)
class Windowed:
    """An aggregation over the events of `source` in the half-open window `[t − window, t)` of column `time`.

    Args:
        name: The column's name: letters, digits and underscores, beginning with a letter.
        expr: A Polars expression that ends in an aggregation, without Python functions.
        window: How far back from t it looks: a timedelta or a text such as `"7d"`, `"12h"`, `"1d12h"`.
        source: The table with the events.
        time: Its column with the event time.
        description: One sentence for people; it decides nothing.
        unit: What it is counted in, for people: "EUR", "orders"; it decides nothing.
        deprecated: What to use instead, and since when: whoever asks for the feature is warned. It decides nothing.

    Raises:
        AssayError: For a name, an expression or a window that cannot be used.
    """

    name: str
    expr: pl.Expr
    window: timedelta | str
    source: str
    time: str
    description: str = ""
    unit: str = ""
    deprecated: str = ""

    def __post_init__(self) -> None:
        where = check_feature(self.name, self.expr)
        if not is_aggregation(self.expr):
            raise AssayError(f"{where} is not an aggregation: end it with .sum(), .mean(), .max() or the like")
        parse_duration(self.window, f"{where}: window")
        if not self.source or not self.time:
            raise AssayError(f"{where} must name its source table and the column with the event time")

    @property
    def width(self) -> timedelta:
        """The window as a timedelta."""
        return parse_duration(self.window, f"feature {self.name!r}: window")

    @classmethod
    def transformation(cls, view: ViewDeclaration, features: Sequence[Windowed]) -> WindowedAggregates:
        where = f"view {view.name!r}"
        if view.source is not None:
            raise AssayError(f"{where}: windowed features name their own source; leave the view's source out")
        if view.known_time is not None:
            raise AssayError(f"{where}: a windowed view has no known time; its rows are computed, not received")
        times = {(feature.source, feature.time) for feature in features}
        if len(times) > len({table for table, _ in times}):
            raise AssayError(f"{where}: features of one table must share its time column; split the view")
        return WindowedAggregates(view.name, tuple(view.entity.keys), view.event_time, tuple(features), view.step)


def windows(
    over: Sequence[timedelta | str],
    *,
    source: str,
    time: str,
    **aggregations: pl.Expr | tuple[pl.Expr, str] | tuple[pl.Expr, str, str],
) -> tuple[Windowed, ...]:
    """Every aggregation over every window, named `<aggregation>_<window>`.

    `windows(["1d", "7d"], source="clean/tickets", time="created_at", tickets=pl.len())` gives `tickets_1d`, `tickets_7d`.

    Args:
        over: The windows: timedeltas or texts such as `"7d"`.
        source: The table with the events.
        time: Its column with the event time.
        **aggregations: Polars expressions that end in an aggregation, by name; for people, each with a description and a unit:
            `spent=(pl.col("amount").sum(), "What was paid.", "EUR")`.

    Returns:
        One `Windowed` per aggregation and window, in that order.

    Raises:
        AssayError: Without windows or aggregations, or for one that cannot be used.
    """
    if isinstance(over, str) or not over or not aggregations:
        raise AssayError("windows: give a list of windows, e.g. ['1d', '7d'], and at least one aggregation by name")
    made = []
    for name, aggregation in aggregations.items():
        expr, *about = aggregation if isinstance(aggregation, tuple) else (aggregation,)
        made += [Windowed(f"{name}_{format_duration(window)}", expr, window, source, time, *about) for window in over]
    return tuple(made)


@dataclass(frozen=True, slots=True, eq=False)
class WindowedAggregates:
    """The engine of windowed views: implements `Transformation`. `every` is the step between two rows."""

    view: str
    keys: tuple[str, ...]
    event_time: str
    features: tuple[Windowed, ...]
    every: timedelta = timedelta(days=1)

    def sources(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(feature.source for feature in self.features))

    def lookback(self) -> timedelta:
        return max(feature.width for feature in self.features)

    def lookback_of(self, source: str) -> timedelta:
        """The longest window over one table."""
        return max(feature.width for feature in self.of_table(source))

    def compute(self, frames: Mapping[str, pl.LazyFrame], at: Sequence[datetime] | datetime) -> pl.DataFrame:
        return aggregate(self, frames, at)

    def column_lineage(self) -> ColumnLineage:
        """A row exists wherever some table has an event in a window, at times that come from no table."""
        times = {feature.source: feature.time for feature in self.features}
        chosen = [(table, name) for table, time in times.items() for name in (*self.keys, time)]
        lineage: ColumnLineage = {
            key: {"direct": [(table, key) for table in times], "indirect": list(chosen)} for key in self.keys
        }
        lineage[self.event_time] = {"direct": [], "indirect": list(chosen)}
        for feature in self.features:
            names = event_columns(feature.expr)
            lineage[feature.name] = (
                "unknown"
                if names is None
                else {
                    "direct": [(feature.source, name) for name in names],
                    "indirect": [(feature.source, name) for name in (*self.keys, feature.time)],
                }
            )
        return lineage

    def rows_read(self) -> tuple[RowsRead, ...]:
        return tuple(
            RowsRead(table, of_table[0].time, max(feature.width for feature in of_table))
            for table in self.sources()
            if (of_table := self.of_table(table))
        )

    def definition(self) -> dict[str, Any]:
        features = [
            describe_feature(feature.name, feature.expr)
            | {"window_us": microseconds(feature.width), "source": feature.source, "time": feature.time}
            for feature in self.features
        ]
        return {"source": None, "every_us": microseconds(self.every), "features": features}

    def of_table(self, table: str) -> list[Windowed]:
        """The features over the events of one table."""
        return [feature for feature in self.features if feature.source == table]


def event_columns(expr: pl.Expr) -> tuple[str, ...] | None:
    """The columns of events that an aggregation reads; None if it selects columns by type or pattern."""
    names = root_columns(expr)
    return None if names is None else tuple(name for name in names if name != AGE)


def aggregate(
    view: WindowedAggregates, frames: Mapping[str, pl.LazyFrame], at: Sequence[datetime] | datetime
) -> pl.DataFrame:
    """The rows of a windowed view at each time of `at`: keys, event time (µs UTC), features; sorted by time, then keys.

    An entity has a row at t if it has an event in any of the view's windows that end at t; events without a key or a time
    belong to no one. An empty window holds what the aggregation gives for no rows (count, sum: 0; mean, max: null).
    Equal events give equal bytes, in whatever order they are stored; only ties in time are taken as they come.

    Raises AssayError if a source or column is missing, a time is naive, or an expression does not fit its table.
    """
    times = sorted({utc(time, f"view {view.view!r}: at") for time in ([at] if isinstance(at, datetime) else at)})
    if not times:
        raise AssayError(f"view {view.view!r}: name at least one time to compute it at")
    scans = event_scans(view, frames, times)
    with without_cells(view):
        return _aggregate(view, {table: scan.collect() for table, scan in scans.items()}, times)


def event_scans(
    view: WindowedAggregates, frames: Mapping[str, pl.LazyFrame], times: Sequence[datetime]
) -> dict[str, pl.LazyFrame]:
    """By table the events that any window can see: the columns that the view needs, and the time as `TIME`.

    Raises AssayError as `aggregate`."""
    scans = {table: _scan(view, table, frames, times) for table in view.sources()}
    _check_key_types(view, scans)
    return scans


@contextmanager
def without_cells(view: WindowedAggregates) -> Iterator[None]:
    """Polars quotes the cell it failed on, and cell values must not reach an error text: what fails is an AssayError without."""
    try:
        yield
    except PolarsError as error:
        raise AssayError(
            f"view {view.view!r} could not be computed: an expression failed with {type(error).__name__}; "
            "check its features' expressions against the column types of the tables they read"
        ) from None


def _aggregate(view: WindowedAggregates, events: Mapping[str, pl.DataFrame], times: Sequence[datetime]) -> pl.DataFrame:
    keys = list(view.keys)
    entities = pl.concat(frame.select(keys) for frame in events.values()).unique().sort(keys).with_row_index(_ENTITY)
    # In (entity, time) order each group is one contiguous slice: float sums then do not depend on thread scheduling.
    ordered = {
        table: frame.join(entities, on=keys, maintain_order="left").sort(_ENTITY, TIME, maintain_order=True)
        for table, frame in events.items()
    }
    empty = pl.concat([empty_values(view, table, frame) for table, frame in events.items()], how="horizontal")
    rows = pl.concat([_rows_at(view, ordered, empty, time) for time in times])
    return (
        rows.join(entities, on=_ENTITY)
        .select(*keys, view.event_time, *(feature.name for feature in view.features))
        .sort(view.event_time, *keys)
    )


def _scan(
    view: WindowedAggregates, table: str, frames: Mapping[str, pl.LazyFrame], times: Sequence[datetime]
) -> pl.LazyFrame:
    """The events of one table that any window can see, with only the columns that the view needs."""
    if table not in frames:
        raise AssayError(f"view {view.view!r} reads table {table!r}, which was not given; given: {sorted(frames)}")
    frame, features = frames[table], view.of_table(table)
    schema = frame.collect_schema()
    where = f"view {view.view!r} reads table {table!r}, which"
    roots = [event_columns(feature.expr) for feature in features]
    require_columns(schema, [*view.keys, *(name for names in roots for name in names or ())], where)
    time = instant(schema, features[0].time, where)
    # A selector may mean any column, so then every column is read.
    named = [name for names in roots if names is not None for name in names]
    columns = list(schema) if None in roots else list(dict.fromkeys([*view.keys, *named]))
    earliest = times[0] - max(feature.width for feature in features)
    recent = frame.filter(time >= _literal(earliest), time < _literal(times[-1]))
    return recent.select(*columns, time.alias(TIME))


def _check_key_types(view: WindowedAggregates, scans: Mapping[str, pl.LazyFrame]) -> None:
    schemas = {table: scan.collect_schema() for table, scan in scans.items()}
    for key in view.keys:
        types = {table: str(schema[key]) for table, schema in schemas.items()}
        if len(set(types.values())) > 1:
            raise AssayError(
                f"view {view.view!r}: key {key!r} has different types in its sources: {types}; cast one of them in its contract"
            )


def _rows_at(
    view: WindowedAggregates, events: Mapping[str, pl.DataFrame], empty: pl.DataFrame, time: datetime
) -> pl.DataFrame:
    """One row per entity with an event in a window that ends at `time`; entities by code."""
    recent = {
        table: _between(frame, time, max(feature.width for feature in view.of_table(table)))
        for table, frame in events.items()
    }
    rows = pl.concat(frame.select(_ENTITY) for frame in recent.values()).unique().sort(_ENTITY)
    for table, frame in recent.items():
        for width in sorted({feature.width for feature in view.of_table(table)}):
            features = [feature for feature in view.of_table(table) if feature.width == width]
            values = _group(_between(frame, time, width), features)
            rows = rows.join(values, on=_ENTITY, how="left", maintain_order="left").with_columns(
                pl.when(_SEEN).then(feature.name).otherwise(empty[feature.name]).alias(feature.name)
                for feature in features
            )
            rows = rows.drop(_SEEN)
    return rows.with_columns(_literal(time).alias(view.event_time))


def _group(events: pl.DataFrame, features: Sequence[Windowed]) -> pl.DataFrame:
    # The streaming engine splits a group's sum by the number of threads; in memory it is the same on every machine.
    return (
        events.lazy()
        .group_by(_ENTITY, maintain_order=True)
        .agg(*(feature.expr.alias(feature.name) for feature in features), pl.lit(True).alias(_SEEN))
        .collect(engine="in-memory")
    )


def empty_values(view: WindowedAggregates, table: str, events: pl.DataFrame) -> pl.DataFrame:
    """One row: each feature of the table over no events. Not-a-number (0 / 0) means there is no value."""
    nothing = events.clear().with_columns(pl.lit(None, dtype=pl.Float64).alias(AGE))
    values = nothing.select(feature.expr.alias(feature.name) for feature in view.of_table(table))
    return values.with_columns(pl.col(pl.Float32, pl.Float64).fill_nan(None))


def _between(events: pl.DataFrame, end: datetime, width: timedelta) -> pl.DataFrame:
    inside = events.filter(pl.col(TIME) >= _literal(end - width), pl.col(TIME) < _literal(end))
    age = (_literal(end) - pl.col(TIME)).dt.total_microseconds().cast(pl.Float64)
    return inside.with_columns(age.alias(AGE))


def _literal(time: datetime) -> pl.Expr:
    return pl.lit(time, dtype=INSTANT)
