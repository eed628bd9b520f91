"""Many rows in one statement, the same on SQLite and PostgreSQL: they travel as one JSON array.

A statement is written once: `$rows` is the array, `$0`, `$1`, … are the values of one row: a text by itself, a number as
`$0i`, a truth value as `$0b`. Its text never changes with the number of rows, so that the databases keep its plan.
"""

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

_VALUE = re.compile(r"\$(\d)([ib]?)\b")
_TYPES = {"i": "bigint", "b": "boolean", "": "text"}


def execute(connection: sa.Connection, statement: str, rows: Sequence[Any]) -> sa.CursorResult[*tuple[Any, ...]]:
    """Run a statement over rows: sequences of JSON values."""
    text = _translated(statement, connection.dialect.name)
    return connection.exec_driver_sql(text, (json.dumps(rows, ensure_ascii=False, separators=(",", ":")),))


def by_index(connection: sa.Connection) -> None:
    """Until the end of this transaction PostgreSQL looks every row up in an index, as the statements here mean it: its own
    choice rests on statistics, and a store that was filled a minute ago has none. SQLite does so by itself."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(_BY_INDEX)


_BY_INDEX = "SELECT " + ", ".join(
    f"set_config('{name}', 'off', true)"
    for name in ("enable_hashjoin", "enable_mergejoin", "enable_seqscan", "enable_bitmapscan", "enable_material", "jit")
)


@lru_cache(256)
def _translated(statement: str, dialect: str) -> str:
    if dialect == "sqlite":
        text = statement.replace("$rows", "(SELECT value FROM json_each(?)) AS s")
        return _VALUE.sub(r"json_extract(s.value, '$[\1]')", text).replace("greatest(", "max(")
    text = statement.replace("$rows", "json_array_elements(CAST(%s AS json)) AS s(value)")
    return _VALUE.sub(lambda found: f"CAST(s.value->>{found[1]} AS {_TYPES[found[2]]})", text)
