"""Database values as Polars takes them. A value that its column cannot hold makes its record unreadable, and no other one.

Types without a plain counterpart come as text, which the contract reads: JSON and arrays as JSON, times, intervals and timestamps
without a zone in ISO 8601, numbers of any precision with all their digits, bytes in hexadecimal. PostgreSQL writes these
texts itself, since drivers lose some of it.
"""

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import polars as pl
import sqlalchemy as sa

from assay.assets.sources.text import ENCODING, UNPARSABLE, shown, undecodable
from assay.assets.sources.value_text import as_text

INSTANT = pl.Datetime("us", "UTC")
_LARGEST_PRECISION = 38
_TIMESTAMP = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(\.\d{1,6})?(Z|[+-]\d{2}:\d{2})")


class UnfitColumn(Exception):
    """A column that cannot be read as its type. The message names it, and never holds a value."""


class _Unfit(Exception):
    """A value that its column cannot hold: why, as the end of a sentence without the value."""


class _Zoneless(_Unfit):
    """One that shows how the column was made: what is wrong with it is wrong with all of its values."""


@dataclass(frozen=True, slots=True)
class Reads:
    """How a column is read: the type that it gets, and how a value of the database becomes one of it."""

    dtype: pl.DataType
    convert: Callable[[Any], object]


def reads(kind: sa.types.TypeEngine, dialect: str) -> Reads:
    """How a column of a declared type is read."""
    match kind:
        case sa.Boolean():
            return Reads(pl.Boolean(), _boolean)
        case sa.Integer():
            return Reads(pl.Int64(), _integer)
        case sa.Float():
            return Reads(pl.Float64(), _float)
        case sa.Numeric() if dialect == "sqlite":  # which stores them as floats
            return Reads(pl.Float64(), _float)
        case sa.Numeric(precision=int() as precision, scale=int() as scale) if (
            0 <= scale <= precision <= _LARGEST_PRECISION
        ):
            return Reads(pl.Decimal(precision, scale), _decimal)
        case sa.DateTime() if dialect == "sqlite" or kind.timezone:
            return Reads(INSTANT, _instant)
        case sa.Date():
            return Reads(pl.Date(), _date)
        case sa.String() | sa.Uuid():
            return Reads(pl.String(), _text)
    inner = getattr(kind, "data_type", None)  # of a domain
    return reads(inner, dialect) if isinstance(inner, sa.types.TypeEngine) else Reads(pl.String(), as_text)


def selected(
    value: sa.ColumnElement[Any], kind: sa.types.TypeEngine[Any], name: str, dialect: str
) -> sa.ColumnElement[Any]:
    """What is selected of the values of a column: themselves, or the text that the server writes of them."""
    if dialect != "postgresql" or reads(kind, dialect).convert is not as_text:
        return value
    match kind:
        case sa.ARRAY():
            text = sa.cast(sa.func.to_json(value), sa.Text)
        case sa.LargeBinary():
            text = sa.func.encode(value, "hex")
        case _:
            text = sa.cast(sa.type_coerce(value, sa.types.NullType()), sa.Text)
    return text.label(name)


def frame_of_rows(
    rows: Sequence[Sequence[Any]], columns: Mapping[str, Reads], strict: Collection[str] = ()
) -> pl.DataFrame:
    """The rows with the types of their columns, `_defect` and `_line`. A record with a value that its column cannot hold has
    nulls (but for the `strict` columns), the defect `unparsable` (`encoding`: it has text that is not UTF-8), and its values as
    JSON text.

    Raises UnfitColumn for such a value in a strict column, and for a column of timestamps without a time zone.
    """
    found: dict[str, pl.Series] = {}
    bad: set[int] = set()
    by_column = zip(*rows, strict=True) if rows else [()] * len(columns)
    for (name, how), values in zip(columns.items(), by_column, strict=True):
        found[name], unfit = _series(name, how, values)
        if unfit and name in strict:
            raise UnfitColumn(f"column {name} {next(iter(unfit.values()))}")
        bad |= unfit.keys()
    frame = pl.DataFrame(found)
    if bad:
        fine = pl.Series([at not in bad for at in range(len(rows))])
        frame = frame.with_columns(pl.when(fine).then(pl.col(name)) for name in columns if name not in strict)
    lines = [_line(row, columns) if at in bad else None for at, row in enumerate(rows)]
    kinds = [
        None if at not in bad else ENCODING if any(map(_is_no_text, row)) else UNPARSABLE for at, row in enumerate(rows)
    ]
    return frame.with_columns(pl.Series("_defect", kinds, pl.String), pl.Series("_line", lines, pl.String))


def _series(name: str, how: Reads, values: Sequence[Any]) -> tuple[pl.Series, dict[int, str]]:
    """The values of a column, null where one does not fit; and why, by its place."""
    try:
        return pl.Series(name, [None if value is None else how.convert(value) for value in values], how.dtype), {}
    except (_Unfit, TypeError, ValueError, OverflowError, pl.exceptions.PolarsError):
        pass  # one by one
    converted: list[object] = []
    unfit: dict[int, str] = {}
    for at, value in enumerate(values):
        try:
            one = None if value is None else how.convert(value)
            pl.Series([one], dtype=how.dtype)
        except _Zoneless as problem:
            raise UnfitColumn(f"column {name} {problem}") from None
        except (_Unfit, TypeError, ValueError, OverflowError, pl.exceptions.PolarsError) as problem:
            why = str(problem) if isinstance(problem, _Unfit) else _other(how.dtype)
            one, unfit[at] = None, "holds text that is not UTF-8" if _is_no_text(value) else why
        converted.append(one)
    return pl.Series(name, converted, how.dtype), unfit


def _is_no_text(value: object) -> bool:
    return isinstance(value, str) and undecodable(value)


def _line(row: Sequence[Any], columns: Mapping[str, Reads]) -> str:
    texts = {name: as_text(value) for name, value in zip(columns, row, strict=True)}
    return json.dumps({name: text and shown(text) for name, text in texts.items()}, ensure_ascii=False)


def read_bytes_as_text(connection: sa.Connection) -> None:
    """Have sqlite3 give text that is not UTF-8 with its bytes as lone surrogates, instead of an error with the text in it."""
    database = connection.connection.driver_connection
    database.text_factory = lambda text: text.decode(errors="surrogateescape")  # pyright: ignore[reportOptionalMemberAccess]


def read_far_times_as_text(connection: sa.Connection) -> None:
    """Have psycopg give dates and timestamps that Python does not have as PostgreSQL writes them."""
    import psycopg
    from psycopg.types import datetime as of_psycopg

    def tolerant(base: type[Any]) -> type[Any]:
        class Tolerant(base):
            def load(self, data: Any) -> object:
                try:
                    return super().load(data)
                except psycopg.DataError:
                    return bytes(data).decode()

        return Tolerant

    adapters = connection.connection.driver_connection.adapters  # pyright: ignore[reportOptionalMemberAccess]
    for name, loader in (
        ("date", of_psycopg.DateLoader),
        ("timestamp", of_psycopg.TimestampLoader),
        ("timestamptz", of_psycopg.TimestamptzLoader),
    ):
        adapters.register_loader(name, tolerant(loader))


# -- values: SQLite's columns hold anything, so each is checked ---------------------------------------------------------


def _other(dtype: pl.DataType) -> str:
    return f"holds a value that is not {dtype}"


def _boolean(value: object) -> bool:
    if value not in (0, 1):
        raise _Unfit(_other(pl.Boolean()))
    return bool(value)


def _integer(value: object) -> int:
    if not isinstance(value, int):
        raise _Unfit(_other(pl.Int64()))
    return value


def _float(value: object) -> float:
    if not isinstance(value, int | float):
        raise _Unfit(_other(pl.Float64()))
    return float(value)


def _decimal(value: object) -> Decimal:
    if not isinstance(value, Decimal) or not value.is_finite():  # of NaN and infinity, Polars panics
        raise _Unfit("holds a value that is no decimal number")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str | UUID):
        raise _Unfit(_other(pl.String()))
    return str(value)


def _date(value: object) -> date:
    if isinstance(value, str):
        return date.fromisoformat(value)
    if not isinstance(value, date):
        raise _Unfit(_other(pl.Date()))
    return value


def _instant(value: object) -> datetime:
    if isinstance(value, str):
        if not _TIMESTAMP.fullmatch(value):
            raise _Unfit("holds text that is not an ISO timestamp with a zone, to the microsecond at most")
        value = datetime.fromisoformat(value)
    if not isinstance(value, datetime):
        raise _Unfit(_other(INSTANT))
    if value.tzinfo is None:
        raise _Zoneless("has no time zone: declare it `timestamptz`")
    return value.astimezone(UTC)
