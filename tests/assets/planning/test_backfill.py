"""Backfill of a changed view: estimated first, killed and resumed, and switched to by its last commit."""

import os
import shutil
import warnings
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from assay.assets.planning.backfill import plan_backfill
from assay.assets.planning.plan import planned_runs, stages
from assay.assets.steps.step import execute
from assay.cli.features.backfill import declared_view
from assay.errors import AssayError
from assay.features.serving.as_of_join import as_of_join
from assay.features.serving.by_definition import OtherDefinition
from assay.store import open_store
from tests.assets.planning.world import DAYS, SPENT, World, declared
from tests.forked import Ended, run_forked

TABLE = "features/spending"
BEFORE = 'pl.col("amount").sum()'
AFTER = 'pl.col("amount").sum() * 100'
KILLED = (
    (("before 1", 3), ("after 2", 1))
    if not os.environ.get("SOAK")
    else (("before 1", 3), ("after 1", 2), ("before 2", 1))
)
# The project kills the process that loads it: before or after its nth commit of the view's table.
KILLS = """
import os
import signal

import assay.features.tables.delta_commit as delta_commit

WHEN, _, NUMBER = os.environ.get("KILL", "").partition(" ")
MADE = [0]


def killing(storage, table, *args, _write=delta_commit.write_commit, **named):
    MADE[0] += table == "features/spending"
    now = table == "features/spending" and str(MADE[0]) == NUMBER
    if now and WHEN == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    done = _write(storage, table, *args, **named)
    if now and WHEN == "after":
        os.kill(os.getpid(), signal.SIGKILL)
    return done


if NUMBER:
    delta_commit.write_commit = killing
"""


def changed(text: str) -> str:
    assert BEFORE in text
    return text.replace(BEFORE, AFTER)


def view_of(shop: Any) -> Any:
    return shop.package.orders.spending


def spent(shop: Any, reference: str = "spending:spent_1d") -> list[Any]:
    moment = datetime(2026, 3, 4, tzinfo=UTC)
    spine = pl.DataFrame({"shopper": ["Ada Byron"] * 3, "event_time": [moment - timedelta(days=n) for n in (2, 1, 0)]})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OtherDefinition)
        return as_of_join(spine, [reference], lake=shop.env.lake)[reference.partition(":")[2]].to_list()


def made(shop: Any) -> list[str | None]:
    """The partitions of the view in the order in which they were committed."""
    state = shop.env.lake.table(TABLE).at()
    return [state.index.commit(version).partition for version in state.index.written(state.version)]


def test_what_is_left_is_estimated_and_the_last_partition_switches(shop: Any) -> None:
    lake, days = shop.env.lake, [shop.day(number) for number in (1, 2, 3)]
    assert plan_backfill(lake, view_of(shop)).complete
    before = spent(shop)
    shop.redeclare(changed)
    plan = plan_backfill(lake, view_of(shop))
    assert (plan.number, plan.served, plan.todo, plan.done) == (2, 1, tuple(days), 0)
    state = lake.table(TABLE).at()
    assert (plan.rows, plan.bytes) == (state.rows(), sum(file.size for file in state.files))
    assert plan.runs == 3 and plan.measured_by == 1
    assert plan.seconds is not None and 0 <= plan.seconds < 60
    assert plan.total_seconds == plan.seconds * 3
    assert "3 partitions to compute (2026-03-01 … 2026-03-03), 0 done" in str(plan)

    shop.run(chosen=lambda partitioning: partitioning.known([days[1]]))
    half = plan_backfill(lake, view_of(shop))
    assert (half.todo, half.done, half.measured_by, half.runs) == ((days[0], days[2]), 1, 2, 1)
    assert spent(shop) == before
    assert [info.partitions for info in open_store().definitions("spending")] == [2, 1]

    shop.run()
    assert plan_backfill(lake, view_of(shop)).complete
    assert spent(shop) == [value * 100 for value in before]
    assert spent(shop, "spending@1:spent_1d") == before
    assert made(shop) == [*days, days[1], days[0], days[2]]  # each once
    assert shop.due() == []


def test_killed_anywhere_it_goes_on_where_it_was(
    shop: Any, dagster_home: Path, tmp_path: Path, new_home: Callable[..., Any]
) -> None:
    before = spent(shop)
    shop.redeclare(lambda text: changed(text) + KILLS)
    shutil.copytree(dagster_home, tmp_path / "dagster")

    def backfill(kill: str = "") -> Ended:
        environment = os.environ | {"DAGSTER_HOME": str(tmp_path / "dagster"), "KILL": kill, "OMP_NUM_THREADS": "1"}
        return run_forked("assay", "features", "backfill", "spending", environment=environment)

    def left() -> int:
        return len(plan_backfill(shop.env.lake, view_of(shop)).todo)

    for kill, rest in KILLED:
        ended = backfill(kill)
        assert ended.code == -9
        assert "to compute" in ended.out  # the estimate comes first
        assert left() == rest
        assert spent(shop) == before
    ended = backfill()
    assert ended.code == 0, ended.err
    assert "Definition 2 of spending: 1 partition to compute (2026-03-03), 2 done" in ended.out
    assert "1 of 1 partitions (2026-03-03)" in ended.err
    assert "Definition 2 of spending is complete, and served from features/spending@6 on." in ended.out
    assert made(shop)[3:] == [shop.day(number) for number in (1, 2, 3)]  # nothing was done twice
    assert spent(shop) == [value * 100 for value in before]
    resumed = shop.frame(TABLE)
    with new_home(shop):
        shop.run()
        assert_frame_equal(resumed, shop.frame(TABLE), check_row_order=False)


def test_what_is_made_of_features_is_made_again_at_the_switch_and_not_before(tmp_path: Path) -> None:
    """A training set, a model and predictions of each day; a plan that remembers sees the switch in all of them."""
    world = World(tmp_path)
    world.write("shops/0.csv", "shop\nA\n")
    for day in DAYS[:4]:
        world.write(f"orders/{day}/a.csv", world.order(day, 1.0, 2.0))
    world.run()
    assert world.plan(world.env()) == world.expected() == []
    versions = {table: world.store.table(table).at().version for table in ("training/answers", "predictions/guess")}
    world.source, world.steps = declared(0.0, "2d", spent=SPENT * 100)
    lake, sums = world.store.lake, next(step for step in world.steps if step.outputs[0] == "features/sums")

    planned = world.plan(world.env())
    assert [key for key, tables in planned if "features/sums" in tables] == DAYS[:4]
    for day in (DAYS[3], DAYS[0]):  # in any order
        execute(sums, world.env(), day)
        assert world.plan(world.env()) == world.expected()
        assert not any("training/answers" in tables for _, tables in world.plan(world.env()))
    world.write(f"orders/{DAYS[4]}/a.csv", world.order(DAYS[4], 1.0))
    guess = next(step for step in world.steps if step.outputs[0] == "predictions/guess")
    for step in world.steps:
        if step.outputs[0] in ("raw/orders", "clean/orders", "features/sizes", "features/sums"):
            execute(step, world.env(), DAYS[4])
    execute(guess, world.env(), DAYS[4])  # by what is served still
    commit = lake.table("predictions/guess").at().last_commit
    read = {item.snapshot.table: item.snapshot.version for item in commit.inputs}
    assert read["features/sums"] == lake.table("features/sums").at().defined.whole
    assert versions["training/answers"] == world.store.table("training/answers").at().version

    world.run()
    assert world.plan(world.env()) == world.expected() == []
    made = world.store.load_training_set(f"answers@{world.store.table('training/answers').at().version}")
    named = {item["view"]: [one["number"] for one in item["definitions"]] for item in made.manifest["features"]}
    assert named == {"sizes": [1], "sums": [2]}
    state = lake.table("predictions/guess").at()
    read = {
        commit.partition: item.snapshot.version  # the newest ones: predictions are added
        for commit in state.writers(None)
        for item in commit.inputs
        if item.snapshot.table == "features/sums"
    }
    switched = lake.table("features/sums").at().defined.since[1]
    assert set(read) == set(DAYS[2:]) and all(version > switched for version in read.values()), read


def test_only_a_declared_view_is_computed_again(shop: Any) -> None:
    assert declared_view("spending").digest() == view_of(shop).digest()
    with pytest.raises(AssayError, match=r"declares no feature view 'spendin'\. Did you mean 'spending'\?"):
        declared_view("spendin")


def test_in_dagster_a_changed_definition_is_a_changed_code_version_of_every_partition(shop: Any) -> None:
    """What Dagster calls stale, and what the planner would run."""
    step = next(step for step in shop.steps if step.outputs[0] == TABLE)
    shop.redeclare(changed)
    other = next(step for step in shop.steps if step.outputs[0] == TABLE)
    assert step.code_version != other.code_version
    env = replace(shop.env, plans=type(shop.env.plans)())
    planned = [unit.partition for stage in stages(shop.steps) for unit in planned_runs(stage, env)]
    assert planned == [shop.day(number) for number in (1, 2, 3)]
