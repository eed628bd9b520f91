"""Windowed aggregates: for every entity with recent events, aggregations over `[t − w, t)` at given times t.

The window is half-open, so an event exactly at t is not yet in it (as in Chronon), while the as-of join serves a value
from t on: a row computed at t knows only what happened before t.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import polars as pl
from polars.exceptions import PolarsError

from assay.errors import AssayError
from assay.features.views.expressions import root_columns
from assay.features.views.feature_view import FeatureView, Windowed, require_columns
from assay.features.views.timestamps import INSTANT, instant, utc

# Internal columns; the names cannot collide with features, which begin with a letter.
_ENTITY = "__entity"
_TIME = "__time"
_SEEN = "__seen"


def aggregate(view: FeatureView, frames: Mapping[str, pl.LazyFrame], at: Sequence[datetime] | datetime) -> pl.DataFrame:
    """The rows of a windowed view at each time of `at`: keys, event time (µs UTC), features; sorted by time, then keys.

    An entity has a row at t if it has an event in any of the view's windows that end at t; events without a key or a time
    belong to no one. An empty window holds what the aggregation gives for no rows (count, sum: 0; mean, max: null).
    Equal events give equal bytes, in whatever order they are stored; only ties in time are taken as they come.

    Raises AssayError if a source or column is missing, a time is naive, or an expression does not fit its table.
    """
    if not view.is_windowed:
        raise AssayError(
            f"view {view.name!r} is row-wise: compute it with assay.features.views.feature_view.compute_rows"
        )
    times = sorted({utc(time, f"view {view.name!r}: at") for time in ([at] if isinstance(at, datetime) else at)})
    if not times:
        raise AssayError(f"view {view.name!r}: name at least one time to compute it at")
    scans = {table: _scan(view, table, frames, times) for table in view.sources()}
    _check_key_types(view, scans)
    try:
        return _aggregate(view, {table: scan.collect() for table, scan in scans.items()}, times)
    except PolarsError as error:
        # Polars quotes the cell it failed on, and cell values must not reach an error text.
        raise AssayError(
            f"view {view.name!r} could not be computed: an expression failed with {type(error).__name__}; "
            "check its features' expressions against the column types of the tables they read"
        ) from None


def _aggregate(view: FeatureView, events: Mapping[str, pl.DataFrame], times: Sequence[datetime]) -> pl.DataFrame:
    keys = list(view.entity.keys)
    entities = pl.concat(frame.select(keys) for frame in events.values()).unique().sort(keys).with_row_index(_ENTITY)
    # In (entity, time) order each group is one contiguous slice: float sums then do not depend on thread scheduling.
    ordered = {
        table: frame.join(entities, on=keys, maintain_order="left").sort(_ENTITY, _TIME, maintain_order=True)
        for table, frame in events.items()
    }
    empty = pl.concat([_empty_values(view, table, frame) for table, frame in events.items()], how="horizontal")
    rows = pl.concat([_rows_at(view, ordered, empty, time) for time in times])
    return (
        rows.join(entities, on=_ENTITY)
        .select(*keys, view.event_time, *(feature.name for feature in view.features))
        .sort(view.event_time, *keys)
    )


def _scan(view: FeatureView, table: str, frames: Mapping[str, pl.LazyFrame], times: Sequence[datetime]) -> pl.LazyFrame:
    """The events of one table that any window can see, with only the columns that the view needs."""
    if table not in frames:
        raise AssayError(f"view {view.name!r} reads table {table!r}, which was not given; given: {sorted(frames)}")
    frame, features = frames[table], _features_of(view, table)
    schema = frame.collect_schema()
    where = f"view {view.name!r} reads table {table!r}, which"
    roots = [root_columns(feature.expr) for feature in features]
    require_columns(schema, [*view.entity.keys, *(name for names in roots for name in names or ())], where)
    time = instant(schema, features[0].time, where)
    # A selector may mean any column, so then every column is read.
    named = [name for names in roots if names is not None for name in names]
    columns = list(schema) if None in roots else list(dict.fromkeys([*view.entity.keys, *named]))
    earliest = times[0] - max(feature.width for feature in features)
    recent = frame.filter(time >= _literal(earliest), time < _literal(times[-1]))
    return recent.select(*columns, time.alias(_TIME))


def _check_key_types(view: FeatureView, scans: Mapping[str, pl.LazyFrame]) -> None:
    schemas = {table: scan.collect_schema() for table, scan in scans.items()}
    for key in view.entity.keys:
        types = {table: str(schema[key]) for table, schema in schemas.items()}
        if len(set(types.values())) > 1:
            raise AssayError(
                f"view {view.name!r}: key {key!r} has different types in its sources: {types}; cast one of them in its contract"
            )


def _rows_at(
    view: FeatureView, events: Mapping[str, pl.DataFrame], empty: pl.DataFrame, time: datetime
) -> pl.DataFrame:
    """One row per entity with an event in a window that ends at `time`; entities by code."""
    recent = {
        table: _between(frame, time, max(feature.width for feature in _features_of(view, table)))
        for table, frame in events.items()
    }
    rows = pl.concat(frame.select(_ENTITY) for frame in recent.values()).unique().sort(_ENTITY)
    for table, frame in recent.items():
        for width in sorted({feature.width for feature in _features_of(view, table)}):
            features = [feature for feature in _features_of(view, table) if feature.width == width]
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


def _empty_values(view: FeatureView, table: str, events: pl.DataFrame) -> pl.DataFrame:
    """One row: each feature of the table over no events. Not-a-number (0 / 0) means there is no value."""
    values = events.clear().select(feature.expr.alias(feature.name) for feature in _features_of(view, table))
    return values.with_columns(pl.col(pl.Float32, pl.Float64).fill_nan(None))


def _between(events: pl.DataFrame, end: datetime, width: timedelta) -> pl.DataFrame:
    return events.filter(pl.col(_TIME) >= _literal(end - width), pl.col(_TIME) < _literal(end))


def _features_of(view: FeatureView, table: str) -> list[Windowed]:
    return [feature for feature in view.windowed if feature.source == table]


def _literal(time: datetime) -> pl.Expr:
    return pl.lit(time, dtype=INSTANT)
