"""The shapes of what goes in and out, for OpenAPI. Facets are anybody's, so they are open objects."""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

Json = dict[str, Any]

EVENT: Json = {
    "eventType": "COMPLETE",
    "eventTime": "2026-03-01T06:00:10Z",
    "run": {"runId": "0195512a-7a00-7000-8000-000000000001", "facets": {}},
    "job": {"namespace": "spark://warehouse", "name": "daily_orders", "facets": {}},
    "inputs": [{"namespace": "s3://shop", "name": "raw/orders", "facets": {"version": {"datasetVersion": "41"}}}],
    "outputs": [{"namespace": "s3://shop", "name": "clean/orders", "facets": {"version": {"datasetVersion": "42"}}}],
    "producer": "https://example.com/warehouse",
    "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
}
_NAMED: Json = {
    "type": "object",
    "properties": {"namespace": {"type": "string"}, "name": {"type": "string"}, "facets": {"type": "object"}},
    "required": ["namespace", "name"],
}
_RUN: Json = {
    "type": "object",
    "properties": {"runId": {"type": "string", "format": "uuid"}, "facets": {"type": "object"}},
    "required": ["runId"],
}
_EVENT_SCHEMA: Json = {
    "type": "object",
    "description": "An OpenLineage event (specification 2-0-2, earlier ones too). Unknown fields and facets are kept.",
    "properties": {
        "eventType": {"enum": ["START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"]},
        "eventTime": {"type": "string", "format": "date-time"},
        "run": _RUN,
        "job": _NAMED,
        "dataset": _NAMED,
        "inputs": {"type": "array", "items": _NAMED},
        "outputs": {"type": "array", "items": _NAMED},
        "producer": {"type": "string"},
        "schemaURL": {"type": "string"},
    },
    "required": ["eventTime"],
    "anyOf": [{"required": ["run"]}, {"required": ["job"]}, {"required": ["dataset"]}],
}


def _body(schema: Json, example: Any) -> Json:
    content = {"application/json": {"schema": schema, "example": example}}
    return {"requestBody": {"required": True, "content": content}}


EVENT_BODY = _body(_EVENT_SCHEMA, EVENT)
BATCH_BODY = _body({"type": "array", "items": _EVENT_SCHEMA}, [EVENT])


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Refused(Model):
    """Why a request was not answered, and what to do."""

    error: str


class Health(Model):
    status: Literal["ok"]


class Received(Model):
    """`new` is false where these bytes had been stored before."""

    sha256: str
    new: bool


class Failure(Model):
    index: int
    reason: str
    retriable: bool


class Summary(Model):
    received: int
    successful: int
    failed: int
    retriable: int
    non_retriable: int


class BatchResult(Model):
    status: Literal["success", "partial_success"]
    summary: Summary
    failed_events: list[Failure]

    @classmethod
    def of(cls, received: int, failures: list[Failure]) -> Self:
        failed, retriable = len(failures), sum(failure.retriable for failure in failures)
        summary = Summary(
            received=received,
            successful=received - failed,
            failed=failed,
            retriable=retriable,
            non_retriable=failed - retriable,
        )
        return cls(status="partial_success" if failures else "success", summary=summary, failed_events=failures)


# -- Marquez's shapes --------------------------------------------------------------------------------------------------


class _Marquez(Model):
    model_config = ConfigDict(alias_generator=to_camel)


class Name(_Marquez):
    namespace: str
    name: str


class Namespace(_Marquez):
    name: str
    created_at: str
    updated_at: str
    owner_name: str
    description: str | None
    is_hidden: bool


class Namespaces(_Marquez):
    namespaces: list[Namespace]
    total_count: int


class Field(_Marquez):
    name: str
    type: str | None
    description: str | None
    tags: list[str]


class Dataset(_Marquez):
    """`inputFacets` and `outputFacets` are ours; the rest is Marquez's."""

    id: Name
    type: str
    name: str
    physical_name: str
    namespace: str
    source_name: str
    created_at: str
    updated_at: str
    last_modified_at: str | None
    last_lifecycle_state: str | None
    current_version: str | None
    description: str | None
    deleted: bool
    fields: list[Field]
    tags: list[str]
    facets: Json
    input_facets: Json
    output_facets: Json
    column_lineage: list[Json] | None = None


class Datasets(_Marquez):
    datasets: list[Dataset]
    total_count: int


class Run(_Marquez):
    id: str
    namespace: str
    job: str
    state: Literal["NEW", "RUNNING", "COMPLETED", "ABORTED", "FAILED"]
    created_at: str | None
    updated_at: str | None
    nominal_start_time: str | None
    nominal_end_time: str | None
    started_at: str | None
    ended_at: str | None
    duration_ms: int | None
    args: Json
    facets: Json


class Runs(_Marquez):
    runs: list[Run]
    total_count: int


class VersionName(Name):
    version: str


class DatasetVersion(Dataset):
    id: VersionName  # pyright: ignore[reportIncompatibleVariableOverride]
    version: str
    lifecycle_state: str | None
    created_by_run: Run | None


class Versions(_Marquez):
    versions: list[DatasetVersion]
    total_count: int


class Job(_Marquez):
    id: Name
    type: str
    name: str
    simple_name: str
    namespace: str
    parent_job_name: str | None
    parent_job_uuid: str | None
    created_at: str
    updated_at: str
    inputs: list[Name]
    outputs: list[Name]
    location: str | None
    description: str | None
    latest_run: Run | None
    latest_runs: list[Run]
    tags: list[str]
    facets: Json


class Jobs(_Marquez):
    jobs: list[Job]
    total_count: int


class Edge(_Marquez):
    origin: str
    destination: str


class LineageNode(_Marquez):
    id: str
    type: Literal["DATASET", "JOB", "DATASET_FIELD"]
    data: Json
    in_edges: list[Edge]
    out_edges: list[Edge]


class Lineage(_Marquez):
    """`truncated` (ours) says why the graph is not whole; null where it is."""

    graph: list[LineageNode]
    truncated: str | None


class Hit(_Marquez):
    type: Literal["DATASET", "JOB"]
    namespace: str
    name: str
    node_id: str
    updated_at: str


class Hits(_Marquez):
    total_count: int
    results: list[Hit]


class RunFacets(_Marquez):
    run_id: str
    facets: Json


class Source(_Marquez):
    type: str
    name: str
    created_at: str
    updated_at: str
    connection_url: str
    description: str | None


class Sources(_Marquez):
    sources: list[Source]
    total_count: int


class Tag(_Marquez):
    name: str
    description: str | None


class Tags(_Marquez):
    tags: list[Tag]


class _Interval(_Marquez):
    start_interval: str
    end_interval: str


class EventCounts(_Interval):
    fail: int
    start: int
    complete: int
    abort: int


class AssetCount(_Interval):
    count: int


class FullHits(_Marquez):
    hits: list[Json]
    highlights: list[Json]


class Events(_Marquez):
    events: list[Json]
    total_count: int
