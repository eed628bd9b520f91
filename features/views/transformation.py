"""What every engine of feature views offers, so that nothing else needs to know which engines there are.

A view is computed by a `Transformation`: row by row (`row_wise`), over time windows (`windows`), or by one of your own.
The pipeline step, the as-of join, training sets, traces and column lineage use these methods and what they record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol, Self

import polars as pl

from assay.features.views.columns import ColumnLineage
from assay.features.views.entity import Entity
from assay.features.views.timestamps import INSTANT, microseconds


@dataclass(frozen=True, slots=True)
class RowsRead:
    """Which rows of a table a feature row at time t is computed from, besides having the same entity keys.

    Args:
        table: The table that is read.
        time: Its column with the event time; None: all rows of the entity.
        width: The rows with `time` in `[t − width, t)`; None: the row with `time` equal to t.
    """

    table: str
    time: str | None = None
    width: timedelta | None = None

    def condition(self, moment: datetime) -> pl.Expr:
        """The condition on the table's rows for the feature row at `moment`, without that on the keys."""
        if self.time is None:
            return pl.lit(True)
        time, end = pl.col(self.time), pl.lit(moment, dtype=INSTANT)
        return time == end if self.width is None else (time >= end - self.width) & (time < end)

    def reason(self, view: str, keys: Sequence[str], moment: datetime) -> str:
        """Why a row is behind the feature row at `moment`, for people."""
        if self.time is None:
            return f"{', '.join(keys)} in {self.table} ({view})"
        if self.width is None:
            return f"the row of {view}"
        return f"{', '.join(keys)} within {self.width.days} days before {moment:%Y-%m-%d %H:%M} ({view})"

    def to_dict(self) -> dict[str, Any]:
        width = None if self.width is None else microseconds(self.width)
        return {"table": self.table, "time": self.time, "width_us": width}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> RowsRead:
        width = data["width_us"]
        return cls(data["table"], data["time"], None if width is None else timedelta(microseconds=width))


class Transformation(Protocol):
    """How the rows of a feature view are computed. Implementations are values: two that compute the same are alike."""

    def sources(self) -> tuple[str, ...]:
        """The tables it reads, in order of first use."""
        ...

    def lookback(self) -> timedelta:
        """How far before its own time a feature row reads; zero where it reads only rows of its own time."""
        ...

    def compute(self, frames: Mapping[str, pl.LazyFrame], at: Sequence[datetime] | datetime) -> pl.DataFrame:
        """The feature rows: the entity's keys, the view's event time (µs UTC), known time if declared, the features.

        Args:
            frames: A frame for each of `sources()`.
            at: The times that rows are computed for. Row-wise engines take their times from the rows instead.

        Raises:
            AssayError: If a table or column is missing or of the wrong type. The message quotes no cell.
        """
        ...

    def column_lineage(self) -> ColumnLineage:
        """The sources of every output column, keys and times included; `unknown` where they cannot be named."""
        ...

    def rows_read(self) -> tuple[RowsRead, ...]:
        """Which rows of its sources a feature row comes from; a source that is left out has none to show."""
        ...

    def definition(self) -> dict[str, Any]:
        """Everything that decides the values, as JSON. `features` is a list of objects with at least a `name`; a `sha256`
        identifies what computes that feature."""
        ...


class ViewDeclaration(Protocol):
    """What a feature view declares besides its features: the part that engines need."""

    @property
    def name(self) -> str: ...
    @property
    def entity(self) -> Entity: ...
    @property
    def event_time(self) -> str: ...
    @property
    def known_time(self) -> str | None: ...
    @property
    def source(self) -> str | None: ...
    @property
    def step(self) -> timedelta: ...


class FeatureDeclaration(Protocol):
    """A declared feature, which names the engine that computes it together with the others of its view."""

    @property
    def name(self) -> str: ...

    @classmethod
    def transformation(cls, view: ViewDeclaration, features: Sequence[Self]) -> Transformation:
        """The engine for these features of `view`. Raises AssayError if they do not fit the view or each other."""
        ...


def recorded_rows_read(view: Mapping[str, Any], serving: Mapping[str, Any]) -> tuple[RowsRead, ...]:
    """`rows_read()` of the view that a commit was computed with, from what that commit's metadata says of it."""
    if "rows_read" in view:
        return tuple(map(RowsRead.from_dict, view["rows_read"]))
    # Commits of the first format have only the definition, of a row-wise or a windowed view.
    reads: dict[str, RowsRead] = {}
    for feature in view.get("features", []):
        if "window_us" in feature:
            before = reads.get(feature["source"])
            width = max(timedelta(microseconds=feature["window_us"]), (before and before.width) or timedelta(0))
            reads[feature["source"]] = RowsRead(feature["source"], feature["time"], width)
    if view.get("source"):
        reads[view["source"]] = RowsRead(view["source"], serving["event_time"])
    return tuple(reads.values())
