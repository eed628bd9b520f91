"""What `assay doctor` says of a sensor that is stopped or stuck, of what waits although it runs, and of history for ever."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import InProcessCodeLocationOrigin, RemoteInstigatorOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._daemon.types import DaemonHeartbeat
from dagster_shared.error import SerializableErrorInfo

from assay.assets.dagster import attention
from assay.assets.dagster.definitions import definitions_of
from assay.assets.dagster.jobs import job_name
from assay.assets.dagster.materialize import open_instance
from assay.assets.dagster.run_requests import Asked, write_memory
from assay.assets.declarations import BrokenModule
from assay.diagnosis import diagnose
from assay.errors import AssayError
from assay.store import open_store

NOW = datetime.now(UTC)


class Daemon:
    """A Dagster home in which a sensor is on, as the daemon leaves it."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        target = LoadableTargetOrigin(executable_path="python", module_name="shop")
        location = InProcessCodeLocationOrigin(target)
        self.origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(location, "__repository__"), "shop_arrivals")
        self.selector = self.origin.get_selector().get_id()

    def state(self, status: InstigatorStatus, cursor: str = "") -> InstigatorState:
        data = SensorInstigatorData(cursor=cursor)
        return InstigatorState(self.origin, InstigatorType.SENSOR, status, data)

    def on(self, cursor: str = "") -> None:
        self.instance.add_instigator_state(self.state(InstigatorStatus.RUNNING, cursor))

    def beats(self, at: datetime) -> None:
        self.instance.add_daemon_heartbeat(DaemonHeartbeat(at.timestamp(), "SENSOR", None, None))

    def looks(self, at: datetime, status: TickStatus) -> None:
        data = TickData(
            instigator_origin_id=self.origin.get_id(),
            instigator_name="shop_arrivals",
            instigator_type=InstigatorType.SENSOR,
            status=status,
            timestamp=at.timestamp(),
            selector_id=self.selector,
            error=SerializableErrorInfo("", [], None) if status == TickStatus.FAILURE else None,
        )
        self.instance.create_tick(data)


@pytest.fixture
def daemon(shop: Any) -> Iterator[Daemon]:
    with open_instance(shop.home / "dagster") as instance:
        shop.instance = instance
        yield Daemon(instance)


def sensor(daemon: Daemon) -> str:
    return attention.sensor(daemon.instance, "shop", NOW)


def test_a_sensor_that_is_stopped_or_stuck_or_fails_is_named(daemon: Daemon) -> None:
    assert sensor(daemon) == "has never run (`assay up` starts it)"
    daemon.on()
    assert sensor(daemon) == "no daemon runs now (`assay up` starts it)"
    daemon.beats(NOW)
    assert sensor(daemon) == "has not looked yet"
    daemon.looks(NOW - timedelta(minutes=30), TickStatus.STARTED)
    with pytest.raises(AssayError, match=r"It is stuck: .* began 30 minutes ago\. Next: restart `assay up`"):
        sensor(daemon)
    daemon.looks(NOW - timedelta(seconds=40), TickStatus.SKIPPED)
    assert sensor(daemon) == "looked 40 seconds ago"
    for seconds in (30, 20, 10):
        daemon.looks(NOW - timedelta(seconds=seconds), TickStatus.FAILURE)
    with pytest.raises(AssayError, match="Its last 3 looks failed"):
        sensor(daemon)
    daemon.looks(NOW - timedelta(seconds=5), TickStatus.STARTED)
    with pytest.raises(AssayError, match="Its last 3 looks failed"):
        sensor(daemon)
    daemon.instance.update_instigator_state(daemon.state(InstigatorStatus.STOPPED))
    with pytest.raises(AssayError, match=r"It is stopped: .* Next: switch it on"):
        sensor(daemon)


def test_what_waits_although_the_sensor_runs_is_a_backlog(shop: Any, daemon: Daemon) -> None:
    def backlog(now: datetime = NOW) -> str:
        return attention.backlog(daemon.instance, shop.steps, shop.env, "shop", now)

    assert backlog() == "nothing waits"
    shop.drop(1, shop.csv(1, 9.0), "late.csv")
    assert backlog().endswith("`assay up` or `assay materialize` makes them")
    daemon.on()
    daemon.beats(NOW)
    with pytest.raises(AssayError, match=r"1 run to be made .*although the sensor runs\. Next: `assay status`"):
        backlog()
    shop.materialize()
    shop.drop(1, shop.csv(1, 8.0), "later.csv")
    assert backlog().endswith("which is going on")
    shop.drop(1, b"", "later.csv")
    shop.materialize()
    assert backlog(NOW) == "nothing waits; 1 refused batch stays refused (`assay status`)", "which is another finding"


def test_what_failed_and_is_still_to_be_made_is_named_with_its_reason(shop: Any, daemon: Daemon) -> None:
    def backlog(broken: Sequence[BrokenModule] = ()) -> str:
        steps = shop.steps if not broken else ()
        return attention.backlog(daemon.instance, steps, shop.env, "shop", NOW, broken=broken)

    shop.drop(4, shop.csv(4, 1.0))
    job = definitions_of(shop.steps).resolve_job_def(job_name(shop.steps[0]))
    chosen = frozenset(dg.AssetKey(table.split("/")) for table in ("raw/orders", "clean/orders"))
    tags = {"dagster/partition": shop.day(4)}
    run = daemon.instance.create_run_for_job(job, asset_selection=chosen, tags=tags)
    daemon.instance.report_run_failed(run, "The code location is gone.")
    said = rf"1 run failed and is still to be made, the latest clean/orders and 1 more of 2026-03-04 \(run {run.run_id[:8]}\): "
    with pytest.raises(AssayError, match=rf"{said}.*The code location is gone\. Next: when that is put right"):
        backlog()
    broken = BrokenModule("shop.orders", "line 3: invalid syntax. Correct it.")
    with pytest.raises(AssayError, match=rf"{said}.* shop\.orders cannot be loaded: line 3: invalid syntax\. Correct"):
        backlog([broken])
    shop.materialize()
    assert backlog() == "nothing waits"


def test_history_that_nothing_removes_is_named(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "_SOME", 1)
    for _ in range(2):
        daemon.instance.create_run_for_job(dg.job(name="some")(lambda: None))
    assert attention.retention(daemon.instance, 90) == "0 runs older than 90 days"
    with pytest.raises(
        AssayError, match=r"2 runs older than 90 days, and nothing removes them\. Next: `assay maintain"
    ):
        attention.retention(daemon.instance, 90, NOW + timedelta(days=91))
    assert attention.retention(daemon.instance, 0, NOW + timedelta(days=91)).startswith("all is kept")


def test_doctor_asks_and_status_reads_incidents_back(
    shop: Any, daemon: Daemon, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a sensor gave up in another process stands in `assay status` for as long as it is so."""
    from assay.cli import main

    place = "shop_daily_from_2026_01_01:raw__orders:2026-01-04"
    daemon.on(write_memory({place: Asked({"raw__orders": "content"}, 5, NOW.timestamp(), "key", given_up=True)}))
    found = {symptom.what: symptom for symptom in diagnose(open_store(), shop.home / "dagster")}
    assert {"sensor", "backlog", "history"} <= found.keys()
    assert all(found[what].ok for what in ("sensor", "backlog", "history"))
    monkeypatch.setenv("DAGSTER_HOME", str(shop.home / "dagster"))
    with pytest.raises(SystemExit) as ended:
        main(["status"])
    assert ended.value.code == 3
    command = "assay materialize raw/orders --partition 2026-01-04"
    assert f"raw/orders 2026-01-04 (`{command}` asks again)" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        main(["maintain"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert out.endswith("Nothing was changed: add --yes to do it.\n")
    assert {line.split(":")[0] for line in out.splitlines()[:-1]} >= {"history", "checkpoints", "old versions"}
