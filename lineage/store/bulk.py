"""Many rows in one statement, the same on SQLite and PostgreSQL: they travel as one JSON array.

A statement is written once: `$rows` is the array, `$0`, `$1`, … are the values of one row: a text by itself, a number as
`$0i`, a truth value as `$0b`. Its text never changes with the number of rows, so that the databases keep its plan.

Writers ask SQLite through its own driver (`fetch`, `write`, `insert`): SQLAlchemy's bookkeeping takes longer than a small
statement itself. Errors are SQLAlchemy's all the same.
"""

import json
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc

_VALUE = re.compile(r"\$(\d)([ib]?)\b")
_TYPES = {"i": "bigint", "b": "boolean", "": "text"}
_INSERTED = re.compile(r"SELECT ([^()]*) FROM \$rows WHERE true")


def execute(connection: sa.Connection, statement: str, rows: Sequence[Any]) -> sa.CursorResult[*tuple[Any, ...]]:
    """Run a statement over rows: sequences of JSON values."""
    return connection.exec_driver_sql(_translated(statement, connection.dialect.name), (_array(rows),))


def fetch(connection: sa.Connection, statement: str, rows: Sequence[Any]) -> list[tuple[Any, ...]]:
    """What a statement finds for rows: sequences of JSON values. Without a row nothing is asked."""
    if not rows:
        return []
    text = _translated(statement, connection.dialect.name)
    if connection.dialect.name != "sqlite":
        return [tuple(row) for row in connection.exec_driver_sql(text, (_array(rows),))]
    driver = connection.dialect.loaded_dbapi
    try:
        return _driver(connection).execute(text, (_array(rows),)).fetchall()
    except driver.Error as error:
        raise _translated_error(error, text) from None


def write(connection: sa.Connection, statement: str, rows: Sequence[tuple[Any, ...]]) -> int:
    """Insert or update rows: tuples of texts, numbers, truth values, None, and on SQLite also bytes. Returns how many it did."""
    if not rows:
        return 0
    if connection.dialect.name != "sqlite":
        return execute(connection, statement, rows).rowcount
    text = _for_each(statement)
    driver = connection.dialect.loaded_dbapi
    try:
        return _driver(connection).executemany(text, rows).rowcount
    except driver.Error as error:
        raise _translated_error(error, text) from None


def insert(connection: sa.Connection, table: str, statement: str, rows: Sequence[tuple[Any, ...]]) -> set[int]:
    """Insert rows, each with one of `new_ids` first, as far as nothing is in their way (`ON CONFLICT DO NOTHING`). Returns the
    ids of those."""
    if not rows:
        return set()
    if connection.dialect.name != "sqlite":
        return {row[0] for row in execute(connection, f"{statement} RETURNING id", rows)}
    ids = {row[0] for row in rows}
    if write(connection, statement, rows) == len(ids):
        return ids
    found = _driver(connection).execute(f"SELECT id FROM {table} WHERE id >= ?", (min(ids),))
    return {row[0] for row in found}


def new_ids(connection: sa.Connection, table: str, count: int) -> Iterable[int]:
    """Ids that no row of a table has, for this transaction, which writes."""
    if not count:
        return ()
    if connection.dialect.name == "sqlite":
        first = _driver(connection).execute(f"SELECT coalesce(max(id), 0) + 1 FROM {table}").fetchone()[0]
        return range(first, first + count)
    drawn = "SELECT nextval(pg_get_serial_sequence(%s, 'id')) FROM generate_series(1, %s)"
    return connection.exec_driver_sql(drawn, (table, count)).scalars().all()


def by_index(connection: sa.Connection) -> None:
    """Until the end of this transaction PostgreSQL looks every row up in an index, as the statements here mean it: its own
    choice rests on statistics, and a store that was filled a minute ago has none. SQLite does so by itself."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(_BY_INDEX)


_BY_INDEX = "SELECT " + ", ".join(
    f"set_config('{name}', 'off', true)"
    for name in ("enable_hashjoin", "enable_mergejoin", "enable_seqscan", "enable_bitmapscan", "enable_material", "jit")
)


def _array(rows: Sequence[Any]) -> str:
    return _encode(rows)


_encode = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode


def _driver(connection: sa.Connection) -> Any:
    if not connection.in_transaction():  # what a reader asks, it asks of one state of the store
        connection.begin()
    return connection.connection.driver_connection


def _translated_error(error: Exception, text: str) -> exc.DBAPIError:
    """As SQLAlchemy names it: without the values, which are parts of events."""
    kind: type[exc.DBAPIError] = getattr(exc, type(error).__name__, exc.DBAPIError)
    return kind(text, None, error, hide_parameters=True)


@lru_cache(256)
def _translated(statement: str, dialect: str) -> str:
    if dialect == "sqlite":
        text = statement.replace("$rows", "(SELECT value FROM json_each(?)) AS s")
        return _VALUE.sub(r"json_extract(s.value, '$[\1]')", text).replace("greatest(", "max(")
    text = statement.replace("$rows", "json_array_elements(CAST(%s AS json)) AS s(value)")
    return _VALUE.sub(lambda found: f"CAST(s.value->>{found[1]} AS {_TYPES[found[2]]})", text)


@lru_cache(256)
def _for_each(statement: str) -> str:
    """The statement for one row, as SQLite runs it again and again."""
    text = _INSERTED.sub(r"VALUES (\1)", statement).replace(" FROM $rows", "")
    return _VALUE.sub(lambda found: f"?{int(found[1]) + 1}", text).replace("greatest(", "max(")
