"""A pipeline to which everything happens that can happen to one, and its plan by looking at everything."""

import json
import os
import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
from deltalake import DeltaTable

from assay.assets.decisions.review import Decision, RowSelection, decide
from assay.assets.declarations import ordered, steps_of
from assay.assets.planning.plan import Chosen, partitions_of, planned_runs, stages
from assay.assets.sources.deliveries import Delivery, DeliveryError
from assay.assets.sources.reader import Reading, SourceReader
from assay.assets.sources.source import Files, Source
from assay.assets.steps.models import Model
from assay.assets.steps.plan_store import PlanStore
from assay.assets.steps.step import Resources, Step, execute, look
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


SPENT = pl.col("amount").sum()


def declared(
    lowest: float, window: str, retrain: str = "on_change", spent: pl.Expr = SPENT
) -> tuple[Source, tuple[Step, ...]]:
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
        features=windows([window], source="clean/orders", time="at", spent=spent),
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


@cache
def choices() -> dict[tuple[Any, ...], tuple[Source, tuple[Step, ...]]]:
    """The declarations that a world may have, by their parameters. Made once for all worlds."""
    keys: list[tuple[Any, ...]] = [(0.0, "2d"), (-10.0, "2d"), (0.0, "3d"), (0.0, "2d", "manual")]
    keys.append((0.0, "2d", "0 12 * * *"))
    return {key: declared(*key) for key in keys}


def brute_force(stage: Sequence[Step], env: Resources, chosen: Chosen | None = None) -> Plan:
    """The plan of a stage by looking at every step for every partition. What would be refused once more is run only where it
    was chosen."""
    env = replace(env, plans=PlanStore(), lake=env.lake.remembering())

    def is_due(step: Step, key: str | None) -> bool:
        seen = look(step, env, key)
        return seen.stale and (chosen is not None or seen.refused is None)

    if not stage[0].partitioning.is_partitioned:
        due = [
            step for step in stage if any(is_due(step, key) for key in (step.batches(env) if step.batches else [None]))
        ]
        return [(None, _tables(stage, due))] if due else []
    found = [(key, [step for step in stage if is_due(step, key)]) for key in partitions_of(stage, env, chosen)]
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
        self.declared = choices()
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
