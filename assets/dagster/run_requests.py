"""Which runs the sensor requests: what is stale, each content once, and again what died.

A run that ended by itself has an answer for each of its steps, also where it is no: what a step was given is not asked for again
until files, inputs or code change, however often others of the same partition are. A run that died has none: it is requested
again, later each time, and after the last attempt it is an incident, which is reported once and stays in `assay status`. What
died of an outage (a full disk, a database that was down) used up no attempt: it is requested again for days. Then it is an
incident, too: nothing that is known was lacking whenever it was requested.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Literal

import dagster as dg
from dagster._core.execution.plan.objects import StepFailureData
from dagster_shared.error import SerializableErrorInfo

from assay.assets.dagster.dagster_metadata import asset_key
from assay.assets.dagster.failures import OUTAGE
from assay.assets.dagster.jobs import HIDDEN, hidden_tag, job_name
from assay.assets.dagster.partitions import dagster_key
from assay.assets.lacking import outage_in
from assay.assets.planning.plan import PlannedRun, planned_runs, stages, with_downstream
from assay.assets.steps.step import Resources, Step, fingerprints

ATTEMPT_TAG = "assay/attempt"
RUNS_AT_ONCE = 40
ATTEMPTS = 5
FIRST_PAUSE = 60  # seconds after a death; the next one is four times as long
LONGEST_PAUSE = 900  # seconds after an outage,
OFTEN = 20  # times; then
SELDOM = 3600  # seconds
OUTAGES = 100  # in a row, which are more than three days: a weekend
REMEMBERED = 2000
_OUTAGE = "outage"  # in a cursor, beside the places, of which each has a colon
TRIMMED_TAG = f"{HIDDEN}assay.trimmed"  # on a run: its log was removed with old history; later runs made it good


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended, and what was lacking at an outage."""

    kind: Literal["answered", "died", "outage", "unknown"] = "unknown"
    lack: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """What was last asked for of a partition: what each step was to be given, as a digest by its name, how often, when (seconds
    since 1970), and under which run key; how many outages in a row there were; and what steps were given in earlier runs, which
    had an answer."""

    content: Mapping[str, str]
    attempt: int
    at: float
    run_key: str
    given_up: bool = False
    answered: Mapping[str, str] = field(default_factory=dict)
    outages: int = 0


@dataclass(frozen=True, slots=True)
class Outage:
    """What is lacking, and since when (seconds since 1970): while it lasts, no run is requested."""

    what: str
    since: float

    def __str__(self) -> str:
        since = datetime.fromtimestamp(self.since, UTC)
        return f"{self.what[0].upper()}{self.what[1:]} since {since:%Y-%m-%d %H:%M} UTC"


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at the pipeline found: runs to request, what is remembered for the next look, and lines for people."""

    requests: list[dg.RunRequest] = field(default_factory=list)
    memory: Mapping[str, Asked] = field(default_factory=dict)
    incidents: list[str] = field(default_factory=list)  # new ones
    answered: list[str] = field(
        default_factory=list
    )  # stale, but run before and failed: it needs other data or other code
    pausing: list[str] = field(default_factory=list)  # died, and is requested again later


def read_memory(cursor: str | None) -> dict[str, Asked]:
    """What a sensor's cursor holds. Whatever it cannot read was written by another version: nothing has been asked for then."""
    try:
        read = {place: Asked(**values) for place, values in json.loads(cursor or "{}").items() if place != _OUTAGE}
        return {place: asked for place, asked in read.items() if isinstance(asked.content, dict)}
    except (ValueError, TypeError, AttributeError):
        return {}


def read_outage(cursor: str | None) -> Outage | None:
    """The outage that a sensor's cursor holds, if there was one at its last look."""
    try:
        return Outage(**json.loads(cursor or "{}")[_OUTAGE])
    except (ValueError, TypeError, KeyError):
        return None


def write_memory(memory: Mapping[str, Asked], outage: Outage | None = None) -> str:
    latest = sorted(memory.items(), key=lambda item: item[1].at)[-REMEMBERED:]
    places = {place: asdict(asked) for place, asked in latest}
    return json.dumps(places | ({_OUTAGE: asdict(outage)} if outage else {}))


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
            for unit in planned_runs(stage, env):
                place = f"{_places(stage, project)}{unit.partition or ''}"
                kept[place], asked = _decide(unit, env, memory.get(place), ending, found)
                if asked is not None:
                    found.requests.append(_request(asked, kept[place], project))
                if len(found.requests) == RUNS_AT_ONCE:
                    return replace(found, memory={**found.memory, **kept})
            others = {p: asked for p, asked in found.memory.items() if not p.startswith(_places(stage, project))}
            found = replace(found, memory={**others, **kept})
            if found.requests:
                return found
    finally:
        env.hashes.save()
    return found


def _places(stage: Sequence[Step], project: str) -> str:
    return f"{job_name(stage[0], project)}:{stage[0].name}:"


def _decide(
    unit: PlannedRun,
    env: Resources,
    before: Asked | None,
    ending: Callable[[Asked], Ending],
    found: Look,
) -> tuple[Asked, PlannedRun | None]:
    """What is remembered of a place from now on, and the run that is to be requested, if any."""
    now = env.now().timestamp()
    given = fingerprints(unit.steps, env, unit.partition)
    end = ending(before) if before is not None and not before.given_up else Ending()
    answered = _answered(before, end, given)
    new = {place: digest for place, digest in given.items() if answered.get(place) != digest}
    if before is not None and new and before.content == new:
        if before.given_up or end.kind == "unknown":
            return before, None
        outages = before.outages + 1 if end.kind == "outage" else 0
        if outages > OUTAGES or (not outages and before.attempt >= ATTEMPTS):
            times = f"of an outage {outages} times in a row" if outages else f"{before.attempt} times"
            found.incidents.append(f"{unit} died {times} and is not requested again until its inputs change.")
            return replace(before, given_up=True), None
        if now < before.at + pause(before.attempt, outages):
            found.pausing.append(f"{unit} ({end.lack})" if end.lack else str(unit))
            return before, None
        attempt = before.attempt + (not outages)
    elif before is not None and not new:
        found.answered.append(str(unit))
        return before, None
    else:
        attempt, outages = 1, 0
    due = [step for step in unit.steps if any(place.split(" ")[0] == step.name for place in new)]
    run = replace(unit, steps=with_downstream(unit.steps, due) if new else unit.steps)
    # The moment makes the key new: Dagster never starts a second run of one key.
    key = f"{unit.partition or 'all'}:{hashlib.sha256(json.dumps(new).encode()).hexdigest()[:24]}:{attempt}:{int(now)}"
    return Asked(new, attempt, now, key, answered=answered, outages=outages), run


def pause(attempt: int, outages: int) -> float:
    """Seconds from a request to the next one, after so many attempts, or so many outages in a row."""
    if not outages:
        return FIRST_PAUSE * 4 ** (attempt - 1)
    return min(FIRST_PAUSE * 4 ** (outages - 1), LONGEST_PAUSE if outages < OFTEN else SELDOM)


def _answered(before: Asked | None, end: Ending, given: Mapping[str, str]) -> dict[str, str]:
    """Of the places where something is given, what an earlier run had an answer to."""
    if before is None:
        return {}
    found = {**before.answered, **(before.content if end.kind == "answered" else {})}
    return {place: digest for place, digest in found.items() if place in given}


def _request(unit: PlannedRun, asked: Asked, project: str) -> dg.RunRequest:
    return dg.RunRequest(
        job_name=job_name(unit.steps[0], project),
        run_key=asked.run_key,
        partition_key=dagster_key(unit.partitioning, unit.partition) if unit.partition else None,
        asset_selection=[asset_key(table) for table in unit.tables],
        asset_check_keys=[],  # steps report their verdicts themselves
        tags={ATTEMPT_TAG: str(asked.attempt)} if asked.attempt > 1 else {},
    )


def ending_in(instance: dg.DagsterInstance) -> Callable[[Asked], Ending]:
    """How the run of a request ended, as Dagster knows it."""

    def ending(asked: Asked) -> Ending:
        runs = instance.get_runs(dg.RunsFilter(tags={"dagster/run_key": asked.run_key}), limit=1)
        if not runs or not runs[0].is_finished:
            return Ending()
        if died(instance, runs[0]):
            if (lack := outage_behind(instance, runs[0])) is not None:
                return Ending("outage", lack)
            return Ending("died")  # perhaps before it could report anything: better twice than never
        return Ending("answered")

    return ending


def died(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether a run ended without an answer: it failed, and none of its steps gave a reason of its own."""
    if run.status != dg.DagsterRunStatus.FAILURE or hidden_tag(run, TRIMMED_TAG):
        return False
    failures = list(_step_failures(instance, run))
    return not failures or any(failure.user_failure_data is None or _outage(failure) for failure in failures)


def outage_behind(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str | None:
    """What was lacking, if that is why a run died."""
    return next((lack for failure in _step_failures(instance, run) if (lack := _outage(failure))), None)


def _step_failures(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Iterator[StepFailureData]:
    records = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE).records
    for record in records:
        if record.event_log_entry.dagster_event is not None:
            yield record.event_log_entry.dagster_event.step_failure_data


def _outage(failure: StepFailureData) -> str | None:
    """What was lacking, as the step itself reported, or, where it could not, as the error does."""
    if failure.user_failure_data is not None:
        given = failure.user_failure_data.metadata.get(OUTAGE)
        return str(given.value) if given is not None else None
    return outage_in(_messages(failure.error))


def _messages(error: SerializableErrorInfo | None) -> Iterator[str]:
    """Of an error and of what it was raised from, where Dagster kept the kind with the text."""
    while error is not None:
        if error.cls_name and error.message.partition(":")[0].strip().rpartition(".")[2] == error.cls_name:
            yield error.message
        error = error.cause
