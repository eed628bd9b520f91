"""An upstream that does not answer is asked once, whatever is asked of it; what is known stays known."""

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import assay
from assay.assets import silent
from assay.assets.lacking import DENIED, UNREACHABLE, NotConnected
from assay.assets.planning.pending import lacking_steps
from assay.assets.planning.plan import planned_runs
from assay.assets.planning.plan_memory import PlanMemory
from assay.assets.silent import resting
from assay.assets.sources.reader import SourceReader
from assay.assets.sources.source import Source
from assay.assets.steps.raw import raw_step, unread_of
from assay.assets.steps.step import Resources, look
from assay.assets.upstream import delivered, lack_of, landed, next_batch, outside_of, warnings_of
from assay.checks import Contract, Field, Timestamp
from assay.errors import AssayError
from assay.features.tables.partitioning import UNPARTITIONED, Partitioning
from assay.settings import Settings

NOW = datetime(2026, 9, 5, 12, tzinfo=UTC)
ASKED: list[str] = []
PROBLEMS: list[AssayError] = []  # raised while there is one
DOWN = NotConnected("It is down.", UNREACHABLE)


class Sales(Contract):
    id: str = Field(key=True)
    at: Timestamp = Field()

    class Config(Contract.Config):
        version, owner = "1.0.0", "shop"


@dataclasses.dataclass(frozen=True)
class Far(SourceReader):
    """Reads from a server, which answers nothing while there is a problem."""

    numbered: bool = False

    def _asked(self, question: str) -> None:
        ASKED.append(question)
        if PROBLEMS:
            raise PROBLEMS[0]

    def marks(self, settings: Settings, partitioning: Partitioning) -> Mapping[str, str]:
        self._asked("marks")
        return {"2026-09-01": "a", "2026-09-02": "b"}

    def partitions(self, settings: Settings, partitioning: Partitioning) -> list[str]:
        self._asked("partitions")
        return ["2026-09-01"]

    def deliveries(self, reading: Any) -> Sequence[Any]:
        self._asked("deliveries")
        return []

    def read(self, delivery: Any) -> Any:
        raise AssertionError(delivery)

    def warnings(self, settings: Settings) -> Sequence[str]:
        self._asked("warnings")
        return ["Its disk fills."]

    def unplaced(self, settings: Settings, partitioning: Partitioning) -> list[str]:
        self._asked("unplaced")
        return ["sales/odd"]

    def outside(self, settings: Settings, partitioning: Partitioning) -> list[str]:
        self._asked("outside")
        return ["sales/2020-01-01"]


DAILY = Source("sales", Far(), Sales, ("id",), "at", partitioning=Partitioning.daily("2026-09-01"))
NUMBERED = dataclasses.replace(DAILY, reader=Far(numbered=True), partitioning=UNPARTITIONED)


@pytest.fixture
def env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Resources:
    monkeypatch.setattr(silent, "_lost", [])
    ASKED.clear()
    PROBLEMS.clear()
    env = assay.open(lake=str(tmp_path / "lake"), home=str(tmp_path), landing=str(tmp_path / "landing")).env()
    return dataclasses.replace(env, now=lambda: NOW)


def at(env: Resources, minutes: int) -> Resources:
    return dataclasses.replace(env, now=lambda: NOW + timedelta(minutes=minutes))


def test_of_a_silent_store_one_partition_is_run_and_what_is_known_stays_known(env: Resources) -> None:
    before = delivered(DAILY, env, b"")
    assert before is not None and before.changed == {"2026-09-01", "2026-09-02"}
    PROBLEMS.append(DOWN)
    during = delivered(DAILY, env, before.seen)
    assert during is not None and during.seen == before.seen
    assert during.changed == during.unsettled == {"2026-09-05"}, "today's"
    assert delivered(DAILY, env, before.seen) == during
    with pytest.raises(NotConnected, match="It is down"):
        landed(DAILY, env)
    assert ASKED == ["marks", "marks"] and [one.source for one in resting(env.settings.home, NOW)] == ["sales"]
    PROBLEMS.clear()
    after = delivered(DAILY, at(env, 2), before.seen)
    assert after is not None and not after.changed and resting(env.settings.home, NOW) == []


def test_a_plan_asks_a_silent_store_once(env: Resources) -> None:
    PROBLEMS.append(DOWN)
    step = raw_step(DAILY)
    for _ in range(2):
        assert [unit.partition for unit in planned_runs([step], env)] == ["2026-09-05"]
        assert lacking_steps([step], env) == {"raw/sales": "sales cannot be read. It is down."}
        assert unread_of([DAILY], env) == outside_of([DAILY], env) == []
        assert warnings_of(DAILY, env) == ["It is down."]
    assert len(ASKED) == 1


def test_a_login_that_is_refused_is_an_answer(env: Resources) -> None:
    PROBLEMS.append(NotConnected("It lets nobody in.", DENIED))
    during = delivered(DAILY, env, b"")
    assert during is not None and during.changed == {"2026-09-05"}
    assert delivered(DAILY, env, b"") == during and ASKED == ["marks", "marks"]
    assert lack_of(DAILY, env) == ""


def test_what_a_reader_knows_of_its_upstream_is_asked_for_its_next_batch(env: Resources) -> None:
    assert warnings_of(NUMBERED, env) == ["Its disk fills."] and next_batch(env.lake, NUMBERED) == "000001"
    PROBLEMS.append(DOWN)
    assert warnings_of(NUMBERED, env) == ["It is down."]
    list(planned_runs([raw_step(NUMBERED)], env))
    assert ASKED == ["warnings", "warnings"], "planning knows it"


def test_when_too_much_time_is_lost_nothing_more_is_asked(env: Resources, monkeypatch: pytest.MonkeyPatch) -> None:
    assert unread_of([DAILY], env) and outside_of([DAILY], env)
    monkeypatch.setattr(silent, "_PATIENCE", 0.0)
    ASKED.clear()
    seen = delivered(DAILY, env, b"before")
    assert seen is not None and (seen.seen, seen.changed) == (b"before", frozenset())
    assert lack_of(DAILY, env) == "" and unread_of([DAILY], env) == outside_of([DAILY], env) == []
    assert warnings_of(DAILY, env) == ["sales is looked at later: others did not answer for 0 seconds."]
    assert ASKED == []


@pytest.mark.parametrize(("patience", "stale"), [(20.0, True), (0.0, False)], ids=("silent", "postponed"))
def test_what_nobody_could_look_at_stays_to_be_looked_at(
    env: Resources, monkeypatch: pytest.MonkeyPatch, patience: float, stale: bool
) -> None:
    """Of a store whose look showed that something has come, and which then does not answer, or is not asked."""
    step = raw_step(DAILY)
    memory = PlanMemory([step], env, lambda step: ["2026-09-01", "2026-09-02"])
    monkeypatch.setattr(silent, "_PATIENCE", patience)
    PROBLEMS.append(DOWN)
    keys = ["2026-09-01", "2026-09-02"]
    assert [memory.due(step, key) for key in keys] == [stale, stale]
    assert [look(step, env, key).unseen for key in keys] == [True, True]
    assert memory.open(step) == set(keys)
    memory.keep()
    PROBLEMS.clear()
    monkeypatch.setattr(silent, "_PATIENCE", 20.0)
    later = PlanMemory([step], at(env, 2), lambda step: [])
    assert later.open(step) == set(keys), "the same marks, and still not looked at"


def test_the_sensor_requests_no_run_for_who_does_not_answer(env: Resources) -> None:
    PROBLEMS.append(DOWN)
    step, sensor = raw_step(DAILY), dataclasses.replace(env, leaves_silent=True)
    assert list(planned_runs([step], sensor)) == [] and len(list(planned_runs([step], env))) == 1
    PROBLEMS[:] = [NotConnected("It lets nobody in.", DENIED)]
    assert len(list(planned_runs([step], at(sensor, 2)))) == 1, "a run says why"
