"""Windows hold the events of their time, whatever partition delivered them: beside brute force, in any order of arrival."""

import os
import random
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from assay.assets.planning.plan import planned_runs
from assay.assets.steps.features import WINDOW, view_step
from assay.assets.steps.plan_store import PlanStore
from assay.assets.steps.step import Resources, Step, execute, look
from assay.features import Entity, FeatureView, Partitioning, windows
from assay.features.tables.run_record import NullRecorder, Work
from assay.features.tables.transaction import transaction
from assay.features.views import window_partitions
from assay.store import Store, open_store

ROUNDS = 300 if os.environ.get("SOAK") else 3
FIRST = date(2026, 1, 1)
DAILY = Partitioning.daily(FIRST)
DAYS = DAILY.keys_between("2026-01-01", "2026-01-07")
MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)


def view(name: str, *over: str) -> FeatureView:
    counted = windows(list(over), source="clean/trips", time="at", n=pl.len())
    return FeatureView(name, entity=Entity("origin", ["origin"]), event_time="event_time", features=counted)


@dataclass
class Trips:
    """`clean/trips` and what is computed from it, as `materialize` does."""

    store: Store
    steps: tuple[Step, ...]
    made: Counter[tuple[str, str | None]]

    @property
    def env(self) -> Resources:
        return self.store.env()

    def deliver(self, key: str, *times: datetime, origin: str = "JFK") -> None:
        rows = pl.DataFrame(
            {"origin": [origin] * len(times), "at": list(times)},
            schema={"origin": pl.String, "at": pl.Datetime("us", "UTC")},
        )
        with transaction(self.store.lake, NullRecorder(), Work("clean/trips", key)) as tx:
            tx.write("clean/trips", rows.with_row_index("trip"))

    def materialize(self) -> None:
        env = self.env
        for unit in planned_runs(self.steps, env):
            for step in unit.steps:
                execute(step, env, unit.partition)
                self.made[step.outputs[0], unit.partition] += 1

    def value(self, table: str, key: str, feature: str, origin: str = "JFK") -> int:
        state = self.store.lake.table(table).at()
        rows = state.scan(state.partitions([key])).filter(pl.col("origin") == origin).collect()
        return rows[feature].item() if rows.height else 0

    def counted(self, key: str, width: int, origin: str = "JFK") -> int:
        end = DAILY.end_of(key)
        rows = self.store.lake.table("clean/trips").scan().filter(pl.col("origin") == origin).collect()["at"].to_list()
        return sum(end - timedelta(days=width) <= at < end for at in rows)

    def complete(self, key: str, table: str = "features/long") -> tuple[bool, str]:
        commit = self.store.lake.table(table).at().writer_of(key)
        assert commit is not None
        (check,) = [check for check in commit.checks if check["name"] == WINDOW]
        return check["passed"], check.get("message", "")


@pytest.fixture
def trips(tmp_path: Path) -> Trips:
    steps = (view_step(view("short", "1d"), DAILY), view_step(view("long", "1d", "3d"), DAILY))
    return Trips(open_store(home=str(tmp_path)), steps, Counter())


def at(day: int, hour: float = 0) -> datetime:
    return MIDNIGHT + timedelta(days=day - 1, hours=hour)


def test_files_that_are_cut_by_a_day_west_of_greenwich_lose_no_evening(trips: Trips) -> None:
    for day, key in enumerate(DAYS[:6], 1):
        trips.deliver(key, at(day, 17), at(day + 1, 2))  # 12:00 and 21:00 in New York
    trips.materialize()
    assert trips.value("features/short", DAYS[5], "n_1d") == trips.counted(DAYS[5], 1) == 2
    assert trips.value("features/long", DAYS[5], "n_1d") == 2
    assert trips.value("features/long", DAYS[5], "n_3d") == trips.counted(DAYS[5], 3) == 6
    assert trips.complete(DAYS[5]) == (True, "")


def test_files_that_are_cut_by_a_day_east_of_greenwich_are_waited_for(trips: Trips) -> None:
    for day, key in enumerate(DAYS[:5], 1):
        trips.deliver(key, *(at(day, hour) for hour in (-7.9, -4, 1, 15.9)))  # the day of Singapore
        trips.materialize()
        passed, message = trips.complete(key)
        assert not passed
        assert message == f"Not there yet, so not counted: clean/trips {DAYS[day]}."
    for key in DAYS[:4]:
        assert trips.complete(key) == (True, "")
        assert trips.value("features/short", key, "n_1d") == trips.counted(key, 1) == 4


def test_a_late_event_is_counted_where_it_belongs_and_nothing_else_is_computed_again(trips: Trips) -> None:
    for day, key in enumerate(DAYS[:6], 1):
        trips.deliver(key, at(day, 1), at(day, 23))
    trips.materialize()
    trips.made.clear()
    trips.deliver(DAYS[6], at(2, 12), at(7, 1), at(7, 23))
    trips.materialize()
    both = ("features/short", "features/long")
    expected = {("features/short", DAYS[1]), *(("features/long", key) for key in DAYS[1:4])}
    assert set(trips.made) == expected | {(table, DAYS[6]) for table in both}
    assert set(trips.made.values()) == {1}
    assert trips.value("features/long", DAYS[3], "n_3d") == 7
    assert trips.complete(DAYS[6]) == (True, "")  # one late event is no other day


def test_a_clock_that_is_wrong_makes_no_history_stale_and_its_file_is_read_once(
    trips: Trips, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day, key in enumerate(DAYS[:6], 1):
        trips.deliver(key, at(day, 1), at(day, 23))
    trips.materialize()
    trips.made.clear()
    trips.deliver(DAYS[6], datetime(1970, 1, 1, tzinfo=UTC), at(7, 1), at(7, 23), datetime(2062, 1, 1, tzinfo=UTC))
    window_partitions._seen.clear()
    trips.materialize()
    assert dict(trips.made) == {("features/short", DAYS[6]): 1, ("features/long", DAYS[6]): 1}
    assert len(window_partitions._seen) == 1


def test_an_event_that_was_corrected_or_deleted_leaves_the_window_that_it_was_in(trips: Trips) -> None:
    for day, key in enumerate(DAYS[:5], 1):
        trips.deliver(key, at(day, 1), at(day, 23))
    trips.deliver(DAYS[4], at(1, 5), at(5, 1))
    trips.materialize()
    assert trips.value("features/short", DAYS[0], "n_1d") == 3
    trips.made.clear()
    trips.deliver(DAYS[4], at(2, 5), at(5, 1))
    trips.materialize()
    assert [trips.value("features/short", key, "n_1d") for key in DAYS[:2]] == [2, 3]
    trips.deliver(DAYS[4], at(5, 1))
    trips.materialize()
    assert [trips.value("features/short", key, "n_1d") for key in DAYS[:2]] == [2, 2]
    assert not {key for _, key in trips.made} & {DAYS[5], DAYS[6]}


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_windows_equal_brute_force_in_any_order_of_arrival(trips: Trips, seed: int) -> None:
    chance = random.Random(seed)
    shift = chance.choice([0, 0, -8, 8, 5.5, -26])
    for _ in range(8):
        key = chance.choice(DAYS[:5])
        day = DAYS.index(key) + 1
        times = [at(day, shift + chance.choice([0, 0.5, 12, 23.999999])) for _ in range(chance.randrange(3))]
        if chance.random() < 0.4:
            times.append(at(chance.choice([-300, 1, 3, 6]), 12))
        trips.deliver(key, *times, origin=chance.choice(["JFK", "LGA"]))
        if chance.random() < 0.7:
            trips.materialize()
    trips.materialize()
    afresh = replace(trips.env, plans=PlanStore())
    for key in trips.store.lake.table("clean/trips").at().partitions():
        assert not [step.name for step in trips.steps if look(step, afresh, key).stale]
        for origin in ("JFK", "LGA"):
            assert trips.value("features/short", key, "n_1d", origin) == trips.counted(key, 1, origin)
            assert trips.value("features/long", key, "n_1d", origin) == trips.counted(key, 1, origin)
            assert trips.value("features/long", key, "n_3d", origin) == trips.counted(key, 3, origin)
