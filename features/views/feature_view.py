"""Feature views: which values describe an entity over event time, declared as named Polars expressions.

A view is *row-wise* (each row of one table gives one feature row) or *windowed* (aggregates over the last days of one or
more event tables). Everything that can be wrong about a declaration is refused where it is written, not where it runs.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

import polars as pl

from assay.errors import AssayError
from assay.features.views.expressions import (
    check_expression,
    expression_digest,
    is_aggregation,
    is_elementwise,
    reads_data,
    root_columns,
)
from assay.features.views.timestamps import format_duration, instant, microseconds, parse_duration

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")

ColumnLineage = dict[str, dict[str, list[tuple[str, str]]] | Literal["unknown"]]


@dataclass(frozen=True, slots=True)
class Entity:
    """What features describe, and the columns that identify it: `Entity("customer", ["customer_id"])`."""

    name: str
    keys: Sequence[str]

    def __post_init__(self) -> None:
        _check_name(self.name, "entity")
        if isinstance(self.keys, str) or not self.keys:
            raise AssayError(f"entity {self.name!r}: keys must be a list of column names, e.g. ['customer_id']")
        object.__setattr__(self, "keys", tuple(self.keys))
        _refuse_repeats(self.keys, f"entity {self.name!r}", "key")


@dataclass(frozen=True, slots=True, eq=False)
class Feature:
    """One value per row of the view's source table. `expr` may look at its own row only.

    Anything that looks at other rows (sums, ranks, shifts, `over`) is refused: over a whole table it would mix in the
    future. That is what windows are for.
    """

    name: str
    expr: pl.Expr
    description: str = ""

    def __post_init__(self) -> None:
        where = _check_feature(self.name, self.expr)
        if not is_elementwise(self.expr):
            raise AssayError(
                f"{where} looks at other rows than its own, which would mix in the future: "
                "declare it as a windowed feature (see `windows`)"
            )


@dataclass(frozen=True, slots=True, eq=False)
class Windowed:
    """An aggregation over the events of `source` in the half-open window `[t − window, t)` of column `time`."""

    name: str
    expr: pl.Expr
    window: timedelta | str
    source: str
    time: str

    def __post_init__(self) -> None:
        where = _check_feature(self.name, self.expr)
        if not is_aggregation(self.expr):
            raise AssayError(f"{where} is not an aggregation: end it with .sum(), .mean(), .max() or the like")
        parse_duration(self.window, f"{where}: window")
        if not self.source or not self.time:
            raise AssayError(f"{where} must name its source table and the column with the event time")

    @property
    def width(self) -> timedelta:
        return parse_duration(self.window, f"feature {self.name!r}: window")


def windows(
    over: Sequence[timedelta | str], *, source: str, time: str, **aggregations: pl.Expr
) -> tuple[Windowed, ...]:
    """Every aggregation over every window, named `<aggregation>_<window>`.

    `windows(["1d", "7d"], source="clean/tickets", time="created_at", tickets=pl.len())` gives `tickets_1d`, `tickets_7d`.
    """
    if isinstance(over, str) or not over or not aggregations:
        raise AssayError("windows: give a list of windows, e.g. ['1d', '7d'], and at least one aggregation by name")
    return tuple(
        Windowed(f"{name}_{format_duration(window)}", expr, window, source, time)
        for name, expr in aggregations.items()
        for window in over
    )


@dataclass(frozen=True, slots=True)
class Serving:
    """What a reader must know to serve a view, without the code that made it. Travels in Delta commit metadata."""

    entity: str
    keys: tuple[str, ...]
    event_time: str
    known_time: str | None = None
    max_age_us: int | None = None

    def to_dict(self) -> dict[str, Any]:
        return {
            "entity": self.entity,
            "keys": list(self.keys),
            "event_time": self.event_time,
            "known_time": self.known_time,
            "max_age_us": self.max_age_us,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Serving:
        try:
            return cls(
                entity=data["entity"],
                keys=tuple(data["keys"]),
                event_time=data["event_time"],
                known_time=data["known_time"],
                max_age_us=data["max_age_us"],
            )
        except KeyError as missing:
            raise AssayError(
                f"serving description without {missing}: the table was not written as a feature view by this version of "
                "assay; materialise the view again"
            ) from None


@dataclass(frozen=True, slots=True, eq=False)
class FeatureView:
    """Features of one entity over event time.

    `source` is the table a row-wise view reads; windowed features name their own. `event_time` is the source's column
    for a row-wise view and the output's column for a windowed one. `max_age` is how long a value may be served
    (inclusive; None: for ever). `known_time` names the source's column that says when a row became known. `every` is the
    step between two rows of a windowed view.
    """

    name: str
    entity: Entity
    event_time: str
    features: Sequence[Feature] | Sequence[Windowed]
    source: str | None = None
    max_age: timedelta | str | None = None
    known_time: str | None = None
    every: timedelta | str = "1d"
    owner: str = ""
    description: str = ""
    version: str = "1"

    def __post_init__(self) -> None:
        where = f"view {self.name!r}"
        _check_name(self.name, "view")
        object.__setattr__(self, "features", tuple(self.features))
        kinds = {type(feature) for feature in self.features}
        if kinds != {Feature} and kinds != {Windowed}:
            raise AssayError(f"{where}: features must be all Feature or all Windowed, and at least one; split the view")
        columns = [*self.entity.keys, self.event_time, *([self.known_time] if self.known_time else [])]
        _refuse_repeats([*columns, *(feature.name for feature in self.features)], where, "column or feature")
        if self.is_windowed and self.source is not None:
            raise AssayError(f"{where}: windowed features name their own source; leave the view's source out")
        if self.is_windowed and self.known_time is not None:
            raise AssayError(f"{where}: a windowed view has no known time; its rows are computed, not received")
        times = {(feature.source, feature.time) for feature in self.windowed}
        if len(times) > len({table for table, _ in times}):
            raise AssayError(f"{where}: features of one table must share its time column; split the view")
        if not self.is_windowed and not self.source:
            raise AssayError(f"{where}: name the table it reads, e.g. source='clean/tickets'")
        if self.max_age is not None:
            parse_duration(self.max_age, f"{where}: max_age")
        parse_duration(self.every, f"{where}: every")

    @property
    def is_windowed(self) -> bool:
        return isinstance(self.features[0], Windowed)

    @property
    def windowed(self) -> tuple[Windowed, ...]:
        return tuple(feature for feature in self.features if isinstance(feature, Windowed))

    @property
    def step(self) -> timedelta:
        return parse_duration(self.every, f"view {self.name!r}: every")

    def sources(self) -> tuple[str, ...]:
        """The tables the view reads, in order of first use."""
        return (self.source,) if self.source else tuple(dict.fromkeys(feature.source for feature in self.windowed))

    def lookback(self) -> timedelta:
        """How far before its own time a feature row reads: the longest window, or nothing for a row-wise view."""
        return max((feature.width for feature in self.windowed), default=timedelta(0))

    def column_lineage(self) -> ColumnLineage:
        """Per column: the source columns its value comes from (`direct`) and those that choose rows (`indirect`).

        `unknown` where an expression selects columns by type or pattern, since its names do not say which.
        """
        lineage = self._identity_lineage()
        for feature in self.features:
            windowed = isinstance(feature, Windowed)
            table = feature.source if windowed else (self.source or "")
            time = feature.time if windowed else self.event_time
            names = root_columns(feature.expr)
            lineage[feature.name] = (
                "unknown"
                if names is None
                else {
                    "direct": [(table, name) for name in names],
                    "indirect": [(table, name) for name in (*self.entity.keys, time)],
                }
            )
        return lineage

    def _identity_lineage(self) -> ColumnLineage:
        """Of the keys and times. A row-wise view takes them from its row; a windowed one has a row wherever some table has
        an event in a window, at times that come from no table."""
        keys = self.entity.keys
        if not self.is_windowed:
            names = [*keys, *(time for time in (self.event_time, self.known_time) if time is not None)]
            return {name: {"direct": [(self.source or "", name)], "indirect": []} for name in names}
        times = {feature.source: feature.time for feature in self.windowed}
        chosen = [(table, name) for table, time in times.items() for name in (*keys, time)]
        lineage: ColumnLineage = {
            key: {"direct": [(table, key) for table in times], "indirect": chosen} for key in keys
        }
        return lineage | {self.event_time: {"direct": [], "indirect": chosen}}

    def serving(self) -> dict[str, Any]:
        """What `Serving.from_dict` needs to serve the written table without this declaration."""
        age = None if self.max_age is None else microseconds(parse_duration(self.max_age, "max_age"))
        return Serving(self.entity.name, tuple(self.entity.keys), self.event_time, self.known_time, age).to_dict()

    def definition(self) -> dict[str, Any]:
        """Everything that decides the view's values, as JSON. Owner and description do not.

        `text` is for people: Polars' text leaves out parameters (`rolling_mean(3)` and `rolling_mean(5)` read the
        same), so identity is the digest of the whole serialised expression.
        """
        return {
            "name": self.name,
            "version": self.version,
            "serving": self.serving(),
            "source": self.source,
            "every_us": microseconds(self.step) if self.is_windowed else None,
            "features": [_definition(feature) for feature in self.features],
        }

    def digest(self) -> str:
        """SHA-256 of the definition: the same in every process and on every machine that runs the same Polars release.

        A Polars upgrade may change it, which costs a recomputation and never reuses a stale value.
        """
        return hashlib.sha256(json.dumps(self.definition(), sort_keys=True).encode()).hexdigest()


def compute_rows(view: FeatureView, frame: pl.LazyFrame) -> pl.LazyFrame:
    """The feature rows of a row-wise view: keys, event time (µs UTC), known time if declared, then features.

    Raises AssayError if a column is missing or a timestamp does not say which instant it is.
    """
    if view.is_windowed:
        raise AssayError(f"view {view.name!r} is windowed: compute it with assay.features.views.windowed.aggregate")
    schema = frame.collect_schema()
    where = f"view {view.name!r} reads table {view.source!r}, which"
    read = [column for feature in view.features for column in root_columns(feature.expr) or ()]
    require_columns(schema, [*view.entity.keys, *read], where)
    times = [time for time in (view.event_time, view.known_time) if time is not None]
    return frame.select(
        *(pl.col(key) for key in view.entity.keys),
        *(instant(schema, time, where).alias(time) for time in times),
        *(feature.expr.alias(feature.name) for feature in view.features),
    )


def require_columns(schema: Mapping[str, pl.DataType], columns: Sequence[str], where: str) -> None:
    """Raises AssayError, naming `where`, unless every column is there."""
    missing = [column for column in dict.fromkeys(columns) if column not in schema]
    if missing:
        raise AssayError(f"{where} has no column {missing}; its columns are {sorted(schema)}")


def _definition(feature: Feature | Windowed) -> dict[str, Any]:
    definition: dict[str, Any] = {
        "name": feature.name,
        "text": str(feature.expr),
        "sha256": expression_digest(feature.expr),
    }
    if isinstance(feature, Windowed):
        definition |= {"window_us": microseconds(feature.width), "source": feature.source, "time": feature.time}
    return definition


def _check_feature(name: str, expr: pl.Expr) -> str:
    where = f"feature {name!r}"
    _check_name(name, "feature")
    if not reads_data(check_expression(expr, where)):
        raise AssayError(f"{where} reads no column: a constant is not a feature (count events with pl.len())")
    return where


def _check_name(name: str, what: str) -> None:
    if not _NAME.fullmatch(name):
        raise AssayError(f"{what} name {name!r}: use letters, digits and underscores, beginning with a letter")


def _refuse_repeats(names: Sequence[str], where: str, what: str) -> None:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise AssayError(f"{where}: {what} named twice: {repeated}; give each its own name")
