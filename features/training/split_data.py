"""What decides a split: times and keys of the rows, when their labels were known, and how far features look back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import polars as pl

from assay.errors import AssayError, nearest
from assay.features.training.leaks import Numbers, SplitLeaks
from assay.features.training.lookback import Lookback
from assay.features.training.rows import LoadedRows, time_of
from assay.features.views.timestamps import format_duration, instant, parse_duration

LABEL_KNOWN = "label_known"

Columns = str | Sequence[str]
Duration = timedelta | str


@dataclass(frozen=True, slots=True, eq=False)
class SplitData:
    """What decides a split: keys and times of the rows."""

    frame: pl.DataFrame
    times: Numbers
    known: Numbers | None
    label_known: str | None
    keys: tuple[str, ...]
    lookbacks: tuple[Lookback, ...]

    @classmethod
    def of(
        cls,
        rows: LoadedRows,
        lookbacks: Sequence[Lookback],
        where: str,
        keys: Sequence[str],
        shared: Sequence[str],
        label_known: str | None,
        lookback: Duration | None,
        by_column: str | None = None,
    ) -> SplitData:
        scanned, time = rows.scan(), time_of(rows)
        schema = scanned.collect_schema()
        if label_known is None and LABEL_KNOWN in schema:
            label_known = LABEL_KNOWN
        named = [name for name in (*keys, *shared, label_known, by_column) if name]
        for name in named:
            if name not in schema:
                raise AssayError(f"{where}: there is no column {name!r}.{nearest(name, schema)}")
        given = None if lookback is None else span_of(lookback, f"{where}: lookback")
        views = tuple(
            item if given is None else Lookback(item.view, item.keys, given)
            for item in lookbacks
            if not item.keys or not set(item.keys) <= set(shared)
        )
        wanted = dict.fromkeys([time, *named, *(key for item in views for key in item.keys)])
        selected = [instant(schema, name, where) if name in (time, label_known) else name for name in wanted]
        frame = scanned.select(selected).collect()
        if frame[time].null_count():
            raise AssayError(f"{where}: {frame[time].null_count():,} rows have no {time}.")
        known = None
        if label_known is not None:
            if unknown := frame[label_known].null_count():
                raise SplitLeaks(
                    f"{where}: of {unknown:,} rows it is not known when they got their label ({label_known} is null). "
                    "Leave them out of the spine, or fill the column.",
                    "label",
                )
            known = _epoch(frame[label_known])
        return cls(frame, _epoch(frame[time]), known, label_known, tuple(keys), views)

    def owners(self) -> Mapping[str, Sequence[str]]:
        """Columns that say who a row is about, by what they are the keys of."""
        views = {f"the key of view {item.view}": item.keys for item in self.lookbacks if item.keys}
        return ({"the entity of the split": self.keys} if self.keys else {}) | views


def columns_of(columns: Columns | None) -> tuple[str, ...]:
    return () if columns is None else (columns,) if isinstance(columns, str) else tuple(columns)


def span_of(value: Duration | None, what: str) -> timedelta:
    """A duration that may be nothing."""
    if value is None or value == timedelta(0) or value in ("0", "0d", "0h", "0s"):
        return timedelta(0)
    return parse_duration(value, what)


def given_arguments(
    embargo: Duration | None, lookback: Duration | None, label_known: str | None, purge: bool, shared: Sequence[str]
) -> dict[str, Any]:
    """The arguments that are there, as JSON."""
    spans = {"embargo": embargo, "lookback": lookback}
    given: dict[str, Any] = {
        name: format_duration(span_of(value, name)) or "0d" for name, value in spans.items() if value is not None
    }
    given |= {"label_known": label_known} if label_known else {}
    given |= {"purge": True} if purge else {}
    return given | ({"shared": list(shared)} if shared else {})


def _epoch(column: pl.Series) -> Numbers:
    return column.dt.epoch("us").to_numpy()
