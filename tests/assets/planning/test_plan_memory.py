"""A plan that remembers is the plan of one that looks at everything, whatever has happened; and it looks at little."""

import random
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from assay.assets.decisions.review import Decision, RowSelection, decide
from assay.assets.planning import pending, plan_memory
from assay.assets.planning.pending import waiting_steps
from assay.assets.planning.plan import Chosen, partitions_of
from assay.assets.steps.plan_store import PlanStore
from assay.assets.steps.step import Resources, Step
from tests.assets.planning.world import DAYS, HAPPENINGS, SOAK, Plan, World

# Without the soak one life of a lake. Others of the kinds are looked at below, each for itself.
LIFE = (
    World.deliver_a_copy,
    World.run_some,
    World.redeclare,
    World.decide,
    World.lose_a_table,
    World.two_at_once,
    World.take_away,
)


@settings(
    max_examples=60,
    deadline=None,
    phases=tuple(Phase) if SOAK else (Phase.explicit,),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(st.integers(0, len(HAPPENINGS) - 1), min_size=6, max_size=12), st.integers(0, 2**32))
@example([HAPPENINGS.index(kind) for kind in LIFE], 7)
def test_a_plan_with_a_memory_is_that_of_one_without(
    tmp_path_factory: pytest.TempPathFactory, happenings: list[int], seed: int
) -> None:
    world, chance = World(tmp_path_factory.mktemp("world")), random.Random(seed)
    for day in DAYS[:3]:
        world.write(f"orders/{day}/a.csv", world.order(day, 1.0, 2.0, -3.0))
    world.write("shops/0.csv", "shop\nA\n")
    world.run()
    for number in happenings:
        HAPPENINGS[number](world, chance)
        first, last = sorted(chance.choices(DAYS, k=2))
        chosen: Chosen = lambda one, first=first, last=last: one.chosen(first, last)  # noqa: E731
        assert world.plan(world.env(recording=False), chosen) == world.expected(chosen)
        expected = world.expected()
        assert world.plan(world.env(recording=False)) == expected, "a dry run"
        assert world.plan(world.env()) == expected, "a plan that is remembered"
        assert world.plan(world.env()) == expected, "and remembers"
        waits, every = waiting_steps(world.steps, world.env(), latest=2), waiting_steps(world.steps, world.env())
        assert waits == [one for one in every if one in waits]
        assert set(waits) >= set(waiting_steps(world.steps, replace(world.env(), plans=PlanStore()), latest=2))


# -- what has to be seen, each for itself --------------------------------------------------------------------------------


def check(world: World) -> Plan:
    """The plan, which is that of one without a memory."""
    expected = world.expected()
    assert world.plan(world.env(recording=False)) == expected
    assert world.plan(world.env()) == expected
    return expected


def days_of(world: World, table: str) -> list[str | None]:
    return [key for key, tables in check(world) if table in tables]


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Three days, done and seen."""
    made = World(tmp_path)
    made.write("shops/0.csv", "shop\nA\n")
    for day in DAYS[:3]:
        made.write(f"orders/{day}/a.csv", made.order(day, 1.0, 2.0, -3.0))
    made.run()
    made.run()  # predictions: the model was not there for the first
    assert check(made) == []
    return made


def test_a_day_that_held_only_copies_is_due_when_the_original_changes(world: World) -> None:
    world.write(f"orders/{DAYS[3]}/copy.csv", (world.landing / "orders" / DAYS[1] / "a.csv").read_text())
    world.run()
    assert check(world) == []
    world.write(f"orders/{DAYS[1]}/a.csv", world.order(DAYS[1], 7.0))
    assert days_of(world, "raw/orders") == [DAYS[1]]
    world.run(1)
    assert days_of(world, "raw/orders") == [DAYS[3]], "its bytes are nowhere else any more"
    world.run()
    world.write(f"orders/{DAYS[0]}/more.csv", (world.landing / "orders" / DAYS[2] / "a.csv").read_text())
    world.write(f"orders/{DAYS[2]}/a.csv", world.order(DAYS[2], 8.0))
    world.run(1)
    assert check(world), "and now a file of a later day came first"


def test_a_day_that_comes_late_concerns_what_was_predicted_after_it(world: World) -> None:
    """Its features hold for later rows, and by nothing but their times."""
    world.write(f"orders/{DAYS[4]}/a.csv", world.order(DAYS[4], 1.0))
    world.run()
    assert check(world) == []
    world.write(f"orders/{DAYS[3]}/a.csv", world.order(DAYS[3], 1.0))
    world.run(1)
    assert days_of(world, "predictions/guess") == DAYS[3:]


def test_an_exception_ends_and_a_clock_goes_back(world: World) -> None:
    decision = Decision("release", "seen", "kim", {}, ("amount.ge",), world.now.date())
    decide(world.source, world.env(), RowSelection(DAYS[1]), decision, dry_run=False)
    assert days_of(world, "clean/orders") == [DAYS[1]]
    world.run()
    assert check(world) == []
    world.now += timedelta(days=1)
    assert days_of(world, "clean/orders") == [DAYS[1]], "the exception is over"
    world.run()
    assert check(world) == []
    world.now -= timedelta(days=1)
    assert days_of(world, "clean/orders") == [DAYS[1]]


def test_what_others_do_to_a_table_is_seen(world: World) -> None:
    table = DeltaTable(world.store.lake.table("clean/orders").uri)
    table.delete(f"partition_key = '{DAYS[1]}'")
    assert days_of(world, "features/sums") == [DAYS[2]], "day 2 itself waits"
    table.restore(table.version() - 1)
    assert check(world) == []
    shutil.rmtree(Path(world.store.lake.storage.root, "features/sums"))
    assert days_of(world, "features/sums") == DAYS[:3]
    world.steps = ()
    world.source, world.steps = world.declared[0.0, "3d"]
    assert days_of(world, "features/sums") == DAYS[:3]


# -- how much is looked at ---------------------------------------------------------------------------------------------


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, str | None]]]:
    """Every (step, partition) that is looked at."""
    found: list[tuple[str, str | None]] = []
    real = plan_memory.look

    def look(step: Step, env: Resources, partition: str | None) -> Any:
        found.append((step.outputs[0], partition))
        return real(step, env, partition)

    monkeypatch.setattr(plan_memory, "look", look)
    yield found


def many_days(folder: Path, days: int) -> World:
    """So many days are delivered and done, and the planner has seen them."""
    world = World(folder)
    world.write("shops/0.csv", "shop\nA\n")
    world.steps = tuple(step for step in world.steps if "mails" not in step.name)  # whose reader has no marks
    for number in range(days):
        world.write(f"orders/{day_of(number)}/a.csv", world.order(day_of(number), 1.0, 2.0))
    world.run()
    assert world.plan(world.env()) == []
    return world


def day_of(number: int) -> str:
    return (date(2026, 3, 1) + timedelta(days=number)).isoformat()


def test_how_much_is_looked_at_does_not_depend_on_the_history(
    tmp_path: Path, looked: list[tuple[str, str | None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    listed: list[Any] = []
    asked: list[str] = []
    monkeypatch.setattr(pending, "partitions_of", lambda *given: listed.append(given) or partitions_of(*given))
    real = pending.not_ready
    monkeypatch.setattr(pending, "not_ready", lambda step, *given: asked.append(step.outputs[0]) or real(step, *given))

    def by_steps(world: World) -> Counter[str]:
        looked.clear()
        listed.clear()
        asked.clear()
        hashed = world.env().hashes.computed
        world.plan(world.env())
        assert waiting_steps(world.steps, world.env(), latest=2) == []
        assert listed == [], "nor are all partitions listed for what waits"
        assert set(asked) <= {table for table, _ in looked}, "nor is asked again what was seen to wait for nothing"
        found = Counter(table for table, _ in looked)
        return found + Counter(hashed=world.env().hashes.computed - hashed)

    found: dict[int, list[Counter[str]]] = {}
    for days in (4, 7):
        world = many_days(tmp_path / str(days), days)
        found[days] = [by_steps(world)]
        world.write(f"orders/{day_of(days)}/a.csv", world.order(day_of(days), 3.0))
        found[days].append(by_steps(world))
        world.run()
        found[days] += [by_steps(world), by_steps(world)]
        world.write(f"orders/{day_of(2)}/a.csv", world.order(day_of(2), 1.0, 2.0, 4.0))
        found[days].append(by_steps(world))
    nothing_new, new_day, after_it, again, overwritten = found[7]
    assert found[4] == found[7]
    assert nothing_new == again == {"raw/shops": 1}, "a reader without marks is asked each time"
    assert new_day == overwritten == {"raw/shops": 1, "raw/orders": 1, "hashed": 1}
    assert after_it == dict.fromkeys(
        ("raw/shops", "raw/orders", "clean/orders", "features/sizes", "features/sums", "predictions/guess"), 1
    )


def test_a_damaged_or_foreign_memory_is_none(tmp_path: Path, looked: list[tuple[str, str | None]]) -> None:
    world = World(tmp_path)
    world.write(f"orders/{DAYS[0]}/a.csv", world.order(DAYS[0], 1.0))
    world.run()
    kept = tmp_path / "plans.db"
    whole = kept.read_bytes()
    for content in (b"", b"nonsense" * 1000, whole[: len(whole) // 2]):
        kept.write_bytes(content)
        looked.clear()
        assert world.plan(world.env()) == world.expected()
        assert ("raw/orders", DAYS[0]) in looked
        looked.clear()
        assert world.plan(world.env()) == world.expected()
        assert ("raw/orders", DAYS[0]) not in looked, "it was made anew"


def test_a_dry_run_leaves_the_memory_as_it_is(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.write(f"orders/{DAYS[0]}/a.csv", world.order(DAYS[0], 1.0))
    assert world.plan(world.env(recording=False))
    assert not (tmp_path / "plans.db").exists()
    world.run()
    world.write(f"orders/{DAYS[1]}/a.csv", world.order(DAYS[1], 1.0))
    before = (tmp_path / "plans.db").read_bytes()
    assert world.plan(world.env(recording=False))
    assert (tmp_path / "plans.db").read_bytes() == before
