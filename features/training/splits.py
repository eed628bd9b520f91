"""Splits of a training set into train, validation and test, by time or by entity, refused where they would leak."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from typing import Any

import numpy as np
import polars as pl

from assay.errors import AssayError
from assay.features.training.entity_places import places_of, refuse_nobody
from assay.features.training.leaks import (
    LEFT_OUT,
    Numbers,
    in_order,
    instant_text,
    leave_out,
    refuse_late_labels,
    refuse_shared_entities,
    refuse_windows,
)
from assay.features.training.lookback import Lookback
from assay.features.training.rows import LoadedRows
from assay.features.training.split import TEST, TRAIN, VALIDATION, Split, made_split, refuse_empty
from assay.features.training.split_data import Columns, Duration, SplitData, columns_of, given_arguments, span_of
from assay.features.views.timestamps import microseconds, utc

LATEST = "latest"

Boundary = date | datetime | str


def split_rows(
    rows: LoadedRows,
    lookbacks: Sequence[Lookback],
    *,
    by_time: Boundary | Sequence[Boundary] | None = None,
    by_entity: Columns | None = None,
    by_column: str | None = None,
    test: float | None = None,
    validation: float | None = None,
    embargo: Duration | None = None,
    lookback: Duration | None = None,
    label_known: str | None = None,
    purge: bool = False,
    shared: Columns = (),
    seed: int = 0,
) -> Split:
    """Cut a training set. For the arguments see `TrainingSetVersion.split`."""
    where = f"Split of {rows.id}"
    if by_time is None and by_entity is None and by_column is None:
        raise AssayError(f"{where}: say how: by_time='2026-09-01', by_entity='customer_id', or by_column='part'.")
    if by_column is not None and (by_time is not None or by_entity is not None):
        raise AssayError(f"{where}: by_column says which part each row is in; leave by_time and by_entity out.")
    keys, common = columns_of(by_entity), columns_of(shared)
    data = SplitData.of(rows, lookbacks, where, keys, common, label_known, lookback, by_column)
    span = span_of(embargo, f"{where}: embargo")
    out: dict[str, int] = {}
    arguments: dict[str, Any] = {}
    boundaries: list[int] = []
    if by_column is not None:
        names, parts = _by_column(data.frame[by_column], where)
        arguments["by_column"] = by_column
    else:
        names = [TRAIN, VALIDATION, TEST] if validation or _count(by_time) == 2 else [TRAIN, TEST]
        parts = np.zeros(data.frame.height, dtype=np.int8)
    if by_time is not None:
        boundaries = _boundaries(by_time, data.times, test, validation, where)
        parts = np.searchsorted(np.array(boundaries), data.times, side="right").astype(np.int8)
        arguments["by_time"] = [instant_text(item) for item in boundaries]
        _embargo(parts, data.times, boundaries, microseconds(span), out)
    if by_entity is not None:
        sides = _by_entity(data.frame, keys, names, test, validation, seed, where)
        arguments |= {"by_entity": list(keys), "test": test, "seed": seed}
        arguments |= {"validation": validation} if validation else {}
        if by_time is not None:
            leave_out(parts, (parts != sides) & (parts != LEFT_OUT), "entity", out)
        else:
            parts = sides
    ordered = by_time is not None or (by_column is not None and in_order(data.times, parts, len(names)))
    if ordered:
        ends = boundaries or [int(data.times[parts == later].min()) for later in range(1, len(names))]
        _labels(where, data, parts, names, ends, purge=purge, out=out)
    refuse_empty(where, parts, names)
    if ordered:
        refuse_windows(where, parts, data.times, names, data.frame, data.lookbacks)
    else:
        refuse_shared_entities(where, parts, names, data.frame, data.owners())
    arguments |= given_arguments(embargo, lookback, data.label_known, purge, common)
    return made_split(rows, data, names, parts, arguments, out)


def _count(by_time: Boundary | Sequence[Boundary] | None) -> int:
    return len(by_time) if isinstance(by_time, Sequence) and not isinstance(by_time, str) else 1


def _boundaries(
    by_time: Boundary | Sequence[Boundary], times: Numbers, test: float | None, validation: float | None, where: str
) -> list[int]:
    """The first moments of the parts after the first one, in µs."""
    if by_time == LATEST:
        shares = _shares(test, validation, where)
        ordered = np.sort(times)
        if not len(ordered):
            raise AssayError(f"{where}: the training set has no rows.")
        held, last = round(len(ordered) * sum(shares)), round(len(ordered) * shares[-1])
        cuts = [ordered[len(ordered) - max(number, 1)] for number in ((held, last) if len(shares) > 1 else (held,))]
        return [int(cut) for cut in cuts]
    if isinstance(by_time, Sequence) and not isinstance(by_time, str):
        moments = [_moment(item, where) for item in by_time]
        if len(moments) not in (1, 2) or sorted(set(moments)) != moments:
            raise AssayError(f"{where}: by_time takes one boundary, or two of which the second is later.")
        return moments
    return [_moment(by_time, where)]


def _moment(value: Boundary, where: str) -> int:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value) if len(value) > len("2026-01-31") else date.fromisoformat(value)
        except ValueError:
            raise AssayError(
                f"{where}: by_time {value!r} is no day or moment: write '2026-09-01', '2026-09-01T12:00:00Z', or "
                f"by_time='{LATEST}', test=0.2."
            ) from None
    if not isinstance(value, datetime):
        value = datetime.combine(value, time(), UTC)
    return microseconds(utc(value, f"{where}: by_time") - datetime(1970, 1, 1, tzinfo=UTC))


def _shares(test: float | None, validation: float | None, where: str) -> list[float]:
    shares = [*([validation] if validation else []), test if test is not None else 0.0]
    if test is None or not all(0 < share < 1 for share in shares) or sum(shares) >= 1:
        raise AssayError(
            f"{where}: say which share is held back, e.g. test=0.2, validation=0.1 (together less than 1)."
        )
    return shares


def _by_column(column: pl.Series, where: str) -> tuple[list[str], Numbers]:
    values = set(column.cast(pl.String).to_list())
    if not {TRAIN, TEST} <= values or not values <= {TRAIN, VALIDATION, TEST, None}:
        raise AssayError(
            f"{where}: column {column.name!r} must hold 'train', 'test', and perhaps 'validation'; null leaves a row out."
        )
    names = [name for name in (TRAIN, VALIDATION, TEST) if name in values]
    places = column.cast(pl.String).replace_strict(names, list(range(len(names))), default=LEFT_OUT)
    return names, places.cast(pl.Int8).to_numpy().copy()


def _by_entity(
    frame: pl.DataFrame,
    keys: Sequence[str],
    names: Sequence[str],
    test: float | None,
    validation: float | None,
    seed: int,
    where: str,
) -> Numbers:
    refuse_nobody(frame, keys, where)
    shares = _shares(test, validation, where)
    places = places_of(frame, keys, seed)
    parts = np.zeros(frame.height, dtype=np.int8)
    edge = 0.0
    for part, share in zip(range(len(names) - 1, 0, -1), reversed(shares), strict=True):
        parts[(places >= edge) & (places < edge + share)] = part
        edge += share
    return parts


def _embargo(parts: Numbers, times: Numbers, boundaries: Sequence[int], span: int, out: dict[str, int]) -> None:
    """Rows that are less than the embargo before a boundary are in no part."""
    for boundary in boundaries:
        leave_out(parts, (times < boundary) & (times >= boundary - span) & (parts != LEFT_OUT), "embargo", out)


def _labels(
    where: str,
    data: SplitData,
    parts: Numbers,
    names: Sequence[str],
    ends: Sequence[int],
    *,
    purge: bool,
    out: dict[str, int],
) -> None:
    """Rows whose label was known only after their part had ended are refused, or left out."""
    if data.known is None:
        return
    for part, end in enumerate(ends):
        late = (parts == part) & (data.known > end)
        if purge:
            leave_out(parts, late, "label", out)
        else:
            refuse_late_labels(where, int(late.sum()), names[part], end, data.label_known or "")
