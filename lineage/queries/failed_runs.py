"""Runs that failed, by what they were given: a delivered file, or rows of a version of a table.

A refusal in the lake is forgotten when its partition is written at last. That a file was refused before, the runs still say.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from assay.features.tables.kinds import Kind
from assay.features.tables.refusals import Refusal
from assay.lineage.events.events import JOBS
from assay.lineage.events.naming import dataset_name
from assay.lineage.store.lineage_store import LineageStore
from assay.lineage.store.parse_event import EventCheck
from assay.lineage.store.schema import ALL, READS, datasets, edges, jobs, runs, versions

_REFUSED = "AuditFailed"  # the error of a batch that was refused as a whole; any other is of work that failed
_DIGITS = "0123456789abcdef"
_FAILED = (runs.c.state == "FAIL", sa.or_(*(jobs.c.namespace.startswith(kind, autoescape=True) for kind in JOBS)))


@dataclass(frozen=True, slots=True)
class FailedRun:
    """A run that was to write a table. `refused`: the batch was refused as a whole, by `rules`; else its work failed.
    `times`: so many runs failed alike, and this is the last."""

    table: str
    partition: str | None
    at: datetime
    run_id: str
    refused: bool
    rules: tuple[str, ...]
    problem: str
    times: int = 1

    def to_dict(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in self.__slots__}
        return values | {"at": self.at.isoformat(), "rules": list(self.rules)}

    def __str__(self) -> str:
        how = "refused" if self.refused else "not made: the work failed"
        by = f" by {', '.join(self.rules)}" if self.refused and self.rules else ""
        often = f", {self.times} times, last" if self.times > 1 else ""
        return f"{how}{often} on {self.at:%Y-%m-%d %H:%M} UTC{by} in run {self.run_id}: {self.problem}"


def of_refusal(refusal: Refusal) -> FailedRun:
    """What the lake still keeps of a run that failed. Which rules it was is in its `problem`."""
    kept = (refusal.table, refusal.partition, refusal.at, refusal.run_id)
    return FailedRun(*kept, refused=not refusal.failed, rules=(), problem=refusal.problem)


def failed_with_file(store: LineageStore, asked: str) -> list[tuple[str, str, FailedRun]]:
    """Path and SHA-256 of files that runs of raw tables were given before they failed: by a path, the end of one, or the first
    digits of the SHA-256. The last run of each file and table, oldest first."""
    named = dataset_name(asked)
    meant = [datasets.c.name == named.name, datasets.c.name.endswith(f"/{asked}", autoescape=True)]
    if len(asked) >= 8 and set(asked) <= set(_DIGITS):
        meant.append(sa.and_(versions.c.version >= asked, versions.c.version < f"{asked}g"))
    query = (
        sa.select(datasets.c.namespace, datasets.c.name, versions.c.version, jobs.c.name, runs.c.run_id)
        .select_from(datasets)
        .join(versions, versions.c.dataset_id == datasets.c.id)
        .join(edges, edges.c.version_id == versions.c.id)
        .join(runs, runs.c.id == edges.c.run_key)
        .join(jobs, jobs.c.id == runs.c.job_id)
        .where(datasets.c.table_id == "", sa.or_(*meant))
        .where(jobs.c.name.startswith(f"{Kind.RAW.folder}/", autoescape=True), *_FAILED)
        .order_by(runs.c.ended_us)
    )
    with store.reading() as connection:
        rows = connection.execute(query).all()
    last: dict[tuple[str, str, str], list[str]] = {}
    for namespace, name, sha256, table, run_id in rows:
        path = name if namespace == "file" else f"{namespace}/{name}"
        last.setdefault((path, sha256, table), []).append(run_id)
    described = _described(store, last.values())
    return [(path, sha256, described[ids[-1]]) for (path, sha256, _), ids in last.items() if ids[-1] in described]


def failed_readers(
    store: LineageStore, table: str, table_id: str, partition: str | None, since: int, until: int | None
) -> list[FailedRun]:
    """Runs that failed although they had read a partition of a table, at a version from `since` up to, without it, `until`: the
    last one of each table that they were to write."""
    timelines = sa.select(datasets.c.incarnation).where(
        datasets.c.table_id == table_id, datasets.c.table_name == table, datasets.c.incarnation.is_not(None)
    )
    query = (
        sa.select(jobs.c.name, runs.c.run_id)
        .select_from(edges)
        .join(runs, runs.c.id == edges.c.run_key)
        .join(jobs, jobs.c.id == runs.c.job_id)
        .where(edges.c.timeline.in_(timelines), edges.c.partition.in_([partition or ALL, ALL]), edges.c.flow == READS)
        .where(edges.c.position >= since, *_FAILED)
        .order_by(runs.c.ended_us)
    )
    if until is not None:
        query = query.where(edges.c.position < until)
    last: dict[str, list[str]] = {}
    with store.reading() as connection:
        for job, run_id in connection.execute(query).all():
            last.setdefault(job, []).append(run_id)
    described = _described(store, last.values())
    return [described[ids[-1]] for ids in last.values() if ids[-1] in described]


def _described(store: LineageStore, groups: Iterable[Sequence[str]]) -> dict[str, FailedRun]:
    """The last run of each group, by its id, from its last event."""
    times = {ids[-1]: len(set(ids)) for ids in groups}
    ended = {event.run_id: event for event in store.events_of(times) if event.kind == "FAIL"} if times else {}
    described: dict[str, FailedRun] = {}
    for run_id, event in ended.items():
        facets = event.data["run"].get("facets", {})
        tags = {tag["key"]: tag["value"] for tag in facets.get("tags", {}).get("tags", [])}
        error, _, problem = str(facets.get("errorMessage", {}).get("message", "")).partition(": ")
        described[run_id or ""] = FailedRun(
            event.data["job"]["name"],
            tags.get("partition"),
            event.at,
            run_id or "",
            refused=error == _REFUSED,
            rules=tuple(dict.fromkeys(_rules(store.checks(run_id or "")))),
            problem=problem or error,
            times=times[run_id or ""],
        )
    return described


def _rules(checks: Iterable[EventCheck]) -> list[str]:
    """The rules that were broken; the limit of rows that may be set aside comes last."""
    broken = [check.name for check in checks if not check.passed and check.severity in ("block", "quarantine")]
    return sorted(broken, key=lambda name: name == "quarantined")
