"""Durations: `"7d"`, `"1d12h"`, or a timedelta. A day is 24 hours."""

from __future__ import annotations

import re
from datetime import timedelta
from functools import lru_cache

from assay.errors import AssayError

_UNITS = {
    "w": timedelta(weeks=1),
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
    "us": timedelta(microseconds=1),
}
_PART = re.compile(r"(\d{1,9})(ms|us|[wdhms])")
_LONGEST = timedelta(days=366_000)  # a thousand years: µs arithmetic on any instant stays far inside 64 bits


def parse_duration(value: timedelta | str, what: str) -> timedelta:
    """`"7d"`, `"1d12h"` or a timedelta as a positive timedelta; a day is 24 hours.

    Raises AssayError, naming `what`, for anything else: zero would otherwise be read as "for ever" or as "never".
    """
    if isinstance(value, str):
        value = _duration(value, what)
    if not isinstance(value, timedelta):
        raise AssayError(f"{what} must be a duration such as '7d' or a timedelta, not {type(value).__name__}")
    if value <= timedelta(0):
        raise AssayError(f"{what} must be longer than zero; leave max_age out (None) for no limit")
    if value > _LONGEST:
        raise AssayError(f"{what} is longer than a thousand years; leave max_age out (None) for no limit")
    return value


@lru_cache(1024)  # a thousand views ask for the same few, each time that they are asked
def _duration(text: str, what: str) -> timedelta:
    parts = _PART.findall(text)
    if not parts or "".join(count + unit for count, unit in parts) != text:
        raise AssayError(f"{what} {text!r} is not a duration: write e.g. '7d', '12h', '1d12h' (units w d h m s ms us)")
    return sum((int(count) * _UNITS[unit] for count, unit in parts), timedelta(0))


def format_duration(value: timedelta | str) -> str:
    """The short text of a duration, as used in feature names: `"7d"` for seven days."""
    if isinstance(value, str):
        return value
    rest, text = value, ""
    for unit in ("d", "h", "m", "s", "us"):
        count, rest = divmod(rest, _UNITS[unit])
        text += f"{count}{unit}" if count else ""
    return text


def microseconds(value: timedelta) -> int:
    return value // timedelta(microseconds=1)
