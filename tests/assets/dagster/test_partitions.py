"""Sources of every rhythm, from delivered files to checks, through Dagster; and its keys beside ours."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.assets.dagster.materialize import materialize
from assay.assets.dagster.partitions import dagster_key, definition_of, our_key
from assay.assets.declarations import declared_in, ordered, steps_of
from assay.errors import AssayError
from assay.features.tables.partitioning import Partitioning

METERS = """

class Readings(Contract):
    meter: str = Field(key=True)
    at: Timestamp = Field(key=True)
    kwh: float = Field(ge=0)

    class Config(Contract.Config):
        version = "1.0.0"


readings = Source(
    name="readings",
    reader=Files("readings/{partition}/*", (".csv",)),
    partitioning=PARTITIONING,
    contract=Readings,
    key=("meter", "at"),
    event_time="at",
)
"""
VIEW = """
use = FeatureView(
    "use",
    entity=Entity("meter", ["meter"]),
    event_time="event_time",
    features=windows(["3h"], source="clean/readings", time="at", used=pl.col("kwh").sum()),
)
"""


def declare(shop: Any, partitioning: str, view: str = "") -> None:
    shop.redeclare(lambda text: text + METERS.replace("PARTITIONING", partitioning) + view)


def deliver(shop: Any, key: str, *rows: str) -> None:
    file = shop.home / "landing" / "readings" / key / "meters.csv"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(["meter,at,kwh", *rows, ""]))


def test_an_hourly_source_runs_hour_by_hour_and_its_windows_reach_over_the_repeated_hour(new_shop: Any) -> None:
    hours = 'Partitioning.hourly("2026-10-25-00", time_zone="Europe/Berlin")'
    declare(new_shop, hours, VIEW)
    deliver(new_shop, "2026-10-25-01", "m1,2026-10-24T23:10:00Z,1", "m2,2026-10-24T23:15:00Z,-9")
    deliver(new_shop, "2026-10-25-02", "m1,2026-10-25T00:10:00Z,2")
    deliver(new_shop, "2026-10-25-02b", "m1,2026-10-25T01:10:00Z,4")
    deliver(new_shop, "2026-10-25-03", "m1,2026-10-25T02:10:00Z,8")
    deliver(new_shop, "2026-03-29-02", "m1,2026-10-25T02:10:00Z,8")  # an hour that never was is nobody's
    summary = new_shop.materialize()
    assert [(result.unit.partition, result.success) for result in summary.results] == [
        ("2026-10-25-01", True),
        ("2026-10-25-02", True),
        ("2026-10-25-02b", True),
        ("2026-10-25-03", True),
    ]
    used = new_shop.frame("features/use").sort("event_time")
    assert used["event_time"].dt.hour().to_list() == [0, 1, 2, 3]
    assert used["used_3h"].to_list() == [1, 3, 7, 14]
    assert new_shop.frame("quarantine/readings")["meter"].to_list() == ["m2"]
    assert new_shop.due() == []
    seen = new_shop.instance.get_materialized_partitions(dg.AssetKey(["clean", "readings"]))
    assert seen == {"2026-10-25-01", "2026-10-25-02", "2026-10-25-02+0100", "2026-10-25-03"}
    (view,) = [step for step in new_shop.steps if step.outputs == ("features/use",)]
    assert view.lookback == 2


def test_a_monthly_source_runs_beside_a_daily_one(new_shop: Any) -> None:
    declare(new_shop, 'Partitioning.monthly("2026-01", end="2026-03")')
    deliver(new_shop, "2026-02", "m1,2026-02-03T00:00:00Z,1")
    deliver(new_shop, "2026-03", "m1,2026-03-03T00:00:00Z,2", "m1,2026-03-03T00:00:00Z,2")
    deliver(new_shop, "2026-04", "m1,2026-04-03T00:00:00Z,3")
    new_shop.drop(2, new_shop.csv(2, 5.0))
    results = new_shop.materialize().results
    assert {(result.unit.partition, result.success) for result in results} == {
        ("2026-02", True),
        ("2026-03", True),
        (new_shop.day(2), True),
    }
    assert new_shop.frame("clean/readings")["partition_key"].unique().sort().to_list() == ["2026-02", "2026-03"]
    assert new_shop.due() == []
    march = materialize(
        new_shop.steps,
        new_shop.env,
        new_shop.instance,
        force=True,
        chosen=lambda one: one.chosen("2026-03-02", "2026-03-02"),
    )
    assert {result.unit.partition for result in march.results} == {"2026-03", new_shop.day(2)}, (
        "all that overlap the day"
    )


def test_fixed_keys_are_partitions_too(new_shop: Any) -> None:
    declare(new_shop, 'Partitioning.static("south", "north")')
    deliver(new_shop, "north", "m1,2026-02-03T00:00:00Z,1")
    deliver(new_shop, "west", "m1,2026-02-03T00:00:00Z,1")
    (result,) = new_shop.materialize().results
    assert (result.unit.partition, result.success) == ("north", True)


@pytest.mark.parametrize(
    ("partitioning", "view", "says"),
    [
        ('Partitioning.static("north")', VIEW, "View 'use': windows need sources with partitions in time"),
        (
            'Partitioning.monthly("2026-01")',
            VIEW.replace('),\n)', ') + windows(["1d"], source="clean/orders", time="at", n=pl.len()),\n)'),
            "View 'use' reads tables that are cut differently .clean/readings has monthly partitions; clean/orders has daily",
        ),
    ],
)  # fmt: skip
def test_a_view_that_has_no_partitions_in_common_with_its_sources_is_refused(
    new_shop: Any, partitioning: str, view: str, says: str
) -> None:
    with pytest.raises(AssayError, match=says):
        declare(new_shop, partitioning, view)


def test_first_day_still_works_and_names_its_successor(new_shop: Any) -> None:
    with pytest.warns(DeprecationWarning, match=r"partitioning=Partitioning.daily\(datetime.date\(2026, 3, 1\)\)"):
        new_shop.redeclare(
            lambda text: text.replace('(".csv",)),', '(".csv",), first_day=date(2026, 3, 1)),').replace(
                "    partitioning=Partitioning.daily(date(2026, 3, 1)),\n", ""
            )
        )
    again = ordered(steps_of(list(declared_in(new_shop.package.orders))))
    assert {step.partitioning for step in again} == {Partitioning.daily("2026-03-01")}


def every(partitioning: Partitioning, now: datetime) -> Iterator[str]:
    last = partitioning.current(now) or partitioning.end
    assert last is not None
    return iter(partitioning.keys_between(partitioning.start, last))


@given(
    kind=st.sampled_from(["hourly", "daily", "weekly", "monthly"]),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Sydney"]),
    start=st.datetimes(datetime(2026, 3, 1), datetime(2026, 11, 1)),  # noqa: DTZ001 - local
    length=st.integers(1, 40),
    ended=st.booleans(),
)
def test_dagster_lists_exactly_our_partitions_up_to_the_current_one(
    kind: str, zone: str, start: datetime, length: int, ended: bool
) -> None:
    constructor = getattr(Partitioning, kind)
    partitioning = constructor(start, time_zone=zone)
    now = partitioning.bounds(partitioning.start)[0]
    for _ in range(length):
        now = partitioning.end_of(partitioning.current(now) or "")
    if ended:
        partitioning = constructor(
            start, end=partitioning.before(partitioning.current(now) or "", 1)[-1], time_zone=zone
        )
    definition = definition_of(partitioning)
    assert definition is not None
    listed = definition.get_partition_keys(current_time=now.astimezone(UTC))
    assert listed == [dagster_key(partitioning, key) for key in every(partitioning, now)]
    assert [our_key(partitioning, key) for key in listed] == list(every(partitioning, now))
    for key in listed[-3:]:
        window = definition.time_window_for_partition_key(key)
        assert (window.start, window.end) == partitioning.bounds(our_key(partitioning, key))
