"""OpenLineage facets of our values, official and our own. Pure functions: value in, facet out.

The client's classes check their values whenever one is set, which takes longer than all the rest of an event. Facets that
many events have in common are therefore remembered, as the JSON that they become.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from importlib.metadata import version
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from openlineage.client import facet_v2 as ol

from assay.features.storage.snapshot import Slice, Snapshot
from assay.features.tables.digest import digest_of
from assay.features.tables.run_record import CheckResult, Run, TableWrite, Work
from assay.lineage.events.naming import NOT_JUDGED, DatasetName, dataset_name
from assay.lineage.events.process import Process
from assay.lineage.events.redaction import redact_text
from assay.lineage.events.serialize import Plain, plain

PRODUCER = "urn:assay:producer:0.1"


def remembered(make: Callable[..., ol.BaseFacet]) -> Callable[..., Any]:
    """A facet of hashable values, made once for each of them."""

    @lru_cache(2048)
    def made(*values: Any) -> Any:
        return plain(_signed(make(*values)))

    return made


def own_facet(name: str, **fields: Any) -> dict[str, Any]:
    """A facet of ours. Its schema is lineage/events/schemas/{name}-1-0-0.json."""
    return {"_producer": PRODUCER, "_schemaURL": f"urn:assay:facet:1-0-0:{name}#/$defs/{name}", **fields}


def signed(facets: Mapping[str, Any]) -> dict[str, Any]:
    """The facets, with us as their producer. Set one by one: the client's own switch is for the whole process, and there
    may be other producers in it."""
    return {name: facet if isinstance(facet, dict) else _signed(facet) for name, facet in facets.items()}


def _signed(facet: ol.BaseFacet) -> ol.BaseFacet:
    if facet._producer != PRODUCER:
        facet._producer = PRODUCER
    return facet


# -- datasets ----------------------------------------------------------------------------------------------------------


def table_facets(name: DatasetName, snapshot: Snapshot) -> dict[str, Any]:
    """The facets of every Delta dataset: its name, the version, and its present address if that is known."""
    described = {
        "version": version_facet(str(snapshot.version)),
        "storage": _storage_facet(),
        "dataSource": source_facet(name),
    }
    return described | ({"symlinks": address_facet(snapshot.uri)} if snapshot.uri else {})


def address_facet(uri: str) -> Any:
    """Where a table lies, which is another name of it."""
    return _symlinks_facet(dataset_name(uri))


@remembered
def _storage_facet() -> ol.DatasetFacet:
    return ol.storage_dataset.StorageDatasetFacet("delta", "parquet")


@remembered
def _symlinks_facet(place: DatasetName) -> ol.DatasetFacet:
    """The address, by which other tools know the table."""
    identifier = ol.symlinks_dataset.Identifier(place.namespace, place.name, "TABLE")
    return ol.symlinks_dataset.SymlinksDatasetFacet([identifier])


@remembered
def version_facet(version: str) -> ol.DatasetFacet:
    return ol.dataset_version_dataset.DatasetVersionDatasetFacet(version)


@remembered
def source_facet(name: DatasetName) -> ol.DatasetFacet:
    return ol.datasource_dataset.DatasourceDatasetFacet(name.namespace, name.uri)


def read_facet(slices: Iterable[Slice]) -> dict[str, Any]:
    """All reads of one snapshot together; a table both read and looked up counts as read."""
    reads = list(slices)
    snapshot = reads[0].snapshot
    partitions = {key for item in reads for key in item.partitions or ()}
    excluded = [set(item.excluded) - partitions for item in reads if item.partitions is None]
    left_out = set.intersection(*excluded) if excluded else set()
    digest = reads[0].digest if len(reads) == 1 else digest_of(item.digest for item in reads)
    return _snapshot_facet(
        snapshot,
        role="reference" if all(item.lookup for item in reads) else "input",
        partitions=None if excluded else sorted(partitions),
        digest=digest or None,
        **({"except": sorted(left_out)} if left_out else {}),
    )


def written_facet(written: TableWrite, *, audited: bool = False) -> dict[str, Any]:
    role = "audited" if audited else "output" if written.changed else "unchanged"
    return _snapshot_facet(
        written.snapshot,
        role=role,
        partitions=[written.partition] if written.partition is not None else None,
        mode="replace" if written.replaced else "append",
    )


def _snapshot_facet(snapshot: Snapshot, **part: Any) -> Plain:
    """Which data, exactly: names of tables and partitions, which are letters and digits, and digests."""
    identity = {"table": snapshot.table, "table_id": snapshot.table_id, "version": snapshot.version}
    values = {name: value for name, value in part.items() if value is not None}
    return Plain(own_facet("SnapshotDatasetFacet", **identity, commit_sha256=snapshot.commit_sha256, **values))


def schema_facet(schema: Mapping[str, str]) -> Any:
    return _schema_facet(tuple(schema.items()))


@remembered
def _schema_facet(columns: tuple[tuple[str, str], ...]) -> ol.DatasetFacet:
    field = ol.schema_dataset.SchemaDatasetFacetFields
    fields = [field(name, kind, ordinal_position=place) for place, (name, kind) in enumerate(columns, 1)]
    return ol.schema_dataset.SchemaDatasetFacet(fields)


def lifecycle_facet(written: TableWrite) -> Any:
    """CREATE for a table's first rows, OVERWRITE where all of a table was replaced; otherwise no facet."""
    change = ol.lifecycle_state_change_dataset.LifecycleStateChange
    if not written.changed:
        return None
    if written.snapshot.version <= 1:  # version 0 is the empty table
        state = change.CREATE
    elif written.replaced and written.partition is None:
        state = change.OVERWRITE
    else:
        return None
    return _lifecycle_facet(state)


@remembered
def _lifecycle_facet(state: Any) -> ol.DatasetFacet:
    return ol.lifecycle_state_change_dataset.LifecycleStateChangeDatasetFacet(state)


def statistics_facet(rows: int, size: int) -> Plain:
    """Rows and bytes of an output; a size of 0 (not known) is left out."""
    return Plain({**_no_statistics(), "rowCount": rows, **({"size": size} if size else {})})


@remembered
def _no_statistics() -> ol.OutputDatasetFacet:
    return ol.output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet()


@remembered
def owners_facet(owner: str) -> ol.DatasetFacet:
    return ol.ownership_dataset.OwnershipDatasetFacet([ol.ownership_dataset.Owner(owner)])


# -- checks ------------------------------------------------------------------------------------------------------------


def _strength(check: CheckResult) -> str:
    """OpenLineage knows two severities; `quarantine` and `block` both keep bad rows from being published."""
    return "error" if check.severity in ("block", "quarantine") else "warn"


def assertions_facet(checks: Iterable[CheckResult]) -> Plain:
    """All checks of a table that have a verdict: an assertion holds or does not."""
    return Plain({**_no_assertions(), "assertions": [_assertion(check) for check in checks if check.judged]})


def tests_facet(checks: Iterable[CheckResult]) -> Plain:
    """Every check of the run, whether or not its table was published in the end. `params` names table and column."""
    return Plain({**_no_tests(), "tests": [_test(check) for check in checks]})


# There are dozens of checks a run: they are JSON at once, as the client's classes would have made it.


@remembered
def _no_assertions() -> ol.InputDatasetFacet:
    return ol.data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet([])


@remembered
def _no_tests() -> ol.RunFacet:
    return ol.test_run.TestRunFacet([])


def _assertion(check: CheckResult) -> dict[str, Any]:
    name = redact_text(check.name)
    column = {} if check.column is None else {"column": redact_text(check.column)}
    return {
        "assertion": name,
        "name": name,
        "success": check.passed,
        **column,
        "severity": _strength(check),
        "expected": "0",
        "actual": str(check.invalid),
        "params": {"severity": check.severity, **_counts(check)},
    }


def _test(check: CheckResult) -> dict[str, Any]:
    column = {} if check.column is None else {"column": redact_text(check.column)}
    return {
        "name": redact_text(check.name),
        "status": ("pass" if check.passed else "fail") if check.judged else "skip",
        "severity": _strength(check),
        "expected": "0",
        "actual": str(check.invalid) if check.judged else NOT_JUDGED,
        "params": {"table": check.table, **column, "severity": check.severity, **_counts(check)},
    }


def _counts(check: CheckResult) -> dict[str, int]:
    return {"evaluated": check.evaluated, "unknown": check.unknown}


# -- jobs and runs -----------------------------------------------------------------------------------------------------


def job_facets(work: Work) -> dict[str, Any]:
    facets = {"jobType": _job_type_facet()}
    if work.description:
        facets["documentation"] = _documentation_facet(work.description)
    if work.owner:
        facets["ownership"] = _job_owners_facet(work.owner)
    if work.source_location:
        facets["sourceCodeLocation"] = _location_facet(work.source_location)
    return facets


@remembered
def _job_type_facet() -> ol.JobFacet:
    return ol.job_type_job.JobTypeJobFacet("BATCH", "ASSAY", "ASSET")


@remembered
def _documentation_facet(description: str) -> ol.JobFacet:
    return ol.documentation_job.DocumentationJobFacet(description)


@remembered
def _job_owners_facet(owner: str) -> ol.JobFacet:
    return ol.ownership_job.OwnershipJobFacet([ol.ownership_job.Owner(owner)])


@remembered
def _location_facet(location: str) -> ol.JobFacet:
    """`location` is a URL, or a path with an optional `:line`."""
    if "://" in location:
        return ol.source_code_location_job.SourceCodeLocationJobFacet("git", location)
    path, _, line = location.rpartition(":") if location.rpartition(":")[2].isdigit() else (location, "", "")
    url = DatasetName("file", path).uri + (f"#L{line}" if line else "")
    return ol.source_code_location_job.SourceCodeLocationJobFacet("file", url, path=path)


def run_facets(work: Work, deployment: str) -> dict[str, Any]:
    facets = {"processing_engine": _engine_facet()}
    if work.run.parent_id:
        namespace, job = job_namespace(work.run, deployment), work.run.parent_job or "unnamed"
        facets["parent"] = _parent_facet(as_uuid(work.run.parent_id), namespace, job)
    if work.actor:
        facets["assay_actor"] = actor_facet(work.actor)
    if (period := work.period or _day(work.partition)) is not None:
        facets["nominalTime"] = _period_facet(*period)
    return facets


@remembered
def _engine_facet() -> ol.RunFacet:
    return ol.processing_engine_run.ProcessingEngineRunFacet(
        version("polars"), "polars", openlineageAdapterVersion=version("assay")
    )


@remembered
def _period_facet(begin: datetime, end: datetime) -> ol.RunFacet:
    return ol.nominal_time_run.NominalTimeRunFacet(timestamp(begin), timestamp(end))


def tags_facet(tags: Mapping[str, Any]) -> Plain | None:
    """Tags of a run; those without a value are left out. JSON at once: every run has its own."""
    fields = [
        {"key": key, "value": redact_text(str(value)), "source": "ASSAY"}
        for key, value in tags.items()
        if value not in (None, "")
    ]
    return Plain({**_no_tags(), "tags": fields}) if fields else None


@remembered
def _no_tags() -> ol.RunFacet:
    return ol.tags_run.TagsRunFacet([])


def process_facet(process: Process) -> dict[str, Any]:
    return own_facet("ProcessRunFacet", machine=process.machine, pid=process.pid, started=process.started)


def actor_facet(actor: str) -> dict[str, Any]:
    return own_facet("ActorRunFacet", actor=actor)


def error_facet(message: str) -> ol.RunFacet:
    return ol.error_message_run.ErrorMessageRunFacet(message, "PYTHON")


def job_namespace(run: Run, deployment: str) -> str:
    """Where the job lives: in an orchestrator's deployment, or in nobody's (a notebook, a script)."""
    return f"{'dagster' if run.parent_id else 'assay'}://{deployment}"


@remembered
def _parent_facet(identifier: str, namespace: str, job: str) -> ol.RunFacet:
    module = ol.parent_run
    return module.ParentRunFacet(
        run=module.Run(identifier),
        job=module.Job(namespace, job),
        root=module.Root(run=module.RootRun(identifier), job=module.RootJob(namespace, job)),
    )


def as_uuid(text: str) -> str:
    """The id itself, or for orchestrators with other ids a UUID made from it, always the same one."""
    try:
        return str(UUID(text))
    except ValueError:
        return str(uuid5(NAMESPACE_URL, f"urn:assay:run:{text}"))


def _day(partition: str | None) -> tuple[datetime, datetime] | None:
    """The day (UTC) that a partition's name says, for work that states no period."""
    try:
        day = date.fromisoformat(partition) if partition and len(partition) == 10 else None
    except ValueError:
        return None
    if day is None:
        return None
    begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
    last = day == date.max  # as in data without an end: the day after it cannot be written
    return begin, datetime.max.replace(tzinfo=UTC) if last else begin + timedelta(days=1)


def timestamp(instant: datetime) -> str:
    """RFC 3339 in UTC, to the microsecond."""
    return instant.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
