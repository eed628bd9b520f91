"""Delivered values to contract types, strictly: a value that is not plainly of the type becomes null, never a guess."""

from collections.abc import Callable

import polars as pl

from assay.checks.contract.rules import Column
from assay.checks.text.number_forms import usual_number
from assay.checks.text.time_formats import iso_text
from assay.checks.validation.json_values import from_json

_INTEGER = r"^[+-]?[0-9]+$"
_FLOAT = r"^[+-]?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$"
_NOT_FINITE = r"^(?i:[+-]?(?:nan|inf|infinity))$"
_YEAR = r"(?:[0-9]{3}[1-9]|[0-9]{2}[1-9]0|[0-9][1-9]00|[1-9]000)"  # there is no year 0
_DATE = rf"^{_YEAR}-[0-9]{{2}}-[0-9]{{2}}$"
_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,9})?)?"
_TIME = rf"^{_CLOCK}$"
_TIMESTAMP = rf"^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[Tt ]{_CLOCK}"
_ZONE = r"(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):?[0-5][0-9])$"
# The usual form of the above: such a text is parsed as it is, many times as fast.
_PLAIN = rf"^{_YEAR}-[0-9]{{2}}-[0-9]{{2}}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z$"

_TEXT = "text"

# From 1970-01-01: those of 0001-01-01 and 9999-12-31; and the units in a day.
_DAYS = (-719_162, 2_932_896)
_UNITS = {"ms": 86_400_000, "us": 86_400_000_000}


def typed(value: pl.Expr, source: pl.DataType, column: Column) -> pl.Expr:
    """`value` of dtype `source` as the column's type; null where that is not possible.

    Text is parsed strictly (ISO 8601 for times; fractions beyond a microsecond are cut; JSON for lists and structs). Numbers
    change type only when the value stays the same, in lists and structs too. Timestamps without a zone are read only if the
    field says `naive_utc`.
    Other conversions happen only if the field says `coerce`.
    """
    target = column.dtype
    nothing = pl.lit(None, dtype=target)
    if source == target:
        return value
    if source == pl.Null:
        return nothing
    if source == pl.String:
        return _from_text(value, column)
    if isinstance(source, pl.Datetime) and isinstance(target, pl.Datetime) and target.time_zone is not None:
        if source.time_zone is None:
            value = value.dt.replace_time_zone("UTC") if column.options.naive_utc else nothing
        return held(value.cast(target, strict=False), target)
    if isinstance(source, (pl.Categorical, pl.Enum)) and target == pl.String:
        return value.cast(target)
    if source.is_numeric() and target.is_numeric() and not column.coerce:
        number = _bounded(value, source, target).cast(target, strict=False)
        return pl.when(number.cast(source, strict=False) == value).then(number)
    if source.is_nested() and _same_shape(source, target):
        nested = value.cast(target, strict=False)
        return pl.when(nested.cast(source, strict=False) == value).then(nested)
    if column.coerce and not source.is_nested() and _castable(source, target):
        return value.cast(target, strict=False)
    return nothing


def as_delivered(value: pl.Expr, source: pl.DataType, column: Column) -> pl.Expr:
    """As `typed`, of a value as an upstream writes it: texts are in the column's declared form, and may mean that there is none.

    The declared form is brought to the usual one, which is then read as ever: there is one reader of each type.
    """
    written = column.options.written
    if source != pl.String or not written:
        return typed(value, source, column)
    present = pl.when(~is_missing(value, column)).then(value) if written.missing else value
    usual = _usual_form(pl.col(_TEXT), column)
    if usual is None:
        return typed(present, source, column)
    read = _from_text(pl.col(_TEXT), column)

    def in_turn(texts: pl.Series) -> pl.Series:
        # In two steps: an expression that stands in another one twice would be evaluated twice.
        return texts.alias(_TEXT).to_frame().select(usual.alias(_TEXT)).select(read.alias(texts.name)).to_series()

    return present.map_batches(in_turn, return_dtype=column.dtype, is_elementwise=True)


def is_missing(text: pl.Expr, column: Column) -> pl.Expr:
    """Whether a text is one of those that mean that there is no value; null for null."""
    return text.is_in(list(column.options.written.missing or ()))


def _usual_form(text: pl.Expr, column: Column) -> pl.Expr | None:
    """Texts of the declared form in the usual one, null for others; None if the declared form is the usual one."""
    written, dtype = column.options.written, column.dtype
    if dtype.is_numeric() and written.is_number_form:
        return usual_number(text, **written.numbers(dtype))
    if (made := written.times(dtype)) is not None:
        return iso_text(text, made)
    if dtype == pl.Boolean and written.true_values and written.false_values:
        names = dict.fromkeys(written.true_values, "true") | dict.fromkeys(written.false_values, "false")
        return text.replace_strict(list(names), list(names.values()), default=None, return_dtype=pl.String)
    return None


def may_be_far(dtype: pl.DataType) -> bool:
    """Whether a type can hold another year than 1 to 9999, also inside of lists and structs; Python and Delta go no further."""
    match dtype:
        case pl.List() | pl.Array():
            return may_be_far(dtype.inner)  # pyright: ignore[reportArgumentType] - instances
        case pl.Struct():
            return any(may_be_far(field.dtype) for field in dtype.fields)  # pyright: ignore[reportArgumentType]
        case _:
            return dtype == pl.Date or (isinstance(dtype, pl.Datetime) and dtype.time_unit in _UNITS)


def held(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """A value of this type; null for a date or time in another year, and for a list or struct that holds one."""
    if not may_be_far(dtype):
        return value
    if dtype.is_nested():
        return pl.when(~_holds_far(value, dtype).fill_null(False)).then(value)
    return pl.when(_near(value, dtype)).then(value)


def _near(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    first, last = _ends(dtype)
    return value.to_physical().is_between(first, last)


def _holds_far(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Whether any date or time in it is in another year; null or false where none is."""
    match dtype:
        case pl.List() | pl.Array():
            elements = value.arr.to_list() if isinstance(dtype, pl.Array) else value
            return elements.list.eval(_holds_far(pl.element(), dtype.inner)).list.any()  # pyright: ignore[reportArgumentType]
        case pl.Struct():
            fields = [field for field in dtype.fields if may_be_far(field.dtype)]  # pyright: ignore[reportArgumentType]
            return pl.any_horizontal(_holds_far(value.struct.field(field.name), field.dtype) for field in fields)  # pyright: ignore[reportArgumentType]
        case _:
            return ~_near(value, dtype)


def far(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Whether any of the values is a date or time in another year, or holds one; null or false where none is."""
    if dtype.is_nested():
        return _holds_far(value, dtype).any()
    first, last = _ends(dtype)
    return (value.to_physical().min() < first) | (value.to_physical().max() > last)


def _ends(dtype: pl.DataType) -> tuple[int, int]:
    """The first and the last date or time of the years 1 to 9999, as it is stored."""
    units = _UNITS[dtype.time_unit] if isinstance(dtype, pl.Datetime) else 1
    return _DAYS[0] * units, (_DAYS[1] + 1) * units - 1


def _bounded(value: pl.Expr, source: pl.DataType, target: pl.DataType) -> pl.Expr:
    """The numbers that a decimal can hold: casting a float beyond is an error, not a null."""
    if not (isinstance(target, pl.Decimal) and source.is_float()):
        return value
    return pl.when(value.abs() < 10.0 ** (target.precision - target.scale) - 0.5 * 10.0**-target.scale).then(value)


def _from_text(text: pl.Expr, column: Column) -> pl.Expr:
    target = column.dtype
    if target.is_integer():
        return _matching(text, _INTEGER).cast(target, strict=False)
    if target.is_float():
        simple = rf"^[+-]?[0-9]{{1,{4 if target == pl.Float16 else 38}}}(?:\.[0-9]+)?$"
        return _by_form(
            text,
            simple,
            lambda usual: usual.cast(target, strict=False),
            lambda other: _any_float(other, target),
            target,
        )
    if isinstance(target, pl.Decimal):
        places = rf"(?:\.[0-9]{{1,{target.scale}}}0*)?" if target.scale else r"(?:\.0+)?"
        return _matching(text, rf"^[+-]?[0-9]+{places}$").cast(target, strict=False)
    if target == pl.Boolean:
        lower = text.str.to_lowercase()
        return pl.when(lower == "true").then(True).when(lower == "false").then(False)
    if target == pl.Date:
        return _matching(text, _DATE).str.to_date("%Y-%m-%d", strict=False)
    if target == pl.Time:
        return _with_seconds(_matching(text, _TIME)).str.to_time("%H:%M:%S%.f", strict=False)
    if isinstance(target, pl.Datetime):
        moment = _timestamp(text, target, column.options.naive_utc)
        if target.time_unit != "ns":
            return moment
        # Parsing to nanoseconds wraps around where they end, in the years 1677 and 2262.
        exact = _timestamp(text, pl.Datetime("us", target.time_zone), column.options.naive_utc)
        return pl.when(exact.cast(target, strict=False).is_not_null()).then(moment)
    if isinstance(target, (pl.Enum, pl.Categorical)):
        return text.cast(target, strict=False)
    if target.is_nested():
        return from_json(text, target)
    return pl.lit(None, dtype=target)


def _any_float(text: pl.Expr, target: pl.DataType) -> pl.Expr:
    number = _matching(text, _FLOAT).cast(target, strict=False)
    # "1e400" would silently become infinity.
    return (
        pl.when(text.str.contains(_NOT_FINITE))
        .then(text.cast(target, strict=False))
        .when(number.is_finite())
        .then(number)
    )


def _timestamp(text: pl.Expr, target: pl.Datetime, naive_utc: bool) -> pl.Expr:
    # Nothing asks what became of the plain texts: each is a time in the years that there are, or a day that no month has. Few
    # values are the same, so that a cache of them costs more.
    def plain(usual: pl.Expr) -> pl.Expr:
        moment = usual.str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit=target.time_unit, strict=False, cache=False)
        return moment.dt.replace_time_zone("UTC").cast(target)

    return _by_form(text, _PLAIN, plain, lambda other: _any_timestamp(other, target, naive_utc), target)


def _by_form(
    text: pl.Expr,
    pattern: str,
    usual: Callable[[pl.Expr], pl.Expr],
    other: Callable[[pl.Expr], pl.Expr],
    target: pl.DataType,
) -> pl.Expr:
    """Texts of a form that nearly all have, read as such, and all others. Where there are no others nothing is asked about them;
    and each text is looked at once, where an expression that stands in another one twice would be evaluated twice."""

    def read(texts: pl.Series) -> pl.Series:
        frame, value = texts.alias(_TEXT).to_frame(), pl.col(_TEXT)
        if (matches := texts.str.contains(pattern)).all():
            return frame.select(usual(value)).to_series().alias(texts.name)
        parts = frame.select(pl.when(matches).then(value).alias("usual"), pl.when(~matches).then(value).alias("other"))
        return parts.select(pl.coalesce(usual(pl.col("usual")), other(pl.col("other")))).to_series().alias(texts.name)

    return text.map_batches(read, return_dtype=target, is_elementwise=True)


def _any_timestamp(text: pl.Expr, target: pl.Datetime, naive_utc: bool) -> pl.Expr:
    zoned = _matching(text, _TIMESTAMP + _ZONE).str.replace(r"[Zz]$", "+0000")
    if naive_utc:
        naive = _matching(text, _TIMESTAMP + "$") + "+0000"
        zoned = pl.coalesce(zoned, naive)
    moment = _with_seconds(zoned.str.replace(r"[Tt]", " ")).str.to_datetime(
        "%Y-%m-%d %H:%M:%S%.f%z", time_unit=target.time_unit, strict=False
    )
    return held(moment.cast(target), target)


def _with_seconds(clock: pl.Expr) -> pl.Expr:
    """ISO 8601 lets the seconds out; the parser does not."""
    return clock.str.replace(r"(^| )([0-9]{2}:[0-9]{2})($|[+-])", "${1}${2}:00${3}")


def _matching(text: pl.Expr, pattern: str) -> pl.Expr:
    return pl.when(text.str.contains(pattern)).then(text)


def _same_shape(source: pl.DataType, target: pl.DataType) -> bool:
    """Whether two types nest alike, down to numbers, text and times that plainly mean the same."""
    match source, target:
        case (pl.List(), pl.List()):
            return _same_shape(source.inner, target.inner)  # pyright: ignore[reportArgumentType] - instances
        case (pl.Array(), pl.Array()):
            return source.shape == target.shape and _same_shape(source.inner, target.inner)  # pyright: ignore[reportArgumentType]
        case (pl.Struct(), pl.Struct()):
            pairs = list(zip(source.fields, target.fields, strict=False))
            return len(source.fields) == len(target.fields) and all(
                old.name == new.name and _same_shape(old.dtype, new.dtype)  # pyright: ignore[reportArgumentType]
                for old, new in pairs
            )
        case (pl.Datetime(), pl.Datetime()):
            return source.time_zone is not None and target.time_zone is not None
        case _:
            text = isinstance(source, (pl.Categorical, pl.Enum)) and target == pl.String
            return source in (target, pl.Null()) or text or (source.is_numeric() and target.is_numeric())


def _castable(source: pl.DataType, target: pl.DataType) -> bool:
    # Of these a value, not the type, decides, and it is an error.
    by_value = source == pl.Binary or (source.is_numeric() and isinstance(target, (pl.Categorical, pl.Enum)))
    if target.is_nested() or by_value:
        return False
    try:
        pl.Series([None], dtype=source).cast(target)
    except pl.exceptions.PolarsError:
        return False
    return True
