"""Whether Dagster does its part: the sensor looks, what is stale is run, history does not grow for ever."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import InstigatorStatus, TickStatus

from assay.assets.dagster.history import RanRun, last_runs, sensors, unresolved
from assay.assets.dagster.jobs import shown_before
from assay.assets.dagster.loaded import loaded_by, outdated_declarations
from assay.assets.dagster.run_recovery import UNFINISHED, has_ended
from assay.assets.dagster.run_requests import TRIMMED_TAG
from assay.assets.declarations import BrokenModule
from assay.assets.planning.plan import PlannedRun, planned_runs, stages
from assay.assets.planning.refused import staying_refused
from assay.assets.project import Project
from assay.assets.steps.step import Resources, Step
from assay.errors import AssayError, plural

_SILENT = timedelta(minutes=10)  # a sensor looks every 30 seconds
_IDLE = timedelta(minutes=15)
_FAILURES = 3
_LOOKED_AT = 200  # runs
_SOME = 100  # old runs that are no reason to say anything


def sensor(instance: dg.DagsterInstance, project: str, now: datetime | None = None) -> str:
    """How the project's sensor does.

    Args:
        instance: Whose.
        project: Its name.
        now: The time now.

    Raises:
        AssayError: It is stopped, or stuck, or fails.
    """
    now = now or datetime.now(UTC)
    states = sensors(instance, project)
    if not states:
        return "has never run (`assay up` starts it)"
    if all(state.status == InstigatorStatus.STOPPED for state in states):
        raise AssayError(
            "It is stopped: nothing new is run by itself. Next: switch it on in the Dagster UI (Automation)."
        )
    if not _daemon_runs(instance, project, now):
        return "no daemon runs now (`assay up` starts it)"
    ticks = max((_ticks(instance, state) for state in states), key=lambda found: found[0].timestamp if found else 0.0)
    if not ticks:
        return "has not looked yet"
    since = now - datetime.fromtimestamp(ticks[0].timestamp, UTC)
    if since > _SILENT:
        raise AssayError(
            f"It is stuck: the daemon runs, and its last look began {_minutes(since)} ago. Next: restart `assay up`; if it "
            "happens again, look at the sensor's last tick in the Dagster UI."
        )
    ended = [tick for tick in ticks if tick.status != TickStatus.STARTED][:_FAILURES]  # one may be going on
    if len(ended) == _FAILURES and all(tick.status == TickStatus.FAILURE for tick in ended):
        raise AssayError(f"Its last {_FAILURES} looks failed. Next: read the error of its last tick in the Dagster UI.")
    return f"looked {_minutes(since)} ago"


def _ticks(instance: dg.DagsterInstance, state: Any) -> Sequence[Any]:
    return instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=_FAILURES + 1)


def _daemon_runs(instance: dg.DagsterInstance, project: str, now: datetime) -> bool:
    """Heartbeats do not say that a daemon has ended. Its code location ends with it, and is looked at."""
    beat = instance.get_daemon_heartbeats().get(InstigatorType.SENSOR.value)
    if beat is None or now.timestamp() - beat.timestamp >= _SILENT.total_seconds():
        return False
    loaded = loaded_by(instance, project)
    return loaded is None or not has_ended(loaded.process)


def declared(instance: dg.DagsterInstance, project: Project, now: datetime | None = None) -> str:
    """Whether what runs is what is declared.

    Args:
        instance: Whose code location.
        project: The project on disk.
        now: The time now.

    Raises:
        AssayError: A daemon runs with declarations that are not those on disk.
    """
    outdated = outdated_now(instance, project, now)
    if outdated:
        raise AssayError(outdated)
    return "those on disk, or none run"


def outdated_now(instance: dg.DagsterInstance, project: Project, now: datetime | None = None) -> str:
    """A sentence, where a daemon runs now with declarations that are not those on disk; else nothing."""
    return (
        outdated_declarations(instance, project)
        if _daemon_runs(instance, project.name, now or datetime.now(UTC))
        else ""
    )


def backlog(
    instance: dg.DagsterInstance,
    steps: Sequence[Step],
    env: Resources,
    project: str,
    now: datetime | None = None,
    outdated: str = "",
    broken: Sequence[BrokenModule] = (),
) -> str:
    """Whether what is stale is being run.

    Args:
        instance: Whose runs.
        steps: The pipeline.
        env: What steps use.
        project: Its name.
        now: The time now.
        outdated: Why the sensor does not know these declarations, if so.
        broken: The modules whose declarations are not in the pipeline.

    Raises:
        AssayError: What failed is still to be made, or partitions wait although the daemon runs, and nothing has been done for
            a while.
    """
    now = now or datetime.now(UTC)
    runs = last_runs(instance, _LOOKED_AT)
    failed = [run for run in unresolved(runs) if run.status == "failure"]
    planned = [unit for stage in stages(steps) for unit in planned_runs(stage, env)]
    if problem := _failed(failed, planned, steps, broken):
        raise AssayError(problem)
    refused = len(staying_refused(steps, env))
    stays = (
        f"; {refused} refused {'batch stays' if refused == 1 else 'batches stay'} refused (`assay status`)"
        if refused
        else ""
    )
    if not planned:
        return f"nothing waits{stays}"
    text = f"{plural(len(planned), 'run')} to be made ({planned[0]}{', …' if planned[1:] else ''}){stays}"
    if not _daemon_runs(instance, project, now) or not sensors(instance, project):
        return f"{text}: `assay up` or `assay materialize` makes them"
    if outdated:
        raise AssayError(f"{text[0].upper()}{text[1:]}, of which the sensor may not know. {outdated}")
    busy = instance.get_runs_count(dg.RunsFilter(statuses=UNFINISHED))
    last = max((run.ended for run in runs if run.ended is not None), default=None)
    if busy or (last is not None and now - last < _IDLE):
        return f"{text}, which is going on"
    raise AssayError(
        f"{text[0].upper()}{text[1:]}, and none was made for {_minutes(now - last) if last else 'as long as there is history'}, "
        "although the sensor runs. Next: `assay status` says what was given up; `assay materialize` makes them now."
    )


def _failed(
    failed: Sequence[RanRun], planned: Sequence[PlannedRun], steps: Sequence[Step], broken: Sequence[BrokenModule]
) -> str:
    """Of the runs that failed the latest whose work is still to be made, and why; empty where there is none. What a module
    declares that cannot be loaded is in no plan."""
    to_do = {(unit.partition, table) for unit in planned for table in unit.tables}
    declared = {table for step in steps for table in step.outputs}
    open_ = [
        (run, tables)
        for run in failed
        if (
            tables := [
                table for table in run.missing if (run.partition, table) in to_do or (broken and table not in declared)
            ]
        )
    ]
    if not open_:
        return ""
    run, tables = open_[0]
    why = " ".join(dict.fromkeys(problem.text for problem in run.problems)) or "Its events in the Dagster UI say why."
    lost = broken if not declared.issuperset(tables) else ()
    what = f"{tables[0]}{f' and {len(tables) - 1} more' if tables[1:] else ''}{f' of {run.partition}' if run.partition else ''}"
    return (
        f"{plural(len(open_), 'run')} failed and {'is' if len(open_) == 1 else 'are'} still to be made, the latest {what} (run "
        f"{run.run_id[:8]}): {' '.join([why, *map(str, lost)])} Next: when that is put right, the sensor asks again, or "
        "`assay materialize` does it now."
    )


def retention(instance: dg.DagsterInstance, days: int, now: datetime | None = None) -> str:
    """Whether old history is removed.

    Args:
        instance: Whose.
        days: How many days are kept (0: all).
        now: The time now.

    Raises:
        AssayError: There is much more than that.
    """
    if not days:
        return "all is kept (ASSAY_HISTORY_DAYS=0)"
    before = (now or datetime.now(UTC)) - timedelta(days=days)
    old = instance.get_runs_count(dg.RunsFilter(created_before=before))
    for tag in (TRIMMED_TAG, shown_before(TRIMMED_TAG)):
        old -= instance.get_runs_count(dg.RunsFilter(created_before=before, tags={tag: tag}))
    if old > _SOME:
        raise AssayError(
            f"{plural(old, 'run')} older than {days} days, and nothing removes them. Next: `assay maintain --yes`, or set "
            "ASSAY_HISTORY_DAYS: then the daily job does it."
        )
    return f"{plural(old, 'run')} older than {days} days"


def _minutes(span: timedelta) -> str:
    seconds = max(0, int(span.total_seconds()))
    return plural(seconds, "second") if seconds < 120 else plural(seconds // 60, "minute")
