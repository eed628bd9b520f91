"""Cron expressions of five fields, in UTC: the last moment that one names, and the next.

`minute hour day month weekday`, each `*`, a number, a range `1-5`, steps `*/15`, or several with commas; months and days of
the week also by their English names. Where day and weekday are both given, either will do, as cron has it. `@hourly`, `@daily`,
`@weekly`, `@monthly` and `@yearly` are known.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

_NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_FURTHEST = timedelta(days=366 * 8 + 1)  # from one 29 February to the next, over a century that has none


@dataclass(frozen=True, slots=True)
class Cron:
    """The moments of an expression. `parse_cron` makes them."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]  # 0: Sunday
    either: bool  # the day of the month or that of the week

    def last(self, at: datetime) -> datetime:
        """The latest moment at or before a time."""
        at = at.astimezone(UTC)
        return next(tick for tick in self._ticks(at, -1) if tick <= at)

    def next(self, after: datetime) -> datetime:
        """The first moment after a time."""
        after = after.astimezone(UTC)
        return next(tick for tick in self._ticks(after, 1) if tick > after)

    def ever(self) -> bool:
        """Whether there is any such moment: there is no 30 February."""
        return next(self._ticks(datetime(2000, 1, 1, tzinfo=UTC), 1), None) is not None

    def _ticks(self, start: datetime, direction: int) -> Iterator[datetime]:
        day = start.replace(hour=0, minute=0, second=0, microsecond=0)
        for count in range(_FURTHEST.days):
            midnight = day + timedelta(days=direction * count)
            if self._on(midnight):
                for hour in self.hours[::direction]:
                    for minute in self.minutes[::direction]:
                        yield midnight + timedelta(hours=hour, minutes=minute)

    def _on(self, day: datetime) -> bool:
        of_month, of_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return day.month in self.months and (of_month or of_week if self.either else of_month and of_week)


@lru_cache(64)
def parse_cron(text: str) -> Cron:
    """Read an expression.

    Args:
        text: Such as `0 3 * * mon`.

    Raises:
        ValueError: It is none.
    """
    fields = _NICKNAMES.get(text.strip().lower(), text).lower().split()
    if len(fields) != 5:
        raise ValueError("a cron expression has five fields: minute, hour, day, month, weekday")
    minutes, hours, days, months, weekdays = (
        _numbers(part, *bounds, names)
        for part, bounds, names in zip(fields, _BOUNDS, ((), (), (), _MONTHS, _WEEKDAYS), strict=True)
    )
    either = not fields[2].startswith("*") and not fields[4].startswith("*")
    cron = Cron(
        tuple(sorted(minutes)),
        tuple(sorted(hours)),
        days,
        months,
        frozenset(number % 7 for number in weekdays),
        either,
    )
    if not cron.ever():
        raise ValueError("it names no moment: no such day is in these months")
    return cron


def _numbers(field: str, low: int, high: int, names: tuple[str, ...]) -> frozenset[int]:
    found: set[int] = set()
    for part in field.split(","):
        span, slash, step = part.partition("/")
        first, dash, last = span.partition("-")
        if span == "*":
            begin, end = low, high
        else:
            begin = _number(first, low, high, names)
            end = _number(last, low, high, names) if dash else high if slash else begin
        if slash and not (step.isdecimal() and int(step)):
            raise ValueError(f"{part!r}: after / stands a number of at least 1")
        if end < begin:
            raise ValueError(f"{part!r} ends before it begins")
        found |= set(range(begin, end + 1, int(step) if slash else 1))
    return frozenset(found)


def _number(text: str, low: int, high: int, names: tuple[str, ...]) -> int:
    if text in names:
        return names.index(text) + (1 if low else 0)
    if not (text.isascii() and text.isdecimal()) or not low <= int(text) <= high:
        raise ValueError(f"{text!r} is no number from {low} to {high}")
    return int(text)
