"""Whole states that come in any order, are corrected, and are sent again: the lake is the one of who processed them in order."""

import os
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import polars as pl
import pytest
from hypothesis import example, given, settings

from assay.assets.planning.plan import planned_runs, stages
from assay.assets.sources.files import Files
from assay.assets.sources.source import Source
from assay.assets.steps.clean import clean_step
from assay.assets.steps.features import view_step
from assay.assets.steps.raw import raw_step
from assay.assets.steps.step import Resources, execute
from assay.checks import Contract, Field
from assay.features.serving.as_of_join import as_of_join
from assay.features.serving.online import Online
from assay.features.tables.digest import content_digest
from assay.features.tables.lake import open_lake
from assay.features.tables.partitioning import Partitioning
from assay.features.tables.run_record import NullRecorder
from assay.features.views.entity import Entity
from assay.features.views.feature_view import FeatureView
from assay.features.views.row_wise import Feature
from assay.settings import Settings

DAYS, KEYS = range(1, 6), "abc"
State = Mapping[str, int]  # a price by key; a negative one breaks the contract


class Prices(Contract):
    key: str = Field(key=True)
    price: float = Field(ge=0)


SOURCE = Source(
    name="prices",
    reader=Files("prices/{day}/*", (".csv",), mode="snapshot"),
    partitioning=Partitioning.daily("2026-03-01"),
    contract=Prices,
    key=("key",),
    event_time="_seen_at",
)
VIEW = FeatureView(
    "price",
    entity=Entity("thing", ["key"]),
    event_time="_seen_at",
    source="clean/prices",
    features=[Feature("price", pl.col("price"))],
)
STEPS = (raw_step(SOURCE), clean_step(SOURCE), view_step(VIEW, SOURCE.partitioning, [Prices]))


class World:
    """A landing folder and a lake."""

    def __init__(self, home: Path) -> None:
        self.home, self.there = home, dict[int, State]()
        self.env = Resources(Settings(home=home), open_lake(home / "lake"), NullRecorder())

    def deliver(self, day: int, state: State) -> None:
        self.there[day] = state
        file = self.home / "landing" / "prices" / f"2026-03-{day:02d}" / "all.csv"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(["key,price\n", *(f"{key},{price}\n" for key, price in state.items())]))

    def run(self) -> int:
        """All that is due. How many steps were run."""
        count = 0
        for stage in stages(STEPS):
            for unit in planned_runs(stage, self.env):
                for step in unit.steps:
                    execute(step, self.env, unit.partition)
                    count += 1
        return count

    def clean(self) -> dict[int, State]:
        return {day: {key: price for key, price in state.items() if price >= 0} for day, state in self.there.items()}


states = st.dictionaries(st.sampled_from(KEYS), st.integers(-1, 2), min_size=1)
operations = st.one_of(st.tuples(st.sampled_from(DAYS), states), st.just("run"), st.just("run"))


@settings(max_examples=300 if os.environ.get("SOAK") else 2, deadline=None)
@given(history=st.lists(operations, max_size=12))
@example(history=[(1, {"a": 0}), (2, {"a": -1})])  # a state of which no row is clean
@example(history=[(1, {"a": 0}), (2, {"a": -1}), "run", (3, {"b": -1}), "run", (2, {"a": 2})])
def test_in_whatever_order_states_come_the_lake_is_the_same(
    history: list[Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("states")
    world = World(folder / "any")
    for operation in history:
        if operation == "run":
            world.run()
        else:
            world.deliver(*operation)
    world.run()
    assert world.run() == 0
    in_order = World(folder / "in-order")
    for day in sorted(world.there):
        in_order.deliver(day, world.there[day])
        in_order.run()
    assert contents(world) == contents(in_order)
    verify(world)
    shutil.rmtree(folder)


def contents(world: World) -> dict[str, str]:
    lake = world.env.lake
    return {name: content_digest(lake.table(name).scan().collect(), ["_ingested_at"]) for name in lake.tables()}


def verify(world: World) -> None:
    clean = world.clean()
    if not clean:
        return
    lake = world.env.lake
    rows = lake.table("clean/prices").scan().select("partition_key", "key", "price").collect()
    assert sorted(rows.rows()) == sorted(
        (f"2026-03-{day:02d}", key, float(price)) for day, state in clean.items() for key, price in state.items()
    )
    table = lake.table("clean/prices").at()
    for before, day in pairwise(DAYS):
        if day in clean:
            commit = table.writer_of(f"2026-03-{day:02d}")
            assert commit is not None
            assert commit.changes is not None
            changes = commit.changes
            if before in clean:
                was, now = clean[before], clean[day]
                same = sum(was[key] == now[key] for key in was.keys() & now.keys())
                both = len(was.keys() & now.keys())
                expected = (len(now) - both, both - same, len(was) - both, same)
                assert (changes.inserted, changes.updated, changes.deleted, changes.unchanged) == expected
                assert changes.against == f"2026-03-{before:02d}"
            else:
                assert changes.against == ""
    # As of each end of a day, and a moment before: the newest state that has ended, and what is not in it has no value.
    ends = [datetime(2026, 3, day, tzinfo=UTC) + timedelta(days=1) for day in DAYS]
    moments = sorted([*ends, *(end - timedelta(microseconds=1) for end in ends)])
    spine = pl.DataFrame([(key, at) for at in moments for key in KEYS], ["key", "event_time"], orient="row")
    expected_values: list[float | None] = []
    for at in moments:
        ended = [day for day in clean if datetime(2026, 3, day, tzinfo=UTC) + timedelta(days=1) <= at]
        state = clean[max(ended)] if ended else {}
        expected_values += [float(state[key]) if key in state else None for key in KEYS]
    assert as_of_join(spine, ["price:price"], lake=lake)["price"].to_list() == expected_values
    online = Online(lake, "price")
    for place, at in enumerate(moments):
        expected = expected_values[place * len(KEYS) : (place + 1) * len(KEYS)]
        assert online.get({"key": list(KEYS)}, at)["price"].to_list() == expected
