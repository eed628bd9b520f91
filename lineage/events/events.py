"""OpenLineage events of a piece of work. Pure functions: a result in, one event out.

They are made as the JSON that they become: the client's classes check every value that is set, which takes longer than all the
rest. Its facets are remembered (see `facets.py`), and tests compare whole events with what the client makes of them.

A run has one START and one terminal event. The terminal event holds everything, since in OpenLineage a facet that is sent
again replaces the earlier one: all inputs and outputs at the versions really read and written, and all checks.
"""

import json
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from assay.errors import AssayError
from assay.features.storage.commit_metadata import Commit, SourceFile
from assay.features.storage.parquet_files import PARTITION
from assay.features.storage.snapshot import Slice, Snapshot
from assay.features.tables.run_record import CheckResult, RunResult, TableWrite, Work
from assay.features.tables.run_record import Run as WorkRun
from assay.lineage.events import facets
from assay.lineage.events.columns import column_lineage
from assay.lineage.events.facets_columns import column_facets
from assay.lineage.events.naming import DatasetName, dataset_name, table_name
from assay.lineage.events.process import Process
from assay.lineage.events.redaction import redact_message

Event = dict[str, Any]

SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
PROCESS = "assay_process"
ABORTED = (
    "The run ended without saying so, before it published anything: its process was killed, or its machine stopped."
)


def started(work: Work, deployment: str, process: Process | None = None) -> Event:
    """START. Inputs and outputs come at the end, when their versions are known. `process` does the work."""
    event = _event("START", work, deployment, work.run.started_at, _tags(work))
    if process is not None:
        _add(event, PROCESS, facets.process_facet(process))
    return event


def finished(done: RunResult, deployment: str, *, recovered: bool = False) -> Event:
    """COMPLETE. `recovered`: made from the tables afterwards, because the run was killed before it could report."""
    tags = _tags(done.work, done.contract) | {"recovered": "true" if recovered else ""}
    return _terminal("COMPLETE", done, deployment, tags)


def failed(done: RunResult, error: BaseException, deployment: str) -> Event:
    """FAIL, with what had been read and published until then, and the error without any data."""
    event = _terminal("FAIL", done, deployment, _tags(done.work, done.contract))
    _add(event, "errorMessage", facets.error_facet(describe(error)))
    return event


def aborted(start: Mapping[str, Any]) -> Event:
    """ABORT of a run of which nothing but its START is known, and nothing more will come.

    When it ended nobody knows. The event has the time of the START, the last moment at which the run was certainly there:
    made again it is the same event, and should the run have gone on after all, what it says itself is later and stands.
    """
    run, job = start["run"], start["job"]
    kept = {name: facet for name, facet in run.get("facets", {}).items() if name != PROCESS}
    named = {"namespace": job["namespace"], "name": job["name"], "facets": job.get("facets", {})}
    event = _run_event("ABORT", start["eventTime"], {"runId": run["runId"], "facets": kept}, named)
    _add(event, "errorMessage", facets.error_facet(ABORTED))
    return event


JOBS = ("dagster://", "assay://")  # what the namespaces of Assay's own jobs begin with


def namespaces(deployment: str) -> tuple[str, ...]:
    """Where the jobs of a deployment live."""
    return tuple(f"{kind}{deployment}" for kind in JOBS)


def process_of(start: Mapping[str, Any]) -> Process | None:
    """The process that a START names."""
    facet = start["run"].get("facets", {}).get(PROCESS)
    return Process(facet["machine"], facet["pid"], facet["started"]) if facet else None


def describe(error: BaseException) -> str:
    """An error's class and message. Only Assay's own errors keep their messages: others may quote cell values, so they are
    named by class and place."""
    name = type(error).__name__
    if isinstance(error, AssayError):
        return redact_message(f"{name}: {error}")
    frames = list(traceback.walk_tb(error.__traceback__))
    if not frames:
        return name
    frame, line = frames[-1]
    return f"{name} at {frame.f_globals.get('__name__', '?')}:{line} in {frame.f_code.co_name}"


def _tags(work: Work, contract: Mapping[str, Any] | None = None) -> dict[str, Any]:
    tags = {"partition": work.partition, "code_version": work.code_version}
    if contract:
        tags["contract"] = f"{contract.get('name', '')}@{contract.get('version', '')}"
    return tags


def _event(state: str, work: Work, deployment: str, at: datetime, tags: Mapping[str, Any]) -> Event:
    """Raises ValueError for a run whose id is no UUID."""
    UUID(work.run.id)
    run_facets = facets.run_facets(work, deployment)
    if (tagged := facets.tags_facet(tags)) is not None:
        run_facets["tags"] = tagged
    namespace = facets.job_namespace(work.run, deployment)
    job = {"namespace": namespace, "name": work.asset, "facets": facets.signed(facets.job_facets(work))}
    run = {"runId": work.run.id, "facets": facets.signed(run_facets)}
    return _run_event(state, facets.timestamp(at), run, job)


def _run_event(state: str, at: str, run: Event, job: Event) -> Event:
    event: Event = {"eventType": state, "eventTime": at, "run": run, "job": job, "inputs": [], "outputs": []}
    return event | {"producer": facets.PRODUCER, "schemaURL": SCHEMA}


def _add(event: Event, name: str, facet: Any) -> None:
    event["run"]["facets"] |= facets.signed({name: facet})


def _terminal(state: str, done: RunResult, deployment: str, tags: Mapping[str, Any]) -> Event:
    event = _event(state, done.work, deployment, done.finished_at, tags)
    if done.checks:
        _add(event, "test", facets.tests_facet(done.checks))
    event["inputs"] = _inputs(done)
    event["outputs"] = [_output(written, done) for written in done.writes]
    return event


# -- inputs ------------------------------------------------------------------------------------------------------------


def _inputs(done: RunResult) -> list[Event]:
    checks: dict[str, list[CheckResult]] = {}
    for check in done.checks:
        checks.setdefault(check.table, []).append(check)
    reads: dict[str, list[Slice]] = {}
    for item in done.reads:
        reads.setdefault(item.snapshot.table, []).append(item)
    tables = [_read_table(slices, checks.pop(table, ())) for table, slices in reads.items()]
    written = {item.table: item for item in done.writes}
    audited = [_audited(written[table], rules) for table, rules in checks.items() if table in written]
    return [*tables, *audited, *(_source(item) for item in done.sources)]


def _read_table(slices: Sequence[Slice], checks: Iterable[CheckResult]) -> Event:
    snapshot = slices[0].snapshot
    name = table_name(snapshot.table)
    described = facets.table_facets(name, snapshot)
    described["assay_snapshot"] = facets.read_facet(slices)
    return _input(name, described, checks)


def _audited(written: TableWrite, checks: Iterable[CheckResult]) -> Event:
    """An output whose rows were checked before it was published: OpenLineage knows assertions only on inputs."""
    name = table_name(written.table)
    described = facets.table_facets(name, written.snapshot)
    described["assay_snapshot"] = facets.written_facet(written, audited=True)
    return _input(name, described, checks)


def _source(source: SourceFile) -> Event:
    """A delivered file: its version is the SHA-256 of its bytes."""
    name = dataset_name(source.path)
    return _input(name, {"version": facets.version_facet(source.sha256), "dataSource": facets.source_facet(name)}, ())


def _input(name: DatasetName, described: Mapping[str, Any], checks: Iterable[CheckResult]) -> Event:
    rules = list(checks)
    tested = {"dataQualityAssertions": facets.assertions_facet(rules)} if rules else {}
    return _dataset(name, described) | {"inputFacets": facets.signed(tested)}


def _dataset(name: DatasetName, described: Mapping[str, Any]) -> Event:
    return {"namespace": name.namespace, "name": name.name, "facets": facets.signed(described)}


# -- outputs -----------------------------------------------------------------------------------------------------------


def _output(written: TableWrite, done: RunResult) -> Event:
    name = table_name(written.table)
    described = facets.table_facets(name, written.snapshot)
    described["assay_snapshot"] = facets.written_facet(written)
    partition = {PARTITION: "String"} if written.partition is not None else {}
    described["schema"] = facets.schema_facet({**written.schema, **partition})
    if (change := facets.lifecycle_facet(written)) is not None:
        described["lifecycleStateChange"] = change
    if done.work.owner:
        described["ownership"] = facets.owners_facet(done.work.owner)
    if written.column_lineage:
        described |= _column_facets(written, done)
    statistics = {"outputStatistics": facets.statistics_facet(written.rows, written.size)}
    return _dataset(name, described) | {"outputFacets": facets.signed(statistics)}


def _column_facets(written: TableWrite, done: RunResult) -> dict[str, Any]:
    tables = {item.table for item in done.writes} | {item.snapshot.table for item in done.reads}
    names = {table: table_name(table) for table in tables}
    read = {names[item.snapshot.table] for item in done.reads} | {dataset_name(item.path) for item in done.sources}
    return _facets_of(json.dumps(written.column_lineage), tuple(sorted(names.items())), tuple(sorted(read)))


@lru_cache(512)
def _facets_of(
    declared: str, named: tuple[tuple[str, DatasetName], ...], read: tuple[DatasetName, ...]
) -> dict[str, Any]:
    """An asset declares the same for every partition, and commits repeat it."""
    names = dict(named)
    return column_facets(column_lineage(json.loads(declared), names), names, read)


@dataclass(frozen=True, slots=True)
class Published:
    """One version of a table that a run made: its identity, its commit, the table's columns and the bytes of its rows."""

    snapshot: Snapshot
    commit: Commit
    columns: Mapping[str, str]
    size: int = 0


# -- from the tables ---------------------------------------------------------------------------------------------------


def _located(read: Slice, written: Snapshot) -> Slice:
    """What was read, with where it lies now: beside what was written. Commits hold no address of their lake."""
    root = written.uri.removesuffix(written.table)
    if not root:
        return read
    there = read.snapshot
    place = Snapshot(there.table, there.table_id, there.version, there.commit_sha256, root + there.table)
    return Slice(place, read.partitions, read.digest, read.lookup, read.excluded)


def done_from_commits(commits: Sequence[Published]) -> RunResult:
    """What a run did, from the commits that it made.

    Equal to what the run itself reported, if it left a commit in all tables that it reported (`RunResult.in_commits`). What
    a job is for and where its code stands are missing in commits of earlier releases.
    """
    first = commits[0].commit
    run, contract = first.run, first.contract or {}
    work = Work(
        asset=first.asset,
        partition=first.partition,
        code_version=first.code_version,
        run=WorkRun(
            id=str(first.run_id),
            started_at=datetime.fromisoformat(run["started_at"]),
            parent_id=run.get("parent_id"),
            parent_job=run.get("parent_job"),
        ),
        description=run.get("description", ""),
        owner=run.get("owner", contract.get("owner", "")),
        source_location=run.get("source_location", ""),
        actor=first.actor,
        period=first.period,
    )
    writes = tuple(
        TableWrite(
            table=made.commit.table,
            snapshot=made.snapshot,
            partition=made.commit.partition,
            rows=made.commit.rows or 0,
            size=made.size,
            changed=True,
            schema=made.columns,
            column_lineage=made.commit.column_lineage,
            replaced=made.commit.mode == "replace",
            at=made.commit.timestamp,
        )
        for made in commits
    )
    return RunResult(
        work=work,
        reads=tuple(_located(item, commits[0].snapshot) for item in first.inputs),
        sources=first.sources,
        writes=writes,
        checks=tuple(CheckResult(**item) for item in first.checks),
        contract=first.contract,
        extra=first.extra,
        finished_at=max(work.run.started_at, *(made.commit.timestamp for made in commits)),
    )
