"""OpenLineage facets of our values, official and our own. Pure functions: value in, facet out."""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import cache
from importlib.metadata import version
from typing import Any, TypeVar
from uuid import NAMESPACE_URL, UUID, uuid5

import attr
from openlineage.client import facet_v2 as ol
from openlineage.client.generated import lineage as ol_lineage

from assay.features.snapshot import Slice, digest_of
from assay.features.work import Check, Run, Work, Written
from assay.lineage.columns import ColumnLineage, Edge
from assay.lineage.naming import LOGICAL, DatasetName

PRODUCER = "urn:assay:producer:0.1"
_SCHEMAS = "urn:assay:facet:1-0-0"

F = TypeVar("F", bound=ol.BaseFacet)


@attr.define
class SnapshotDatasetFacet(ol.DatasetFacet):
    """Which data, exactly. The schema is lineage/schemas/SnapshotDatasetFacet-1-0-0.json."""

    table: str
    table_id: str
    version: int
    commit_sha256: str
    role: str
    partitions: list[str] | None = None
    digest: str | None = None
    mode: str | None = None

    @staticmethod
    def _get_schema() -> str:
        return f"{_SCHEMAS}:SnapshotDatasetFacet#/$defs/SnapshotDatasetFacet"


@attr.define
class UnknownColumnsDatasetFacet(ol.DatasetFacet):
    """Columns whose sources nobody knows, said out loud. Schema: lineage/schemas/UnknownColumnsDatasetFacet-1-0-0.json."""

    columns: list[str]

    @staticmethod
    def _get_schema() -> str:
        return f"{_SCHEMAS}:UnknownColumnsDatasetFacet#/$defs/UnknownColumnsDatasetFacet"


def signed(facets: Mapping[str, F]) -> dict[str, F]:
    """The facets, with us as their producer. Set one by one: the client's own switch is for the whole process, and there
    may be other producers in it."""
    for facet in facets.values():
        facet._producer = PRODUCER
    return dict(facets)


# -- datasets ----------------------------------------------------------------------------------------------------------


def table_facets(table: str, name: DatasetName, version: int) -> dict[str, ol.DatasetFacet]:
    """What every Delta dataset says: where it lies, what it is called, which version is meant."""
    identifier = ol.symlinks_dataset.Identifier(LOGICAL, table, "TABLE")
    return {
        "version": version_facet(str(version)),
        "storage": ol.storage_dataset.StorageDatasetFacet("delta", "parquet"),
        "dataSource": source_facet(name),
        "symlinks": ol.symlinks_dataset.SymlinksDatasetFacet([identifier]),
    }


def version_facet(version: str) -> ol.DatasetFacet:
    return ol.dataset_version_dataset.DatasetVersionDatasetFacet(version)


def source_facet(name: DatasetName) -> ol.DatasetFacet:
    return ol.datasource_dataset.DatasourceDatasetFacet(name.namespace, name.uri)


def read_facet(slices: Iterable[Slice]) -> SnapshotDatasetFacet:
    """All reads of one snapshot together; a table both read and looked up counts as read."""
    reads = list(slices)
    snapshot = reads[0].snapshot
    whole = any(item.partitions is None for item in reads)
    return SnapshotDatasetFacet(
        snapshot.table,
        snapshot.table_id,
        snapshot.version,
        snapshot.commit_sha256,
        role="reference" if all(item.reference for item in reads) else "input",
        partitions=None if whole else sorted({key for item in reads for key in item.partitions or ()}),
        digest=reads[0].digest if len(reads) == 1 else digest_of(item.digest for item in reads),
    )


def written_facet(written: Written, *, audited: bool = False) -> SnapshotDatasetFacet:
    snapshot = written.snapshot
    role = "audited" if audited else "output" if written.changed else "unchanged"
    return SnapshotDatasetFacet(
        snapshot.table,
        snapshot.table_id,
        snapshot.version,
        snapshot.commit_sha256,
        role,
        partitions=[written.partition] if written.partition is not None else None,
        mode="replace" if written.replaced else "append",
    )


def schema_facet(schema: Mapping[str, str]) -> ol.DatasetFacet:
    field = ol.schema_dataset.SchemaDatasetFacetFields
    fields = [field(name, kind, ordinal_position=place) for place, (name, kind) in enumerate(schema.items(), 1)]
    return ol.schema_dataset.SchemaDatasetFacet(fields)


def lifecycle_facet(written: Written) -> ol.DatasetFacet | None:
    """CREATE for a table's first rows, OVERWRITE where all of a table was replaced; otherwise there is nothing to say."""
    change = ol.lifecycle_state_change_dataset.LifecycleStateChange
    if not written.changed:
        return None
    if written.snapshot.version <= 1:  # version 0 is the empty table
        state = change.CREATE
    elif written.replaced and written.partition is None:
        state = change.OVERWRITE
    else:
        return None
    return ol.lifecycle_state_change_dataset.LifecycleStateChangeDatasetFacet(state)


def statistics_facet(rows: int, size: int) -> ol.OutputDatasetFacet:
    """Rows and bytes of an output; a size of 0 (not known) is left out."""
    return ol.output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(rows, size or None)


def owners_facet(owner: str) -> ol.DatasetFacet:
    return ol.ownership_dataset.OwnershipDatasetFacet([ol.ownership_dataset.Owner(owner)])


# -- columns -----------------------------------------------------------------------------------------------------------


def column_facets(
    columns: ColumnLineage, names: Mapping[str, DatasetName], read: Iterable[DatasetName]
) -> dict[str, ol.DatasetFacet]:
    """`columnLineage` and the newer `lineage`, from the same edges. `names` finds the dataset of a table; `read` is what
    the run read, the only honest answer at dataset level while some column is unknown."""
    facets: dict[str, ol.DatasetFacet] = {}
    if columns.unknown:
        facets["assay_unknownColumns"] = UnknownColumnsDatasetFacet(list(columns.unknown))
    sources = sorted(set(read)) if columns.unknown else [names[table] for table in columns.tables]
    old, new = ol.column_lineage_dataset, ol_lineage
    facets["columnLineage"] = old.ColumnLineageDatasetFacet(
        fields={column: old.Fields(_old_inputs(columns.of(column), names)) for column in columns.known},
        dataset=_old_inputs(columns.of(None), names),
    )
    whole = [new.LineageDatasetInput(name.namespace, name.name, "DATASET") for name in sources]
    facets["lineage"] = new.LineageDatasetFacet(
        inputs=[*whole, *_new_inputs(columns.of(None), names)],
        fields={column: new.LineageFieldEntry([*_new_inputs(columns.of(column), names)]) for column in columns.known},
    )
    return facets


def _grouped(edges: Iterable[Edge]) -> dict[tuple[str, str], list[str]]:
    groups: dict[tuple[str, str], list[str]] = {}
    for edge in edges:
        groups.setdefault((edge.table, edge.source), []).append("DIRECT" if edge.direct else "INDIRECT")
    return groups


def _old_inputs(edges: Iterable[Edge], names: Mapping[str, DatasetName]) -> list[ol.column_lineage_dataset.InputField]:
    module = ol.column_lineage_dataset
    return [
        module.InputField(
            names[table].namespace, names[table].name, column, [module.Transformation(kind) for kind in kinds]
        )
        for (table, column), kinds in _grouped(edges).items()
    ]


def _new_inputs(edges: Iterable[Edge], names: Mapping[str, DatasetName]) -> list[ol_lineage.LineageDatasetInput]:
    return [
        ol_lineage.LineageDatasetInput(
            names[table].namespace,
            names[table].name,
            "DATASET",
            column,
            [ol_lineage.LineageTransformation(kind) for kind in kinds],
        )
        for (table, column), kinds in _grouped(edges).items()
    ]


# -- checks ------------------------------------------------------------------------------------------------------------


def _strength(check: Check) -> str:
    """OpenLineage knows two severities; `quarantine` and `block` both keep bad rows from being published."""
    return "error" if check.severity in ("block", "quarantine") else "warn"


def assertions_facet(checks: Iterable[Check]) -> ol.InputDatasetFacet:
    module = ol.data_quality_assertions_dataset
    assertions = [
        module.Assertion(
            assertion=check.name,
            name=check.name,
            success=check.passed,
            column=check.column,
            severity=_strength(check),
            expected="0",
            actual=str(check.invalid),
            params={"severity": check.severity, "evaluated": check.evaluated, "unknown": check.unknown},
        )
        for check in checks
    ]
    return module.DataQualityAssertionsDatasetFacet(assertions)


def tests_facet(checks: Iterable[Check]) -> ol.RunFacet:
    """Every check of the run, whether or not its table was published in the end. `params` says which table and column."""
    tests = [
        ol.test_run.TestExecution(
            name=check.name,
            status="pass" if check.passed else "fail",
            severity=_strength(check),
            expected="0",
            actual=str(check.invalid),
            params={
                "table": check.table,
                "column": check.column,
                "severity": check.severity,
                "evaluated": check.evaluated,
                "unknown": check.unknown,
            },
        )
        for check in checks
    ]
    return ol.test_run.TestRunFacet(tests)


# -- jobs and runs -----------------------------------------------------------------------------------------------------


def job_facets(work: Work) -> dict[str, ol.JobFacet]:
    facets: dict[str, ol.JobFacet] = {"jobType": ol.job_type_job.JobTypeJobFacet("BATCH", "ASSAY", "ASSET")}
    if work.description:
        facets["documentation"] = ol.documentation_job.DocumentationJobFacet(work.description)
    if work.owner:
        facets["ownership"] = ol.ownership_job.OwnershipJobFacet([ol.ownership_job.Owner(work.owner)])
    if work.source_location:
        facets["sourceCodeLocation"] = _location_facet(work.source_location)
    return facets


def _location_facet(location: str) -> ol.JobFacet:
    """`location` is a URL, or a path with an optional `:line`."""
    if "://" in location:
        return ol.source_code_location_job.SourceCodeLocationJobFacet("git", location)
    path, _, line = location.rpartition(":") if location.rpartition(":")[2].isdigit() else (location, "", "")
    url = DatasetName("file", path).uri + (f"#L{line}" if line else "")
    return ol.source_code_location_job.SourceCodeLocationJobFacet("file", url, path=path)


def run_facets(work: Work, deployment: str) -> dict[str, ol.RunFacet]:
    engine = ol.processing_engine_run.ProcessingEngineRunFacet(
        _installed("polars"), "polars", openlineageAdapterVersion=_installed("assay")
    )
    facets: dict[str, ol.RunFacet] = {"processing_engine": engine}
    if work.run.parent_id:
        facets["parent"] = _parent_facet(work.run, work.run.parent_id, deployment)
    if (day := _day(work.partition)) is not None:
        end = day + timedelta(days=1)
        facets["nominalTime"] = ol.nominal_time_run.NominalTimeRunFacet(_midnight(day), _midnight(end))
    return facets


_installed = cache(version)  # finding a version reads files


def tags_facet(tags: Mapping[str, Any]) -> ol.RunFacet | None:
    """Tags of a run; those without a value are left out."""
    field = ol.tags_run.TagsRunFacetFields
    fields = [field(key, str(value), "ASSAY") for key, value in tags.items() if value not in (None, "")]
    return ol.tags_run.TagsRunFacet(fields) if fields else None


def error_facet(message: str) -> ol.RunFacet:
    return ol.error_message_run.ErrorMessageRunFacet(message, "PYTHON")


def job_namespace(run: Run, deployment: str) -> str:
    """Where the job lives: in an orchestrator's deployment, or in nobody's (a notebook, a script)."""
    return f"{'dagster' if run.parent_id else 'assay'}://{deployment}"


def _parent_facet(run: Run, parent_id: str, deployment: str) -> ol.RunFacet:
    module = ol.parent_run
    identifier, namespace, job = as_uuid(parent_id), job_namespace(run, deployment), run.parent_job or "unnamed"
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


def _day(partition: str | None) -> date | None:
    try:
        return date.fromisoformat(partition) if partition and len(partition) == 10 else None
    except ValueError:
        return None


def _midnight(day: date) -> str:
    return timestamp(datetime(day.year, day.month, day.day, tzinfo=UTC))


def timestamp(instant: datetime) -> str:
    """RFC 3339 in UTC, to the microsecond."""
    return instant.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
