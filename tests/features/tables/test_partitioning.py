"""Partitions against a walk through time in small steps: the clocks of the zone decide, whatever they do."""
# ruff: noqa: DTZ001 - local times, as the clocks show them

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import AssayError
from assay.features.tables.partitioning import Partitioning

# Clocks that are set by an hour, by half of one, by two and by three, at midnight, at a minute past it and at night, in both
# hemispheres, and never.
ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",
    "America/Havana",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Pacific/Apia",
    "Asia/Beirut",
    "Antarctica/Troll",
    "Antarctica/Casey",
    "America/St_Johns",
]
KINDS = ["hourly", "daily", "weekly", "monthly"]
MINUTE = timedelta(minutes=1)
STEP = 15 * MINUTE  # clocks are set by whole quarters of an hour

# Nights on which some of these clocks are set.
NIGHTS = [
    datetime(2026, 3, 29), datetime(2026, 10, 25), datetime(2026, 3, 8), datetime(2026, 11, 1), datetime(2018, 11, 4),
    datetime(2018, 2, 18), datetime(2026, 4, 4), datetime(2026, 10, 3), datetime(2011, 12, 30), datetime(2026, 1, 1),
    datetime(2010, 3, 5), datetime(2009, 10, 18), datetime(2020, 10, 4), datetime(2010, 11, 7), datetime(1988, 10, 30),
]  # fmt: skip


def made(kind: str, zone: str = "UTC", start: str = "", end: str | None = None) -> Partitioning:
    return Partitioning(kind, start, end, zone)  # type: ignore[arg-type]


def walked(kind: str, zone: str, since: datetime, steps: int) -> list[tuple[str, datetime, datetime]]:
    """(key, begin, end) of every partition that begins and ends within the walk."""
    clock, begins, last = ZoneInfo(zone), list[tuple[str, datetime]](), None
    latest, repeated = datetime(1, 1, 1), 0
    for number in range(steps):
        instant = since + number * STEP
        shown = instant.astimezone(clock).replace(tzinfo=None, fold=0)
        if kind != "hourly":
            latest = max(latest, shown)  # a day that has begun does not end when the clocks are set back
            key = {
                "daily": f"{latest:%Y-%m-%d}",
                "weekly": f"{latest - timedelta(days=latest.weekday()):%Y-%m-%d}",
                "monthly": f"{latest:%Y-%m}",
            }[kind]
        elif shown.minute:
            key = last
        else:
            latest, repeated = (shown, 0) if shown > latest else (latest, repeated + 1)
            key = f"{latest:%Y-%m-%d-%H}{'abcdefg'[repeated] if repeated else ''}"
        if key != last and number:
            begins.append((str(key), instant))
        last = key
    return [(key, begin, end) for (key, begin), (_, end) in pairwise(begins)]


@given(kind=st.sampled_from(["hourly", "daily"]), zone=st.sampled_from(ZONES), night=st.sampled_from(NIGHTS))
def test_hours_and_days_are_what_the_clocks_show(kind: str, zone: str, night: datetime) -> None:
    partitions = made(kind, zone)
    found = walked(kind, zone, night.replace(tzinfo=UTC) - timedelta(hours=30), 90 * 4)
    assert len({key for key, _, _ in found}) == len(found) > 1, "distinct keys, also of a repeated hour"
    assert [key for key, _, _ in found] == sorted(key for key, _, _ in found)
    for key, begin, end in found:
        assert partitions.bounds(key) == (begin, end)
        assert {partitions.current(begin), partitions.current(end - MINUTE)} == {key}
    assert partitions.keys_between(found[0][0], found[-1][0]) == [key for key, _, _ in found]


@given(
    kind=st.sampled_from(["weekly", "monthly"]),
    zone=st.sampled_from(ZONES),
    day=st.dates(date(2009, 1, 1), date(2030, 1, 1)),
)
def test_weeks_and_months_follow_each_other_without_a_gap(kind: str, zone: str, day: date) -> None:
    partitions, clock = made(kind, zone), ZoneInfo(zone)
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=clock).astimezone(UTC)
    key = partitions.current(noon)
    assert key is not None
    begin, end = partitions.bounds(key)
    assert begin <= noon < end
    local_begin, local_end = begin.astimezone(clock), end.astimezone(clock)
    before = (begin - MINUTE).astimezone(clock)
    assert before.date() < local_begin.date() <= day < local_end.date()
    if kind == "weekly":
        assert timedelta(days=6, hours=21) <= end - begin <= timedelta(days=7, hours=3) or zone == "Pacific/Apia"
        assert key == (day - timedelta(days=day.weekday())).isoformat()
    else:
        assert key == f"{day:%Y-%m}"
        assert (before.month, local_end.day) == ((day.month - 2) % 12 + 1, 1)
    assert partitions.before(partitions.current(end) or "", 1) == [key]


@given(
    kind=st.sampled_from(KINDS),
    zone=st.sampled_from(ZONES),
    moments=st.lists(st.datetimes(datetime(2010, 1, 1), datetime(2029, 1, 1)), min_size=2, max_size=2),
)
def test_keys_sort_in_the_order_of_time_and_survive_the_way_through_an_instant(
    kind: str, zone: str, moments: list[datetime]
) -> None:
    partitions = made(kind, zone)
    first, last = sorted(moment.replace(tzinfo=UTC) for moment in moments)
    keys = [partitions.current(first) or "", partitions.current(last) or ""]
    assert keys == sorted(keys)
    assert all(partitions.current(partitions.bounds(key)[0]) == key for key in keys)
    assert (keys[0] == keys[1]) == (last < partitions.end_of(keys[0]))


@given(
    zone=st.sampled_from(ZONES),
    since=st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)),
    hours=st.integers(1, 100),
    kind=st.sampled_from(KINDS),
)
def test_what_overlaps_a_span_is_what_has_an_instant_in_it(zone: str, since: datetime, hours: int, kind: str) -> None:
    partitions = made(kind, zone)
    begin, end = since.replace(tzinfo=UTC), since.replace(tzinfo=UTC) + timedelta(hours=hours)
    instants = [begin + timedelta(minutes=15 * number) for number in range(4 * hours)] + [
        end - timedelta(microseconds=1)
    ]
    expected = list(dict.fromkeys(partitions.current(instant) for instant in sorted(instants)))
    assert partitions.overlapping(begin, end) == expected
    lookback = end - begin
    own = partitions.current(end - timedelta(microseconds=1)) or ""
    whole = partitions.overlapping(partitions.end_of(own) - lookback, partitions.end_of(own))
    assert len(whole) - 1 <= partitions.reach(lookback)


def test_days_in_utc_reach_exactly_as_many_days_back() -> None:
    assert [made("daily").reach(timedelta(days=days)) for days in (1, 2, 30)] == [0, 1, 29]
    assert made("hourly").reach(timedelta(days=7)) == 7 * 24 - 1
    assert made("static").reach(timedelta(days=7)) == 0


def test_the_day_that_clocks_are_set_has_23_or_25_hours() -> None:
    berlin = Partitioning.daily("2026-01-01", time_zone="Europe/Berlin")
    for key, hours in (("2026-03-29", 23), ("2026-10-25", 25), ("2026-10-26", 24)):
        begin, end = berlin.bounds(key)
        assert end - begin == timedelta(hours=hours)
    assert berlin.end_of("2026-10-25") == datetime(2026, 10, 25, 23, tzinfo=UTC)
    hours = Partitioning.hourly("2026-01-01-00", time_zone="Europe/Berlin")
    assert hours.keys_between("2026-10-25-01", "2026-10-25-03") == [
        "2026-10-25-01",
        "2026-10-25-02",
        "2026-10-25-02b",
        "2026-10-25-03",
    ]
    assert not hours.is_key("2026-10-25-03b") and not hours.is_key("2026-03-29-02"), "not repeated; skipped"


def test_a_day_that_a_country_skipped_has_no_key() -> None:
    apia = Partitioning.daily("2011-01-01", time_zone="Pacific/Apia")
    assert not apia.is_key("2011-12-30")
    assert apia.keys_between("2011-12-29", "2011-12-31") == ["2011-12-29", "2011-12-31"]


def test_hours_that_are_repeated_twice_count_on_and_sort() -> None:
    troll = Partitioning.hourly("2026-01-01-00", time_zone="Antarctica/Troll")
    assert troll.keys_between("2026-10-25-02", "2026-10-25-03") == [
        "2026-10-25-02",
        "2026-10-25-02b",
        "2026-10-25-02c",
        "2026-10-25-03",
    ]
    assert not troll.is_key("2026-10-25-01b") and not troll.is_key("2026-10-25-02d")


def test_start_and_end_are_days_times_or_keys_and_both_inclusive() -> None:
    days = Partitioning.daily(date(2026, 9, 1), date(2026, 9, 3))
    assert days == Partitioning.daily("2026-09-01", datetime(2026, 9, 3, 23))
    assert days.keys_between("2026-08-01", "2026-12-31") == ["2026-09-01", "2026-09-02", "2026-09-03"]
    assert [days.contains(key) for key in ("2026-08-31", "2026-09-01", "2026-09-03", "2026-09-04")] == [
        False, True, True, False,
    ]  # fmt: skip
    assert days.current(datetime(2026, 9, 4, tzinfo=UTC)) is None
    assert days.before("2026-09-03", 5) == ["2026-09-01", "2026-09-02"]
    assert Partitioning.weekly(date(2026, 9, 3)).start == "2026-08-31", "the week of that day"
    assert Partitioning.monthly(date(2026, 9, 3)).start == "2026-09"
    assert Partitioning.hourly(datetime(2026, 9, 3, 7, 30, tzinfo=UTC), time_zone="Asia/Tokyo").start == "2026-09-03-16"


def test_static_keys_and_none() -> None:
    regions = Partitioning.static("north", "south", "east")
    assert regions.keys_between("north", "south") == ["north", "south"]
    assert regions.known(["east", "x", "north"]) == ["north", "east"]
    assert (regions.current(datetime.now(UTC)), regions.chosen("south", "east")) == (None, ["south", "east"])
    none = Partitioning.none()
    assert (none.is_partitioned, none.contains("x"), none.chosen("2026-09-01", "2026-09-02")) == (False, False, [])


def test_a_range_of_days_chooses_the_partitions_of_every_rhythm() -> None:
    range_ = ("2026-09-03", "2026-09-07")
    assert len(Partitioning.hourly("2026-09-01-00").chosen(*range_)) == 5 * 24
    assert Partitioning.weekly(date(2026, 8, 1)).chosen("2026-09-03", "2026-09-08") == ["2026-08-31", "2026-09-07"]
    assert Partitioning.monthly("2026-01").chosen(*range_) == ["2026-09"]
    assert Partitioning.monthly("2026-01").chosen("2026-02", "2026-03") == ["2026-02", "2026-03"]
    assert Partitioning.daily("2026-09-05").chosen(*range_) == ["2026-09-05", "2026-09-06", "2026-09-07"]
    assert Partitioning.daily("2026-09-05").chosen("2026-09", "2026-10") == []


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (
            lambda: Partitioning.daily("2026-02-30"),
            "'2026-02-30' is not a key of daily partitions: write it like 2026-01",
        ),
        (lambda: Partitioning.daily("2026-09-02", "2026-09-01"), "the end 2026-09-01 is before the start 2026-09-02"),
        (lambda: Partitioning.daily("2026-09-02", time_zone="Berlin"), "no time zone 'Berlin'"),
        (lambda: Partitioning.daily(None), "needs a date, a time or a key such as 2026-01-31, not None"),  # type: ignore[arg-type]
        (lambda: Partitioning("dayly"), r"no partitions of the kind 'dayly'\. Did you mean 'daily'"),  # type: ignore[arg-type]
        (lambda: Partitioning.static(), "at least one key"),
        (lambda: Partitioning.static("a", "b", "a"), "'a' is given twice"),
        (lambda: Partitioning.static("a/b"), "'a/b' cannot be a partition key"),
        (lambda: Partitioning.static("a").require("b"), r"no partition 'b'\. There are: a"),
        (lambda: Partitioning.static("a").bounds("a"), "no beginning and no end in time"),
        (lambda: Partitioning.none().require("a"), "the table has none"),
        (lambda: Partitioning.weekly("2026-09-01"), r"write it like 2026-01-26 \(the Monday\)"),
        (lambda: Partitioning.hourly("2026-03-29-02", time_zone="Europe/Berlin"), "hourly partitions .Europe/Berlin."),
        (lambda: Partitioning.hourly("1960-01-01-00"), "is not a key of hourly"),
        (lambda: Partitioning.hourly(date(1960, 1, 1)), "begin in 1980"),
        (
            lambda: Partitioning.monthly("2026-09").require("2026-08"),
            "2026-08 is not among the monthly .* from 2026-09",
        ),
        (lambda: Partitioning.daily("2026-09-01").current(datetime(2026, 9, 1)), "has no zone"),
    ],
)
def test_what_cannot_be_is_refused_with_an_example(call, says: str) -> None:
    with pytest.raises(AssayError, match=says):
        call()
