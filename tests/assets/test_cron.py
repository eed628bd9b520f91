"""Cron expressions name the moments that a look at every minute names."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.assets.cron import Cron, parse_cron

START = datetime(2026, 2, 26, tzinfo=UTC)
MINUTES = [START + timedelta(minutes=count) for count in range(60 * 24 * 8)]


def named(cron: Cron, at: datetime) -> bool:
    of_month, of_week = at.day in cron.days, at.isoweekday() % 7 in cron.weekdays
    day = (of_month or of_week) if cron.either else (of_month and of_week)
    return at.minute in cron.minutes and at.hour in cron.hours and at.month in cron.months and day


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(["0", "*/20", "5,50", "59"]),
    st.sampled_from(["*", "3", "0-6/2", "23"]),
    st.sampled_from(["*", "1", "28"]),
    st.sampled_from(["*", "mar", "2-3"]),
    st.sampled_from(["*", "mon", "sun", "7", "1-5"]),
    st.integers(0, len(MINUTES) - 1),
)
def test_the_last_and_the_next_moment_are_those_of_a_look_at_every_minute(
    minute: str, hour: str, day: str, month: str, weekday: str, position: int
) -> None:
    cron = parse_cron(f"{minute} {hour} {day} {month} {weekday}")
    at = MINUTES[position]
    ticks = [moment for moment in MINUTES if named(cron, moment)]
    before, after = [tick for tick in ticks if tick <= at], [tick for tick in ticks if tick > at]
    last, following = cron.last(at), cron.next(at)
    assert named(cron, last) and named(cron, following) and last <= at < following
    assert last == before[-1] if before else last < START
    assert following == after[0] if after else following > MINUTES[-1]


def test_names_and_either_day_are_as_cron_has_them() -> None:
    assert parse_cron("@weekly") == parse_cron("0 0 * * sun") == parse_cron("0 0 * * 7")
    assert parse_cron("0 3 13 * fri").next(datetime(2026, 2, 12, tzinfo=UTC)).day == 13
    assert parse_cron("0 3 13 * fri").next(datetime(2026, 2, 13, 3, tzinfo=UTC)) == datetime(2026, 2, 20, 3, tzinfo=UTC)
    assert parse_cron("0 0 29 2 *").last(datetime(2027, 1, 1, tzinfo=UTC)).year == 2024


@pytest.mark.parametrize(
    "text", ["", "weekly", "60 * * * *", "* * * * 8", "*/0 * * * *", "5-1 * * * *", "0 0 30 2 *", "² * * * *"]
)
def test_what_is_no_expression_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_cron(text)
