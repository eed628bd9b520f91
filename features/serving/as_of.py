"""Point-in-time reads: for each row of a spine, the feature values that held at its time.

The value with the greatest event time ≤ the spine's time is served if it is at most `max_age` old (both inclusive); ties
go to the later known time, then to the later row. From a row on that says that its key was deleted there is no value, until the
key is there again. Training (`point_in_time_join`) and serving (`latest`) share one search, so
that they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import polars as pl

from assay.errors import AssayError
from assay.features.serving.join_options import JoinOptions, KnownAt
from assay.features.serving.spine_frame import SpineFrame, spine_frame
from assay.features.serving.view_read import ViewRead, key_types
from assay.features.views.columns import require_columns
from assay.features.views.timestamps import INSTANT, instant, utc
from assay.own_columns import CHANGE, DELETE

_Ints = npt.NDArray[np.int64]

# Internal columns; features begin with a letter, so the names cannot collide.
_CODE, _TIME, _KNOWN, _POSITION, _GONE = "__code", "__time", "__known", "__position", "__gone"
_ROW = "__row"

_NULL = np.iinfo(np.int64).min  # sorts before every instant and every position


@dataclass(frozen=True, slots=True, eq=False)
class _Spine:
    """Who is asked for and when: a code per row (−1: no such entity), µs since the epoch, and the keys of each code."""

    code: _Ints
    time: _Ints
    entities: pl.DataFrame


def point_in_time_join(
    spine: SpineFrame,
    views: Sequence[ViewRead],
    *,
    event_time: str = "event_time",
    known_at: KnownAt = "event",
    skip_nulls: bool = False,
) -> pl.DataFrame:
    """The spine, row for row and in its order, with the views' features as of its `event_time`, which becomes µs UTC.

    Without a value (unknown or null key, null time, nothing early enough, too old) a feature is null.

    Args:
        spine: One row per question: the entities' keys and `event_time`. A frame of Polars, lazy or not, of pandas, or
            anything else that gives Arrow; what comes back is of Polars.
        views: What to join, each with its rows, keys and times.
        event_time: The spine's column with the time.
        known_at: "event", or "known": a row must also have been known at the spine's time; rows without a known time are
            then left out. A view's own goes first.
        skip_nulls: Each feature takes its latest value that is not null, if that is young enough. Otherwise nulls are values.
            A view's own goes first.

    Raises:
        AssayError: A column is missing or has the wrong type, times are naive, text or ns, column names collide, or an option
            is none.
    """
    JoinOptions(known_at, skip_nulls, event_time)  # refuses what is none
    rows = spine_frame(spine, event_time)
    rows = rows.with_columns(instant(rows.schema, event_time, "the spine").alias(event_time))
    _refuse_collisions(rows.columns, views)
    spines: dict[tuple[str, ...], _Spine] = {}
    columns: list[pl.Series] = []
    for view in views:
        types = key_types(view.name, view.serving, view.rows, rows.schema, view.keys)
        identity = (*view.spine_keys, *map(str, types))
        if identity not in spines:  # views that share their keys share the encoding
            spines[identity] = _encode(rows, view.spine_keys, types, event_time)
        columns += _values(view, spines[identity], *_ways(view, known_at, skip_nulls))
    return rows.with_columns(columns)


def latest(
    view: ViewRead, keys: pl.DataFrame, at: datetime, *, known_at: KnownAt = "event", skip_nulls: bool = False
) -> pl.DataFrame:
    """The features of each row of `keys` as of `at`, by the rule of `point_in_time_join`, in the order given.

    Adds `<view>.event_time` (when the value held from; also for expired ones) and `<view>.state`: `present`, `missing`
    (no value at or before `at`, or a null key) or `expired` (older than max_age; the features are null). They are those of
    the newest row, also where `skip_nulls` takes a feature from an earlier one.
    """
    JoinOptions(known_at, skip_nulls)
    known_at, skip_nulls = _ways(view, known_at, skip_nulls)
    time_column, state_column = f"{view.name}.event_time", f"{view.name}.state"
    _refuse_collisions([*keys.columns, time_column, state_column], [view])
    rows = keys.with_columns(pl.lit(utc(at, "at"), dtype=INSTANT).alias(_TIME))
    types = key_types(view.name, view.serving, view.rows, keys.schema, view.keys, called="what was asked for")
    spine = _encode(rows, view.spine_keys, types, _TIME)
    values = _read(view, spine, known_at, bounded=False)
    row = _in_state(view, values, _search(values, spine, known_at), spine)
    alive = _is_alive(values, row, spine, view.serving.max_age_us)
    state = np.where(row < 0, "missing", np.where(alive, "present", "expired"))
    return keys.with_columns(
        *_taken(view, values, row, spine, known_at, skip_nulls),
        *_gather(values, row, {_TIME: time_column}),
        pl.Series(state_column, state, dtype=pl.String),
    )


def _values(view: ViewRead, spine: _Spine, known_at: KnownAt, skip_nulls: bool) -> list[pl.Series]:
    if not view.repeatable or skip_nulls:
        rows = _read(view, spine, known_at, bounded=True)
        row = _in_state(view, rows, _search(rows, spine, known_at), spine)
        return _taken(view, rows, row, spine, known_at, skip_nulls)
    # First the keys and times alone; then, of the other columns, the rows that answer.
    rows = _read(view, spine, known_at, bounded=True, numbered=True)
    row = _in_state(view, rows, _search(rows, spine, known_at), spine)
    row = np.where(_is_alive(rows, row, spine, view.serving.max_age_us), row, -1)
    answering = np.unique(row[row >= 0])
    numbers = rows.select(pl.col(_ROW).gather(answering))
    del rows
    values = (
        view.rows.filter(_possible(view, spine, known_at, bounded=True))
        .select(pl.col(feature).alias(output) for feature, output in view.outputs().items())
        .with_row_index(_ROW)
        .join(numbers.lazy(), on=_ROW, how="semi")
        .collect(engine="streaming")
        .sort(_ROW)
    )
    found = np.where(row >= 0, np.searchsorted(answering, row), -1)
    return _gather(values, found, {output: output for output in view.outputs().values()})


def _taken(
    view: ViewRead, rows: pl.DataFrame, newest: _Ints, spine: _Spine, known_at: KnownAt, skip_nulls: bool
) -> list[pl.Series]:
    """The features by the newest row of each spine row, or by the newest in which they are not null."""
    outputs = view.outputs()
    gappy = {feature for feature in outputs if skip_nulls and rows[feature].null_count()}
    row = np.where(_is_alive(rows, newest, spine, view.serving.max_age_us), newest, -1)
    columns: list[pl.Series] = []
    for feature, output in outputs.items():
        if feature in gappy:
            filled = rows.filter(pl.col(feature).is_not_null() | _gone(rows))
            found = _search(filled, spine, known_at)
            alive = _is_alive(filled, found, spine, view.serving.max_age_us)
            if view.states:
                alive &= row >= 0
            columns += _gather(filled, np.where(alive, found, -1), {feature: output})
        else:
            columns += _gather(rows, row, {feature: output})
    return columns


def _encode(rows: pl.DataFrame, keys: Sequence[str], types: Sequence[pl.DataType], time: str) -> _Spine:
    """Gives each distinct key (of the view's types) a number, so that the search compares integers."""
    times = rows[time]
    if keys:
        wanted = rows.select(
            pl.col(key).cast(dtype, strict=False).alias(name)
            for key, dtype, name in zip(keys, types, _key_names(keys), strict=True)
        )
        entities = wanted.drop_nulls().unique().with_row_index(_CODE)
        code = wanted.join(entities, on=wanted.columns, how="left", maintain_order="left")[_CODE]
    else:  # one stream of rows for all
        entities = pl.DataFrame({_CODE: [0]}, schema={_CODE: pl.UInt32})
        code = pl.repeat(0, rows.height, dtype=pl.UInt32, eager=True)
    usable = code.is_not_null() & times.is_not_null()
    return _Spine(np.where(usable.to_numpy(), _integers(code), -1), _integers(times), entities)


def _ways(view: ViewRead, known_at: KnownAt, skip_nulls: bool) -> tuple[KnownAt, bool]:
    """How a view is joined: as it says itself, or else as the join does."""
    return view.known_at or known_at, skip_nulls if view.skip_nulls is None else view.skip_nulls


def _possible(view: ViewRead, spine: _Spine, known_at: KnownAt, *, bounded: bool) -> list[pl.Expr]:
    """Which rows of the view could answer the spine by their times: not after its last one, nor too old for its first.
    `bounded=False` keeps the too old ones, to tell expired from missing."""
    serving, where = view.serving, f"the table of view {view.name!r}"
    schema = view.rows.collect_schema()
    time = instant(schema, serving.event_time, where)
    asked = spine.time[spine.code >= 0]
    keep = [time <= _instant_literal(asked.max())] if len(asked) else [pl.lit(False)]
    if bounded and len(asked) and serving.max_age_us is not None:
        keep.append(time >= _instant_literal(asked.min() - serving.max_age_us))
    if known_at == "known" and serving.known_time is not None:
        keep.append(instant(schema, serving.known_time, where).is_not_null())
    return keep


def _read(view: ViewRead, spine: _Spine, known_at: KnownAt, *, bounded: bool, numbered: bool = False) -> pl.DataFrame:
    """The view's rows that could answer the spine, of its entities, with the features; or `numbered` instead, in the order in
    which they are read. One scan has both, where the order of a frame is not repeatable.
    """
    serving, where = view.serving, f"the table of view {view.name!r}"
    schema = view.rows.collect_schema()
    require_columns(schema, list(view.outputs()), f"{where} (a pin selects data, never shape)")
    time = instant(schema, serving.event_time, where)
    keys = _key_names(serving.keys)
    columns = [
        pl.col(key).cast(spine.entities.schema[name]).alias(name) for key, name in zip(serving.keys, keys, strict=True)
    ]
    columns += [time.alias(_TIME), *([] if numbered else map(pl.col, view.outputs()))]
    if serving.known_time is not None:
        known = instant(schema, serving.known_time, where)
        columns.append(known.alias(_KNOWN))
    elif known_at == "known":
        raise AssayError(
            f"view {view.name!r} records no known time, so known_at='known' cannot be answered: "
            "declare known_time in the view, or join by event time"
        )
    if view.position is not None:
        columns.append(_position(schema, view.position, where))
    if CHANGE in schema:
        columns.append(pl.col(CHANGE).eq_missing(DELETE).alias(_GONE))
    rows = view.rows.filter(_possible(view, spine, known_at, bounded=bounded)).select(columns)
    if numbered:
        rows = rows.with_row_index(_ROW)
    if not keys:
        return rows.with_columns(pl.lit(0, pl.UInt32).alias(_CODE)).collect()
    return rows.join(spine.entities.lazy(), on=keys, how="inner", maintain_order="left").drop(keys).collect()


def _search(rows: pl.DataFrame, spine: _Spine, known_at: KnownAt) -> _Ints:
    """For each spine row the number of the row that holds at its time, whatever its age; −1 if none, or if its key is deleted.

    A row counts from the moment it is *available*: its event time, or the later of event and known time. Per entity, in
    order of availability, the running maximum over (event time, known time, position) is the answer from that moment on,
    so one binary search finds it: O((n + m) log n).
    """
    code, time = _integers(rows[_CODE]), _integers(rows[_TIME])
    ties = [_integers(rows[column]) for column in (_POSITION, _KNOWN) if column in rows.columns]
    order = _ordered(code, time, ties)
    answer, available = order, time
    if known_at == "known":
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        available = np.maximum(time, _integers(rows[_KNOWN]))
        by_availability = np.lexsort((available, *_halves(code)))
        # Ranks grow with the entity, so the maximum never carries over from one entity to the next.
        answer = order[np.maximum.accumulate(rank[by_availability])]
        order = by_availability
    bounds = np.searchsorted(code[order], np.arange(spine.entities.height + 1))
    known_entity = spine.code >= 0
    first = np.where(known_entity, bounds[spine.code], 0)
    end = np.where(known_entity, bounds[np.minimum(spine.code + 1, spine.entities.height)], 0)
    last = _last_not_after(available[order], first, end, spine.time)
    hit = last >= first
    row = np.full(len(spine.code), -1)
    row[hit] = answer[last[hit]]
    if _GONE in rows.columns:
        there = np.flatnonzero(row >= 0)
        row[there[rows[_GONE].to_numpy()[row[there]]]] = -1
    return row


def _in_state(view: ViewRead, rows: pl.DataFrame, row: _Ints, spine: _Spine) -> _Ints:
    """The row numbers, −1 for a row that is not of the newest state at the spine's time: its key is not there any more."""
    if not view.states:
        return row
    there = np.flatnonzero(row >= 0)
    times = np.array(view.states, np.int64)
    newest = times[np.searchsorted(times, spine.time[there], side="right") - 1]
    found = row.copy()
    found[there[_integers(rows[_TIME])[row[there]] != newest]] = -1
    return found


def _gone(rows: pl.DataFrame) -> pl.Expr:
    return pl.col(_GONE) if _GONE in rows.columns else pl.lit(False)


def _ordered(code: _Ints, time: _Ints, ties: Sequence[_Ints]) -> _Ints:
    """The row numbers by entity, time and `ties` (the last of which counts most), and where all are equal, by row."""
    if len(time):
        low = int(time.min())
        span = int(time.max()) - low + 1
        if (int(code.max()) + 1) * span <= np.iinfo(np.int64).max:  # one number for both sorts twice as fast
            both = code * span + (time - low)
            return np.lexsort((*ties, both)) if ties else np.argsort(both, kind="stable")
    return np.lexsort((*ties, time, *_halves(code)))


def _halves(code: _Ints) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint16]]:
    """Low and high 16 bits, less significant first: NumPy sorts integers this small by radix, in linear time."""
    return (code & 0xFFFF).astype(np.uint16), (code >> 16).astype(np.uint16)


def _last_not_after(values: _Ints, first: _Ints, end: _Ints, limits: _Ints) -> _Ints:
    """Per element, the last index in [first, end) whose value is ≤ limit, or first − 1: all binary searches at once."""
    low, high = first.copy(), end.copy()
    while (unfinished := np.flatnonzero(low < high)).size:
        middle = (low[unfinished] + high[unfinished]) >> 1
        passed = values[middle] <= limits[unfinished]
        low[unfinished[passed]] = middle[passed] + 1
        high[unfinished[~passed]] = middle[~passed]
    return low - 1


def _is_alive(rows: pl.DataFrame, row: _Ints, spine: _Spine, max_age: int | None) -> npt.NDArray[np.bool_]:
    is_alive = row >= 0
    alive = is_alive.copy()
    if max_age is not None:
        alive[is_alive] = spine.time[is_alive] - _integers(rows[_TIME])[row[is_alive]] <= max_age
    return alive


def _gather(rows: pl.DataFrame, row: _Ints, outputs: Mapping[str, str]) -> list[pl.Series]:
    """The named columns at the row numbers, null at −1."""
    indices = pl.Series(row)
    indices = indices.set(indices < 0, None)
    return [rows[column].gather(indices).alias(output) for column, output in outputs.items()]


def _position(schema: Mapping[str, pl.DataType], column: str, where: str) -> pl.Expr:
    require_columns(schema, [column], where)
    if not schema[column].is_integer():
        raise AssayError(f"{where}: position column {column!r} is {schema[column]}; it must be an integer")
    return pl.col(column).alias(_POSITION)


def _refuse_collisions(taken: Sequence[str], views: Sequence[ViewRead]) -> None:
    seen = dict.fromkeys(taken, "the spine")
    for view in views:
        for feature, output in view.outputs().items():
            if output in seen:
                raise AssayError(
                    f"feature {feature!r} of view {view.name!r} would be column {output!r}, which {seen[output]} already has: "
                    "give the view a prefix, or the feature another output name"
                )
            seen[output] = f"view {view.name!r}"


def _key_names(keys: Sequence[str]) -> list[str]:
    return [f"__key{number}" for number in range(len(keys))]


def _integers(column: pl.Series) -> _Ints:
    return column.to_physical().cast(pl.Int64).fill_null(_NULL).to_numpy()


def _instant_literal(microseconds: int) -> pl.Expr:
    return pl.lit(int(microseconds)).cast(INSTANT)
