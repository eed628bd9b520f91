"""New data flows without a click: a sensor asks what is stale and requests exactly those runs.

The planner knows slices (which partitions' bytes a step has read), which Dagster's own staleness does not; so what it plans
is requested, and the sensor, `assay materialize` and a click give the same result.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from assay.assets.dagster.jobs import jobs_of, named
from assay.assets.dagster.loaded import LoadedDeclarations
from assay.assets.dagster.lost_runs import GivenUp, given_up_by_sensor, in_one_line, requested_again
from assay.assets.dagster.run_recovery import UNFINISHED, end_killed_runs
from assay.assets.dagster.run_requests import Look, Outage, ending_in, look, read_memory, read_outage, write_memory
from assay.assets.dagster.to_dagster import environment
from assay.assets.outages import outage_now
from assay.assets.planning.pending import note_lacking, summarised, waiting_steps
from assay.assets.planning.plan import planned_runs, stages
from assay.assets.planning.refused import AGAIN, forget_withdrawn, staying_refused
from assay.assets.planning.settle import settle
from assay.assets.silent import hanging, resting
from assay.assets.steps.step import Resources, Step
from assay.errors import plural
from assay.features.storage.scratch import free_scratch

if TYPE_CHECKING:
    from assay.assets.dagster.jobs import Job

LATEST = 3  # partitions of which the sensor reports what they wait for
log = logging.getLogger("assay")


def arrivals(
    steps: Sequence[Step],
    jobs: Sequence["Job"] = (),
    *,
    project: str = "",
    resources: Callable[[], Resources] = environment,
    declared: LoadedDeclarations | None = None,
) -> dg.SensorDefinition:
    """The sensor over all steps, which requests runs of their jobs.

    One stage per tick: the next is looked at when its upstream is there. Where it knows with which declarations it runs
    (`declared`), it says when those on disk are newer.
    """

    tables = {table for step in steps for table in step.outputs}

    @dg.sensor(
        name=named("arrivals", project),
        jobs=jobs or jobs_of(steps, project),
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Requests runs for batches that arrived or changed, and for what they make stale.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        end_killed_runs(context.instance, tables)
        if declared is not None:
            declared.note(context.instance)
        if context.instance.get_runs_count(dg.RunsFilter(statuses=UNFINISHED)):
            return dg.SkipReason("Runs are in progress; what they make stale is seen when they are done.")
        env = replace(resources(), leaves_silent=True)
        free_scratch(env.settings.home)  # it may be what fills the disk
        memory = read_memory(context.cursor)
        if (lack := outage_now(env, [Path(context.instance.root_directory)])) is not None:
            note_lacking(steps, env)
            before = read_outage(context.cursor)
            again = before is not None and before.what == lack
            outage = before if again and before else Outage(lack, env.now().timestamp())
            text = f"{outage}; {_waiting(steps, env)}."
            if not again:
                log.error("%s", text)
            return dg.SensorResult(skip_reason=dg.SkipReason(text), cursor=write_memory(memory, outage))
        found = look(steps, env, memory, ending_in(context.instance), project)
        note_lacking(steps, env)  # after the look, which knows who does not answer
        for incident in found.incidents:
            log.error("%s", incident)
        cursor = write_memory(found.memory)
        pending = {asked.run_key for asked in found.memory.values()}
        requests, given_up = found.requests, given_up_by_sensor(found.memory, steps)
        if not requests:
            lost = requested_again(context.instance, steps, project, env.now(), pending)
            requests, given_up = lost.requests, [*given_up, *lost.given_up]
            found = replace(found, pausing=[*found.pausing, *lost.later])
        if requests and declared is not None and (why := declared.unloadable()):
            waits = f"{plural(len(requests), 'run')} wait{'s' if len(requests) == 1 else ''}"
            return dg.SkipReason(f"{why} A run would load that, so none is requested until it is corrected: {waits}.")
        if requests:
            return dg.SensorResult(run_requests=requests, cursor=cursor)
        forget_withdrawn(steps, env)
        settle(steps, env)
        refused = [one.place for one in staying_refused(steps, env)]
        silent = [str(one) for one in resting(env.settings.home, env.now())]
        silent += hanging(env.settings.home)
        waits = [*(one.rstrip(".") for one in silent), *summarised(waiting_steps(steps, env, latest=LATEST))]
        reason = _nothing_to_do(found, given_up, refused, waits)
        if declared is not None and (outdated := declared.outdated()):
            reason = f"{outdated} Of what runs: {reason[0].lower()}{reason[1:]}"
        return dg.SensorResult(skip_reason=dg.SkipReason(reason), cursor=cursor)

    return sensor


def _waiting(steps: Sequence[Step], env: Resources) -> str:
    """How many runs are not requested meanwhile, as far as that is known."""
    try:
        count = sum(1 for stage in stages(steps) for _ in planned_runs(stage, env))
    except Exception:  # it is the lake that does not answer
        return "runs wait"
    return f"{plural(count, 'run')} wait{'s' if count == 1 else ''}"


def _nothing_to_do(found: Look, given_up: Sequence[GivenUp], refused: Sequence[str], waits: Sequence[str]) -> str:
    """Why no run is requested: what is open, in sentences."""
    parts = [
        *found.incidents,
        in_one_line(given_up),
        f"Died, and is requested again later: {'; '.join(found.pausing[:5])}." if found.pausing else "",
        f"Refused, and waits for {AGAIN}: {_few(refused)}." if refused else "",
        f"Failed, and waits for other data or other code: {_few(found.answered)}." if found.answered else "",
        *(f"{text}." for text in waits),
    ]
    return " ".join(part for part in parts if part) or "Everything is up to date."


def _few(names: Sequence[str], most: int = 5) -> str:
    return "; ".join([*names[:most], *([f"{len(names) - most} more"] if len(names) > most else [])])
