"""What a cell says, as text. Excel stores a date as a number, and only the format of its cell says that it is one.

Formats: ECMA-376, part 1, 18.8.30. A serial number counts days from 1900, with a 29 February 1900 that there never was, or from
1904.
"""

import math
import re
from datetime import date, datetime, time, timedelta
from enum import Enum

from assay.assets.sources.value_text import as_text

_DAY = 86_400_000  # milliseconds, which is how exact Excel is
_END = 2_958_466  # the day after 9999-12-31
_EXACT = 2**53  # up to here a float is one whole number
_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]*)")
_NO_PART = re.compile(r'"[^"]*"?|\\.|_.|\*.|\[(?!h+\]|m+\]|s+\])[^\]]*\]|am/pm|a/p|e[+-]', re.IGNORECASE | re.DOTALL)
_CODE = re.compile(r"_x([0-9A-Fa-f]{4})_")


class Kind(Enum):
    """What the numbers of a format are."""

    NUMBER = 1
    DATE = 2
    MOMENT = 3  # with a time of day
    CLOCK = 4  # a time of day alone
    ELAPSED = 5  # hours that may be more than 24


#: The formats that have a number and no code; in those from 27 on, which are of East Asia, only the value says which it is.
BUILT_IN = {
    **dict.fromkeys([*range(14, 18), *range(27, 37), *range(50, 59)], Kind.DATE),
    **dict.fromkeys([18, 19, 20, 21, 45, 47], Kind.CLOCK),
    22: Kind.MOMENT,
    46: Kind.ELAPSED,
}


def kind_of(code: str) -> Kind:
    """What a format makes of numbers, by its first section."""
    code = _NO_PART.sub("", code).partition(";")[0].lower()
    if code == "general":
        return Kind.NUMBER
    if "[" in code:
        return Kind.ELAPSED
    has_time = "h" in code or "s" in code
    has_date = "y" in code or "d" in code or "mmm" in code or ("m" in code and not has_time)
    if has_date:
        return Kind.MOMENT if has_time else Kind.DATE
    return Kind.CLOCK if has_time else Kind.NUMBER


def number_text(written: str) -> str:
    """A number as short as it can be: whole ones without a point. Raises ValueError for what is none."""
    if _WHOLE.fullmatch(written):
        return written
    number = float(written)
    if not math.isfinite(number):
        raise ValueError("not finite")
    return str(int(number)) if number.is_integer() and abs(number) <= _EXACT else repr(number)


def moment_text(written: str, kind: Kind, *, from_1904: bool) -> str:
    """A date or time in ISO 8601, whole to the millisecond. What Excel itself cannot show as one stays the number that it is."""
    serial = float(written)
    if not abs(serial) < _END:
        return number_text(written)
    milliseconds = round(serial * _DAY)
    if kind is Kind.ELAPSED:
        return str(as_text(timedelta(milliseconds=milliseconds)))
    days, rest = divmod(milliseconds, _DAY)
    of_day = timedelta(milliseconds=rest)
    if kind is Kind.CLOCK and days == 0:
        return (datetime.combine(date.min, time()) + of_day).time().isoformat()
    day = _date(days, from_1904=from_1904)
    if day is None:
        return number_text(written)
    if kind is Kind.DATE and not rest:
        return day.isoformat()
    return (datetime.combine(day, time()) + of_day).isoformat()


def _date(days: int, *, from_1904: bool) -> date | None:
    if from_1904:
        first = date(1904, 1, 1)
    elif 1 <= days != 60:
        first = date(1899, 12, 30 if days > 60 else 31)
    else:
        return None
    try:
        return first + timedelta(days=days)
    except OverflowError:
        return None


def unescaped(text: str) -> str:
    """Text without the escapes of characters that XML has none of: `_x000D_` is a carriage return."""
    return _CODE.sub(_character, text) if "_x" in text else text


def _character(match: re.Match[str]) -> str:
    code = int(match[1], 16)
    return match[0] if 0xD800 <= code < 0xE000 else chr(code)
