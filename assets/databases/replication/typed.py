"""Values that a slot gives as text, with the types that the table's own rows have: the server itself reads its text again, and
gives it as it gives the values of the table."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import polars as pl
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from assay.assets.databases.replication.last_states import State
from assay.assets.databases.sql import OpenedTable
from assay.assets.databases.sql_values import selected
from assay.own_columns import delivered_name

_ROWS, _CHARACTERS = 10_000, 1 << 23  # at a time
_ALIAS = "given"
Texts = Sequence[str | None]


def typed(opened: OpenedTable, casts: Mapping[str, str], rows: Sequence[Texts], strict: Sequence[str]) -> pl.DataFrame:
    """The rows as `OpenedTable.frames` gives those of the table, in their order.

    Args:
        opened: The table.
        casts: The columns that the rows have, each with its type in SQL.
        rows: Their values: one row at least, and so many as may be sent at a time.
        strict: The columns that must hold values of their type.

    Raises:
        AssayError: As `OpenedTable.frames`, and AskAgain.
    """
    part = replace(opened, columns={delivered_name(name): opened.columns[delivered_name(name)] for name in casts})
    return pl.concat(part.frames(_query(opened, casts, rows), strict))


def portions(states: Iterable[State], most: int = _ROWS, characters: int = _CHARACTERS) -> Iterator[list[State]]:
    """States that go to the server together: so many, or of so many characters."""
    some: list[State] = []
    size = 0
    for state in states:
        some.append(state)
        size += state.characters
        if len(some) == most or size > characters:
            yield some
            some, size = [], 0
    if some:
        yield some


def _query(opened: OpenedTable, casts: Mapping[str, str], rows: Sequence[Texts]) -> sa.Select:
    texts = zip(*rows, strict=True)
    given = sa.func.unnest(*(sa.cast(list(values), ARRAY(sa.Text)) for values in texts)).table_valued(
        *(sa.column(f"c{at}", sa.Text) for at in range(len(casts))), with_ordinality="number"
    )
    given = given.render_derived(name=_ALIAS)
    columns: list[sa.ColumnElement[object]] = []
    for at, (name, cast) in enumerate(casts.items()):
        kind = opened.table.columns[name].type
        value = sa.literal_column(f"CAST({_ALIAS}.c{at} AS {cast})", kind).label(name)
        columns.append(selected(value, kind, name, opened.dialect))
    return sa.select(*columns).select_from(given).order_by(given.c.number)
