"""A query of a feature view, read: which tables and columns it names, and that it gives the same for the same rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from assay.errors import AssayError

AT = "at"  # the parameter that is the time of the rows

# What another moment, another process or another order of rows gives otherwise.
_VARYING = frozenset(
    ["current_date", "current_localtime", "current_localtimestamp", "current_time", "current_timestamp", "gen_random_uuid",
     "get_current_time", "get_current_timestamp", "localtime", "localtimestamp", "nextval", "now", "rand", "random", "setseed",
     "today", "transaction_timestamp", "txid_current", "uuid", "uuidv4", "uuidv7"]
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class SqlQuery:
    """A query, read.

    Args:
        text: As it was written.
        tables: The lake's tables that it reads, such as `clean/orders`, in order of first use.
        columns: The names of its result's columns.
        named: The columns that it names, by table; of a table that is not the only one, those named with the table.
        takes_time: Whether it has the parameter `$at`.
    """

    text: str
    tables: tuple[str, ...]
    columns: tuple[str, ...]
    named: Mapping[str, tuple[str, ...]]
    takes_time: bool

    @classmethod
    def parse(cls, text: str, where: str) -> SqlQuery:
        """Raises AssayError, which names `where`, for anything but one query over tables of the lake with named columns."""
        query = _parsed(text, where)
        _refuse_varying(query, where)
        tables = dict(_tables(query, where))
        if not tables:
            raise AssayError(f"{where}: the query reads no table; write clean.orders for the table clean/orders")
        parameters = {node.name for node in query.find_all(exp.Parameter, exp.Placeholder)}
        if parameters - {AT}:
            raise AssayError(f"{where}: the query may have the parameter ${AT} (the time of its rows) and no other")
        columns = tuple(_columns(query, where))
        names = tuple(dict.fromkeys(tables.values()))
        return cls(text, names, columns, _named(query, tables), bool(parameters))


def _parsed(text: str, where: str) -> exp.Query:
    try:
        statements = sqlglot.parse(text, dialect="duckdb")
    except SqlglotError:
        raise AssayError(f"{where}: the query cannot be read as DuckDB SQL; run it in DuckDB to see where") from None
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        raise AssayError(f"{where}: give one query (SELECT …), not several statements or another one")
    return statements[0]


def _refuse_varying(query: exp.Query, where: str) -> None:
    if query.find(exp.TableSample):
        raise AssayError(f"{where}: a sample has other rows each time; filter by a hash of a key instead")
    for node in query.find_all(exp.Func):
        name = (node.name if isinstance(node, exp.Anonymous) else node.sql_name()).lower()
        if name in _VARYING:
            raise AssayError(
                f"{where}: {name}() gives something else each time; for the time of the row, write ${AT} instead"
            )
    for column in query.find_all(exp.Column):
        if not column.table and column.name.lower() in _VARYING and not column.this.quoted:
            raise AssayError(f"{where}: {column.name} gives something else each time; write ${AT} instead")


def _tables(query: exp.Query, where: str) -> Iterator[tuple[str, str]]:
    """What each table is called in the query (its alias, or its name) and in the lake."""
    parts = {cte.alias.lower() for cte in query.find_all(exp.CTE)}
    for table in query.find_all(exp.Table):
        if not isinstance(table.this, exp.Identifier):
            raise AssayError(f"{where}: the query reads a function or a file; it may read tables of the lake only")
        if not table.db and table.name.lower() in parts:
            continue
        if not table.db or table.catalog:
            raise AssayError(f"{where}: write the table {table.name!r} with its kind, such as clean.{table.name}")
        yield table.alias_or_name.lower(), f"{table.db}/{table.name}"


def _columns(query: exp.Query, where: str) -> Iterator[str]:
    first: exp.Expr = query
    while isinstance(first, exp.SetOperation | exp.Subquery):
        first = first.this
    for item in first.expressions:
        if item.is_star or item.find(exp.Columns) or not isinstance(item, exp.Alias | exp.Column):
            raise AssayError(f"{where}: name every column of the query (… as name), without *")
        yield item.alias_or_name


def _named(query: exp.Query, tables: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, dict[str, None]] = {name: {} for name in tables.values()}
    made = {alias.alias.lower() for alias in query.find_all(exp.Alias)}
    for column in query.find_all(exp.Column):
        table = tables.get(column.table.lower())
        if table is None and not column.table and len(found) == 1 and column.name.lower() not in made:
            (table,) = found
        if table is not None:
            found[table][column.name] = None
    return {name: tuple(columns) for name, columns in found.items()}
