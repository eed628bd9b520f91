"""What changed in a database table since it was last read, through SQLAlchemy Core. PostgreSQL and SQLite are tested."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import polars as pl
import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, NoSuchTableError, SQLAlchemyError

from assay.assets.lacking import DENIED, FULL, READ_ONLY, SETTING, UNREACHABLE, NotConnected, outage_of
from assay.errors import AssayError
from assay.optional import require

_CHUNK = 50_000
_UTC_MICROSECONDS = pl.Datetime("us", "UTC")
_TIMESTAMP = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(\.\d{1,6})?(Z|[+-]\d{2}:\d{2})")

# What cannot be used, why (the class of the error), and the setting.
_ADVICE = {
    UNREACHABLE: "does not answer ({}). Next: start it, or correct host and port in {}",
    DENIED: "refuses this login, or this user may not read there ({}). Next: correct user, password and database in {}, or have "
    "the right granted",
    FULL: "cannot answer: its disk is full ({}). Next: free some space where {} leads",
    READ_ONLY: "cannot be written ({}). Next: correct that where {} leads",
}


class _Refused(Exception):
    """A value that cannot be read as its column's type; the message never holds it."""


def database_url(url: str | sa.URL, setting: str = "") -> sa.URL:
    """The URL; `postgres://` and `postgresql://` mean psycopg 3. Other dialects need their driver installed. `setting`: its name.

    Raises NotConnected where it is no URL.
    """
    try:
        parsed = sa.make_url(url)
    except (ArgumentError, ValueError):
        raise NotConnected(
            f"{_named(setting)} cannot be parsed; write postgresql://host/database or sqlite:///file", SETTING
        ) from None
    backend = parsed.drivername.partition("+")[0]
    if backend in ("postgres", "postgresql"):
        require("psycopg", "Reading from PostgreSQL")
        return parsed.set(drivername="postgresql+psycopg")
    return parsed


@contextmanager
def connected(url: sa.URL, table: str, setting: str = "") -> Iterator[sa.Connection]:
    """A transaction, committed at the end. Database errors become an `AssayError` without user, password or values; one of the
    connection, not of the query, becomes `NotConnected` and names the setting."""
    arguments = {"connect_timeout": 10} if url.drivername.startswith("postgresql") else {}
    try:
        engine = sa.create_engine(url, connect_args=arguments, poolclass=sa.NullPool)
    except (ImportError, NoSuchModuleError):
        raise NotConnected(
            f"{_place(url, table)}: there is no driver for {url.drivername!r}, which {_named(setting)} asks for; install its "
            "SQLAlchemy dialect (postgresql:// and sqlite:/// need none)",
            SETTING,
        ) from None
    try:
        with engine.begin() as connection:
            yield connection
    except NoSuchTableError:
        raise AssayError(f"{_place(url, table)} does not exist; check the table's name and schema") from None
    except SQLAlchemyError as error:
        # Drivers put user names and values into their texts: only the class is safe to repeat.
        cause = type(getattr(error, "orig", None) or error).__name__
        if (lack := outage_of(error)) is not None:
            raise NotConnected(f"{_place(url, table)} {_ADVICE[lack].format(cause, _named(setting))}", lack) from None
        advice = "check that the database is up, reachable, and lets this user at the table"
        raise AssayError(f"{_place(url, table)} cannot be used ({cause}); {advice}") from None
    finally:
        engine.dispose()


def read_changes(
    url: str | sa.URL,
    table: str,
    cursor_column: str,
    key: str | Sequence[str],
    since: datetime | None = None,
    seen: pl.DataFrame | None = None,
    *,
    setting: str = "",
) -> pl.DataFrame:
    """The rows of `table` whose cursor is at or after `since`, by (cursor, key), with `_row_number` from 1.

    Several rows may share one cursor value, so the next read starts at the last one, and drops the rows that were `seen`
    there: same key, same values. Timestamps are µs UTC; in SQLite they are ISO text with a zone, in columns declared
    TIMESTAMP. `setting` is the name of the one that holds the URL, for messages. Raises `NotConnected` for a database that cannot
    be reached, or not by this user, and `AssayError` for a table or column that is not there, a type that is not supported, and
    a value that is not of its column's type (a cursor that is null or no time would never be read again).
    """
    address = database_url(url, setting)
    keys = [key] if isinstance(key, str) else list(key)
    if since is not None and since.tzinfo is None:
        raise AssayError("`since` has no time zone; give an aware datetime")
    _require_file(address, table, setting)
    with connected(address, table, setting) as connection:
        schema, _, name = table.rpartition(".")
        reflected = sa.Table(name, sa.MetaData(), schema=schema or None, autoload_with=connection)
        place, dialect = _place(address, table), connection.dialect.name
        for column in (cursor_column, *keys):
            if column not in reflected.columns:
                names = ", ".join(reflected.columns.keys())
                raise AssayError(f"{place} has no column {column!r}; it has {names}")
        types = {column.name: _dtype(column, dialect, place) for column in reflected.columns}
        if types[cursor_column] != _UTC_MICROSECONDS:
            declared = reflected.columns[cursor_column].type
            raise AssayError(
                f"{place}, column {cursor_column} is not a timestamp (the table declares {declared}), so changes cannot be "
                "read by it. Declare it TIMESTAMP (in SQLite: text in ISO 8601 with a zone), or name another cursor."
            )
        query = _query(reflected, cursor_column, since, dialect)
        with connection.execution_options(yield_per=_CHUNK).execute(query) as rows:
            chunks = [_frame(chunk, types, place) for chunk in rows.partitions(_CHUNK)]
    frame = pl.concat([pl.DataFrame(schema=types), *chunks])
    if absent := frame[cursor_column].null_count():
        raise AssayError(f"{place} has {absent:,} rows without {cursor_column}; they would never be read: fill it")
    if since is not None:
        frame = _unseen(frame.filter(pl.col(cursor_column) >= since), cursor_column, since, seen)
    return frame.sort(cursor_column, *keys).with_columns(
        pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias("_row_number")
    )


def _query(table: sa.Table, cursor_column: str, since: datetime | None, dialect: str) -> sa.Select:
    """The candidates. SQLite compares text, where zones and fractions differ: there by day, and exactly afterwards.

    Rows without a usable cursor come too, so that they are reported instead of never being read.
    """
    if dialect != "sqlite":
        cursor = table.columns[cursor_column]
        return sa.select(table) if since is None else sa.select(table).where((cursor >= since) | cursor.is_(None))
    # Raw values: SQLAlchemy's own converters put the value that they cannot convert into their errors.
    columns = [sa.type_coerce(column, sa.types.NullType()).label(column.name) for column in table.columns]
    query = sa.select(*columns)
    if since is None:
        return query
    text = sa.type_coerce(table.columns[cursor_column], sa.String)
    first = (since.astimezone(UTC).date() - timedelta(days=1)).isoformat()
    return query.where((text >= first) | text.is_(None) | sa.not_(text.like("____-__-__%")))


def _unseen(frame: pl.DataFrame, cursor_column: str, since: datetime, seen: pl.DataFrame | None) -> pl.DataFrame:
    """Drop what was read before. If the table's columns have changed since, nothing can be called the same."""
    if seen is None or any(seen.schema.get(name) != dtype for name, dtype in frame.schema.items()):
        return frame
    boundary = seen.select(frame.columns).filter(pl.col(cursor_column) == since)
    return frame.join(boundary, on=frame.columns, how="anti", nulls_equal=True, maintain_order="left")


def _dtype(column: sa.Column, dialect: str, place: str) -> pl.DataType:
    match column.type:
        case sa.Boolean():
            return pl.Boolean()
        case sa.Integer():
            return pl.Int64()
        case sa.Float():
            return pl.Float64()
        case sa.Numeric() if dialect == "sqlite":  # which stores them as floats
            return pl.Float64()
        case sa.Numeric(precision=int() as precision, scale=int() as scale):
            return pl.Decimal(precision, scale)
        case sa.DateTime():
            return _UTC_MICROSECONDS
        case sa.Date():
            return pl.Date()
        case sa.String() | sa.Uuid():
            return pl.String()
    raise AssayError(f"{place}, column {column.name} has the type {column.type}; cast it to a plain one in a view")


def _frame(rows: Sequence[sa.Row], types: dict[str, pl.DataType], place: str) -> pl.DataFrame:
    columns = []
    for (name, dtype), values in zip(types.items(), zip(*rows, strict=True), strict=True):
        try:
            converted = [None if value is None else _value(value, dtype) for value in values]
            columns.append(pl.Series(name, converted, dtype))
        except (_Refused, TypeError, ValueError, OverflowError, pl.exceptions.PolarsError) as error:
            problem = str(error) if isinstance(error, _Refused) else f"holds a value that is not {dtype}"
            raise AssayError(f"{place}, column {name} {problem}; correct it there and read again") from None
    return pl.DataFrame(columns)


def _value(value: object, dtype: pl.DataType) -> object:
    """A database value as Polars takes it. SQLite columns hold anything, so values are checked against the type."""
    match dtype, value:
        case pl.Datetime(), str() | datetime():
            return _timestamp(value)
        case pl.Date(), str():
            return date.fromisoformat(value)
        case pl.Boolean(), 0 | 1:
            return bool(value)
        case pl.Float64(), int() | float():
            return float(value)
        case pl.String(), UUID():
            return str(value)
        case (pl.Int64(), int()) | (pl.Date(), date()) | (pl.String(), str()) | (pl.Decimal(), Decimal()):
            return value
    raise _Refused(f"holds a value that is not {dtype}")


def _timestamp(value: str | datetime) -> datetime:
    if isinstance(value, str):
        if not _TIMESTAMP.fullmatch(value):
            raise _Refused("holds text that is not an ISO timestamp with a zone, to the microsecond at most")
        value = datetime.fromisoformat(value)
    if value.tzinfo is None:
        raise _Refused("has no time zone: declare it `timestamptz`")
    return value.astimezone(UTC)


def _require_file(url: sa.URL, table: str, setting: str) -> None:
    """Connecting to a missing SQLite file would create an empty one."""
    if url.drivername.startswith("sqlite") and not Path(url.database or "").is_file():
        raise NotConnected(
            f"{_place(url, table)}: there is no such file. Correct {_named(setting)}: a relative path begins at the "
            "project's folder.",
            SETTING,
        )


def _named(setting: str) -> str:
    return setting or "the database URL"


def _place(url: sa.URL, table: str) -> str:
    """Where a table is, without user and password."""
    if url.drivername.startswith("sqlite"):
        return f"SQLite {url.database}, table {table}"
    # Of a password with an "@" that is not escaped, a part would stand in the host.
    host = str(url.host or url.query.get("host", "localhost")).rpartition("@")[2]
    port = f":{url.port}" if url.port else ""
    system = "PostgreSQL" if url.drivername.startswith("postgres") else url.drivername.partition("+")[0]
    return f"{system} {host}{port}/{url.database or ''}, table {table}"
