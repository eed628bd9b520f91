"""Runs that a person launched in the UI, such as a backfill, and that died: nobody watches, so they are requested again.

What the sensor launched is a matter of its own memory. What `assay materialize` ran ended before a person's eyes.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import dagster as dg

from assay.assets.dagster.history import last_runs, unresolved
from assay.assets.dagster.jobs import BY_TAG, HIDDEN, hidden_tag, job_name, partition_of, tables_of
from assay.assets.dagster.run_requests import ATTEMPT_TAG, ATTEMPTS, died, outage_behind, pause
from assay.assets.steps.step import Step

AGAIN = "again:"  # before the run's id: the key of the run that is requested in its place
OUTAGES_TAG = f"{HIDDEN}assay.outages"  # on a run: how many outages in a row there were before it
_WITHIN = timedelta(days=1)
_WITHIN_OUTAGE = timedelta(days=30)
_LATEST = 20  # failures, and
_LOOKED_AT = 200  # runs among which one may have made them good


def requested_again(
    instance: dg.DagsterInstance, steps: Sequence[Step], project: str, now: datetime
) -> list[dg.RunRequest]:
    """A request for each such run that no later one has made good; later each time, and not for ever."""
    lost = list(_lost(instance, steps, now))
    if not lost:
        return []
    still = {run.run_id for run in unresolved(last_runs(instance, _LOOKED_AT))}
    jobs = {table: job_name(step, project) for step in steps for table in step.outputs}
    return [
        dg.RunRequest(
            job_name=jobs[tables_of(run)[0]],
            run_key=f"{AGAIN}{run.run_id}",
            partition_key=partition_of(run),
            asset_selection=sorted(run.asset_selection or ()),
            asset_check_keys=[],
            tags={ATTEMPT_TAG: str(_attempt(run) + (not outages)), OUTAGES_TAG: str(outages)},
        )
        for run, outages in lost
        if run.run_id in still
    ]


def _lost(instance: dg.DagsterInstance, steps: Sequence[Step], now: datetime) -> Iterator[tuple[dg.DagsterRun, int]]:
    """Each with the number of outages in a row that it ended with."""
    ours = {table: step.partitioning for step in steps for table in step.outputs}
    failed = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=now - _WITHIN_OUTAGE)
    for record in instance.get_run_records(failed, limit=_LATEST):
        run, tables = record.dagster_run, tables_of(record.dagster_run)
        key = run.tags.get("dagster/run_key", AGAIN)
        if hidden_tag(run, BY_TAG) or not key.startswith(AGAIN) or not tables or not set(tables) <= set(ours):
            continue
        if partition_of(run) is None and any(ours[table].is_partitioned for table in tables):
            continue  # of several: Dagster's own affair
        if not died(instance, run):
            continue
        ended = record.end_time or 0.0
        outages = int(hidden_tag(run, OUTAGES_TAG) or 0) + 1 if outage_behind(instance, run) else 0
        if not outages and (_attempt(run) >= ATTEMPTS or now.timestamp() > ended + _WITHIN.total_seconds()):
            continue
        if now.timestamp() < ended + pause(_attempt(run), outages):
            continue
        if not instance.get_runs_count(dg.RunsFilter(tags={"dagster/run_key": f"{AGAIN}{run.run_id}"})):
            yield run, outages


def _attempt(run: dg.DagsterRun) -> int:
    return int(run.tags.get(ATTEMPT_TAG, "1"))
