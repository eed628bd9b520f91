"""New data flows without a click: a sensor asks the planner what is stale and requests exactly those runs.

The planner knows slices (which partitions' bytes a step has read), which Dagster's own staleness does not; so the sensor,
`assay materialize` and a click give the same result.
"""

import hashlib
from collections.abc import Callable, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import dagster as dg

from assay.assets.dagster.dagster_metadata import asset_key
from assay.assets.dagster.jobs import job_name, jobs_of, named
from assay.assets.dagster.partitions import dagster_key
from assay.assets.dagster.run_recovery import UNFINISHED, end_killed_runs
from assay.assets.dagster.to_dagster import environment
from assay.assets.steps.plan import PlannedRun, planned_runs, stages
from assay.assets.steps.step import Resources, Step, fingerprints

if TYPE_CHECKING:
    from assay.assets.dagster.jobs import Job

RUNS_PER_TICK = 40
KEYS_REMEMBERED = 2000


def arrivals(
    steps: Sequence[Step],
    jobs: Sequence["Job"] = (),
    *,
    project: str = "",
    resources: Callable[[], Resources] = environment,
) -> dg.SensorDefinition:
    """The sensor over all steps, which requests runs of their jobs.

    One stage per tick: the next is looked at when its upstream is there.
    """

    @dg.sensor(
        name=named("arrivals", project),
        jobs=jobs or jobs_of(steps, project),
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Requests runs for batches that arrived or changed, and for what they make stale.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        end_killed_runs(context.instance)
        if context.instance.get_runs_count(dg.RunsFilter(statuses=UNFINISHED)):
            return dg.SkipReason("Runs are in progress; what they make stale is seen when they are done.")
        asked = context.cursor.split() if context.cursor else []
        requests = requested(steps, frozenset(asked), project=project, resources=resources)
        if not requests:
            return dg.SkipReason("Everything is up to date.")
        cursor = " ".join([*asked, *(request.run_key or "" for request in requests)][-KEYS_REMEMBERED:])
        return dg.SensorResult(run_requests=requests, cursor=cursor)

    return sensor


def requested(
    steps: Sequence[Step],
    asked: frozenset[str] = frozenset(),
    *,
    project: str = "",
    resources: Callable[[], Resources] = environment,
) -> list[dg.RunRequest]:
    """Runs for the first stage that has anything to do. A run's key is its content: what was asked for once (a refused
    batch, say) is not asked for again until its files, inputs or code change."""
    env = resources()
    try:
        return _first_due(steps, env, asked, project)
    finally:
        env.hashes.save()


def _first_due(steps: Sequence[Step], env: Resources, asked: frozenset[str], project: str) -> list[dg.RunRequest]:
    for stage in stages(steps):
        found = (_request(unit, env, project) for unit in planned_runs(stage, env))
        requests = list(islice((request for request in found if request.run_key not in asked), RUNS_PER_TICK))
        if requests:
            return requests
    return []


def _request(unit: PlannedRun, env: Resources, project: str) -> dg.RunRequest:
    content = "\n".join(fingerprints(unit.steps, env, unit.partition))
    return dg.RunRequest(
        job_name=job_name(unit.steps[0], project),
        run_key=f"{unit.partition or 'all'}:{hashlib.sha256(content.encode()).hexdigest()[:24]}",
        partition_key=dagster_key(unit.partitioning, unit.partition) if unit.partition else None,
        asset_selection=[asset_key(table) for table in unit.tables],
    )
