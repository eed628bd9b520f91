"""The sensor requests what the planner says is stale, each once, and a refused batch not again until its files change."""

import contextlib
import re
import socket
import sqlite3
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import psycopg
import pytest
import sqlalchemy as sa
from dagster._core.events import StepMaterializationData

from assay.assets.dagster import lost_runs, run_requests, sensors
from assay.assets.dagster.definitions import definitions_of, partitions_by_table
from assay.assets.dagster.jobs import RANGE_TAG
from assay.assets.dagster.lost_runs import OUTAGES_TAG, given_up
from assay.assets.dagster.materialize import run_unit
from assay.assets.dagster.run_recovery import PROCESS_TAG
from assay.assets.dagster.run_requests import ATTEMPTS, OUTAGES
from assay.assets.dagster.sensors import arrivals
from assay.assets.dagster.to_dagster import build_asset
from assay.assets.databases.rows import Rows
from assay.assets.declarations import ordered, steps_of
from assay.assets.planning.plan import PlannedRun, planned_runs, stages
from assay.assets.silent import forget_silences
from assay.assets.sources.source import Source
from assay.assets.steps.step import execute
from assay.checks import Contract, Field, Timestamp
from assay.features.storage.scratch import FOLDER


class Watched:
    """A shop whose sensor is evaluated tick by tick, as the daemon does it, and whose requests are run."""

    def __init__(self, shop: Any) -> None:
        self.shop, self.sensor, self.cursor = shop, arrivals(shop.steps), ""
        self.reason: str | None = None
        known = partitions_by_table(shop.steps)
        assets = [build_asset(step, known) for step in shop.steps]
        self.repository = dg.Definitions(
            assets=assets, sensors=[self.sensor], executor=dg.in_process_executor
        ).get_repository_def()

    def tick(self) -> list[dg.RunRequest]:
        context = dg.build_sensor_context(
            instance=self.shop.instance, cursor=self.cursor, repository_def=self.repository
        )
        data = self.sensor.evaluate_tick(context)
        self.cursor, self.reason = data.cursor or self.cursor, data.skip_message
        return list(data.run_requests or [])

    def launch(self, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
        """Submit the run as the daemon would: the request's job, selection and partition."""
        job = self.repository.get_job(request.job_name or "")
        return job.execute_in_process(
            instance=self.shop.instance,
            partition_key=request.partition_key,
            asset_selection=list(request.asset_selection or []),
            raise_on_error=False,
            tags={"dagster/run_key": request.run_key or "", **request.tags},
        )


def asked(requests: list[dg.RunRequest]) -> list[tuple[str | None, tuple[str, ...]]]:
    return [(r.partition_key, tuple(key.to_user_string() for key in r.asset_selection or [])) for r in requests]


def test_the_sensor_asks_for_what_the_planner_says_and_for_nothing_twice(new_shop: Any) -> None:
    watched = Watched(new_shop)
    assert watched.tick() == []
    for number in (1, 2):
        new_shop.drop(number, new_shop.csv(number, 1.0))
    planned = [
        (unit.partition, unit.tables) for stage in stages(new_shop.steps) for unit in planned_runs(stage, new_shop.env)
    ]
    requests = watched.tick()
    assert asked(requests) == planned
    assert [partition for partition, _ in planned] == [new_shop.day(1), new_shop.day(2)]
    assert watched.tick() == [], "they are asked for already"
    assert all(watched.launch(request).success for request in requests)
    assert asked(watched.tick()) == [], "and now they are done"


def test_while_the_disk_is_full_no_run_is_requested_and_one_line_says_so(
    new_shop: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """How a full disk is found is tested where it is (test_outages)."""
    watched, lacks = Watched(new_shop), ["the disk is full (/lake)"]
    monkeypatch.setattr(sensors, "outage_now", lambda env, also: lacks[0] if lacks else None)
    for number in (1, 2):
        new_shop.drop(number, new_shop.csv(number, 1.0))
    for _ in range(3):
        assert watched.tick() == []
    assert re.fullmatch(r"The disk is full \(/lake\) since 20\S+ \S+ UTC; 2 runs wait\.", watched.reason or "")
    assert [record.getMessage() for record in caplog.records if record.name == "assay"] == [watched.reason]
    lacks.clear()
    requests = watched.tick()
    assert [(request.partition_key, request.tags.get("assay/attempt")) for request in requests] == [
        (new_shop.day(1), None),
        (new_shop.day(2), None),
    ]


def test_a_refused_batch_is_asked_for_again_when_its_files_change(shop: Any) -> None:
    watched = Watched(shop)
    shop.drop(4, b"")
    (request,) = watched.tick()
    refused = watched.launch(request)
    assert [item.check_name for item in refused.get_asset_check_evaluations() if not item.passed] == ["delivery"]
    assert watched.tick() == []
    shop.drop(5, shop.csv(5, 1.0))
    (other,) = watched.tick()
    assert other.partition_key == shop.day(5), "other batches go on"
    assert watched.launch(other).success
    shop.drop(4, shop.csv(4, 1.0), "a.r1.csv")
    healing = watched.tick()
    assert [request.partition_key for request in healing] == [shop.day(4)]
    assert watched.launch(healing[0]).success
    (reaching,) = watched.tick()
    assert asked([reaching]) == [(shop.day(5), ("features/spending",))], "its window reaches into the healed day"


def test_what_one_step_refused_is_told_once_whatever_others_do(shop: Any) -> None:
    """The steps before it are done then, so that less is due than was asked for."""
    watched = Watched(shop)
    shop.drop(4, shop.csv(4, *[-1.0] * 30))
    (request,) = watched.tick()
    refused = watched.launch(request)
    assert {key.to_user_string() for key in map(_key, refused.get_asset_materialization_events())} == {"raw/orders"}
    assert watched.tick() == []
    shop.drop(3, shop.csv(3, 1.0, first=9), "late.csv")
    assert [partition for partition, _ in asked(watched.tick())] == [shop.day(3)]
    shop.drop(4, shop.csv(4, 1.0, 2.0))
    (again,) = watched.tick()
    assert (again.partition_key, watched.launch(again).success) == (shop.day(4), True)


def _key(event: dg.DagsterEvent) -> dg.AssetKey:
    return event.step_materialization_data.materialization.asset_key


def test_runs_by_the_sensor_give_what_the_command_gives(shop: Any, new_home: Any) -> None:
    by_command = shop.contents()
    with new_home(shop):
        watched = Watched(shop)
        assert all(watched.launch(request).success for request in watched.tick())
        assert shop.contents() == by_command


def test_while_runs_are_in_progress_the_sensor_waits(new_shop: Any) -> None:
    watched = Watched(new_shop)
    new_shop.drop(1, new_shop.csv(1, 1.0))
    job = next(job for job in watched.repository.get_all_jobs() if job.name.startswith("daily_from"))
    run = new_shop.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    assert watched.tick() == []
    new_shop.instance.report_run_canceled(run)
    assert len(watched.tick()) == 1


def test_a_run_whose_process_was_killed_holds_up_nothing(new_shop: Any) -> None:
    watched = Watched(new_shop)
    new_shop.drop(1, new_shop.csv(1, 1.0))
    gone = subprocess.Popen(["true"])
    gone.wait()
    job = next(job for job in watched.repository.get_all_jobs() if job.name.startswith("daily_from"))
    tags = {PROCESS_TAG: f"{socket.gethostname()}:{gone.pid}"}
    run = new_shop.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags=tags)
    elsewhere = {PROCESS_TAG: f"another-host:{gone.pid}"}
    other = new_shop.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags=elsewhere)
    assert watched.tick() == [], "of processes elsewhere nothing is known"
    assert new_shop.instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.FAILURE
    new_shop.instance.report_run_canceled(other)
    assert len(watched.tick()) == 1


def test_what_a_killed_run_left_on_disk_is_freed_at_the_next_look(new_shop: Any) -> None:
    dead = new_shop.home / FOLDER / "dead"
    (dead / "rows").mkdir(parents=True)
    (dead / "lock").touch()  # which nobody holds
    Watched(new_shop).tick()
    assert not dead.exists()


def test_an_upstream_that_has_not_arrived_makes_no_failed_run(new_shop: Any) -> None:
    view = new_shop.steps[-1]
    result = run_unit(PlannedRun(new_shop.day(1), (view,)), definitions_of(new_shop.steps), new_shop.instance)
    assert (result.success, result.problems, result.new_versions) == (True, (), ())
    assert result.waiting[0].startswith("features/spending: clean/orders")


class People(Contract):
    id: str = Field(key=True)
    at: Timestamp = Field()


def test_a_login_that_is_refused_is_asked_for_again_uses_no_attempt_and_ends_with_the_right_setting(
    new_shop: Any, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A query that is wrong is a refusal: it is asked for again when the declaration changes."""

    def declared(table: str, cursor: str = "at", since: str = "") -> Watched:
        reader = Rows(table, cursor, connection="crm")
        source = Source(name="people", reader=reader, contract=People, key=("id",), event_time="at")
        new_shop.steps = ordered(steps_of([source]))
        watched = Watched(new_shop)
        watched.cursor = since
        return watched

    monkeypatch.setattr(run_requests, "FIRST_PAUSE", 0)
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute("CREATE TABLE people (id TEXT PRIMARY KEY, at TIMESTAMPTZ)")
        admin.execute("INSERT INTO people VALUES ('a', now())")
    wrong = sa.make_url(postgres_url).set(username="nobody", password="s3cret-word")
    monkeypatch.setenv("ASSAY_CONNECTIONS__CRM__URL", wrong.render_as_string(hide_password=False))
    watched = declared("people")
    for _ in range(ATTEMPTS + 2):
        (request,) = watched.tick()
        assert "assay/attempt" not in request.tags
        failed = watched.launch(request)
        (event,) = [event for event in failed.all_events if event.is_step_failure]
        assert event.step_failure_data.user_failure_data is not None
        text = event.step_failure_data.user_failure_data.description or ""
        assert "database in ASSAY_CONNECTIONS__CRM__URL" in text
        assert "no fault of the batch" in text
        assert "nobody" not in text and "s3cret" not in text
    monkeypatch.setattr(run_requests, "FIRST_PAUSE", 60)
    assert watched.tick() == []
    assert "raw/people, clean/people (a database or a server refuses the login)" in (watched.reason or "")
    monkeypatch.setenv("ASSAY_CONNECTIONS__CRM__URL", postgres_url)
    (request,) = watched.tick()
    assert watched.launch(request).success
    assert watched.tick() == []
    assert new_shop.frame("clean/people")["id"].to_list() == ["a"]

    watched = declared("peopel")
    assert not watched.launch(watched.tick()[0]).success
    assert watched.tick() == [], "there is no such table: to ask again would change nothing"
    watched = declared("peopel", "changed", since=watched.cursor)
    assert len(watched.tick()) == 1, "the same words, but another declaration"
    watched = declared("people", since=watched.cursor)
    assert watched.tick() == [], "which is done"


def test_a_backfill_that_died_is_requested_again_and_not_for_ever(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of it is stale, so that the planner does not miss it; but a person asked for it, and it is red."""
    monkeypatch.setattr(run_requests, "FIRST_PAUSE", 0)
    watched = Watched(shop)
    job = watched.repository.get_implicit_global_asset_job_def()
    ends = {f"{RANGE_TAG}{end}": shop.day(2) for end in ("start", "end")}
    chosen = frozenset(dg.AssetKey(table.split("/")) for table in shop.steps[0].outputs)
    for attempt in range(1, ATTEMPTS):
        tags = {**ends, "assay/attempt": str(attempt)}
        run = shop.instance.create_run_for_job(job, asset_selection=chosen, tags=tags)
        shop.instance.report_run_failed(run)
        (request,) = watched.tick()
        assert (request.partition_key, request.asset_selection) == (shop.day(2), [dg.AssetKey(["raw", "orders"])])
        shop.instance.delete_run(run.run_id)
    run = shop.instance.create_run_for_job(job, asset_selection=chosen, tags={**ends, "assay/attempt": str(ATTEMPTS)})
    shop.instance.report_run_failed(run)
    assert watched.tick() == []
    command = f"assay materialize raw/orders --partition {shop.day(2)} --force"
    assert watched.reason == f"Given up after runs that died: raw/orders {shop.day(2)} (`{command}` asks again)."
    (told,) = given_up(shop.instance, shop.steps, {}, "", datetime.now(UTC))
    assert told.command == command
    (unit,) = planned_runs(stages(shop.steps)[0], shop.env, lambda _: [shop.day(2)], force=True)
    unit = replace(unit, steps=unit.steps[:1])
    assert run_unit(unit, definitions_of(shop.steps), shop.instance, force=True).success
    assert (watched.tick(), watched.reason) == ([], "Everything is up to date.")
    other = shop.instance.create_run_for_job(job, asset_selection=chosen, tags=ends)
    shop.instance.report_run_failed(other)
    assert watched.launch(watched.tick()[0]).success
    assert watched.tick() == [], "it is made good"
    monkeypatch.setattr(lost_runs, "outage_behind", lambda instance, run: "a store does not answer")
    for outages, requested in ((OUTAGES - 1, 1), (OUTAGES, 0)):
        run = shop.instance.create_run_for_job(job, asset_selection=chosen, tags={**ends, OUTAGES_TAG: str(outages)})
        shop.instance.report_run_failed(run)
        assert len(watched.tick()) == requested, "an outage is not believed for ever"
        shop.instance.delete_run(run.run_id)


@pytest.mark.parametrize("reported", [0, 1, 2])
def test_a_run_that_died_before_it_reported_its_commit_is_requested_again(
    new_shop: Any, monkeypatch: pytest.MonkeyPatch, reported: int
) -> None:
    """The table is up to date, so that nothing is due; but Dagster shows the verdict of before, or none."""
    monkeypatch.setattr(run_requests, "FIRST_PAUSE", 0)
    watched, clean = Watched(new_shop), new_shop.steps[1]
    new_shop.drop(1, new_shop.csv(1, 1.0, -1.0))
    (request,) = watched.tick()
    for step in new_shop.steps:
        execute(step, new_shop.env, new_shop.day(1))
    job = next(job for job in watched.repository.get_all_jobs() if job.name == request.job_name)
    tags = {"dagster/run_key": request.run_key, "dagster/partition": new_shop.day(1)}
    chosen = frozenset(dg.AssetKey(table.split("/")) for table in clean.outputs)
    run = new_shop.instance.create_run_for_job(job, asset_selection=chosen, tags=tags)
    for table in clean.outputs[:reported]:  # it died before the last of them, and before its verdicts
        made = dg.AssetMaterialization(table.split("/"), partition=new_shop.day(1))
        event = dg.DagsterEvent(
            dg.DagsterEventType.ASSET_MATERIALIZATION.value,
            job.name,
            step_key="clean__orders",
            event_specific_data=StepMaterializationData(made),
        )
        new_shop.instance.report_dagster_event(event, run.run_id)
    new_shop.instance.report_run_failed(run)
    (again,) = watched.tick()
    assert set(again.asset_selection or ()) == chosen
    done = watched.launch(again)
    assert done.success
    verdicts = {item.check_name: item.passed for item in done.get_asset_check_evaluations()}
    assert verdicts["amount__ge"] is not None
    assert watched.tick() == [], "it is made good"


SILENT = """
from assay.assets.databases.rows import Rows


class Clients(Contract):
    client: str = Field(key=True)
    at: Timestamp = Field()


clients = Source(
    name="clients", reader=Rows("clients", cursor="at", connection="crm"), contract=Clients, key=("client",), event_time="at"
)
"""


def test_who_does_not_answer_gets_no_run_and_holds_nobody_up(new_shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without partitions, it stands in an earlier stage than the orders."""
    monkeypatch.setenv("ASSAY_CONNECTIONS__CRM__URL", "postgresql://127.0.0.1:1/crm")
    new_shop.redeclare(lambda text: text + SILENT)
    new_shop.drop(1, new_shop.csv(1, 1.0))
    watched = Watched(new_shop)
    (request,) = watched.tick()
    assert request.partition_key == new_shop.day(1)
    assert watched.launch(request).success
    assert watched.tick() == []
    assert watched.reason is not None and "clients does not answer, and is not asked again before" in watched.reason
    with contextlib.closing(sqlite3.connect(new_shop.home / "crm.db")) as there:
        there.execute("CREATE TABLE clients (client TEXT PRIMARY KEY, at TIMESTAMP)")
        there.execute("INSERT INTO clients VALUES ('c', '2026-03-01T00:00:00Z')")
        there.commit()
    monkeypatch.setenv("ASSAY_CONNECTIONS__CRM__URL", f"sqlite:///{new_shop.home / 'crm.db'}")
    forget_silences(new_shop.home)
    ((partition, tables),) = asked(watched.tick())
    assert partition is None and "raw/clients" in tables
