"""What a forked process becomes. Everything is imported here, before any process is forked."""

import logging
import os
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import alembic.command  # noqa: F401
import dagster as dg
import deltalake  # noqa: F401
import duckdb  # noqa: F401
import psycopg  # noqa: F401
from dagster._cli import api
from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus, PartitionBackfill
from dagster._core.instance import InstanceRef
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.scheduler.instigation import TickStatus
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.utils import make_new_backfill_id
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget
from dagster._daemon import backfill, sensor
from dagster._daemon.monitoring import run_monitoring
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon

import assay
from assay.assets.dagster import run_recovery, run_requests
from assay.assets.dagster.definitions import definitions
from assay.assets.dagster.history import sensors
from assay.assets.dagster.maintenance import upkeep
from assay.assets.dagster.materialize import materialize, open_instance, quiet
from assay.assets.dagster.run_recovery import UNFINISHED
from assay.assets.dagster.sessions import kept_sessions
from assay.assets.declarations import pipeline
from assay.assets.planning.plan import planned_runs, stages
from assay.assets.steps.step import NotReady, Resources, execute
from assay.features.tables.transaction import AuditFailed
from assay.lineage.delivery.recorder import EventRecorder
from assay.lineage.events import events  # noqa: F401
from tests.end_to_end.unattended import upstreams
from tests.end_to_end.unattended.launcher import ForkingLauncher

LOG = logging.getLogger("soak")
LOCATION = "assay.assets.dagster.definitions"  # its name in `assay up`, too
HOME = "DAGSTER_HOME"


def run(wanted: Mapping[str, Any]) -> int:
    """One of Dagster's runs, as `dagster api execute_run` makes it."""
    _hurry()
    with kept_sessions(), open_instance(Path(os.environ[HOME])) as instance:
        return api._execute_run_command_body(
            run_id=wanted["run_id"],
            instance=instance,
            write_stream_fn=lambda event: None,
            set_exit_code_on_failure=True,
        )


def daemon(wanted: Mapping[str, Any]) -> int:
    """Dagster's daemon, until there is nothing left to do."""
    _hurry()
    launcher = {"socket": wanted["socket"], "seed": wanted["seed"], "killed": wanted["killed"]}
    overrides = {
        "compute_logs": {"module": "dagster._core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"},
        "run_launcher": {
            "module": ForkingLauncher.__module__,
            "class": ForkingLauncher.__name__,
            "config": launcher,
        },
    }
    outage = Path(wanted["outage"])
    origin = InProcessCodeLocationOrigin(
        LoadableTargetOrigin(module_name=LOCATION, attribute="defs"), location_name=LOCATION
    )
    with (
        kept_sessions(),
        dg.DagsterInstance.from_ref(InstanceRef.from_dir(os.environ[HOME], overrides=overrides)) as instance,
        WorkspaceProcessContext(instance, InProcessWorkspaceLoadTarget(origin)) as workspace,
    ):
        Daemon(instance, workspace, outage).run()
    return 0


class Daemon:
    """The loops of Dagster's daemon, one after the other and without their pauses. Each goes on after an error, as there."""

    def __init__(self, instance: dg.DagsterInstance, workspace: WorkspaceProcessContext, outage: Path) -> None:
        self.instance, self.workspace, self.outage = instance, workspace, outage
        assert isinstance(instance.run_launcher, ForkingLauncher)
        self.launcher = instance.run_launcher
        self.queue = QueuedRunCoordinatorDaemon(interval_seconds=0)

    def run(self) -> None:
        while True:
            self._each(self._launch)
            if self.launcher.going_on():
                time.sleep(0.03)
                continue
            began = time.time()
            self._each(self._look)
            if self._each(self._is_settled, began):
                return

    def _each(self, work: Callable[..., Any], *given: Any) -> Any:
        try:
            return work(*given)
        except Exception as problem:
            print(f"{work.__name__}: {type(problem).__name__}: {str(problem)[:300]}", flush=True)
            time.sleep(0.2)
            return None

    def _launch(self) -> None:
        for _ in self.queue.run_iteration(self.workspace):
            pass

    def _look(self) -> None:
        for found in (
            *backfill.execute_backfill_iteration(self.workspace, LOG),
            *run_monitoring.execute_run_monitoring_iteration(self.workspace, LOG),
            *sensor.execute_sensor_iteration(self.workspace, LOG, None, None),
        ):
            if found is not None:
                print(found.message[:300] if hasattr(found, "message") else found, flush=True)

    def _is_settled(self, began: float) -> bool:
        """Whether nothing runs or is requested, and the sensor, which has looked since then, puts nothing off."""
        if self.outage.exists() or self.instance.get_runs_count(dg.RunsFilter(statuses=UNFINISHED)):
            time.sleep(0.1)
            return False
        if self.instance.get_backfills(filters=BulkActionsFilter(statuses=[BulkActionStatus.REQUESTED])):
            return False
        (state,) = sensors(self.instance, "shop")
        (tick,) = self.instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
        reason = tick.tick_data.skip_reason or ""
        if run_requests.read_outage(getattr(state.instigator_data, "cursor", None)) is not None:  # over by now
            return False
        if tick.timestamp < began:  # of before: a full disk keeps a tick from being written
            return False
        if tick.status != TickStatus.SKIPPED or "requested again later" in reason or "in progress" in reason:
            time.sleep(0.05)
            return False
        print(f"settled: {reason[:500]}", flush=True)
        return True


def command(wanted: Mapping[str, Any]) -> int:
    """`assay materialize` of some days; its exit code."""
    _hurry()
    time.sleep(wanted["after"])
    with kept_sessions(), open_instance(Path(os.environ[HOME])) as instance:
        done = materialize(pipeline(), assay.open().env(), instance, chosen=lambda _: wanted["days"], project="shop")
    for result in done.failed:
        print(f"command: {result.unit}: {result.problems}", flush=True)
    return len(done.failed)


def backfilled(wanted: Mapping[str, Any]) -> int:
    """A backfill of some days, as the UI asks for it."""
    time.sleep(wanted["after"])
    graph = definitions().get_repository_def().asset_graph
    with open_instance(Path(os.environ[HOME])) as instance:
        instance.add_backfill(
            PartitionBackfill.from_asset_partitions(
                backfill_id=make_new_backfill_id(),
                asset_graph=graph,
                partition_names=wanted["days"],
                asset_selection=[key for key in graph.get_all_asset_keys() if graph.get(key).is_partitioned],
                backfill_timestamp=time.time(),
                tags={},
                dynamic_partitions_store=instance,
                all_partitions=False,
                title=None,
                description=None,
                run_config=None,
            )
        )
    return 0


def maintain(wanted: Mapping[str, Any]) -> int:
    """What Dagster's schedule does every day."""
    _hurry()
    with open_instance(Path(os.environ[HOME])) as instance:
        for one in upkeep(assay.open().env(), instance, do=True, history=False):
            print(one, flush=True)
    return 0


def undisturbed(wanted: Mapping[str, Any]) -> int:
    """The same deliveries in the same order in another lake, without Dagster and in one process."""
    os.environ.update(wanted["settings"])
    made, day, env = upstreams.plan(wanted["seed"], wanted["days"]), 0, assay.open().env()
    for size in wanted["sizes"]:
        for number in range(day, day + size):
            for item in made.of(number):
                item.to(env.settings.landing_path)
        day += size
        _everything_due(env)
    return 0


def _everything_due(env: Resources) -> None:
    for stage in stages(pipeline()):
        for unit in planned_runs(stage, env):
            for step in unit.steps:
                try:
                    execute(step, env, unit.partition)
                except (AuditFailed, NotReady) as problem:
                    print(f"{unit.partition} {step.name}: {problem}", flush=True)


def _hurry() -> None:
    """What counts in minutes, in fractions of a second; and the sensor looks as often as it is asked."""
    quiet()
    logging.getLogger("dagster").setLevel(logging.CRITICAL)
    run_requests.FIRST_PAUSE = 0.3
    run_recovery.BEAT_SECONDS = 0.5
    run_recovery.SILENT_SECONDS = 20
    assert EventRecorder.recover.__kwdefaults__ is not None
    EventRecorder.recover.__kwdefaults__["quiet"] = timedelta(seconds=0.5)
    sensor.is_under_min_interval = lambda state, looked_at: False


ROLES = {
    "run": run,
    "daemon": daemon,
    "command": command,
    "backfill": backfilled,
    "maintain": maintain,
    "undisturbed": undisturbed,
}
