"""A plan that remembers is the plan of one that looks at everything, whatever has happened; and it looks at little."""

import json
import os
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.assets.decisions.review import Decision, RowSelection, decide
from assay.assets.declarations import ordered, steps_of
from assay.assets.planning import pending, plan_memory
from assay.assets.planning.pending import waiting_steps
from assay.assets.planning.plan import Chosen, partitions_of, planned_runs, stages
from assay.assets.sources.deliveries import Delivery, DeliveryError
from assay.assets.sources.reader import Reading, SourceReader
from assay.assets.sources.source import Files, Source
from assay.assets.steps.models import Model
from assay.assets.steps.plan_store import PlanStore
from assay.assets.steps.step import Resources, Step, execute, stale
from assay.assets.steps.training import Spine, TrainingSet
from assay.checks import Contract, Field, Timestamp
from assay.errors import AssayError
from assay.features.tables.partitioning import Partitioning
from assay.features.views.entity import Entity
from assay.features.views.feature_view import FeatureView
from assay.features.views.row_wise import Feature
from assay.features.views.windowed import windows
from assay.store import Store, open_store

SOAK = bool(os.environ.get("SOAK"))
DAYS = [f"2026-03-{number:02d}" for number in range(1, 6)]
DAILY = Partitioning.daily(date(2026, 3, 1))
Plan = list[tuple[str | None, tuple[str, ...]]]


@dataclass(frozen=True)
class Box(SourceReader):
    """A reader of one's own, without marks: all files of a folder, or those that begin with the partition's key."""

    folder: str

    def _files(self, landing: Path) -> list[Path]:
        return sorted((landing / self.folder).glob("*.csv"))

    def partitions(self, settings: Any, partitioning: Partitioning) -> list[str]:
        return partitioning.known([file.stem for file in self._files(settings.landing_path)])

    def deliveries(self, reading: Reading) -> Sequence[Delivery]:
        files = self._files(reading.landing)
        mine = files if not reading.partitioning.is_partitioned else [f for f in files if f.stem == reading.partition]
        return [
            Delivery(f"{self.folder}/{file.name}", file, *reading.hashes.of(file), reading.partition) for file in mine
        ]

    def read(self, delivery: Delivery) -> pl.DataFrame:
        content = delivery.content()
        if not content:
            raise DeliveryError(delivery.path, "is empty", "send it again")
        return pl.read_csv(content, infer_schema=False)


def declared(lowest: float, window: str, retrain: str = "on_change") -> tuple[Source, tuple[Step, ...]]:
    """Five kinds of steps: with and without partitions, marks, batches; windows; a training set, a model, predictions."""

    class Shops(Contract):
        shop: str = Field(key=True)

    class Orders(Contract):
        order: str = Field(key=True)
        shop: str = Field(exists_in="clean/shops")
        at: Timestamp = Field()
        amount: float = Field(ge=lowest)

    class Mails(Contract):
        mail: str = Field(key=True)

    orders = Source("orders", Files("orders/{day}/*", (".csv",)), Orders, ("order",), "at", partitioning=DAILY)
    shops = Source("shops", Box("shops"), Shops, ("shop",), "at")
    mails = Source("mails", Box("mails"), Mails, ("mail",), "at", partitioning=DAILY)
    sizes = FeatureView(
        "sizes",
        entity=Entity("order", ["order"]),
        event_time="at",
        source="clean/orders",
        features=[Feature("large", pl.col("amount") > 5)],
    )
    sums = FeatureView(
        "sums",
        entity=Entity("shop", ["shop"]),
        event_time="event_time",
        max_age="2d",
        features=windows([window], source="clean/orders", time="at", spent=pl.col("amount").sum()),
    )
    answers = TrainingSet(
        "answers",
        spine=Spine(source="clean/orders", keys=["order", "shop"], event_time="at"),
        features=[sizes, sums],
        label="amount",
        until="2026-03-03",
    )
    model = Model(
        "guess",
        answers,
        fit=lambda frame: frame["amount"].mean(),
        predict=lambda mean, frame: pl.DataFrame({"guess": [mean] * frame.height}, schema={"guess": pl.Float64}),
        outputs=["guess"],
        held_back=0,
        save=lambda mean: json.dumps(mean).encode(),
        load=json.loads,
        retrain=retrain,
    )
    return orders, ordered(steps_of([orders, shops, mails, sizes, sums, model, answers]))


def brute_force(stage: Sequence[Step], env: Resources, chosen: Chosen | None = None) -> Plan:
    """The plan of a stage by looking at every step for every partition."""
    env = replace(env, plans=PlanStore(), lake=env.lake.remembering())
    if not stage[0].partitioning.is_partitioned:
        due = [
            step
            for step in stage
            if any(stale(step, env, key) for key in (step.batches(env) if step.batches else [None]))
        ]
        return [(None, _tables(stage, due))] if due else []
    found = [(key, [step for step in stage if stale(step, env, key)]) for key in partitions_of(stage, env, chosen)]
    return [(key, _tables(stage, due)) for key, due in found if due]


def _tables(stage: Sequence[Step], due: Sequence[Step]) -> tuple[str, ...]:
    made, tables = set[str](), list[str]()
    for step in stage:
        if step in due or made & set(step.reads):
            made |= set(step.outputs)
            tables += step.outputs
    return tuple(tables)


class World:
    """A landing folder and a lake, to which everything happens that can."""

    def __init__(self, folder: Path) -> None:
        self.store: Store = open_store(home=str(folder))
        self.landing = folder / "landing"
        choices = ((0.0, "2d"), (-10.0, "2d"), (0.0, "3d"), (0.0, "2d", "manual"), (0.0, "2d", "0 12 * * *"))
        self.declared = {key: declared(*key) for key in choices}
        self.source, self.steps = self.declared[0.0, "2d"]
        self.now, self.ticks = datetime.now(UTC), 0  # as the commits have it

    def env(self, *, recording: bool = True) -> Resources:
        return replace(self.store.env(recording=recording), now=lambda: self.now)

    def write(self, path: str, text: str) -> None:
        """With a time of its own, long ago: what has just changed is looked at in any case."""
        self.ticks += 1
        file = self.landing / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        os.utime(file, (1e9 + self.ticks, 1e9 + self.ticks))

    def order(self, day: str, *amounts: float, shop: str = "A") -> str:
        rows = [f"{day}-{index},{shop},{day}T0{index}:00:00Z,{amount}" for index, amount in enumerate(amounts)]
        return "\n".join(["order,shop,at,amount", *rows, ""])

    def plan(self, env: Resources, chosen: Chosen | None = None) -> Plan:
        units = [unit for stage in stages(self.steps) for unit in planned_runs(stage, env, chosen)]
        return [(unit.partition, unit.tables) for unit in units]

    def expected(self, chosen: Chosen | None = None) -> Plan:
        env = self.env(recording=False)
        return [unit for stage in stages(self.steps) for unit in brute_force(stage, env, chosen)]

    def run(self, stop_after: int = 1000, *, force: bool = False) -> None:
        """Runs what is due, as `materialize` does; `stop_after` so many runs it is killed."""
        env = self.env()
        for stage in stages(self.steps):
            for unit in planned_runs(stage, env, force=force):
                if (stop_after := stop_after - 1) < 0:
                    return
                self.execute(unit, env)

    def execute(self, unit: Any, env: Resources) -> None:
        for step in unit.steps:
            for key in step.batches(env) if step.batches else [unit.partition]:
                try:
                    execute(step, env, key)
                except AssayError:
                    return  # refused, or it waits

    # -- what can happen -------------------------------------------------------------------------------------------

    def deliver(self, chance: random.Random) -> None:
        day, amount = chance.choice(DAYS), chance.choice([1.0, 2.0, -5.0])
        name = chance.choice(["a.csv", "a.csv", "a.r1.csv", "b.csv"])
        self.write(f"orders/{day}/{name}", self.order(day, amount, 6.0, shop=chance.choice("AB")))

    def deliver_a_copy(self, chance: random.Random) -> None:
        """The bytes of another day's file."""
        files = sorted((self.landing / "orders").glob("*/*.csv"))
        if files:
            self.write(f"orders/{chance.choice(DAYS)}/copy.csv", chance.choice(files).read_text())

    def deliver_nonsense(self, chance: random.Random) -> None:
        self.write(f"orders/{chance.choice(DAYS)}/a.csv", "")

    def deliver_otherwise(self, chance: random.Random) -> None:
        self.write(f"shops/{chance.randrange(3)}.csv", f"shop\n{chance.choice('ABC')}{chance.choice(['', chr(10)])}")
        day = chance.choice(DAYS)
        self.write(f"mails/{day}.csv", f"mail\n{day}{chance.randrange(2)}\n")

    def take_away(self, chance: random.Random) -> None:
        files = sorted(self.landing.glob("*/*/*.csv"))
        if files:
            chance.choice(files).unlink()

    def redeclare(self, chance: random.Random) -> None:
        self.source, self.steps = chance.choice(list(self.declared.values()))

    def decide(self, chance: random.Random) -> None:
        """An exception with an end, for whatever is in quarantine."""
        until = (self.now + timedelta(days=chance.choice([0, 2]))).date()
        decision = Decision("release", "seen", "kim", {}, ("amount.ge",), until)
        try:
            decide(self.source, self.env(), RowSelection(chance.choice(DAYS)), decision, dry_run=False)
        except AssayError:
            return  # no row is chosen

    def pass_time(self, chance: random.Random) -> None:
        self.now += timedelta(days=chance.choice([1, 3, -2]))

    def lose_a_table(self, chance: random.Random) -> None:
        tables = self.store.lake.tables()
        if tables:
            shutil.rmtree(Path(self.store.lake.storage.root, chance.choice(tables)))

    def roll_back(self, chance: random.Random) -> None:
        """By a tool that knows nothing of us."""
        tables = [name for name in self.store.lake.tables() if self.store.lake.table(name).at().version > 1]
        if tables:
            table = DeltaTable(self.store.lake.table(chance.choice(tables)).uri)
            table.restore(table.version() - 1)

    def run_some(self, chance: random.Random) -> None:
        self.run(chance.choice([1, 2, 1000]))

    def run_all(self, _chance: random.Random) -> None:
        self.run()

    def run_by_force(self, _chance: random.Random) -> None:
        self.run(force=True)

    def two_at_once(self, chance: random.Random) -> None:
        """Another process plans, and runs what it finds, while a plan of this one is under way."""
        env = self.env()
        for stage in stages(self.steps):
            for number, unit in enumerate(planned_runs(stage, env)):
                if number == 0:
                    self.run_some(chance)
                self.execute(unit, env)


HAPPENINGS: list[Callable[[World, random.Random], None]] = [
    *[World.deliver] * 4,
    World.deliver_a_copy,
    World.deliver_nonsense,
    World.deliver_otherwise,
    World.take_away,
    World.redeclare,
    World.decide,
    World.pass_time,
    World.lose_a_table,
    World.roll_back,
    *[World.run_some] * 2,
    *[World.run_all] * 3,
    World.run_by_force,
    World.two_at_once,
]


@settings(
    max_examples=60 if SOAK else 4,
    deadline=None,
    derandomize=not SOAK,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(st.integers(0, len(HAPPENINGS) - 1), min_size=6, max_size=12), st.integers(0, 2**32))
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
        waits = waiting_steps(world.steps, replace(world.env(), plans=PlanStore()), latest=2)
        assert waiting_steps(world.steps, world.env(), latest=2) == waits


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
    for days in (5, 10):
        world = many_days(tmp_path / str(days), days)
        found[days] = [by_steps(world)]
        world.write(f"orders/{day_of(days)}/a.csv", world.order(day_of(days), 3.0))
        found[days].append(by_steps(world))
        world.run()
        found[days] += [by_steps(world), by_steps(world)]
        world.write(f"orders/{day_of(2)}/a.csv", world.order(day_of(2), 1.0, 2.0, 4.0))
        found[days].append(by_steps(world))
    nothing_new, new_day, after_it, again, overwritten = found[10]
    assert found[5] == found[10]
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
