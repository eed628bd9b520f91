"""What Dagster's history says of a project: its last runs, what was refused and why, what was given up."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from assay.assets.dagster.dagster_metadata import asset_key
from assay.assets.dagster.jobs import named, partition_of, tables_of
from assay.assets.dagster.run_requests import Asked, died, read_memory, read_outage
from assay.assets.dagster.to_dagster import REFUSED_TAG
from assay.lineage.events.redaction import redact_text


@dataclass(frozen=True, slots=True)
class Problem:
    """Why one step of a run gave nothing: `table` is one that it writes, empty where none began. `refused`: a check stopped
    the batch, nothing failed."""

    table: str
    text: str
    refused: bool = False


@dataclass(frozen=True, slots=True)
class RanRun:
    """One run: which assets, for which partition, how it ended and, where it failed, the reasons."""

    run_id: str
    status: str
    partition: str | None
    assets: tuple[str, ...]
    ended: datetime | None
    died: bool
    problems: tuple[Problem, ...]
    missing: tuple[str, ...] = ()  # where it failed: assets that it did not make

    def to_dict(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in self.__slots__}
        return values | {"problems": [problem.text for problem in self.problems]}


def last_runs(instance: dg.DagsterInstance, limit: int = 10) -> list[RanRun]:
    """The latest runs, newest first."""
    return [_ran(instance, record) for record in instance.get_run_records(limit=limit)]


def _ran(instance: dg.DagsterInstance, record: Any) -> RanRun:
    run = record.dagster_run
    refused = REFUSED_TAG in run.tags
    failed = run.status == dg.DagsterRunStatus.FAILURE or refused
    return RanRun(
        run.run_id,
        "refused" if refused else run.status.value.lower(),
        partition_of(run),
        tables_of(run),
        datetime.fromtimestamp(record.end_time, UTC) if record.end_time else None,
        died(instance, run),
        (tuple(_problems(instance, run)) or tuple(_without_steps(instance, run))) if failed else (),
        missing(instance, run) if failed else (),
    )


def _problems(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Iterator[Problem]:
    names = {asset_key(table).to_python_identifier(): table for table in tables_of(run)}
    for found in instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE).records:
        event = found.event_log_entry.dagster_event
        if event is not None:
            text = event.step_failure_data.user_failure_data
            error = event.step_failure_data.error
            reason = text.description if text and text.description else error.message if error else ""
            yield Problem(names.get(event.step_key or "", event.step_key or ""), reason.strip())
    for found in instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION).records:
        event = found.event_log_entry.dagster_event
        check = event.asset_check_evaluation_data if event else None
        if check and not check.passed and check.severity == dg.AssetCheckSeverity.ERROR:
            text = check.description or f"{check.check_name} failed"
            yield Problem(check.asset_key.to_user_string(), text, refused=True)


def _without_steps(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Iterator[Problem]:
    """Why a run ended before its steps did, as where its declarations could not be loaded."""
    for kind in (dg.DagsterEventType.ENGINE_EVENT, dg.DagsterEventType.RUN_FAILURE):
        for record in instance.get_records_for_run(run.run_id, of_type=kind).records:
            event = record.event_log_entry.dagster_event
            error = getattr(event.event_specific_data, "error", None) if event else None
            last = event.message if event and kind is dg.DagsterEventType.RUN_FAILURE else ""
            if text := (error.message if error else last or "").strip():
                yield Problem("", redact_text(text.partition("\n")[0]))
                return


def missing(instance: dg.DagsterInstance, run: dg.DagsterRun) -> tuple[str, ...]:
    """The assets that a run was to make and did not, or whose verdicts it did not live to report."""

    def events(kind: dg.DagsterEventType) -> list[dg.DagsterEvent]:
        records = instance.get_records_for_run(run.run_id, of_type=kind).records
        return [record.event_log_entry.get_dagster_event() for record in records]

    whole = {event.step_key for event in events(dg.DagsterEventType.STEP_SUCCESS)}
    made = {
        event.asset_key.to_user_string()
        for event in events(dg.DagsterEventType.ASSET_MATERIALIZATION)
        if event.asset_key is not None and event.step_key in whole
    }
    return tuple(table for table in tables_of(run) if table not in made)


def unresolved(runs: Sequence[RanRun]) -> list[RanRun]:
    """The failures among the latest runs that no later run of the same partition and assets made good."""
    good: set[tuple[str | None, str]] = set()
    found: list[RanRun] = []
    for run in runs:
        places = {(run.partition, table) for table in run.assets}
        if run.status in ("failure", "refused") and not {(run.partition, table) for table in run.missing} <= good:
            found.append(run)
        good |= places if run.status in ("success", "failure", "refused") else set()
    return found


def outage_since(instance: dg.DagsterInstance, project: str, what: str) -> datetime | None:
    """Since when the sensor has known of an outage."""
    cursors = (getattr(state.instigator_data, "cursor", None) for state in sensors(instance, project))
    known = (outage for cursor in cursors if (outage := read_outage(cursor)) is not None and outage.what == what)
    return min((datetime.fromtimestamp(outage.since, UTC) for outage in known), default=None)


def remembered(instance: dg.DagsterInstance, project: str) -> dict[str, Asked]:
    """What the project's sensor has asked for and is not done."""
    cursors = (getattr(state.instigator_data, "cursor", None) for state in sensors(instance, project))
    return {place: asked for cursor in cursors for place, asked in read_memory(cursor).items()}


def sensors(instance: dg.DagsterInstance, project: str) -> list[Any]:
    """The states of the project's sensor, as every code location that holds it left them."""
    return [state for state in instance.all_instigator_state() if state.name == named("arrivals", project)]
