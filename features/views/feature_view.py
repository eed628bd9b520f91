"""Feature views: which values describe an entity over event time, declared as named expressions or by an engine of one's own.

A view is *row-wise* (each row of one table gives one feature row), *windowed* (aggregates over the last days of one or
more event tables), or computed by any other `Transformation`. Everything that can be wrong about a declaration is refused
where it is written, not where it runs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from assay.errors import AssayError, refuse_case_twins
from assay.features.tables.kinds import Kind
from assay.features.tables.serving import Serving
from assay.features.views.columns import ColumnLineage
from assay.features.views.entity import Entity
from assay.features.views.names import check_name, refuse_repeats
from assay.features.views.sql import Sql, SqlTransformation
from assay.features.views.timestamps import microseconds, parse_duration
from assay.features.views.transformation import FeatureDeclaration, Transformation


@dataclass(frozen=True, slots=True, eq=False)
class FeatureView:
    """Features of one entity over event time.

    Args:
        name: The view's name: its table is `features/<name>`, its features are referred to as `<name>:<feature>`.
        entity: What the features describe; `Entity.none()` where the rows are the same for all (row-wise views only).
        event_time: The column with the time from which a row holds: the source's for a row-wise view, the output's for
            a windowed one.
        features: Declared features, all of one kind: `Feature` (row-wise) or `Windowed` (see `windows`).
        source: The table that a row-wise view reads, e.g. `clean/tickets`; windowed features name their own.
        max_age: How long a value may be served (inclusive): a timedelta or a text such as `"7d"`; None: for ever.
        known_time: The source's column that says when a row became known; row-wise views only.
        every: The step between two rows of a windowed view: a day and more give one row at the end of each partition, less
            than a day (`"1h"`) a row at each step of it.
        owner: Who answers for it.
        description: One sentence for people.
        version: Raise it when the same expressions are to count as other features.
        computed_by: The engine, instead of `features`: `Sql`, or any `Transformation`.

    Raises:
        AssayError: For a name that cannot be used or is used twice, features that do not fit together, a duration that
            is none.
    """

    name: str
    entity: Entity
    event_time: str
    features: Sequence[FeatureDeclaration] = ()
    source: str | None = None
    max_age: timedelta | str | None = None
    known_time: str | None = None
    every: timedelta | str = "1d"
    owner: str = ""
    description: str = ""
    version: str = "1"
    computed_by: Transformation | Sql | None = None
    transformation: Transformation = field(init=False, repr=False)

    def __post_init__(self) -> None:
        where = f"view {self.name!r}"
        check_name(self.name, "view")
        parse_duration(self.every, f"{where}: every")
        if self.max_age is not None:
            parse_duration(self.max_age, f"{where}: max_age")
        object.__setattr__(self, "features", tuple(self.features))
        object.__setattr__(self, "transformation", self._engine(where))
        if labels := [table for table in self.transformation.sources() if Kind.LABELS.holds(table)]:
            raise AssayError(
                f"{where} reads {labels[0]}: labels became known after the moments that they are about, so that features which "
                "are made from them would know the answer"
            )
        if not self.entity.keys and self.transformation.lookback():
            raise AssayError(f"{where}: windows are of an entity's events; give the view an entity with keys")
        times = [self.event_time, *([self.known_time] if self.known_time else [])]
        columns = [*self.entity.keys, *times, *self.feature_names]
        refuse_repeats(columns, where, "column or feature")
        refuse_case_twins(columns, where)

    def _engine(self, where: str) -> Transformation:
        if self.computed_by is not None:
            if self.features or self.source:
                raise AssayError(f"{where}: computed_by replaces features and source; leave them out")
            return self.computed_by.of_view(self) if isinstance(self.computed_by, Sql) else self.computed_by
        kinds = {type(feature) for feature in self.features}
        kind = kinds.pop() if len(kinds) == 1 else None
        if kind is None or not hasattr(kind, "transformation"):
            raise AssayError(f"{where}: features must be all Feature or all Windowed, and at least one; split the view")
        return kind.transformation(self, self.features)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the features, in order."""
        return tuple(feature["name"] for feature in self.transformation.definition()["features"])

    @property
    def table(self) -> str:
        """The table with its rows."""
        return Kind.FEATURES.table(self.name)

    @property
    def references(self) -> tuple[str, ...]:
        """References to its features, in order."""
        return tuple(f"{self.name}:{name}" for name in self.feature_names)

    @property
    def step(self) -> timedelta:
        """The time between two rows of a windowed view."""
        return parse_duration(self.every, f"view {self.name!r}: every")

    def sources(self) -> tuple[str, ...]:
        """The tables the view reads, in order of first use."""
        return self.transformation.sources()

    def lookback(self) -> timedelta:
        """How far before its own time a feature row reads: the longest window, or nothing for a row-wise view."""
        return self.transformation.lookback()

    def lookback_of(self, source: str) -> timedelta:
        """How far back it reads one of its tables: the longest window over that table, where the engine can tell."""
        of = getattr(self.transformation, "lookback_of", None)
        return of(source) if of is not None else self.lookback()

    def time_of(self, source: str) -> str | None:
        """The column of one of its tables by whose time the windows are cut; None where the engine does not tell one for all of
        the rows that it looks back at."""
        reads = [item for item in self.transformation.rows_read() if item.table == source]
        times = {item.time for item in reads}
        looks_back = all(item.width is not None and item.width <= self.lookback_of(source) for item in reads)
        return times.pop() if len(times) == 1 and looks_back else None

    def compute(self, frames: Mapping[str, pl.LazyFrame], at: Sequence[datetime] | datetime = ()) -> pl.DataFrame:
        """The feature rows: the entity's keys, event time (µs UTC), known time if declared, then the features.

        Args:
            frames: A frame for each table of `sources()`.
            at: The times that a windowed view is computed at; a row-wise view takes them from its rows.

        Returns:
            One row per source row, or per time and entity with events.

        Raises:
            AssayError: If a table or column is missing, or times do not say which instant they are.
        """
        return self.transformation.compute(frames, at)

    def column_lineage(self) -> ColumnLineage:
        """Per column: the source columns its value comes from (`direct`) and those that choose rows (`indirect`).

        `unknown` where an expression selects columns by type or pattern, since its names do not say which.
        """
        return self.transformation.column_lineage()

    def serving(self) -> dict[str, Any]:
        """What `Serving.from_dict` needs to serve the written table without this declaration."""
        age = None if self.max_age is None else microseconds(parse_duration(self.max_age, "max_age"))
        return Serving.as_of(
            self.entity.keys, self.event_time, entity=self.entity.name, known_time=self.known_time, max_age_us=age
        ).to_dict()

    def definition(self) -> dict[str, Any]:
        """Everything that decides the view's values, as JSON. Owner and description do not."""
        named = {"name": self.name, "version": self.version, "serving": self.serving()}
        return named | self.transformation.definition()

    def metadata(self) -> dict[str, Any]:
        """What a commit of the view's rows says of it, by section: `tx.describe(**view.metadata())`. Readers need no more."""
        rows_read = [item.to_dict() for item in self.transformation.rows_read()]
        view = self.definition() | {"sha256": self.digest(), "rows_read": rows_read} | _given({"about": self.about()})
        return {"serving": self.serving(), "view": view}

    def about(self) -> dict[str, Any]:
        """The texts for people, as JSON, without the empty ones: of the view, and of each feature by its name."""
        texts = {"description": self.description, "owner": self.owner}
        features = {
            feature.name: _given({name: getattr(feature, name, "") for name in ("description", "unit", "deprecated")})
            for feature in self.features
        }
        if isinstance(self.transformation, SqlTransformation):
            features = {name: _given(texts) for name, texts in self.transformation.about().items()}
        return _given(texts | {"features": _given(features)})

    def digest(self) -> str:
        """SHA-256 of the definition: the same in every process and on every machine that runs the same Polars release.

        A Polars upgrade may change it, which costs a recomputation and never reuses a stale value.
        """
        return hashlib.sha256(json.dumps(self.definition(), sort_keys=True).encode()).hexdigest()


def _given(texts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: text for name, text in texts.items() if text}
