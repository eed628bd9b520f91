"""The shapes of what goes in and out, for OpenAPI. Facets are anybody's, so they are open objects."""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict
from pydantic import Field as Described
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


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Refused(_Model):
    """Why a request was not answered, and what to do."""

    error: str


class Health(_Model):
    status: Literal["ok"]


class Received(_Model):
    """`new` is false where these bytes had been stored before."""

    sha256: str
    new: bool


class Failure(_Model):
    index: int
    reason: str
    retriable: bool


class Summary(_Model):
    received: int
    successful: int
    failed: int
    retriable: int
    non_retriable: int


class BatchResult(_Model):
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


class _Marquez(_Model):
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


class DatasetVersion(Dataset):
    version: str
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


class Events(_Marquez):
    events: list[Json]
    total_count: int


# -- our own -----------------------------------------------------------------------------------------------------------


class GraphNode(_Model):
    id: str
    kind: Literal["dataset", "job", "run"]
    namespace: str
    name: str
    version: str | None
    facts: Json


class GraphEdge(_Model):
    """Data flows from `source` to `target`."""

    source: str
    target: str
    role: str


class Subgraph(_Model):
    nodes: list[GraphNode]
    edges: list[GraphEdge]
    truncated: str | None


class Trace(_Model):
    prediction_id: str
    root: Json
    files: list[Json]


class Affected(_Model):
    """The versions of a table that were made from the origin; `live` of them still hold rows of its latest version.

    `columns`: null where no column was asked for. Of them, `indirect` ones were only chosen, grouped or ordered by it, and of
    `unknown` ones it was not said where they come from.
    """

    table: str
    versions: list[int]
    partitions: list[str] | None
    runs: list[str]
    rows: int
    live: int
    columns: list[str] | None
    indirect: list[str]
    unknown: list[str]


class Impact(_Model):
    origin: Json
    complete: bool
    truncated: list[str]
    notes: list[str]
    affected: list[Affected]
    lookups: list[Affected]
    training_sets: list[str]
    models: list[str]
    predictions: int


class Column(_Model):
    """A column of the rows that a version of a table wrote."""

    table: str
    version: int
    column: str


class ColumnEdge(_Model):
    """`direct`: values of `target` were made from `source`. Otherwise they were chosen, grouped or ordered by it."""

    source: Column
    target: Column
    direct: bool


class Columns(_Model):
    """`unknown` columns were written without saying where they come from; `truncated` says what could not be followed."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "origin": [{"table": "features/ticket", "version": 4, "column": "words"}],
                "direction": "up",
                "complete": True,
                "edges": [
                    {
                        "source": {"table": "clean/tickets", "version": 3, "column": "text"},
                        "target": {"table": "features/ticket", "version": 4, "column": "words"},
                        "direct": True,
                    }
                ],
                "unknown": [],
                "truncated": [],
            }
        }
    )

    origin: list[Column]
    direction: Literal["up", "down"]
    complete: bool
    edges: list[ColumnEdge]
    unknown: list[Column]
    truncated: list[str]


class Diff(_Model):
    """What differs between two versions, as pairs [in a, in b]; empty or null: no difference. `unknown` names what is not
    known of both, so that nothing is said about it."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "a": "dataset:file:/lake/clean/tickets@3",
                "b": "dataset:file:/lake/clean/tickets@4",
                "same": False,
                "schema": {"channel": [None, "String"]},
                "rows": [898, 1223],
                "contract": ["Tickets@1.0", "Tickets@1.1"],
                "checks": {"channel.isin": [None, True]},
                "code": None,
                "inputs": {"raw/tickets": [["3"], ["4"]]},
                "unknown": [],
            }
        }
    )

    a: str
    b: str
    same: bool
    columns: dict[str, tuple[str | None, str | None]] = Described(alias="schema")
    rows: tuple[int, int] | None
    contract: tuple[str | None, str | None] | None
    checks: dict[str, tuple[bool | None, bool | None]]
    code: tuple[str, str] | None
    inputs: dict[str, tuple[list[str] | None, list[str] | None]]
    unknown: list[str]
