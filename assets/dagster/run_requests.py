"""Which runs the sensor requests: what is stale, each content once, and again what died.

A run that ended by itself has an answer, also where it is no: its content is not asked for again until files, inputs or code
change. A run that died (a killed process, a full disk, a database that was down) has none: it is requested again, later each
time, and after the last attempt it is an incident, which is reported once and stays in `assay status`.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Literal

import dagster as dg

from assay.assets.dagster.dagster_metadata import asset_key
from assay.assets.dagster.jobs import job_name
from assay.assets.dagster.partitions import dagster_key
from assay.assets.planning.plan import PlannedRun, planned_runs, stages
from assay.assets.steps.step import Resources, Step, fingerprints

RUNS_AT_ONCE = 40
ATTEMPTS = 5
FIRST_PAUSE = 60  # seconds after a death; the next one is four times as long
REMEMBERED = 2000
TRIMMED_TAG = "assay/trimmed"  # on a run: its log was removed with old history; later runs made it good

Ending = Literal["answered", "died", "unknown"]


@dataclass(frozen=True, slots=True)
class Asked:
    """What was last asked for of a partition: the content, how often, when (seconds since 1970), and under which run key."""

    content: str
    attempt: int
    at: float
    run_key: str
    given_up: bool = False


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at the pipeline found: runs to request, what is remembered for the next look, and lines for people."""

    requests: list[dg.RunRequest] = field(default_factory=list)
    memory: Mapping[str, Asked] = field(default_factory=dict)
    incidents: list[str] = field(default_factory=list)  # new ones
    refused: list[str] = field(default_factory=list)  # stale, but answered: it needs another file or other code
    pausing: list[str] = field(default_factory=list)  # died, and is requested again later


def read_memory(cursor: str | None) -> dict[str, Asked]:
    """What a sensor's cursor holds. Whatever it cannot read was written by another version: nothing has been asked for then."""
    try:
        return {place: Asked(**values) for place, values in json.loads(cursor or "{}").items()}
    except (ValueError, TypeError, AttributeError):
        return {}


def write_memory(memory: Mapping[str, Asked]) -> str:
    latest = sorted(memory.items(), key=lambda item: item[1].at)[-REMEMBERED:]
    return json.dumps({place: asdict(asked) for place, asked in latest})


def look(
    steps: Sequence[Step],
    env: Resources,
    memory: Mapping[str, Asked],
    ending: Callable[[Asked], Ending],
    project: str = "",
) -> Look:
    """The runs of the first stage that has anything to do. What is done is forgotten, so that a content that comes back (A, then
    B, then A) is asked for like any other."""
    found = Look(memory=dict(memory))
    try:
        for stage in stages(steps):
            kept: dict[str, Asked] = {}
            for place, asked, unit in _asked(stage, env, memory, project):
                kept[place] = _decide(asked, memory.get(place), unit, ending, env.now(), found)
                if kept[place] is asked:
                    found.requests.append(_request(unit, asked, project))
                if len(found.requests) == RUNS_AT_ONCE:
                    return replace(found, memory={**found.memory, **kept})
            others = {p: asked for p, asked in found.memory.items() if not p.startswith(_places(stage, project))}
            found = replace(found, memory={**others, **kept})
            if found.requests:
                return found
    finally:
        env.hashes.save()
    return found


def _asked(
    stage: Sequence[Step], env: Resources, memory: Mapping[str, Asked], project: str
) -> Iterator[tuple[str, Asked, PlannedRun]]:
    for unit in planned_runs(stage, env):
        content = hashlib.sha256("\n".join(fingerprints(unit.steps, env, unit.partition)).encode()).hexdigest()[:24]
        before, now = memory.get(place := f"{_places(stage, project)}{unit.partition or ''}"), env.now().timestamp()
        attempt = before.attempt + 1 if before and before.content == content else 1
        # The moment makes the key new: Dagster never starts a second run of one key.
        key = f"{unit.partition or 'all'}:{content}:{attempt}:{int(now)}"
        yield place, Asked(content, attempt, now, key), unit


def _places(stage: Sequence[Step], project: str) -> str:
    return f"{job_name(stage[0], project)}:{stage[0].name}:"


def _decide(
    asked: Asked,
    before: Asked | None,
    unit: PlannedRun,
    ending: Callable[[Asked], Ending],
    now: datetime,
    found: Look,
) -> Asked:
    """What is remembered of a place from now on: `asked` itself where a run is to be requested."""
    if before is None or before.content != asked.content:
        return asked
    if before.given_up:
        return before
    end = ending(before)
    if end != "died":
        if end == "answered":
            found.refused.append(str(unit))
        return before
    if before.attempt >= ATTEMPTS:
        found.incidents.append(
            f"{unit} died {before.attempt} times and is not requested again until its inputs change."
        )
        return replace(before, given_up=True)
    if now.timestamp() < before.at + FIRST_PAUSE * 4 ** (before.attempt - 1):
        found.pausing.append(str(unit))
        return before
    return asked


def _request(unit: PlannedRun, asked: Asked, project: str) -> dg.RunRequest:
    return dg.RunRequest(
        job_name=job_name(unit.steps[0], project),
        run_key=asked.run_key,
        partition_key=dagster_key(unit.partitioning, unit.partition) if unit.partition else None,
        asset_selection=[asset_key(table) for table in unit.tables],
        asset_check_keys=[],  # steps report their verdicts themselves
        tags={"assay/attempt": str(asked.attempt)},
    )


def ending_in(instance: dg.DagsterInstance) -> Callable[[Asked], Ending]:
    """How the run of a request ended, as Dagster knows it."""

    def ending(asked: Asked) -> Ending:
        runs = instance.get_runs(dg.RunsFilter(tags={"dagster/run_key": asked.run_key}), limit=1)
        if not runs or not runs[0].is_finished:
            return "unknown"
        return "died" if died(instance, runs[0]) else "answered"

    return ending


def died(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether a run ended without an answer: it failed, and none of its steps gave a reason of its own."""
    if run.status != dg.DagsterRunStatus.FAILURE or TRIMMED_TAG in run.tags:
        return False
    records = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE).records
    events = [record.event_log_entry.dagster_event for record in records]
    return not events or any(
        event is not None and event.step_failure_data.user_failure_data is None for event in events
    )
