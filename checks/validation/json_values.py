"""JSON text as lists and structs: what JSON lines, and CSV files that hold JSON, have in a column of a nested type.

A text is read if the type holds everything that it says: a key that the struct does not have is no value of it, nor is a
number with a fraction a whole one. A key that is missing is null.
"""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

import polars as pl

_NS_YEARS = range(1678, 2262)  # which nanoseconds hold as a whole


class _Unfit(ValueError):
    """A value that the type does not hold."""


def from_json(text: pl.Expr, target: pl.DataType) -> pl.Expr:
    """JSON text as values of a nested type; null for text that is not JSON, or more than the type holds."""
    convert = _converter(target)

    def read(texts: pl.Series) -> pl.Series:
        return pl.Series(texts.name, [_read(one, convert) for one in texts], target, strict=False)

    return text.map_batches(read, return_dtype=target)


def _read(text: str | None, convert: Callable[[Any], Any]) -> Any:
    if text is None:
        return None
    try:
        value = json.loads(text, parse_float=Decimal, parse_constant=_refuse, object_pairs_hook=_distinct)
        return convert(value)
    except (ValueError, RecursionError, InvalidOperation):
        return None


def _refuse(name: str) -> NoReturn:
    raise _Unfit(name)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise _Unfit
    return values


def _converter(target: pl.DataType) -> Callable[[Any], Any]:
    """What makes of a JSON value one of the type. Raises ValueError for a value that the type does not hold."""
    exact = _exactly(target() if isinstance(target, type) else target)

    def convert(value: Any) -> Any:
        return None if value is None else exact(value)

    return convert


def _exactly(target: pl.DataType) -> Callable[[Any], Any]:
    match target:
        case pl.List() | pl.Array():
            return _list_of(_converter(target.inner), target)  # pyright: ignore[reportArgumentType] - instances
        case pl.Struct():
            return _struct_of({field.name: _converter(field.dtype) for field in target.fields})  # pyright: ignore[reportArgumentType]
        case pl.Boolean():
            return _only(bool)
        case pl.String() | pl.Enum() | pl.Categorical():
            return _text(target)
        case pl.Date():
            return lambda value: date.fromisoformat(_only(str)(value))
        case pl.Datetime():
            return _moment(target)
    if target.is_integer():
        return _integer(*pl.select(low=target.min(), high=target.max()).row(0))  # pyright: ignore[reportAttributeAccessIssue]
    if target.is_float():
        return _float
    if isinstance(target, pl.Decimal):
        return _decimal(target.precision, target.scale)
    return _never


def _never(value: Any) -> NoReturn:
    raise _Unfit


def _only(kind: type) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:
        if type(value) is not kind:
            raise _Unfit
        return value

    return convert


def _text(target: pl.DataType) -> Callable[[Any], str]:
    among = set(target.categories.to_list()) if isinstance(target, pl.Enum) else None

    def convert(value: Any) -> str:
        if not isinstance(value, str) or (among is not None and value not in among):
            raise _Unfit
        value.encode()  # half of a surrogate pair is no text
        return value

    return convert


def _list_of(item: Callable[[Any], Any], target: pl.DataType) -> Callable[[Any], list[Any]]:
    length = target.size if isinstance(target, pl.Array) else None

    def convert(value: Any) -> list[Any]:
        if not isinstance(value, list) or (length is not None and len(value) != length):
            raise _Unfit
        return [item(one) for one in value]

    return convert


def _struct_of(fields: dict[str, Callable[[Any], Any]]) -> Callable[[Any], dict[str, Any]]:
    def convert(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict) or value.keys() - fields.keys():
            raise _Unfit
        return {name: field(value.get(name)) for name, field in fields.items()}

    return convert


def _integer(low: int, high: int) -> Callable[[Any], int]:
    def convert(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise _Unfit
        return value

    return convert


def _float(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise _Unfit
    number = float(value)
    if number in (float("inf"), float("-inf")):
        raise _Unfit
    return number


def _decimal(precision: int, scale: int) -> Callable[[Any], Decimal]:
    def convert(value: Any) -> Decimal:
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise _Unfit
        number = Decimal(value)
        if number != round(number, scale) or abs(number) >= Decimal(10) ** (precision - scale):
            raise _Unfit
        return number

    return convert


def _moment(target: pl.Datetime) -> Callable[[Any], datetime]:
    def convert(value: Any) -> datetime:
        moment = datetime.fromisoformat(_only(str)(value))
        if (moment.tzinfo is None) != (target.time_zone is None):
            raise _Unfit
        if target.time_unit == "ns" and moment.year not in _NS_YEARS:
            raise _Unfit
        return moment if moment.tzinfo is None else moment.astimezone(UTC)

    return convert
