"""A query over staged rows, run by DuckDB: on one thread and in one order, beyond memory on disk, with no way to other data."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from assay.errors import AssayError
from assay.features.views.sql_query import AT, SqlQuery
from assay.features.views.timestamps import INSTANT
from assay.optional import require

if TYPE_CHECKING:
    import duckdb

MEMORY = "1GB"  # of DuckDB; what goes beyond it is on disk
_ROWS = "rows of the view"  # a schema of its own: nothing in the lake is called so
# DuckDB sums whole numbers in 128 bits, which Parquet has no type for: it would write them as floats.
_WIDE = {"HUGEINT": "BIGINT", "UHUGEINT": "UBIGINT"}


@dataclass(frozen=True, slots=True)
class Staged:
    """Rows that a query may see; with `time`, at each moment only those with that column in `[moment − width, moment)`."""

    rows: pl.LazyFrame
    time: str | None = None
    width: timedelta = timedelta(0)


def run_query(query: SqlQuery, tables: Mapping[str, Staged], moments: Sequence[datetime], where: str) -> pl.DataFrame:
    """The query's rows, at each of the moments with a column `at`; without moments those of one run.

    Args:
        query: What to run.
        tables: The rows of each of its tables.
        moments: With a time zone.
        where: What errors name.

    Raises:
        AssayError: DuckDB refuses the query. What depends on values is not quoted.
    """
    require("duckdb", f"The query of {where}")
    import duckdb

    with tempfile.TemporaryDirectory(prefix="assay-sql-") as folder, duckdb.connect(config=_config(folder)) as engine:
        try:
            engine.execute("set TimeZone = 'UTC'")
            for number, (table, staged) in enumerate(tables.items()):
                _stage(engine, table, staged, Path(folder) / f"{number}.parquet")
            engine.execute(f"set allowed_directories = [{_text(folder)}]")  # for the results
            engine.execute("set enable_external_access = false")
            engine.execute("set lock_configuration = true")
            parts = [_run(engine, query, tables, moment, Path(folder)) for moment in moments or [None]]
        except (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException) as error:
            raise AssayError(f"{where}: DuckDB refuses the query: {str(error).splitlines()[0]}") from None
        except duckdb.Error as error:  # whose message may quote a cell
            raise AssayError(
                f"{where} could not be computed: its query failed with {type(error).__name__}; check it against the column "
                "types of the tables that it reads"
            ) from None
    return pl.concat(parts)


def _config(folder: str) -> dict[str, Any]:
    return {
        "threads": 1,
        "preserve_insertion_order": "true",
        "memory_limit": MEMORY,
        "temp_directory": f"{folder}/spilled",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
    }


def _stage(engine: duckdb.DuckDBPyConnection, table: str, staged: Staged, file: Path) -> None:
    """The rows as a table of DuckDB, in an order that follows from the rows alone; the query's name for them is a view."""
    file.touch(mode=0o600)
    staged.rows.sink_parquet(file, compression="lz4", statistics=False)
    kind, _, name = table.partition("/")
    engine.execute(f"create schema if not exists {_quoted(_ROWS)}")
    engine.execute(f"create schema if not exists {_quoted(kind)}")
    engine.execute(
        f"create table {_quoted(_ROWS)}.{_quoted(table)} as from read_parquet({_text(str(file))}) order by all"
    )
    file.unlink()
    engine.execute(f"create view {_quoted(kind)}.{_quoted(name)} as from {_quoted(_ROWS)}.{_quoted(table)}")


def _run(
    engine: duckdb.DuckDBPyConnection,
    query: SqlQuery,
    tables: Mapping[str, Staged],
    moment: datetime | None,
    folder: Path,
) -> pl.DataFrame:
    for table, staged in tables.items():
        if staged.time is not None and moment is not None:
            kind, _, name = table.partition("/")
            time, low, high = _quoted(staged.time), _instant(moment - staged.width), _instant(moment)
            engine.execute(
                f"create or replace view {_quoted(kind)}.{_quoted(name)} as from {_quoted(_ROWS)}.{_quoted(table)} "
                f"where {time} >= {low} and {time} < {high}"
            )
    given = {AT: moment} if query.takes_time else {}
    types = {name: kind for name, kind, *_ in engine.execute(f"describe {query.text}", given).fetchall()}
    wide = [
        f"cast({_quoted(name)} as {_WIDE[kind]}) as {_quoted(name)}" for name, kind in types.items() if kind in _WIDE
    ]
    chosen = f"* replace ({', '.join(wide)})" if wide else "*"
    file = folder / "result.parquet"
    engine.execute(f"copy (select {chosen} from ({query.text})) to {_text(str(file))} (format parquet)", given)
    rows = pl.read_parquet(file)
    return rows if moment is None else rows.with_columns(pl.lit(moment, dtype=INSTANT).alias("at"))


def _instant(moment: datetime) -> str:
    return f"timestamptz {_text(moment.isoformat())}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
