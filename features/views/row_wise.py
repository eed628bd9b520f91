"""Row-wise features: each row of one table gives one feature row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from assay.errors import AssayError
from assay.features.views.columns import ColumnLineage, require_columns
from assay.features.views.expressions import check_feature, describe_feature, is_elementwise, root_columns
from assay.features.views.timestamps import instant
from assay.features.views.transformation import RowsRead, ViewDeclaration
from assay.own_columns import CHANGE, DELETE


@dataclass(frozen=True, slots=True, eq=False)
class Feature:
    """One value per row of the view's source table. `expr` may look at its own row only.

    Anything that looks at other rows (sums, ranks, shifts, `over`) is refused: over a whole table it would mix in the
    future. Windows are made for that (see `windows`).

    Args:
        name: The column's name: letters, digits and underscores, beginning with a letter.
        expr: A Polars expression over the columns of the source table, without Python functions.
        description: One sentence for people; it decides nothing.
        unit: What it is counted in, for people: "EUR", "characters"; it decides nothing.
        deprecated: What to use instead, and since when: whoever asks for the feature is warned. It decides nothing.

    Raises:
        AssayError: For a name that cannot be used, a constant, or an expression that looks at other rows.
    """

    name: str
    expr: pl.Expr
    description: str = ""
    unit: str = ""
    deprecated: str = ""

    def __post_init__(self) -> None:
        where = check_feature(self.name, self.expr)
        if not is_elementwise(self.expr):
            raise AssayError(
                f"{where} looks at other rows than its own, which would mix in the future: "
                "declare it as a windowed feature (see `windows`)"
            )

    @classmethod
    def transformation(cls, view: ViewDeclaration, features: Sequence[Feature]) -> RowWise:
        if not view.source:
            raise AssayError(f"view {view.name!r}: name the table it reads, e.g. source='clean/tickets'")
        keys = tuple(view.entity.keys)
        return RowWise(view.name, keys, view.event_time, view.source, tuple(features), view.known_time)


@dataclass(frozen=True, slots=True, eq=False)
class RowWise:
    """The engine of row-wise views: implements `Transformation`."""

    view: str
    keys: tuple[str, ...]
    event_time: str
    source: str
    features: tuple[Feature, ...]
    known_time: str | None = None

    def sources(self) -> tuple[str, ...]:
        return (self.source,)

    def lookback(self) -> timedelta:
        return timedelta(0)

    def compute(self, frames: Mapping[str, pl.LazyFrame], at: Sequence[datetime] | datetime = ()) -> pl.DataFrame:
        del at  # each row has its own time
        if self.source not in frames:
            raise AssayError(
                f"view {self.view!r} reads table {self.source!r}, which was not given; given: {sorted(frames)}"
            )
        return compute_rows(self, frames[self.source]).collect()

    def column_lineage(self) -> ColumnLineage:
        lineage: ColumnLineage = {
            name: {"direct": [(self.source, name)], "indirect": []} for name in (*self.keys, *self._times())
        }
        chosen = [(self.source, name) for name in (*self.keys, self.event_time)]
        for feature in self.features:
            names = root_columns(feature.expr)
            parsed = names is not None
            lineage[feature.name] = (
                {"direct": [(self.source, name) for name in names], "indirect": list(chosen)} if parsed else "unknown"
            )
        return lineage

    def rows_read(self) -> tuple[RowsRead, ...]:
        return (RowsRead(self.source, self.event_time),)

    def definition(self) -> dict[str, Any]:
        features = [describe_feature(feature.name, feature.expr) for feature in self.features]
        return {"source": self.source, "every_us": None, "features": features}

    def _times(self) -> list[str]:
        return [time for time in (self.event_time, self.known_time) if time is not None]


def compute_rows(rows: RowWise, frame: pl.LazyFrame) -> pl.LazyFrame:
    """The feature rows of a row-wise view: keys, event time (µs UTC), known time if declared, then features. Of a table that
    holds changes they say what became of each row: a deleted one has no values.

    Raises AssayError if a column is missing or a timestamp does not say which instant it is.
    """
    schema = frame.collect_schema()
    where = f"view {rows.view!r} reads table {rows.source!r}, which"
    read = [column for feature in rows.features for column in root_columns(feature.expr) or ()]
    require_columns(schema, [*rows.keys, *read], where)
    values = [feature.expr.alias(feature.name) for feature in rows.features]
    changes = [pl.col(CHANGE)] if CHANGE in schema else []
    if changes:
        values = [pl.when(pl.col(CHANGE).ne_missing(DELETE)).then(value) for value in values]
    return frame.select(
        *(pl.col(key) for key in rows.keys),
        *(instant(schema, time, where).alias(time) for time in rows._times()),
        *changes,
        *values,
    )
