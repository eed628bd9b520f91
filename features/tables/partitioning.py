"""How a table is cut into partitions: by hour, day, week or month in the time zone of its source, by fixed keys, or not.

A key names a partition, and sorts as text in the order of time. It is the *local* time at which the partition begins:

| rhythm  | key             | partition                                          |
|---------|-----------------|----------------------------------------------------|
| hourly  | `2026-10-25-02` | from 02:00 on; `2026-10-25-02b` when it is repeated |
| daily   | `2026-10-25`    | that day, of 23, 24 or 25 hours                    |
| weekly  | `2026-10-19`    | the week that begins on that Monday                |
| monthly | `2026-10`       | that month                                         |

When clocks are set back, an hour occurs twice; the second has a `b`, as in timetables and energy markets. Where they are set
back by more (Antarctica/Troll, by two hours), the repeated hours count on from the last one: `02`, `02b`, `02c`, `03`. A day
has begun when the clocks first show it, also where they are set back to the day before. An hour or a day that the clocks
skip has no key.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Literal, get_args
from zoneinfo import ZoneInfo

from assay.errors import AssayError, known_names, nearest

Kind = Literal["none", "static", "hourly", "daily", "weekly", "monthly"]
Start = date | datetime | str

KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_FORMS = {
    "hourly": re.compile(r"(\d{4})-(\d{2})-(\d{2})-(\d{2})([b-z]?)"),
    "daily": re.compile(r"(\d{4})-(\d{2})-(\d{2})"),
    "weekly": re.compile(r"(\d{4})-(\d{2})-(\d{2})"),
    "monthly": re.compile(r"(\d{4})-(\d{2})"),
}
_EXAMPLES = {
    "hourly": "2026-01-31-09 (the hour from 09:00)",
    "daily": "2026-01-31",
    "weekly": "2026-01-26 (the Monday)",
    "monthly": "2026-01",
}
# The longest that a partition can be too short: clocks are set forward by at most this (by one hour in most places, by three
# at Casey in Antarctica).
_SHIFT = timedelta(hours=3)
_SHORTEST = {
    "hourly": timedelta(hours=1),
    "daily": timedelta(days=1),
    "weekly": timedelta(days=7),
    "monthly": timedelta(days=28),
}
# Since then all time zones have been whole quarters of an hour from UTC.
_QUARTER, _FIRST_HOURS = timedelta(minutes=15), 1980


@dataclass(frozen=True, slots=True)
class Partitioning:
    """The partitions of a source or table. Made by its constructors: `Partitioning.daily(date(2026, 9, 1))`.

    `start` and `end` are keys: the first and the last partition, both inclusive; without `end` there is no last one.
    """

    kind: Kind = "none"
    start: str = ""
    end: str | None = None
    time_zone: str = "UTC"
    keys: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            kinds = get_args(Kind)
            near = nearest(str(self.kind), kinds) or known_names(kinds)
            raise AssayError(f"There are no partitions of the kind {self.kind!r}.{near}")

    # -- constructors ----------------------------------------------------------------------------------------------

    @classmethod
    def none(cls) -> "Partitioning":
        """One piece: every write replaces or extends the whole table."""
        return cls("none")

    @classmethod
    def static(cls, *keys: str) -> "Partitioning":
        """Fixed keys, such as regions. Raises AssayError for a key that cannot name a folder, and for a repeated one."""
        if not keys:
            raise AssayError("Partitioning.static needs at least one key.")
        for key in keys:
            if not KEY.fullmatch(key):
                raise AssayError(f"{key!r} cannot be a partition key: use letters, digits, '.', '_' and '-'.")
        if len(set(keys)) < len(keys):
            raise AssayError(f"Partitioning.static: {max(keys, key=keys.count)!r} is given twice.")
        return cls("static", keys=tuple(keys))

    @classmethod
    def hourly(cls, start: Start, end: Start | None = None, time_zone: str = "UTC") -> "Partitioning":
        """One partition an hour, from the hour of `start` (local time, or its key) to that of `end`, both inclusive."""
        return cls._timed("hourly", start, end, time_zone)

    @classmethod
    def daily(cls, start: Start, end: Start | None = None, time_zone: str = "UTC") -> "Partitioning":
        """One partition a day, from `start` to `end`, both inclusive. A day is one of `time_zone`."""
        return cls._timed("daily", start, end, time_zone)

    @classmethod
    def weekly(cls, start: Start, end: Start | None = None, time_zone: str = "UTC") -> "Partitioning":
        """One partition a week, Monday to Sunday, from the week of `start` to that of `end`, both inclusive."""
        return cls._timed("weekly", start, end, time_zone)

    @classmethod
    def monthly(cls, start: Start, end: Start | None = None, time_zone: str = "UTC") -> "Partitioning":
        """One partition a calendar month, from the month of `start` to that of `end`, both inclusive."""
        return cls._timed("monthly", start, end, time_zone)

    @classmethod
    def _timed(cls, kind: Kind, start: Start, end: Start | None, time_zone: str) -> "Partitioning":
        _zone(time_zone)
        unbounded = cls(kind, time_zone=time_zone)
        first = unbounded._key_at(start)
        last = None if end is None else unbounded._key_at(end)
        if last is not None and last < first:
            raise AssayError(f"Partitioning.{kind}: the end {last} is before the start {first}.")
        return cls(kind, first, last, time_zone)

    def _key_at(self, at: Start) -> str:
        if isinstance(at, str):
            if not self.is_key(at):
                raise AssayError(f"{at!r} is not {self._what}: write it like {_EXAMPLES[self.kind]}.")
            return at
        if not isinstance(at, date):
            raise AssayError(
                f"Partitioning.{self.kind} needs a date, a time or a key such as {_EXAMPLES[self.kind]}, not "
                f"{'None' if at is None else type(at).__name__}."
            )
        if isinstance(at, datetime):
            local = at.astimezone(_zone(self.time_zone)) if at.tzinfo else at
        else:
            local = datetime.combine(at, datetime.min.time())
        instant = local.replace(tzinfo=_zone(self.time_zone)).astimezone(UTC)
        return self._key_of(instant)

    # -- what is a key ---------------------------------------------------------------------------------------------

    @property
    def is_partitioned(self) -> bool:
        return self.kind != "none"

    @property
    def is_timed(self) -> bool:
        """Whether each partition is a span of time."""
        return self.kind in _FORMS

    @property
    def _what(self) -> str:
        return f"a key of {self}"

    def __str__(self) -> str:
        if self.kind == "none":
            return "no partitions"
        if self.kind == "static":
            return f"the partitions {', '.join(self.keys)}"
        zone = "" if self.time_zone == "UTC" else f" ({self.time_zone})"
        return f"{self.kind} partitions{zone}"

    def is_key(self, key: str) -> bool:
        """Whether the text names a partition of this kind, at whatever time."""
        if self.kind == "static":
            return key in self.keys
        return self.is_timed and _begins(self, key) is not None

    def contains(self, key: str) -> bool:
        """Whether the partition is one of these: of this kind, and between start and end."""
        return self.is_key(key) and (not self.is_timed or (self.start <= key and (self.end is None or key <= self.end)))

    def require(self, key: str) -> str:
        """The key itself. Raises AssayError, with an example, unless it is contained."""
        if not self.is_key(key):
            if self.kind == "static":
                raise AssayError(f"There is no partition {key!r}. There are: {', '.join(self.keys)}.")
            if self.kind == "none":
                raise AssayError(f"There is no partition {key!r}: the table has none.")
            raise AssayError(f"{key!r} is not {self._what}: write it like {_EXAMPLES[self.kind]}.")
        if not self.contains(key):
            until = f" to {self.end}" if self.end else ""
            raise AssayError(f"{key} is not among the {self}: they go from {self.start}{until}.")
        return key

    # -- time ------------------------------------------------------------------------------------------------------

    def bounds(self, key: str) -> tuple[datetime, datetime]:
        """The instants (UTC) at which the partition begins and ends: start inclusive, end exclusive.

        Raises AssayError for an invalid key, and where partitions are no spans of time.
        """
        if not self.is_timed:
            raise AssayError(f"A partition of {self} has no beginning and no end in time.")
        begin = _begins(self, key)
        if begin is None:
            raise AssayError(f"{key!r} is not {self._what}: write it like {_EXAMPLES[self.kind]}.")
        return begin, _next(self, begin)

    def end_of(self, key: str) -> datetime:
        """The instant (UTC) at which the partition's data is complete."""
        return self.bounds(key)[1]

    def current(self, now: datetime) -> str | None:
        """The key of the partition that an instant is in; None where there is none (outside start and end, or untimed)."""
        if now.tzinfo is None:
            raise AssayError("The time has no zone: give an aware datetime.")
        if not self.is_timed:
            return None
        key = self._key_of(now.astimezone(UTC))
        return key if self.contains(key) else None

    def before(self, key: str, count: int) -> list[str]:
        """The last `count` keys before this one, oldest first; fewer at the start.

        Raises AssayError where partitions have no order in time.
        """
        keys: list[str] = []
        instant = self.bounds(key)[0]
        while len(keys) < count:
            instant, _ = self.bounds(self._key_of(instant - timedelta(microseconds=1)))
            earlier = self._key_of(instant)
            if earlier < self.start:
                break
            keys.append(earlier)
        return keys[::-1]

    def after(self, key: str, count: int) -> list[str]:
        """The next `count` keys after this one, in order; fewer at the end.

        Raises AssayError where partitions have no order in time.
        """
        found: list[str] = []
        while len(found) < count:
            key = self._key_of(self.end_of(key))
            if not self.contains(key):
                break
            found.append(key)
        return found

    def overlapping(self, since: datetime, until: datetime) -> list[str]:
        """The keys of the partitions that share any instant with `[since, until)`, in order, between start and end."""
        keys, instant = [], since.astimezone(UTC)
        while instant < until:
            key = self._key_of(instant)
            if self.contains(key):
                keys.append(key)
            instant = self.end_of(key)
        return keys

    def reach(self, lookback: timedelta) -> int:
        """How many partitions before its own a look back from a partition's end over this time can reach at most."""
        if not self.is_timed:
            return 0
        shift = timedelta(0) if self.time_zone == "UTC" or self.kind == "hourly" else _SHIFT
        return max(-(-(lookback + shift) // _SHORTEST[self.kind]) - 1, 0)

    # -- ranges ----------------------------------------------------------------------------------------------------

    def keys_between(self, first: str, last: str) -> list[str]:
        """The keys from `first` to `last`, both inclusive, as far as they are between start and end.

        Static keys come in the order of their declaration. Raises AssayError for an invalid key.
        """
        for key in (first, last):
            if not self.is_key(key):
                self.require(key)
        if not self.is_timed:
            here, there = self.keys.index(first), self.keys.index(last)
            return list(self.keys[here : there + 1])
        first, last = max(first, self.start), last if self.end is None else min(last, self.end)
        return list(self._keys(first, last)) if first <= last else []

    def chosen(self, first: str, last: str) -> list[str]:
        """The keys that somebody means who writes a range: keys of this kind, or days, which choose every partition that
        shares an instant with them. Empty where the range says nothing to these partitions."""
        if self.is_partitioned and self.is_key(first) and self.is_key(last):
            return self.keys_between(first, last)
        days = Partitioning("daily", time_zone=self.time_zone)
        if self.is_timed and days.is_key(first) and days.is_key(last):
            return self.overlapping(days.bounds(first)[0], days.end_of(last))
        return []

    def known(self, found: Sequence[str]) -> list[str]:
        """Those of the texts that are keys of these partitions, each once, in order."""
        kept = {key for key in found if self.contains(key)}
        return [key for key in self.keys if key in kept] if self.kind == "static" else sorted(kept)

    def _keys(self, first: str, last: str) -> Iterator[str]:
        key = first
        while key <= last:
            yield key
            key = self._key_of(self.end_of(key))

    def _key_of(self, instant: datetime) -> str:
        """The key of the partition that an instant (UTC) is in."""
        zone = _zone(self.time_zone)
        if self.kind == "hourly":
            return _hour_of(instant, zone)
        day = _day_of(instant, zone)
        if self.kind == "weekly":
            day -= timedelta(days=day.weekday())
        return f"{day:%Y-%m}" if self.kind == "monthly" else f"{day:%Y-%m-%d}"


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise AssayError(f"There is no time zone {name!r}: write it like 'Europe/Berlin' (IANA).") from None


@lru_cache(maxsize=1 << 16)  # more than all the days of a plan: it asks for each of them several times
def _begins(partitioning: Partitioning, key: str) -> datetime | None:
    """The instant at which a partition begins, or None if the text is no key."""
    match = _FORMS[partitioning.kind].fullmatch(key)
    if match is None or not key.isascii():
        return None
    numbers = [int(part) for part in match.groups() if part and part.isdecimal()]
    year, month, day, hour = (*numbers, *(1, 1, 1, 0)[len(numbers) :])
    earliest = _FIRST_HOURS if partitioning.kind == "hourly" else 1000
    if not earliest <= year < 9999:
        return None
    zone = _zone(partitioning.time_zone)
    try:
        local = datetime(year, month, day, hour)  # noqa: DTZ001 - as the clocks show it
    except ValueError:
        return None
    if partitioning.kind == "hourly":
        instant = local.replace(tzinfo=zone).astimezone(UTC)
        for _ in range(ord(key[-1]) - ord("a") if key[-1].isalpha() else 0):
            instant = _next_hour(instant, zone)
        return (
            instant if _hour_of(instant, zone) == key else None
        )  # skipped when clocks are set forward; or not repeated
    if partitioning.kind == "weekly" and local.weekday():
        return None
    instant = _first_shown(local.date(), zone)
    if partitioning.kind == "daily" and instant.astimezone(zone).date() != local.date():
        return None  # the whole day is skipped, as on Samoa in 2011
    return instant


def _next(partitioning: Partitioning, begin: datetime) -> datetime:
    """When the partition that begins there ends: the beginning of the next."""
    zone = _zone(partitioning.time_zone)
    if partitioning.kind == "hourly":
        return _next_hour(begin, zone)
    day = begin.astimezone(zone).date()
    if partitioning.kind == "monthly":
        following = date(day.year + day.month // 12, day.month % 12 + 1, 1)
    elif partitioning.kind == "weekly":
        following = day + timedelta(days=7 - day.weekday())
    else:
        following = day + timedelta(days=1)
    return _first_shown(following, zone)


def _first_shown(day: date, zone: ZoneInfo) -> datetime:
    """The instant (UTC) at which the clocks first show this day, or a later one."""
    midnight = datetime.combine(day, datetime.min.time())
    if zone.key == "UTC":
        return midnight.replace(tzinfo=UTC)
    instant = midnight.replace(tzinfo=zone).astimezone(UTC)
    early = midnight.replace(tzinfo=zone, fold=1).astimezone(UTC)
    if early >= instant:  # midnight is shown, once or twice
        return instant
    while instant - early > timedelta(seconds=1):  # it is skipped: the day begins when the clocks are set
        middle = early + (instant - early) // 2
        early, instant = (early, middle) if middle.astimezone(zone).date() >= day else (middle, instant)
    return instant.replace(microsecond=0)


def _day_of(instant: datetime, zone: ZoneInfo) -> date:
    """The day that an instant is in: the last one that the clocks had begun to show, though they may have been set back."""
    day = instant.astimezone(zone).date()
    following = day + timedelta(days=1)
    return following if _first_shown(following, zone) <= instant else day


def _on_the_hour(local: datetime) -> bool:
    return not (local.minute or local.second or local.microsecond)


def _next_hour(begin: datetime, zone: ZoneInfo) -> datetime:
    """The next instant after this one at which the clocks show a full hour."""
    instant = begin + _QUARTER
    while not _on_the_hour(instant.astimezone(zone)):
        instant += _QUARTER
    return instant


def _hour_of(instant: datetime, zone: ZoneInfo) -> str:
    """The key of the hour that an instant is in: of the last full hour that the clocks showed, with a letter that counts the
    hours which they have repeated since."""
    if instant.year < _FIRST_HOURS:
        raise AssayError(f"Hourly partitions begin in {_FIRST_HOURS} at the earliest: before, zones had odd offsets.")
    begin = instant.replace(minute=instant.minute - instant.minute % 15, second=0, microsecond=0)
    repeated = 0
    while not _on_the_hour(local := begin.astimezone(zone)) or local.fold:
        repeated += _on_the_hour(local)
        begin -= _QUARTER
    return f"{local:%Y-%m-%d-%H}{chr(ord('a') + repeated) if repeated else ''}"


UNPARTITIONED = Partitioning()


def midnight(day: str, partitioning: Partitioning) -> datetime:
    """The instant at which a day begins in the time zone of the partitions."""
    return Partitioning.daily(day, time_zone=partitioning.time_zone).bounds(day)[0]


def shared(partitionings: Sequence[Partitioning]) -> Partitioning | None:
    """The partitioning of what is computed partition by partition from several: from the latest start to the earliest end.
    None where they differ in more than start and end, or are none at all."""
    first, *others = partitionings or (UNPARTITIONED,)
    alike = {(item.kind, item.time_zone, item.keys) for item in partitionings}
    if len(alike) > 1:
        return None
    if not first.is_timed or not others:
        return first
    ends = [item.end for item in partitionings if item.end is not None]
    return replace(first, start=max(item.start for item in partitionings), end=min(ends, default=None))
