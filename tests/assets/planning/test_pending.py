"""What waits is what has some of its inputs and lacks another; a day without anything waits for nothing."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import assay
from assay.assets.planning.pending import Waiting, lacking_steps, summarised, waiting_steps
from assay.assets.planning.plan import planned_runs
from assay.assets.steps.step import NotReady, Resources, Step, available, execute, require
from assay.assets.steps.watched import Concern, Watched
from assay.features.tables.partitioning import Partitioning
from assay.features.tables.transaction import Transaction

DAYS = Partitioning.daily("2026-03-01")
MONDAY, TUESDAY = "2026-03-02", "2026-03-03"


class Upstreams:
    """Two deliveries a day, tables that follow from one or from both, and a model over all days."""

    def __init__(self, env: Resources) -> None:
        self.env, self.delivered, self.bad = env, {"a": {MONDAY, TUESDAY}, "b": {MONDAY}}, set[str]()
        self.steps = (
            self._raw("a"),
            self._raw("b"),
            self._made("clean/a", "raw/a"),
            self._made("clean/b", "raw/b"),
            self._made("features/both", "clean/a", "clean/b"),
            self._made("features/of_b", "clean/b"),
            replace(self._made("training/all", "features/both", "features/none"), partitioning=Partitioning()),
        )

    def _raw(self, name: str) -> Step:
        def prepare(tx: Transaction, env: Resources) -> None:
            if tx.work.partition not in self.delivered[name]:
                raise NotReady(f"{name} has delivered nothing for {tx.work.partition}.")
            if name in self.bad:
                raise ValueError(name)

        return self._step(f"raw/{name}", (), prepare, landed=lambda env: sorted(self.delivered[name]))

    def _made(self, table: str, *reads: str) -> Step:
        def prepare(tx: Transaction, env: Resources) -> None:
            for read in reads:
                if tx.work.partition:
                    require(tx, read, tx.work.partition)
                else:
                    available(tx, read)
                tx.read(read, [tx.work.partition] if tx.work.partition else None)

        return self._step(table, reads, prepare)

    def _step(self, table: str, reads: tuple[str, ...], prepare: Any, **more: Any) -> Step:
        def compute(tx: Transaction, env: Resources, prepared: Any) -> None:
            tx.write(table, pl.DataFrame({"x": [1]}))

        return Step((table,), prepare, compute, "1", reads=reads, partitioning=DAYS, **more)

    def run(self, *keys: str) -> None:
        for key in keys or (MONDAY, TUESDAY):
            for step in [step for step in self.steps if step.partitioning.is_partitioned]:
                try:
                    execute(step, self.env, key)
                except (NotReady, ValueError):
                    continue


@pytest.fixture
def upstreams(tmp_path: Path) -> Upstreams:
    made = Upstreams(assay.open(lake=str(tmp_path / "lake"), home=str(tmp_path)).env(recording=False))
    made.run()
    return made


def test_what_lacks_one_of_its_inputs_waits_for_what_did_not_arrive(upstreams: Upstreams) -> None:
    both, training = waiting_steps(upstreams.steps, upstreams.env)
    assert both == Waiting("features/both", TUESDAY, "clean/b", f"b has delivered nothing for {TUESDAY}.", False)
    assert (training.table, training.waits_for, training.delivered) == ("training/all", "features/none", False)
    assert str(both) == f"features/both {TUESDAY} waits for clean/b: b has delivered nothing for {TUESDAY}"
    assert waiting_steps(upstreams.steps, upstreams.env, lambda _: [MONDAY]) == [training]


def test_what_was_delivered_and_not_taken_is_told_from_what_did_not_arrive(upstreams: Upstreams) -> None:
    upstreams.delivered["b"].add(TUESDAY)
    upstreams.bad.add("b")
    both, _ = waiting_steps(upstreams.steps, upstreams.env)
    assert (both.waits_for, both.delivered) == ("clean/b", True)
    assert both.because == "raw/b has not been run yet, or failed"
    upstreams.bad.clear()
    upstreams.run()
    assert [one.table for one in waiting_steps(upstreams.steps, upstreams.env)] == ["training/all"]


def test_lines_for_people_name_each_cause_once() -> None:
    of = [Waiting(f"features/{name}", day, "clean/b", "late.", False) for day in "12" for name in "xy"]
    assert summarised(of) == ["features/x, features/y in 2 partitions (1 to 2) wait for clean/b (late)"]
    assert summarised(of[:1]) == ["features/x 1 waits for clean/b (late)"]
    other = replace(of[0], table="features/z", because="never came on 1")
    assert summarised([other, *of], 1) == [*summarised(of), "and 1 more waits"]
    twice = [other, replace(other, partition="2", because="never came on 2")]
    assert summarised(twice) == ["features/z in 2 partitions (1 to 2) wait for clean/b (e.g. never came on 2)"]


def test_every_day_that_waited_at_the_last_plan_is_counted_and_not_only_the_last_ones(tmp_path: Path) -> None:
    store = assay.open(lake=str(tmp_path / "lake"), home=str(tmp_path))
    made = Upstreams(store.env())
    made.steps = tuple(replace(step, watched=Watched(dict.fromkeys(step.reads, Concern()))) for step in made.steps[:-2])
    days = [f"2026-03-{number:02d}" for number in range(2, 10)]
    made.delivered = {"a": set(days), "b": {days[0], days[-1]}}
    for key in days:
        made.run(key)
    assert [*planned_runs(made.steps, made.env)] == []
    for env in (made.env, store.env(recording=False)):
        waits = waiting_steps(made.steps, env, latest=3)
        assert [one.partition for one in waits] == days[1:-1]
        assert waits == waiting_steps(made.steps, env)
        (line,) = summarised(waits)
        assert "features/both in 6 partitions (2026-03-03 to 2026-03-08) wait for clean/b (e.g. b has delivered" in line


def test_a_missing_setting_is_named_before_a_run_fails_of_it(upstreams: Upstreams) -> None:
    env = upstreams.env
    upstreams.delivered["b"].add(TUESDAY)
    first, source, *others = upstreams.steps
    steps = [first, replace(source, lacks=lambda env: "b cannot be read. Set ASSAY_B."), *others]
    assert lacking_steps(steps, env) == {"raw/b": "b cannot be read. Set ASSAY_B."}
    both, _ = waiting_steps(steps, env)
    assert (both.waits_for, both.because, both.delivered) == ("clean/b", "b cannot be read. Set ASSAY_B.", True)

    def broken(env: Resources) -> str:
        raise ValueError("a reader's own fault")

    assert lacking_steps([replace(source, lacks=broken)], env) == {}, "running it says what is wrong"
