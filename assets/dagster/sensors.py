"""New data flows without a click: a sensor asks what is stale and requests exactly those runs."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import dagster as dg

from assay.assets.dagster.jobs import jobs_of, named, requested
from assay.assets.dagster.run_recovery import UNFINISHED, end_killed_runs
from assay.assets.dagster.to_dagster import environment
from assay.assets.steps.step import Resources, Step

if TYPE_CHECKING:
    from assay.assets.dagster.jobs import Job

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
