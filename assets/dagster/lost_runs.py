"""Runs that died and that nobody else asks for again: nobody watches, so they are requested again.

Those are runs that a person launched in the UI, such as a backfill, and runs of the sensor that died between a commit and its
report: the table is up to date, so nothing is due, while Dagster does not know of it and shows an earlier verdict. What is still
due is a matter of the sensor's own memory. What `assay materialize` ran ended before a person's eyes.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain
from typing import Literal

import dagster as dg

from assay.assets.dagster.dagster_metadata import asset_key
from assay.assets.dagster.history import last_runs, unresolved
from assay.assets.dagster.jobs import BY_TAG, HIDDEN, hidden_tag, job_name, partition_of, tables_of
from assay.assets.dagster.partitions import our_key
from assay.assets.dagster.run_requests import ATTEMPT_TAG, ATTEMPTS, OUTAGES, Asked, died, outage_behind, pause
from assay.assets.steps.step import Step

AGAIN = "again:"  # before the run's id: the key of the run that is requested in its place
OUTAGES_TAG = f"{HIDDEN}assay.outages"  # on a run: how many outages in a row there were before it
GOOD_TAG = f"{HIDDEN}assay.good"  # on a run that died: later ones made what it was to make, so nobody looks at it again
_WITHIN = timedelta(days=1)
_WITHIN_OUTAGE = timedelta(days=30)
_LATEST = 200  # failures that are looked at,
_AT_ONCE = 20  # requests, and
_LOOKED_AT = 500  # runs among which one may have made them good


@dataclass(frozen=True, slots=True)
class GivenUp:
    """Tables of one partition (None: they have none), of each step the first; and whether they are up to date all the same, so
    that they are computed again only by force."""

    partition: str | None
    tables: tuple[str, ...]
    current: bool = False

    @property
    def command(self) -> str:
        """What asks for it again."""
        partition = f" --partition {self.partition}" if self.partition else ""
        return f"assay materialize {' '.join(self.tables)}{partition}{' --force' if self.current else ''}"

    def __str__(self) -> str:
        what = ", ".join(self.tables)
        return f"{what}{f' {self.partition}' if self.partition else ''} (`{self.command}` asks again)"


def given_up_by_sensor(memory: Mapping[str, Asked], steps: Sequence[Step]) -> list[GivenUp]:
    """What the sensor requested itself, until its last attempt died, too.

    Args:
        memory: What its cursor holds.
        steps: The project's.
    """
    tables = {step.name: step.outputs[0] for step in steps}
    found = []
    for place, asked in memory.items():
        if asked.given_up:
            names = dict.fromkeys(name.partition(" ")[0] for name in asked.content)
            made = tuple(tables.get(name, name.replace("__", "/", 1)) for name in names)
            found.append(GivenUp(place.split(":", 2)[2] or None, made))
    return found


def in_one_line(given_up: Iterable[GivenUp], most: int = 5) -> str:
    """For the sensor's tick; nothing where nothing was given up."""
    texts = list(map(str, given_up))
    more = f"; and {len(texts) - most} more (assay status)" if len(texts) > most else ""
    return f"Given up after runs that died: {'; '.join(texts[:most])}{more}." if texts else ""


@dataclass(frozen=True, slots=True)
class Lost:
    """What is requested for lost runs, in words what is requested later, and what is not requested any more."""

    requests: list[dg.RunRequest] = field(default_factory=list)
    later: list[str] = field(default_factory=list)
    given_up: list[GivenUp] = field(default_factory=list)


def requested_again(
    instance: dg.DagsterInstance,
    steps: Sequence[Step],
    project: str,
    now: datetime,
    pending: Collection[str] = (),
    *,
    noting: bool = True,
) -> Lost:
    """A request for each such run that no later one has made good, of what it did not report; later each time, and not for ever.

    Args:
        instance: Where the runs are.
        steps: The project's; runs of others are not looked at.
        project: Its name.
        now: The time.
        pending: The run keys of what the sensor itself remembers as not done.
        noting: Note at the runs that later ones made good that they need no second look.
    """
    lost = _lost(instance, steps, now, pending)
    first = next(lost, None)
    found = Lost()
    if first is None:
        return found
    latest = last_runs(instance, _LOOKED_AT)
    known, still = {run.run_id for run in latest}, {run.run_id: set(run.missing) for run in unresolved(latest)}
    for run, outages, turn in chain([first], lost):
        due = [step for step in steps if not still.get(run.run_id, set()).isdisjoint(step.outputs)]
        if due and turn == "never":
            found.given_up.append(_given_up(run, due))
        elif due and turn == "later":
            found.later.append(f"{', '.join(step.outputs[0] for step in due)} {partition_of(run) or ''}".rstrip())
        elif due:
            found.requests.append(_request(run, due, project, outages))
        elif run.run_id in known and noting:
            instance.add_run_tags(run.run_id, {GOOD_TAG: "yes"})
        if len(found.requests) == _AT_ONCE:
            break
    return found


def _given_up(run: dg.DagsterRun, due: Sequence[Step]) -> GivenUp:
    key = partition_of(run)
    partition = our_key(due[0].partitioning, key) if key else None
    return GivenUp(partition, tuple(step.outputs[0] for step in due), current=True)


def _request(run: dg.DagsterRun, due: Sequence[Step], project: str, outages: int) -> dg.RunRequest:
    return dg.RunRequest(
        job_name=job_name(due[0], project),
        run_key=f"{AGAIN}{run.run_id}",
        partition_key=partition_of(run),
        asset_selection=sorted(asset_key(table) for step in due for table in step.outputs),
        asset_check_keys=[],
        tags={ATTEMPT_TAG: str(_attempt(run) + (not outages)), OUTAGES_TAG: str(outages)},
    )


def _lost(
    instance: dg.DagsterInstance, steps: Sequence[Step], now: datetime, pending: Collection[str]
) -> Iterator[tuple[dg.DagsterRun, int, Literal["now", "later", "never"]]]:
    """Each with the number of outages in a row that it ended with, and when it is its turn."""
    ours = {table: step.partitioning for step in steps for table in step.outputs}
    failed = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=now - _WITHIN_OUTAGE)
    for record in instance.get_run_records(failed, limit=_LATEST):
        run, tables = record.dagster_run, tables_of(record.dagster_run)
        if hidden_tag(run, BY_TAG) or hidden_tag(run, GOOD_TAG) or run.tags.get("dagster/run_key") in pending:
            continue
        if not tables or not set(tables) <= set(ours):
            continue
        if partition_of(run) is None and any(ours[table].is_partitioned for table in tables):
            continue  # of several: Dagster's own affair
        ended = record.end_time or 0.0
        if instance.get_runs_count(dg.RunsFilter(tags={"dagster/run_key": f"{AGAIN}{run.run_id}"})):
            continue
        if not died(instance, run):
            continue
        outages = int(hidden_tag(run, OUTAGES_TAG) or 0) + 1 if outage_behind(instance, run) else 0
        too_late = now.timestamp() > ended + _WITHIN.total_seconds()
        if outages > OUTAGES or (not outages and (_attempt(run) >= ATTEMPTS or too_late)):
            yield run, outages, "never"
        else:
            yield run, outages, "later" if now.timestamp() < ended + pause(_attempt(run), outages) else "now"


def given_up(
    instance: dg.DagsterInstance, steps: Sequence[Step], memory: Mapping[str, Asked], project: str, now: datetime
) -> list[GivenUp]:
    """Everything that nobody requests any more.

    Args:
        instance: Where the runs are.
        steps: The project's.
        memory: What its sensor remembers.
        project: Its name.
        now: The time.
    """
    pending = {asked.run_key for asked in memory.values()}
    return [
        *given_up_by_sensor(memory, steps),
        *requested_again(instance, steps, project, now, pending, noting=False).given_up,
    ]


def _attempt(run: dg.DagsterRun) -> int:
    return int(run.tags.get(ATTEMPT_TAG, "1"))
