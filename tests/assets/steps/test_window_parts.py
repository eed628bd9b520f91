"""Long windows out of parts: the bytes of a recomputation, at the cost of what has changed; in any order of arrival."""

import os
import random
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from assay.assets.planning.plan import planned_runs
from assay.assets.steps.features import view_step
from assay.assets.steps.plan_store import PlanStore
from assay.assets.steps.step import Step, execute, look
from assay.features import Entity, FeatureView, Partitioning, decayed, windows
from assay.features.tables.run_record import NullRecorder, Work
from assay.features.tables.transaction import transaction
from assay.features.window_parts.blocks import ending_at, position_of
from assay.features.window_parts.partials import BLOCKS, Partials
from assay.store import Store, open_store

ROUNDS = 60 if os.environ.get("SOAK") else 1
FIRST = date(2026, 1, 1)
INSTANT = pl.Datetime("us", "UTC")
ENTITY = Entity("route", ["origin", "carrier"])
AMOUNT = pl.col("amount")


def view(name: str, *over: str, every: str = "1d", **aggregations: pl.Expr) -> FeatureView:
    return FeatureView(
        name,
        entity=ENTITY,
        event_time="event_time",
        every=every,
        features=windows(list(over), source="clean/trips", time="at", **(aggregations or {"n": pl.len()})),
    )


MANY_KINDS = {
    "n": pl.len(),
    "spent": AMOUNT.sum(),
    "mean": AMOUNT.mean(),
    "spread": AMOUNT.std(),
    "most": AMOUNT.max(),
    "kinds": AMOUNT.n_unique(),
    "last": pl.col("trip").last(),
    "top": AMOUNT.top_k(2).sort(descending=True, nulls_last=True).implode(),
    "recent": decayed(AMOUNT, "5d"),
    "large": AMOUNT.filter(AMOUNT > 0.25).sum() / pl.len(),
}


@dataclass
class Trips:
    """`clean/trips` and a view of it, as `materialize` makes it."""

    store: Store
    partitioning: Partitioning
    step: Step
    made: Counter[str | None] = field(default_factory=Counter)

    def deliver(self, key: str, *events: tuple[Any, ...]) -> None:
        """Of each event the time, and perhaps origin, carrier and amount."""
        rows = [(at, *rest, *("JFK", "AA", 1.0)[len(rest) :]) for at, *rest in events]
        schema = {"at": INSTANT, "origin": pl.String, "carrier": pl.String, "amount": pl.Float64}
        frame = pl.DataFrame(rows, schema=schema, orient="row").with_row_index("trip")
        with transaction(self.store.lake, NullRecorder(), Work("clean/trips", key)) as tx:
            tx.write("clean/trips", frame)

    def materialize(self) -> None:
        env = self.store.env()
        for unit in planned_runs([self.step], env):
            execute(self.step, env, unit.partition)
            self.made[unit.partition] += 1

    @property
    def table(self) -> str:
        return self.step.outputs[0]

    def rows(self, key: str) -> pl.DataFrame:
        state = self.store.lake.table(self.table).at()
        return state.scan(state.partitions([key])).collect()

    def made_from(self) -> dict[str, Mapping[str, Any]]:
        """By partition and level, what the blocks that end there were made from, and their rows."""
        kept = self.store.lake.table(self.step.outputs[1]).at()
        commits = {key: kept.writer_of(key) for key in kept.partitions()}
        return {key: commit.extra[BLOCKS]["clean/trips"] for key, commit in commits.items() if commit is not None}

    def recomputed(self) -> Iterator[tuple[str, bool]]:
        """Each partition, and whether it has other bytes when it is computed of all events, with nothing kept."""
        for key in self.store.lake.table("clean/trips").at().partitions():
            shutil.rmtree(Path(self.store.lake.storage.root, "partials"), ignore_errors=True)
            result = execute(self.step, self.store.env(), key, force=True)
            yield key, next(item for item in result.done.writes if item.table == self.table).changed

    def expected(self, end: datetime, days: float) -> dict[Any, dict[str, Any]]:
        """Of the events in a window by plain Python."""
        events = self.store.lake.table("clean/trips").scan().collect().sort("at").rows(named=True)
        groups: dict[Any, list[dict[str, Any]]] = {}
        for event in events:
            if event["origin"] is not None and end - timedelta(days=days) <= event["at"] < end:
                groups.setdefault((event["origin"], event["carrier"]), []).append(event)
        of = {}
        for who, mine in groups.items():
            amounts = [event["amount"] for event in mine]
            there = [amount for amount in amounts if amount is not None]
            of[who] = {"n": len(mine), "most": max(there, default=None), "kinds": len(set(amounts))}
            of[who]["recent"] = pytest.approx(
                sum((event["amount"] or 0) * 0.5 ** ((end - event["at"]) / timedelta(days=5)) for event in mine)
            )
            of[who]["top"] = [*sorted(there, reverse=True), *[None] * (len(mine) - len(there))][:2]
            of[who] |= {
                "spent": pytest.approx(sum(there)),
                "mean": pytest.approx(sum(there) / len(there)) if there else None,
            }
        return of


def world(home: Path, of: FeatureView, partitioning: Partitioning) -> Trips:
    return Trips(open_store(home=str(home)), partitioning, view_step(of, partitioning))


@dataclass
class Opened:
    """Which partitions of events were read, and which kept blocks."""

    events: list[str | None] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)

    def clear(self) -> None:
        self.events.clear()
        self.kept.clear()


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Opened:
    seen = Opened()
    scan, kept = Partials._scan, Partials._kept_rows

    def counted_scan(self: Partials, files: Any, *span: Any) -> pl.LazyFrame:
        seen.events.extend(file.partition for file in files)
        return scan(self, files, *span)

    def counted_kept(self: Partials, block: Any) -> pl.DataFrame | None:
        rows = kept(self, block)
        if rows is not None:
            seen.kept.append(self._places[block.last].key)
        return rows

    monkeypatch.setattr(Partials, "_scan", counted_scan)
    monkeypatch.setattr(Partials, "_kept_rows", counted_kept)
    return seen


DAILY = Partitioning.daily(FIRST)
DAYS = DAILY.keys_between("2026-01-01", "2026-02-10")


def at(day: int, hour: float = 12) -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day - 1, hours=hour)


def test_rows_of_an_hour_each_are_those_of_windows_that_end_there(tmp_path: Path) -> None:
    daily = Partitioning.daily(FIRST, time_zone="Europe/Berlin")
    hours = view("hours", "1h", "24h", every="1h")
    trips = world(tmp_path, hours, daily)
    assert trips.step.lookback == 2  # the first row of a day looks back into the day before, which clocks may cut short
    for day in ("2026-03-28", "2026-03-29", "2026-03-30"):
        begin, _ = daily.bounds(day)
        trips.deliver(day, (begin,), (begin + timedelta(hours=5, minutes=30),))
    trips.materialize()
    for day, count in (("2026-03-28", 24), ("2026-03-29", 23), ("2026-03-30", 24)):
        rows = trips.rows(day).sort("event_time")
        assert rows["event_time"].to_list() == [daily.bounds(day)[0] + timedelta(hours=1 + n) for n in range(count)]
        for time, of_hour, of_day in rows.select("event_time", "n_1h", "n_24h").rows():
            assert of_day == trips.expected(time, 1)["JFK", "AA"]["n"]
            assert of_hour == (time in (rows["event_time"][0], rows["event_time"][5]))
    trips.made.clear()
    late = daily.bounds("2026-03-29")[0] + timedelta(hours=20)
    trips.deliver("2026-03-31", (late,), (daily.bounds("2026-03-31")[0],))
    trips.materialize()
    assert trips.made == dict.fromkeys(("2026-03-29", "2026-03-30", "2026-03-31"), 1)
    for day in trips.made:
        for time, of_day in trips.rows(day or "").select("event_time", "n_24h").rows():
            assert of_day == trips.expected(time, 1)["JFK", "AA"]["n"]


def test_short_windows_keep_no_parts(tmp_path: Path) -> None:
    assert view_step(view("short", "1d", "30d"), DAILY).outputs == ("features/short",)
    assert view_step(view("long", "1d", "32d"), DAILY).outputs == ("features/long", "partials/long")
    assert view_step(view("middle", "32d", middle=AMOUNT.median()), DAILY).outputs == ("features/middle",)
    hourly = Partitioning.hourly(FIRST)
    assert view_step(view("hours", "32h"), hourly).outputs == ("features/hours", "partials/hours")


def test_one_more_day_opens_its_events_and_few_blocks_and_a_late_event_what_it_is_in(
    tmp_path: Path, opened: Opened
) -> None:
    trips = world(tmp_path, view("long", "1d", "32d"), DAILY)
    delivered = range(1, 37, 3)
    for day in delivered:
        trips.deliver(DAYS[day - 1], (at(day),), (at(day, 13), "LGA"))
    trips.materialize()
    for day in (37, 38):
        trips.deliver(DAYS[day - 1], (at(day),))
        opened.clear()
        trips.materialize()
        assert opened.events == [DAYS[day - 1]]
        assert len(opened.kept) <= 2 * 5 + 5  # of the window, and of the block that the day completes
        assert trips.rows(DAYS[day - 1]).filter(origin="JFK")["n_32d"].item() == 11 + day - 37

    before = trips.made_from()
    trips.made.clear()
    opened.clear()
    trips.deliver(DAYS[38], (at(39),), (at(28), "LGA"))  # the last one is late
    trips.materialize()
    holding_it = [DAYS[day - 1] for day in (28, 31, 34, 37, 38, 39)]
    assert trips.made == dict.fromkeys(holding_it, 1)
    # Its file is read for its own day and for the last one; all others take the kept blocks.
    assert Counter(opened.events) == {DAYS[27]: 1, DAYS[38]: 2}
    position = position_of(DAILY, DAYS[27])
    for key, blocks in before.items():
        after = trips.made_from()[key]
        ending = ending_at(position_of(DAILY, key), 32)
        named = {str(block.level) for block in ending if block.first <= position <= block.last}
        assert {level for level, made_from in after.items() if made_from != blocks.get(level)} == named
    assert trips.rows(DAYS[38]).filter(origin="LGA")["n_32d"].item() == 10
    trips.store.lake.table("partials/long").at().delta.restore(5)
    trips.deliver(DAYS[39], (at(40),))
    trips.materialize()  # the rows of later blocks are gone, and no commit of ours says so
    assert trips.rows(DAYS[39]).filter(origin="JFK")["n_32d"].item() == 13
    assert not any(changed for _, changed in [next(trips.recomputed())])


@pytest.mark.parametrize("seed", range(ROUNDS))
@pytest.mark.parametrize(
    ("zone", "every"),
    [("America/New_York", "6h"), ("Asia/Kolkata", "1d")]
    + ([("UTC", "1d"), ("America/New_York", "1d")] if os.environ.get("SOAK") else []),
)
def test_parts_give_what_brute_force_and_a_recomputation_give(tmp_path: Path, zone: str, every: str, seed: int) -> None:
    """Late, corrected and deleted events, in days of another zone, over the days on which clocks are set."""
    chance = random.Random(f"{zone} {every} {seed}")
    first = date(2026, 3, 6)
    daily = Partitioning.daily(first, time_zone=zone)
    days = daily.keys_between("2026-03-06", "2026-03-10")
    trips = world(tmp_path, view("long", "1d", "2d", "36d", every=every, **MANY_KINDS), daily)
    for _ in range(7):
        begin, end = daily.bounds(chance.choice(days))
        key = daily.current(begin) or ""
        times = [begin, end - timedelta(microseconds=1), begin + timedelta(hours=chance.randrange(24)), end]
        times += [begin - timedelta(days=chance.choice([1, 2, 3, 36, 50]), hours=chance.choice([0, 0, 1]))]
        events = [
            (
                time,
                chance.choice(["JFK", "LGA", None]),
                chance.choice(["AA", "DL"]),
                chance.choice([None, 0.1, 0.2, 0.7]),
            )
            for time in chance.sample(times, chance.randrange(len(times)))
        ]
        trips.deliver(key, *events)
        if chance.random() < 0.7:
            trips.materialize()
    trips.materialize()
    afresh = replace(trips.store.env(), plans=PlanStore())
    for key in trips.store.lake.table("clean/trips").at().partitions():
        assert not look(trips.step, afresh, key).stale
        begin, end = daily.bounds(key)
        step = timedelta(hours=24 if every == "1d" else 6)
        times = [end - n * step for n in range(5) if end - n * step > begin and (n == 0 or every == "6h")]
        rows = trips.rows(key)
        assert set(rows["event_time"].unique()) <= set(times)
        for time, width in product(times, (1, 2, 36)):
            found = {
                (row["origin"], row["carrier"]): {
                    name: row[f"{name}_{width}d"] for name in ("n", "most", "kinds", "spent", "mean", "recent", "top")
                }
                for row in rows.filter(event_time=time).rows(named=True)
                if row[f"n_{width}d"]
            }
            assert found == trips.expected(time, width)
    assert [key for key, changed in trips.recomputed() if changed] == []


def test_windows_over_hours_are_made_of_parts_when_clocks_are_set_back(tmp_path: Path) -> None:
    hourly = Partitioning.hourly(date(2026, 10, 30), time_zone="America/New_York")
    trips = world(tmp_path, view("long", "3h", "40h", every="1d", **MANY_KINDS), hourly)
    keys = hourly.keys_between("2026-10-31-23", "2026-11-01-03")
    assert "2026-11-01-01b" in keys  # it occurs twice
    for number, key in enumerate(keys):
        begin, end = hourly.bounds(key)
        late = begin - timedelta(hours=(3, 0, 38, 41)[number % 4])
        trips.deliver(key, (begin, "JFK", "AA", 0.1), (end - timedelta(microseconds=1), "LGA", "AA", 0.7), (late,))
        if number % 2:
            trips.materialize()
    trips.deliver(keys[1])  # all of its events are deleted
    trips.materialize()
    for key in keys:
        rows = trips.rows(key).rows(named=True)
        for width in (3, 40):
            expected = trips.expected(hourly.end_of(key), width / 24)
            found = {(row["origin"], row["carrier"]): row for row in rows if row[f"n_{width}h"]}
            assert {
                who: {name: found[who][f"{name}_{width}h"] for name in ("n", "most", "kinds", "spent")} for who in found
            } == {
                who: {name: values[name] for name in ("n", "most", "kinds", "spent")}
                for who, values in expected.items()
            }
    assert [key for key, changed in trips.recomputed() if changed] == []
