"""Dates and times in a declared format (`%d.%m.%Y`), to ISO 8601 text. The directives are those of Python's `strptime`.

A text that is not wholly of the format becomes null. The zero in front of a day, month or hour may be missing where something
stands on both sides of it. Two digits of a year are 1969 to 2068, as POSIX has it. Names of months are English, in whatever case.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

import polars as pl

from assay.errors import AssayError

MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_SHORT = tuple(name[:3] for name in MONTHS)
_PADDED = {
    "m": "0[1-9]|1[0-2]",
    "d": "0[1-9]|[12][0-9]|3[01]",
    "H": "[01][0-9]|2[0-3]",
    "I": "0[1-9]|1[0-2]",
}
_PATTERNS = {
    "Y": "[0-9]{4}",
    "y": "[0-9]{2}",
    "b": f"(?i:{'|'.join(_SHORT)})",
    "B": f"(?i:{'|'.join(MONTHS)})",
    "M": "[0-5][0-9]",
    "S": "[0-5][0-9]",
    "f": "[0-9]{1,9}",
    "p": "(?i:AM|PM)",
    "z": "[Zz]|[+-](?:[01][0-9]|2[0-3]):?[0-5][0-9]",
    **_PADDED,
}
_WHOLE = {"%F": "%Y-%m-%d", "%T": "%H:%M:%S", "%R": "%H:%M", "%D": "%m/%d/%y"}
_PARTS = re.compile(r"%-?.|[^%]+|%", re.DOTALL)
# The hour of a clock with twelve of them -> the hour of the day.
_HOURS = {
    f"T{hour:02d}{half}": f"T{hour % 12 + 12 * (half == 'PM'):02d}" for half in ("AM", "PM") for hour in range(1, 13)
}


@dataclass(frozen=True, slots=True)
class TimeFormat:
    """A format that was read. pattern: of the texts. directives: letters, in order. loose: some zero may be missing."""

    pattern: str
    directives: tuple[str, ...]
    loose: bool

    @property
    def zoned(self) -> bool:
        return "z" in self.directives


@lru_cache(256)
def time_format(text: str, *, day: bool, clock: bool, where: str = "") -> TimeFormat:
    """A format for dates (`day`), times (`clock`) or both. Raises AssayError if it does not say a whole one, or says it twice."""
    parts: list[str] = _PARTS.findall(re.sub(r"%[FTRD]", lambda match: _WHOLE[match[0]], text))
    pattern, directives, loose = "", list[str](), False
    for index, part in enumerate(parts):
        letter = part[-1]
        if not part.startswith("%"):
            pattern += pl.escape_regex(part)
        elif part == "%%":
            pattern += "%"
        elif letter not in _PATTERNS or len(part) < 2 or (part.startswith("%-") and letter not in _PADDED):
            known = ", ".join(f"%{one}" for one in _PATTERNS)
            raise AssayError(f"{where}: {part} in {text!r} is not known; use {known}")
        else:
            sides = [parts[near] for near in (index - 1, index + 1) if 0 <= near < len(parts)]
            alone = all(not side.startswith("%") or side == "%%" for side in sides)
            may_be_short = letter in _PADDED and alone
            if part.startswith("%-") and not may_be_short:
                raise AssayError(f"{where}: {part} in {text!r} has no separator beside it; write %{letter}")
            if letter == "f" and not (index and parts[index - 1][-1] in ".,"):
                raise AssayError(f"{where}: %f in {text!r} has no point before it; write like %S.%f")
            one = f"{_PATTERNS[letter]}|[1-9]" if may_be_short and letter != "H" else _PATTERNS[letter]
            one = f"{one}|[0-9]" if may_be_short and letter == "H" else one
            pattern += f"(?P<{letter}>{one})"
            directives.append(letter)
            loose |= may_be_short
    _require_whole(text, directives, day=day, clock=clock, where=where)
    return TimeFormat(f"^{pattern}$", tuple(directives), loose)


def _require_whole(text: str, directives: list[str], *, day: bool, clock: bool, where: str) -> None:
    groups = []
    if day:
        groups += [
            ("a year (%Y or %y)", "Yy", True),
            ("a month (%m, %b or %B)", "mbB", True),
            ("a day (%d)", "d", True),
        ]
    if clock:
        groups += [
            ("an hour (%H, or %I with %p)", "HI", True),
            ("minutes (%M)", "M", True),
            ("seconds (%S)", "S", False),
        ]
        groups += [("a fraction (%f)", "f", False), ("AM or PM (%p)", "p", "I" in directives)]
        groups += [("a zone (%z)", "z", False)] if day else []
    known = "".join(letters for _, letters, _ in groups)
    for letter in directives:
        if letter not in known:
            kind = "dates and times" if day and clock else "dates" if day else "times of day"
            raise AssayError(f"{where}: %{letter} in {text!r} has no place in {kind}")
    for what, letters, needed in groups:
        count = sum(letter in letters for letter in directives)
        if count > 1:
            raise AssayError(f"{where}: {text!r} says {what} more than once")
        if needed and not count:
            raise AssayError(f"{where}: {text!r} does not say {what}")
    if ("f" in directives and "S" not in directives) or ("p" in directives and "H" in directives):
        raise AssayError(f"{where}: {text!r} has %f without %S, or %p with %H")


def iso_text(text: pl.Expr, made: TimeFormat) -> pl.Expr:
    """Texts of the format as ISO 8601 texts; null for any other text. Whether a month has such a day is not asked."""
    iso = pl.when(text.str.contains(made.pattern)).then(text).str.replace(made.pattern, _template(made.directives))
    if not {"b", "B", "p"}.isdisjoint(made.directives):
        iso = iso.str.to_uppercase()
    for letter, names in (("b", _SHORT), ("B", MONTHS)):
        if letter in made.directives:
            numbers = {name.upper(): f"{number:02d}" for number, name in enumerate(names, start=1)}
            iso = iso.str.replace_many(list(numbers), list(numbers.values()))
    if made.loose:
        iso = iso.str.replace("-([0-9])-", "-0${1}-").str.replace("-([0-9])(T|$)", "-0${1}${2}")
        iso = iso.str.replace("T([0-9])(:|AM|PM)", "T0${1}${2}")
    if "y" in made.directives:
        iso = iso.str.replace("^(69|[7-9][0-9])-", "19${1}-").str.replace("^([0-9]{2})-", "20${1}-")
    if "p" in made.directives:
        iso = iso.str.replace_many(list(_HOURS), list(_HOURS.values()))
    return iso.str.strip_prefix("T")


def _template(directives: tuple[str, ...]) -> str:
    """How the parts stand in ISO 8601. A time of day begins with a T until its hour is one of the day."""
    named = {letter: f"${{{letter}}}" for letter in directives}

    def one(*letters: str) -> str:
        return next((named[letter] for letter in letters if letter in named), "")

    day = f"{one('Y', 'y')}-{one('m', 'b', 'B')}-{one('d')}" if "d" in named else ""
    if "M" not in named:
        return day
    seconds = (f":{one('S')}" if "S" in named else ":00") + (f".{one('f')}" if "f" in named else "")
    zone = one("z") or ("Z" if day else "")
    return f"{day}T{one('H', 'I')}{one('p')}:{one('M')}{seconds}{zone}"
