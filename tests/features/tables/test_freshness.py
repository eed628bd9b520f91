"""The age of a table is that of its newest event, known from statistics, in one sentence that is true."""

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from assay.features.tables.freshness import PROMISE, Freshness, Promise, freshness, in_words, promised
from assay.features.tables.lake import Lake
from assay.features.tables.partitioning import Partitioning
from assay.features.tables.run_record import NullRecorder, Work
from assay.features.tables.transaction import transaction

DAY = Promise(86_400, "at")
DAYS = Partitioning.daily(date(2026, 3, 1))
NOW = datetime(2026, 3, 5, tzinfo=UTC)


def put(lake: Lake, partition: str | None, *moments: datetime, dtype: pl.DataType | None = None) -> None:
    rows = pl.DataFrame({"at": pl.Series(moments, dtype=dtype or pl.Datetime("us", "UTC"))})
    period = DAYS.bounds(partition) if partition else None
    with transaction(lake, NullRecorder(), Work("clean/t", partition, "1", period=period)) as tx:
        tx.write("clean/t", rows)
        tx.extra[PROMISE] = DAY.to_dict()


def at(hour: int, day: int = 3) -> datetime:
    return datetime(2026, 3, day, hour, tzinfo=UTC)


def said(lake: Lake, promise: Promise = DAY, now: datetime = NOW) -> Freshness:
    return freshness(lake.table("clean/t").at(), "clean/t", promise, now)


@pytest.mark.parametrize(
    ("now", "fresh", "old"),
    [
        (at(12), True, "less than a minute old"),
        (at(12, 4), True, "1 day old"),
        (at(12, 4) + timedelta(seconds=1), False, "more than 1 day old"),
        (at(18, 4), False, "1.2 days old"),
        (at(14), True, "2 hours old"),
    ],
)
def test_the_newest_event_decides_in_whatever_partition_it_came(
    any_lake: Lake, now: datetime, fresh: bool, old: str
) -> None:
    put(any_lake, "2026-03-03", at(1), at(12))
    put(any_lake, "2026-03-04", at(2))  # late ones
    found = said(any_lake, now=now)
    assert (found.fresh, found.newest) == (fresh, at(12))
    assert found.message == f"clean/t: newest event 2026-03-03 12:00 UTC, {old}, allowed 1 day."


def test_making_an_old_partition_again_makes_nothing_newer(lake: Lake) -> None:
    put(lake, "2026-03-03", at(12))
    put(lake, "2026-03-01", at(1, 1))
    assert said(lake).newest == at(12)


def test_an_event_of_the_future_does_not_make_a_dead_source_look_alive(lake: Lake) -> None:
    put(lake, None, at(12))
    put_more = pl.DataFrame({"at": [at(15), datetime(2062, 1, 1, tzinfo=UTC)]})
    with transaction(lake, NullRecorder(), Work("clean/t", None, "1")) as tx:
        tx.write("clean/t", put_more.cast(pl.Datetime("us", "UTC")), mode="append")
    found = said(lake)
    assert not found.fresh
    assert found.message == (
        "clean/t: newest event 2026-03-03 15:00 UTC or later (others are in the future), 1.3 days old, allowed 1 day."
    )


def test_without_a_time_of_events_the_delivered_partition_counts_from_its_end(lake: Lake) -> None:
    put(lake, "2026-03-03", at(12))
    for promise in (Promise(86_400, ""), Promise(86_400, "other")):
        found = said(lake, promise, at(6, 5))
        assert (found.fresh, found.newest) == (False, at(0, 4))
        assert found.message == (
            "clean/t: newest partition 2026-03-03, until 2026-03-04 00:00 UTC, 1.2 days old, allowed 1 day."
        )


def test_days_without_events_are_named(lake: Lake) -> None:
    put(lake, "2026-03-03")
    assert said(lake).message.startswith(
        "clean/t: no event so far, newest partition 2026-03-03, until 2026-03-04 00:00"
    )
    assert freshness(None, "clean/t", DAY, NOW) == Freshness(True, None, "clean/t: no data yet.")


def test_an_event_that_is_a_day_is_as_old_as_the_end_of_that_day(lake: Lake) -> None:
    put(lake, None, date(2026, 3, 3), dtype=pl.Date())  # type: ignore[arg-type]
    assert said(lake, now=at(12, 4)).message == "clean/t: newest event 2026-03-03, 12 hours old, allowed 1 day."
    assert said(lake, now=at(12, 3)).fresh


def test_a_source_that_has_ended_is_not_old(lake: Lake) -> None:
    put(lake, "2026-03-03", at(12))
    found = said(lake, Promise(86_400, "at", "2026-03-03"), datetime(2030, 1, 1, tzinfo=UTC))
    assert found.fresh and found.message.endswith("which is all of it: the source ends with 2026-03-03.")


def test_the_table_itself_says_what_was_promised(lake: Lake) -> None:
    put(lake, "2026-03-03", at(12))
    assert promised(lake.table("clean/t").at()) == DAY
    with transaction(lake, NullRecorder(), Work("clean/t", "2026-03-03", "2")) as tx:
        tx.write("clean/t", pl.DataFrame({"at": [at(12)]}).cast(pl.Datetime("us", "UTC")))
        tx.extra[PROMISE] = Promise(3600, "at").to_dict()
    assert promised(lake.table("clean/t").at()) == Promise(3600, "at"), "also where no row has changed"


def test_spans_in_words_are_never_longer_than_they_are() -> None:
    spans = [timedelta(minutes=1), timedelta(hours=1, minutes=59), timedelta(days=1.99), timedelta(days=2)]
    assert [in_words(span) for span in spans] == ["1 minute", "1.9 hours", "1.9 days", "2 days"]
