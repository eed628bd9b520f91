"""Features computed by a query in DuckDB's SQL, over tables at the versions that were pinned."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from assay.errors import AssayError
from assay.features.views.columns import ColumnLineage
from assay.features.views.duckdb_query import Staged, run_query
from assay.features.views.sql_keys import tables_by_keys
from assay.features.views.sql_lineage import sql_lineage
from assay.features.views.sql_query import SqlQuery
from assay.features.views.timestamps import INSTANT, instant, microseconds, parse_duration, utc
from assay.features.views.transformation import RowsRead, ViewDeclaration


@dataclass(frozen=True, slots=True, eq=False)
class Sql:
    """The engine of a view that is computed by a query: `FeatureView(…, computed_by=Sql("select …"))`.

    The query reads tables of the lake as `clean.orders`, and names every column that it gives: the entity's keys and the
    features. Of a table in `windows` it sees the rows with `time` in `[t − width, t)`, whatever it asks for, so that no
    row knows of what came after it; the view computes that column `event_time` itself, as t, and the query may use it as
    `$at`. Of other tables it sees the rows of the partition that is computed. Without `windows` the query gives the rows'
    event time, too.

    DuckDB runs the query on one thread, over rows in one order, so that equal rows give equal values; what does not fit into
    memory goes to disk. The query reads nothing but its tables.

    Args:
        query: One query in DuckDB's SQL.
        windows: Table → its column with the event time, and how far back the query looks:
            `{"clean/orders": ("ordered_at", "7d")}`.
        texts: Feature → one sentence for people and the unit: `{"spent": ("What was spent.", "EUR")}`. They decide nothing.

    Raises:
        AssayError: For a query that cannot be read, reads anything but tables of the lake, does not name its columns, or gives
            something else each time; a window over a table that it does not read; a width that is no duration.
    """

    query: str
    windows: Mapping[str, tuple[str, timedelta | str]] = field(default_factory=dict)
    texts: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def of_view(self, view: ViewDeclaration) -> SqlTransformation:
        """The engine for a view. Raises AssayError if the query does not give what the view needs."""
        where = f"view {view.name!r}"
        query = SqlQuery.parse(self.query, where)
        widths: dict[str, tuple[str, timedelta]] = {}
        for table, (time, width) in self.windows.items():
            if table not in query.tables:
                raise AssayError(f"{where}: there is a window over {table}, which the query does not read")
            widths[table] = (time, parse_duration(width, f"{where}: window over {table}"))
        if query.takes_time and not widths:
            raise AssayError(f"{where}: $at is the end of windows; name them: windows={{table: (time, '7d')}}")
        times = (view.event_time, *([view.known_time] if view.known_time else []))
        needed = view.entity.keys if widths else (*view.entity.keys, *times)
        for name in needed:
            if name not in query.columns:
                raise AssayError(f"{where}: the query gives no column {name!r}; it gives {list(query.columns)}")
        if widths and view.known_time is not None:
            raise AssayError(f"{where}: rows over windows have no known time; they are computed, not received")
        if widths and view.event_time in query.columns:
            raise AssayError(f"{where}: leave {view.event_time!r} out of the query; it is the end of the windows")
        features = tuple(name for name in query.columns if name not in needed)
        if not features:
            raise AssayError(f"{where}: the query gives keys and times only; name at least one feature")
        if unknown := sorted(set(self.texts) - set(features)):
            raise AssayError(f"{where}: there are texts about {unknown[0]!r}, which the query does not give")
        return SqlTransformation(
            view.name, tuple(view.entity.keys), times, query, features, widths, view.step, dict(self.texts)
        )


@dataclass(frozen=True, slots=True, eq=False)
class SqlTransformation:
    """The engine of one view that is computed by a query: implements `Transformation`. `times` are the view's event time and,
    if it has one, known time."""

    view: str
    keys: tuple[str, ...]
    times: tuple[str, ...]
    query: SqlQuery
    features: tuple[str, ...]
    windows: Mapping[str, tuple[str, timedelta]]
    every: timedelta
    texts: Mapping[str, tuple[str, str]]

    def sources(self) -> tuple[str, ...]:
        return self.query.tables

    def lookback(self) -> timedelta:
        return max((width for _, width in self.windows.values()), default=timedelta(0))

    def lookback_of(self, source: str) -> timedelta:
        """The width of the window over one table; nothing where it has none."""
        return self.windows[source][1] if source in self.windows else timedelta(0)

    def compute(self, frames: Mapping[str, pl.LazyFrame], at: Sequence[datetime] | datetime = ()) -> pl.DataFrame:
        where = f"view {self.view!r}"
        if missing := [table for table in self.sources() if table not in frames]:
            raise AssayError(f"{where} reads table {missing[0]!r}, which was not given; given: {sorted(frames)}")
        given = [at] if isinstance(at, datetime) else at
        moments = sorted({utc(time, f"{where}: at") for time in given}) if self.windows else []
        if self.windows and not moments:
            raise AssayError(f"{where}: name at least one time to compute it at")
        staged = {table: self._staged(table, frames[table], moments) for table in self.sources()}
        rows = run_query(self.query, staged, moments, where)
        return self._as_view(rows, where)

    def _staged(self, table: str, frame: pl.LazyFrame, moments: Sequence[datetime]) -> Staged:
        """The rows of one table that the query may see at any of the moments."""
        if table not in self.windows:
            return Staged(frame)
        time, width = self.windows[table]
        moment = instant(frame.collect_schema(), time, f"view {self.view!r} reads table {table!r}, which")
        low, high = (pl.lit(one, dtype=INSTANT) for one in (moments[0] - width, moments[-1]))
        return Staged(frame.filter(moment >= low, moment < high).with_columns(moment.alias(time)), time, width)

    def _as_view(self, rows: pl.DataFrame, where: str) -> pl.DataFrame:
        """Keys, times, features; of windows only rows that belong to an entity, one for each at a time."""
        if self.windows:
            rows = rows.rename({"at": self.times[0]}).drop_nulls(list(self.keys))
            if rows.select(self.times[0], *self.keys).is_duplicated().any():
                raise AssayError(f"{where}: the query gives several rows for one {', '.join(self.keys)}; group by it")
        times = [instant(rows.schema, time, f"the query of {where}").alias(time) for time in self.times]
        return rows.select(*self.keys, *times, *self.features).sort(self.times[0], *self.keys, maintain_order=True)

    def column_lineage(self) -> ColumnLineage:
        tables = {table.replace("/", ".", 1): table for table in self.sources()}
        schema = {name: self._columns_of(table) for name, table in tables.items()}
        chosen = [(table, time) for table, (time, _) in self.windows.items()]
        lineage: ColumnLineage = {}
        for name, sources in sql_lineage(self.query.text, schema, list(self.query.columns)).items():
            if sources == "unknown":
                lineage[name] = "unknown"
            else:
                direct, indirect = (
                    [(tables[table], column) for table, column in sources[kind]] for kind in ("direct", "indirect")
                )
                lineage[name] = {"direct": sorted(direct), "indirect": sorted({*indirect, *chosen})}
        if self.windows:
            lineage[self.times[0]] = {"direct": [], "indirect": chosen}
        return {name: lineage[name] for name in (*self.keys, *self.times, *self.features)}

    def rows_read(self) -> tuple[RowsRead, ...]:
        """Of the tables of which a row of the view depends on the rows with its keys alone. Of others there is no telling which
        rows are behind one of the view's."""
        tables = {table.replace("/", ".", 1): table for table in self.sources()}
        schema = {name: self._columns_of(table) for name, table in tables.items()}
        alike = self.keys if self.windows else (*self.keys, self.times[0])
        found = {tables[name] for name in tables_by_keys(self.query.text, schema, alike)}
        if self.windows:
            return tuple(
                RowsRead(table, *self.windows[table])
                for table in self.sources()
                if table in found and table in self.windows
            )
        return tuple(RowsRead(table, self.times[0]) for table in self.sources() if table in found)

    def definition(self) -> dict[str, Any]:
        windows = {table: [time, microseconds(width)] for table, (time, width) in sorted(self.windows.items())}
        digest = hashlib.sha256(json.dumps([self.query.text, windows]).encode()).hexdigest()
        return {
            "source": None,
            "sql": self.query.text,
            "windows": windows,
            "every_us": microseconds(self.every) if windows else None,
            "features": [{"name": name, "sha256": digest} for name in self.features],
        }

    def about(self) -> dict[str, dict[str, str]]:
        """The texts about its features, for people."""
        return {name: {"description": text, "unit": unit} for name, (text, unit) in self.texts.items()}

    def _columns_of(self, table: str) -> list[str]:
        """The columns of a table that the query names, with that by which rows are cut."""
        time = [self.windows[table][0]] if table in self.windows else []
        return list(dict.fromkeys([*self.query.named[table], *time]))
