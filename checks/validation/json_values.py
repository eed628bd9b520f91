"""JSON text as lists and structs: what JSON lines, and CSV files that hold JSON, have in a column of a nested type.

A text is read if the type holds everything that it says: a key that the struct does not have is no value of it, nor is a
number with a fraction a whole one, nor one with a finer fraction of a second a time. Only floats are rounded, and fractions
beyond a microsecond are cut where the type has microseconds, as those of a column are. A key that is missing is null.
"""

import json
import re
import struct
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal
from typing import Any, NoReturn

import polars as pl

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NANOSECONDS = range(-(2**63), 2**63)
_FRACTION = re.compile(r"[.,]([0-9]+)")
_FRACTION_OF_OFFSET = re.compile(r"[+-][0-9:]*[.,]")
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9])(?:\.([0-9]{1,9}))?)?")
_SMALL_FLOATS: dict[type[pl.DataType], str] = {pl.Float16: "<e", pl.Float32: "<f"}  # as `struct` names them


class _Unfit(ValueError):
    """A value that the type does not hold."""


def from_json(text: pl.Expr, target: pl.DataType) -> pl.Expr:
    """JSON text as values of a nested type; null for text that is not JSON, or more than the type holds."""
    convert, stored = _converter(target), _stored(target)

    def read(texts: pl.Series) -> pl.Series:
        values = pl.Series(texts.name, [_read(one, convert) for one in texts], stored, strict=False)
        return values if stored == target else values.cast(target)

    return text.map_batches(read, return_dtype=target)


def _read(text: str | None, convert: Callable[[Any], Any]) -> Any:
    if text is None:
        return None
    try:
        value = json.loads(text, parse_float=Decimal, parse_constant=_refuse, object_pairs_hook=_distinct)
        return convert(value)
    except (ValueError, ArithmeticError, RecursionError):
        return None


def _refuse(name: str) -> NoReturn:
    raise _Unfit(name)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise _Unfit
    return values


def _stored(target: pl.DataType) -> pl.DataType:
    """The type with times as the numbers that they are stored as: Python's have no nanoseconds."""
    match target:
        case pl.List():
            return pl.List(_stored(target.inner))  # pyright: ignore[reportArgumentType] - instances
        case pl.Array():
            return pl.Array(_stored(target.inner), target.size)  # pyright: ignore[reportArgumentType]
        case pl.Struct():
            return pl.Struct({field.name: _stored(field.dtype) for field in target.fields})  # pyright: ignore[reportArgumentType]
        case _:
            return pl.Int64() if isinstance(target, (pl.Datetime, pl.Time)) or target == pl.Time else target


def _converter(target: pl.DataType) -> Callable[[Any], Any]:
    """What makes of a JSON value one of the type, as `_stored` has it. Raises ValueError or ArithmeticError for a value that the
    type does not hold."""
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
        case pl.Time():
            return _clock
    if target.is_integer():
        return _integer(*pl.select(low=target.min(), high=target.max()).row(0))  # pyright: ignore[reportAttributeAccessIssue]
    if target.is_float():
        return _float(_SMALL_FLOATS.get(type(target), "<d"))
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


def _float(form: str) -> Callable[[Any], float]:
    def convert(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise _Unfit
        number = float(value)
        if number in (float("inf"), float("-inf")):
            raise _Unfit
        return struct.unpack(form, struct.pack(form, number))[0]  # OverflowError for one that would be infinite

    return convert


def _decimal(precision: int, scale: int) -> Callable[[Any], Decimal]:
    last, context = Decimal((0, (1,), -scale)), Context(prec=precision)

    def convert(value: Any) -> Decimal:
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise _Unfit
        number = Decimal(value)
        exact = number.quantize(last, context=context)  # InvalidOperation for more digits than the type has
        if exact != number:
            raise _Unfit
        return exact

    return convert


def _moment(target: pl.Datetime) -> Callable[[Any], int]:
    def convert(value: Any) -> int:
        text = _only(str)(value)
        moment = datetime.fromisoformat(text)  # which cuts beyond a microsecond
        if (moment.tzinfo is None) != (target.time_zone is None) or _FRACTION_OF_OFFSET.search(text):
            raise _Unfit
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        microseconds = (moment - _EPOCH) // _MICROSECOND
        if target.time_unit == "us":
            return microseconds
        fraction = _FRACTION.search(text)
        beyond = fraction[1][6:].rstrip("0") if fraction else ""
        if target.time_unit == "ms":
            if beyond or microseconds % 1000:
                raise _Unfit
            return microseconds // 1000
        nanoseconds = 1000 * microseconds + int(beyond.ljust(3, "0"))
        if len(beyond) > 3 or nanoseconds not in _NANOSECONDS:
            raise _Unfit
        return nanoseconds

    return convert


def _clock(value: Any) -> int:
    """Nanoseconds since midnight."""
    match = _CLOCK.fullmatch(_only(str)(value))
    if match is None:
        raise _Unfit
    hour, minute, second, fraction = match.groups(default="0")
    return ((int(hour) * 60 + int(minute)) * 60 + int(second)) * 10**9 + int(fraction.ljust(9, "0"))
