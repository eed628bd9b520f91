"""One late row does not train a model again, nor issue predictions again, unless the declaration says so."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import assay
from assay.assets.declarations import ordered, steps_of
from assay.assets.planning.held import staying, with_what_they_hold
from assay.assets.planning.pending import consequences
from assay.assets.planning.plan import planned_runs, select, stages
from assay.assets.steps.models import Model
from assay.assets.steps.step import Resources, Step, execute
from assay.assets.steps.training import Spine, TrainingSet
from assay.errors import AssayError
from assay.features.tables.partitioning import Partitioning
from assay.features.tables.transaction import Transaction

DAYS = ("2026-03-01", "2026-03-02", "2026-03-03")
OLD, PREDICTED = DAYS[0], DAYS[2]


class Shop:
    """Orders by day, a feature of each, and a model of them under a rule. Its clock can be set."""

    def __init__(self, home: Path, retrain: str) -> None:
        self.retrain, self.fit = retrain, self.mean
        self.rows: dict[str, int] = dict.fromkeys(DAYS, 2)
        self.now = datetime.now(UTC)
        store = assay.open(lake=str(home / "lake"), home=str(home))
        self.env = replace(store.env(), now=lambda: self.now)
        self.run()

    @staticmethod
    def mean(frame: pl.DataFrame) -> Any:
        return {"mean": [frame["paid"].mean()]}

    @property
    def steps(self) -> tuple[Step, ...]:
        def delivered(tx: Transaction, env: Resources) -> int:
            return self.rows[tx.work.partition or ""]

        def orders(tx: Transaction, env: Resources, count: int) -> None:
            day = datetime.fromisoformat(tx.work.partition or "").replace(tzinfo=UTC)
            at = [day + timedelta(hours=hour) for hour in range(count)]
            names = [f"{day:%d}-{number}" for number in range(count)]
            paid = [float(number) for number in range(count)]
            tx.write("clean/orders", pl.DataFrame({"order": names, "at": at, "paid": paid}))

        def prepare(tx: Transaction, env: Resources) -> int:
            count = delivered(tx, env)
            tx.work = replace(tx.work, params={"rows": count})
            return count

        source = Step(
            ("clean/orders",),
            prepare,
            orders,
            "1",
            partitioning=Partitioning.daily(DAYS[0]),
            landed=lambda env: list(self.rows),
        )
        view = assay.FeatureView(
            "order",
            entity=assay.Entity("order", ["order"]),
            event_time="at",
            source="clean/orders",
            features=[assay.Feature("amount", pl.col("paid"))],
        )
        spine = Spine(source="clean/orders", keys=["order"], event_time="at")
        made = TrainingSet("paid", spine, features=[view], label="paid", until=PREDICTED)
        import json

        model = Model(
            "paid",
            made,
            self.fit,
            lambda fitted, frame: pl.DataFrame({"guess": fitted["mean"] * frame.height}),
            outputs=["guess"],
            save=lambda fitted: json.dumps(fitted).encode(),
            load=json.loads,
            held_back=0,
            retrain=self.retrain,
        )
        return ordered(steps_of([source, view, made, model]))

    def run(self, steps: tuple[Step, ...] | None = None, *, force: bool = False) -> list[str]:
        """What was done: the tables with a new version, in order."""
        done = []
        for stage in stages(steps or self.steps):
            for unit in planned_runs(stage, self.env, force=force):
                results = [execute(step, self.env, unit.partition, force=force) for step in unit.steps]
                done += [
                    f"{result.step.outputs[0]} {unit.partition or ''}".strip() for result in results if result.changed
                ]
        return done

    def late(self, day: str = OLD) -> None:
        self.rows[day] += 1

    def versions(self, table: str) -> int:
        return self.env.lake.table(table).at().version


@pytest.fixture
def shop(tmp_path: Path) -> Callable[[str], Shop]:
    return lambda rule: Shop(tmp_path, rule)


LEARNED = ["training/paid", "models/paid"]


def test_by_default_a_late_row_trains_again_and_issues_again(shop: Callable[[str], Shop]) -> None:
    made = shop("on_change")
    made.late()
    assert [*LEARNED, f"predictions/paid {PREDICTED}"] == made.run()[2:]
    assert staying(made.steps, made.env) == []


def test_a_manual_model_stays_until_it_is_forced_and_what_was_issued_stays(shop: Callable[[str], Shop]) -> None:
    made = shop("manual")
    made.late()
    made.late(PREDICTED)
    planned = [unit for stage in stages(made.steps) for unit in planned_runs(stage, made.env)]
    then, stay = consequences(planned, made.steps, made.env)
    assert then == []
    assert [str(one) for one in stay] == [
        "training/paid would be made again: retrain=manual",
        "models/paid would be fitted again: retrain=manual",
        f"predictions/paid would be made again {PREDICTED}: retrain=manual",
    ]
    upstream = made.run()
    assert {text.split("/")[0] for text in upstream} == {"clean", "features"}
    assert made.run() == [], "and the planner remembers it"
    assert staying(made.steps, made.env) == stay

    # A new day is predicted by the model that is there.
    made.rows["2026-03-04"] = 2
    assert made.run()[-1] == "predictions/paid 2026-03-04"

    # What stays was not made from what is there now: nobody reports that it was.
    before = made.env.lake.table("training/paid").at().last_commit
    kept = execute(next(step for step in made.steps if step.outputs == ("training/paid",)), made.env, None)
    assert (kept.changed, kept.done.reads, kept.done.sources) == (False, (), ())
    assert kept.done.writes[0].snapshot.version == before.version

    forced = with_what_they_hold(select(made.steps, ["models/paid"]), made.steps)
    assert [step.outputs[0] for step in forced] == LEARNED
    assert made.run(forced, force=True) == LEARNED
    assert made.run() == [], "what was issued is not issued again"
    assert made.run(select(made.steps, ["predictions/paid"]), force=True) == [
        f"predictions/paid {day}" for day in (PREDICTED, "2026-03-04")
    ]


def test_other_code_always_counts_and_another_rule_is_seen_at_once(shop: Callable[[str], Shop]) -> None:
    made = shop("manual")
    made.fit = lambda frame: {"mean": [1.0]}
    assert made.run() == ["models/paid"]
    made.late()
    made.run()
    made.retrain = "on_change"
    assert made.run() == [*LEARNED, f"predictions/paid {PREDICTED}"]


def test_a_schedule_lets_changes_wait_for_its_next_moment(shop: Callable[[str], Shop]) -> None:
    made = shop("0 3 * * *")
    made.late()
    made.run()
    training, model = map(str, staying(made.steps, made.env))  # no order of that day has features of an earlier one
    assert training.startswith("training/paid would be made again: retrain=0 3 * * *, due at ")
    assert model.startswith("models/paid would be fitted again: ")
    assert made.run() == []
    made.now += timedelta(days=1)
    assert made.run() == LEARNED, "the memory of the planner knows when it is due; what was issued stays"


def test_a_schedule_without_a_change_does_nothing(shop: Callable[[str], Shop]) -> None:
    made = shop("@hourly")
    made.now += timedelta(days=3)
    assert made.run() == []


def test_a_rule_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AssayError, match="retrain='weekly' is not 'on_change', 'manual' or a cron expression"):
        Shop(tmp_path, "weekly")
