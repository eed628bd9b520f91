"""What changed in a database table since it was last read, through SQLAlchemy Core. PostgreSQL and SQLite are tested."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import sqlalchemy as sa
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    NoSuchModuleError,
    NoSuchTableError,
    OperationalError,
    SQLAlchemyError,
)

from assay.assets.databases.first_answer import first_answer_within
from assay.assets.databases.sql_values import (
    INSTANT,
    Reads,
    UnfitColumn,
    frame_of_rows,
    read_bytes_as_text,
    read_far_times_as_text,
    reads,
    selected,
)
from assay.assets.lacking import DENIED, FULL, READ_ONLY, SETTING, UNREACHABLE, NotConnected, outage_of
from assay.assets.silent import CONNECT_SECONDS, looking
from assay.errors import AssayError
from assay.features.storage.column_names import first_unusable
from assay.optional import require
from assay.own_columns import delivered_name, delivered_names

_CHUNK = 50_000
_RUN_SECONDS = 10  # to connect
# A host that is gone without a word is noticed after a minute, and not after two hours.
_OF_POSTGRES = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
#: How PostgreSQL is to write values as text.
TEXT_FORMS = ("intervalstyle = 'iso_8601'", "datestyle = 'ISO'", "bytea_output = 'hex'")

# What cannot be used, why (the class of the error), and the setting.
_ADVICE = {
    UNREACHABLE: "does not answer ({}). Next: start it, or correct host and port in {}",
    DENIED: "refuses this login, or this user may not read there ({}). Next: correct user, password and database in {}, or have "
    "the right granted",
    FULL: "cannot answer: its disk is full ({}). Next: free some space where {} leads",
    READ_ONLY: "cannot be written ({}). Next: correct that where {} leads",
}


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
def connected(url: sa.URL, table: str, setting: str = "", *, isolation: str = "") -> Iterator[sa.Connection]:
    """A transaction, committed at the end. Database errors become an `AssayError` without user, password or values; one of the
    connection, not of the query, becomes `NotConnected` and names the setting. `isolation`: another level than usual."""
    engine = _engine(url, table, setting)
    if isolation:
        engine = engine.execution_options(isolation_level=isolation)
    try:
        with ExitStack() as transaction:
            with first_answer_within(engine, _patience()):
                connection = transaction.enter_context(engine.begin())
            yield connection
    except NoSuchTableError:
        raise AssayError(f"{place_of(url, table)} does not exist; check the table's name and schema") from None
    except SQLAlchemyError as error:
        # Drivers put user names and values into their texts: only the class is safe to repeat.
        cause = type(getattr(error, "orig", None) or error).__name__
        if (lack := outage_of(error)) is not None:
            raise NotConnected(f"{place_of(url, table)} {_ADVICE[lack].format(cause, _named(setting))}", lack) from None
        if isinstance(error, DataError):
            raise AssayError(
                f"{place_of(url, table)} holds a value that the database cannot give ({cause}); correct it there and read again"
            ) from None
        advice = "check that the database is up, reachable, and lets this user at the table"
        raise AssayError(f"{place_of(url, table)} cannot be used ({cause}); {advice}") from None
    finally:
        engine.dispose()


def require_usable(url: str | sa.URL, table: str, setting: str = "", *, there: bool = True) -> None:
    """Raise NotConnected where a URL cannot lead to a database, whatever runs: the server is not asked. `there`: a file must be
    there already."""
    address = database_url(url, setting)
    if there:
        _require_file(address, table, setting)
    _engine(address, table, setting).dispose()


def _engine(url: sa.URL, table: str, setting: str) -> sa.Engine:
    arguments = _OF_POSTGRES | {"connect_timeout": _patience()} if url.drivername.startswith("postgresql") else {}
    try:
        return sa.create_engine(url, connect_args=arguments, poolclass=sa.NullPool)
    except (ImportError, NoSuchModuleError):
        raise NotConnected(
            f"{place_of(url, table)}: there is no driver for {url.drivername!r}, which {_named(setting)} asks for; install its "
            "SQLAlchemy dialect (postgresql:// and sqlite:/// need none)",
            SETTING,
        ) from None


def _patience() -> int:
    """Seconds that a server may take for the login, and for its first answer."""
    return CONNECT_SECONDS if looking() else _RUN_SECONDS


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

    Rows that were `seen` are left out: same key, same values. `seen` are those that were read before from `since` on.
    Timestamps are µs UTC; in SQLite they are ISO text with a zone, in columns declared TIMESTAMP. A record with a value that
    its column cannot hold is a row of nulls with `_defect` and `_line` (see `frame_of_rows`); these two columns are there
    only then. `setting` is the name of the one that holds the URL, for messages.

    Raises `NotConnected` for a database that cannot be reached, or not by this user, and `AssayError` for a table or column that
    is not there, and a cursor that is null or no time (it would never be read again).
    """
    keys = [key] if isinstance(key, str) else list(key)
    if since is not None and since.tzinfo is None:
        raise AssayError("`since` has no time zone; give an aware datetime")
    with opened_table(url, table, keys, setting) as opened:
        opened.require_times(cursor_column)
        place, columns, cursor = opened.place, opened.columns, delivered_name(cursor_column)
        query = _query(opened.table, cursor_column, since, opened.dialect)
        try:
            chunks = list(opened.frames(query, [cursor]))
        except AskAgain:
            chunks = list(opened.frames(query, [cursor]))
    keys = delivered_names(keys)
    frame = pl.concat([frame_of_rows([], columns), *chunks])
    if absent := frame[cursor].null_count():
        raise AssayError(f"{place} has {absent:,} rows without {cursor}; they would never be read: fill it")
    if since is not None:
        frame = frame.filter(pl.col(cursor) >= since)
    frame = _unseen(frame, seen, [cursor, *keys])
    if frame["_defect"].null_count() == frame.height:
        frame = frame.drop("_defect", "_line")
    return frame.sort(cursor, *keys).with_columns(pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias("_row_number"))


class AskAgain(Exception):
    """The table has a time that Python does not have, or text that is not UTF-8. Asked once more, it is read as text."""


@dataclass(frozen=True, slots=True)
class OpenedTable:
    """A table of a database within a transaction. `columns` are those that raw has of it; `place` names it in messages."""

    connection: sa.Connection
    table: sa.Table
    place: str
    columns: Mapping[str, Reads]

    @property
    def dialect(self) -> str:
        return self.connection.dialect.name

    def require_times(self, cursor: str) -> None:
        """Raise AssayError unless a column tells instants."""
        self._require([cursor])
        declared = self.table.columns[cursor].type
        if reads(declared, self.dialect).dtype == INSTANT:
            return
        if isinstance(declared, sa.DateTime):
            raise AssayError(f"{self.place}, column {cursor} has no time zone: declare it `timestamptz`")
        raise AssayError(
            f"{self.place}, column {cursor} is not a timestamp (the table declares {declared}), so changes cannot be "
            "read by it. Declare it TIMESTAMP (in SQLite: text in ISO 8601 with a zone), or name another cursor."
        )

    def rows(self, cursor: str = "", since: datetime | None = None, *, order_by: Sequence[str] = ()) -> sa.Select:
        """All rows, or those that may have changed since a time; those without a cursor, too."""
        return _query(self.table, cursor, since, self.dialect).order_by(
            *(self.table.columns[name] for name in order_by)
        )

    def frames(self, query: sa.Select, strict: Sequence[str]) -> Iterator[pl.DataFrame]:
        """The rows of a query, some thousands at a time, as `frame_of_rows` makes them; `strict` are the columns that must hold
        values of their type. Raises AssayError where they do not, and AskAgain."""
        try:
            with self.connection.execute(query, execution_options={"yield_per": _CHUNK}) as rows:
                for chunk in rows.partitions(_CHUNK):
                    yield frame_of_rows(chunk, self.columns, strict)
        except UnfitColumn as problem:
            raise AssayError(f"{self.place}, {problem}; correct it there and read again") from None
        except DataError as error:
            # A time that Python does not have (infinity, a year before 1 or after 9999): as text it is one value of one record.
            # Not what the server could not do, which has a state of its own, and ended the transaction.
            if self.dialect != "postgresql" or getattr(error.orig, "sqlstate", None) is not None:
                raise
            read_far_times_as_text(self.connection)
            raise AskAgain from None
        except OperationalError as error:
            if self.dialect != "sqlite" or not str(error.orig).startswith("Could not decode to UTF-8"):
                raise
            read_bytes_as_text(self.connection)
            raise AskAgain from None

    def _require(self, names: Sequence[str]) -> None:
        for name in names:
            if name not in self.table.columns:
                there = ", ".join(self.table.columns.keys())
                raise AssayError(f"{self.place} has no column {name!r}; it has {there}")


@contextmanager
def opened_table(url: str | sa.URL, table: str, keys: Sequence[str], setting: str = "") -> Iterator[OpenedTable]:
    """A table with its columns, within a transaction. Raises as `read_changes` does."""
    address = database_url(url, setting)
    _require_file(address, table, setting)
    with connected(address, table, setting) as connection:
        yield reflected_table(connection, table, place_of(address, table), keys)


def reflected_table(
    connection: sa.Connection, table: str, place: str, keys: Sequence[str], only: Collection[str] | None = None
) -> OpenedTable:
    """A table with its columns, or `only` some of them, on a connection whose server writes its texts as they are read."""
    schema, _, name = table.rpartition(".")
    # Of the columns only: keys, indexes and constraints, which nobody asks for, are five more queries of the catalogue.
    found = sa.inspect(connection).get_columns(name, schema or None)
    taken = [column for column in found if only is None or column["name"] in only]
    reflected = sa.Table(
        name, sa.MetaData(), *(sa.Column(item["name"], item["type"]) for item in taken), schema=schema or None
    )
    dialect = connection.dialect.name
    columns = {delivered_name(column.name): reads(column.type, dialect) for column in reflected.columns}
    for position, (column, how) in enumerate(columns.items(), start=1):
        if (found := first_unusable([(column, how.dtype)])) is not None:
            raise AssayError(f"{place}, column {position} {found[1]}; rename it, or read a view that does not have it")
    opened = OpenedTable(connection, reflected, place, columns)
    opened._require(keys)
    if dialect == "postgresql":
        for setting in TEXT_FORMS:
            connection.execute(sa.text(f"SET LOCAL {setting}"))
    return opened


def _query(table: sa.Table, cursor_column: str, since: datetime | None, dialect: str) -> sa.Select:
    """The candidates. SQLite compares text, where zones and fractions differ: there by day, and exactly afterwards.

    Rows without a usable cursor come too, so that they are reported instead of never being read.
    """
    if dialect != "sqlite":
        query = sa.select(*(selected(column, column.type, column.name, dialect) for column in table.columns))
        if since is None:
            return query
        cursor = table.columns[cursor_column]
        return query.where((cursor >= since) | cursor.is_(None))
    # Raw values: SQLAlchemy's own converters put the value that they cannot convert into their errors.
    columns = [sa.type_coerce(column, sa.types.NullType()).label(column.name) for column in table.columns]
    query = sa.select(*columns)
    if since is None:
        return query
    text = sa.type_coerce(table.columns[cursor_column], sa.String)
    first = (since.astimezone(UTC).date() - timedelta(days=1)).isoformat()
    return query.where((text >= first) | text.is_(None) | sa.not_(text.like("____-__-__%")))


def _unseen(frame: pl.DataFrame, seen: pl.DataFrame | None, keys: Sequence[str]) -> pl.DataFrame:
    """Drop what was read before: the same cursor and key, and the same values. Columns that came into the table since then, or
    have another type, tell nothing, but those of `keys`, which are compared as text then."""
    if seen is None:
        return frame
    if "_defect" not in seen.columns:  # its `_line` is an upstream's, from before these were kept apart
        seen = seen.drop("_line", strict=False)
    same = [name for name, dtype in frame.schema.items() if seen.schema.get(name) == dtype]
    texts = [name for name in keys if name not in same and name in seen.columns]
    left = frame.with_columns(pl.col(name).cast(pl.String).alias(f"\x1f{name}") for name in texts)
    right = seen.select(*same, *(pl.col(name).cast(pl.String).alias(f"\x1f{name}") for name in texts))
    found = left.join(right, on=right.columns, how="anti", nulls_equal=True, maintain_order="left")
    return found.select(frame.columns)


def _require_file(url: sa.URL, table: str, setting: str) -> None:
    """Connecting to a missing SQLite file would create an empty one."""
    if url.drivername.startswith("sqlite") and not Path(url.database or "").is_file():
        raise NotConnected(
            f"{place_of(url, table)}: there is no such file. Correct {_named(setting)}: a relative path begins at the "
            "project's folder.",
            SETTING,
        )


def _named(setting: str) -> str:
    return setting or "the database URL"


def place_of(url: sa.URL, table: str) -> str:
    """Where a table is, without user and password."""
    if url.drivername.startswith("sqlite"):
        return f"SQLite {url.database}, table {table}"
    system = "PostgreSQL" if url.drivername.startswith("postgres") else url.drivername.partition("+")[0]
    # Of a password with an "@" that is not escaped, a part would stand in the host, or the host in another part.
    if not url.database or "@" in f"{url.database}{dict(url.query)}":
        return f"{system}, table {table}"
    host = str(url.host or url.query.get("host", "localhost")).rpartition("@")[2]
    port = f":{url.port}" if url.port else ""
    return f"{system} {host}{port}/{url.database or ''}, table {table}"
