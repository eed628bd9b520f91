"""A run that died is requested again, later each time and not for ever; what has an answer is not; what comes back is new."""

import itertools
import json
import os
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from assay.assets.dagster import run_recovery
from assay.assets.dagster.definitions import definitions_of
from assay.assets.dagster.failures import PlainFailure
from assay.assets.dagster.run_recovery import (
    PROCESS_TAG,
    SILENT_SECONDS,
    beating,
    end_killed_runs,
    has_ended,
    process_tag,
)
from assay.assets.dagster.run_requests import (
    ATTEMPTS,
    OUTAGES,
    Asked,
    Ending,
    Look,
    died,
    ending_in,
    look,
    read_memory,
    write_memory,
)
from assay.lineage.events.process import look_at


class Sensor:
    """A sensor's looks over a shop, at moments that the test chooses; `endings` says how its runs ended."""

    def __init__(self, shop: Any) -> None:
        self.shop, self.cursor, self.now, self.ending = shop, "", datetime(2026, 3, 9, tzinfo=UTC), "unknown"

    def look(self, after: float = 30) -> Look:
        self.now += timedelta(seconds=after)
        env = replace(self.shop.env, now=lambda: self.now)
        found = look(self.shop.steps, env, read_memory(self.cursor), lambda _: Ending(self.ending))  # type: ignore[arg-type]
        self.cursor = write_memory(found.memory)
        return found


def test_a_run_that_died_is_requested_again_and_then_is_an_incident(new_shop: Any) -> None:
    sensor = Sensor(new_shop)
    new_shop.drop(1, new_shop.csv(1, 1.0))
    (first,) = sensor.look().requests
    sensor.ending = "died"
    waits, keys = [], {first.run_key}
    while not (found := sensor.look()).incidents:
        assert found.pausing or found.requests
        if found.requests:
            keys.add(found.requests[0].run_key)
            waits.append(sensor.now)
    assert len(keys) == ATTEMPTS, "each attempt has a key of its own"
    pauses = [later - earlier for earlier, later in itertools.pairwise(waits)]
    assert all(later > earlier for earlier, later in itertools.pairwise(pauses)), "each time later"
    assert "died 5 times" in found.incidents[0]
    assert sensor.look(10**7) == Look(memory=read_memory(sensor.cursor)), "reported once, and not requested any more"
    new_shop.drop(1, new_shop.csv(1, 2.0))
    assert len(sensor.look().requests) == 1, "another content is another matter"


def test_an_outage_uses_up_no_attempt_and_is_asked_about_seldom(new_shop: Any) -> None:
    """For two days nothing ends well; then one more death counts as the first."""
    sensor = Sensor(new_shop)
    new_shop.drop(1, new_shop.csv(1, 1.0))
    assert sensor.look().requests
    sensor.ending, requests, begun = "outage", 0, sensor.now
    while sensor.now - begun < timedelta(days=2):
        found = sensor.look(900)
        requests += len(found.requests)
        assert found.incidents == []
    assert 24 * 2 <= requests <= 24 * 2 * 4 + 4, "after the first ones every quarter of an hour"
    assert [asked.attempt for asked in read_memory(sensor.cursor).values()] == [1]
    sensor.ending = "died"
    while not (request := sensor.look(300).requests):
        pass
    assert request[0].tags["assay/attempt"] == "2"
    sensor.ending, requests, begun = "outage", 0, sensor.now
    while not (found := sensor.look(1800)).incidents:
        requests += len(found.requests)
        assert requests <= OUTAGES, "what is known to be lacking requests no run: so nothing is"
    assert requests == OUTAGES
    assert "died of an outage 101 times in a row" in found.incidents[0]
    assert sensor.now - begun > timedelta(days=3), "a weekend is got over"
    assert sensor.look(10**7) == Look(memory=read_memory(sensor.cursor)), "reported once, and not requested any more"


def test_what_has_an_answer_is_not_asked_for_again(new_shop: Any) -> None:
    sensor = Sensor(new_shop)
    new_shop.drop(1, b"")
    assert sensor.look().requests
    sensor.ending = "answered"
    found = sensor.look(10**7)
    assert (found.requests, len(found.answered)) == ([], 1)
    new_shop.materialize()
    assert sensor.look(10**7) == Look(), "what is refused is not to be done"


def test_a_content_that_comes_back_is_requested(new_shop: Any) -> None:
    sensor, keys = Sensor(new_shop), set()
    for amount in (1.0, 2.0, 1.0):
        new_shop.drop(1, new_shop.csv(1, amount))
        (request,) = sensor.look().requests
        keys.add(request.run_key)
        assert not new_shop.materialize().failed
        assert sensor.look().requests == []
    assert len(keys) == 3
    assert json.loads(sensor.cursor) == {}, "what is done is not remembered"


def test_a_cursor_of_an_earlier_version_is_no_hindrance() -> None:
    assert read_memory("2026-03-01:abc 2026-03-02:def") == read_memory("[1]") == read_memory(None) == {}
    earlier = {"content": "abc", "attempt": 1, "at": 0.0, "run_key": "k", "given_up": True}
    assert read_memory(json.dumps({"p": earlier})) == {}
    asked = {f"p{number}": Asked({"raw": "c"}, 1, float(number), "k") for number in range(2500)}
    assert set(read_memory(write_memory(asked))) == {f"p{number}" for number in range(500, 2500)}


def test_how_a_run_ended_is_read_from_dagster(new_shop: Any) -> None:
    """A refused batch answers; an error that nobody foresaw, or no end at all, does not."""
    ends: dict[str, bool] = {}
    problems = {
        "refused": dg.Failure("no", allow_retries=False),
        "unforeseen": KeyError("x"),
        "quoted": ValueError("server closed the connection"),
        "full disk": OSError(28, "No space left on device"),  # raised where we could not say so
        "full disk, said": PlainFailure(OSError(28, "full"), "the disk is full"),
    }
    for name, problem in problems.items():
        job = dg.GraphDefinition(name=f"job_{len(ends)}", node_defs=[_failing(problem)]).to_job()
        tags = {"dagster/run_key": name}
        result = job.execute_in_process(instance=new_shop.instance, raise_on_error=False, tags=tags)
        ends[name] = died(new_shop.instance, result.dagster_run)
    assert ends == {name: name != "refused" for name in problems}
    ending = ending_in(new_shop.instance)
    assert {name: ending(Asked({}, 1, 0, name)).kind for name in [*problems, "never"]} == {
        "refused": "answered",
        "unforeseen": "died",
        "quoted": "died",
        "full disk": "outage",
        "full disk, said": "outage",
        "never": "unknown",
    }


@pytest.mark.parametrize(
    ("process", "age", "gone"),
    [
        ("elsewhere:7:7", SILENT_SECONDS / 2, False),
        ("elsewhere:7:7", SILENT_SECONDS * 2, True),
        (process_tag(), SILENT_SECONDS * 2, False),  # of this machine the process itself counts
        (process_tag() + "0", 0, True),  # another process has its number now
        (process_tag().rpartition(":")[0], 0, False),  # a tag of an earlier version
    ],
    ids=["elsewhere", "elsewhere-silent", "here", "here-another", "here-earlier-tag"],
)
def test_a_run_without_a_process_is_ended(new_shop: Any, process: str, age: float, gone: bool) -> None:
    job = next(iter(definitions_of(new_shop.steps).get_repository_def().get_all_jobs()))
    instance = new_shop.instance
    run = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags={PROCESS_TAG: "elsewhere:1:1"})
    beat = {"process": process, "at": datetime.now(UTC).timestamp() - age}
    with beating(instance, run.run_id):
        end_killed_runs(instance)
        assert _status(instance, run) == dg.DagsterRunStatus.STARTED, "its heart beats"
    instance.daemon_cursor_storage.set_cursor_values({f"assay/heartbeat/{run.run_id}": json.dumps(beat)})
    end_killed_runs(instance)
    assert (_status(instance, run) == dg.DagsterRunStatus.FAILURE) is gone


@pytest.mark.parametrize(("tables", "gone"), [(True, True), (False, False)], ids=["ours", "another's"])
def test_a_run_that_was_killed_before_it_could_say_anything_is_ended(
    new_shop: Any, monkeypatch: pytest.MonkeyPatch, tables: bool, gone: bool
) -> None:
    job = next(iter(definitions_of(new_shop.steps).get_repository_def().get_all_jobs()))
    instance, ours = new_shop.instance, {table for step in new_shop.steps for table in step.outputs}
    run = instance.create_run_for_job(
        job, status=dg.DagsterRunStatus.STARTING, asset_selection=frozenset(job.asset_layer.selected_asset_keys)
    )
    end_killed_runs(instance, ours)
    assert _status(instance, run) == dg.DagsterRunStatus.STARTING
    monkeypatch.setattr(run_recovery, "SILENT_SECONDS", -1)
    end_killed_runs(instance, ours if tables else {"raw/orders"})
    assert (_status(instance, run) == dg.DagsterRunStatus.FAILURE) is gone


def test_one_that_was_killed_and_still_has_its_number_has_ended() -> None:
    """Its parent has not looked yet: where the first process of a container never does, that stays so."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:
        seen = look_at(child.pid)
        assert seen is not None
        tag = f"{socket.gethostname()}:{child.pid}:{seen[1]}"
        assert not has_ended(tag)
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        os.kill(child.pid, 0)
        assert has_ended(tag)
        assert has_ended(tag.rpartition(":")[0]), "of a tag of an earlier version, too"


def _failing(problem: Exception) -> dg.OpDefinition:
    @dg.op
    def failing() -> None:
        raise problem

    return failing


def _status(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Any:
    found: Mapping[str, Any] | Any = instance.get_run_by_id(run.run_id)
    return found.status
