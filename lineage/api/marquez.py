"""The read endpoints of Marquez, in its shapes, so that its clients work here. Names in the path are percent-encoded."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any, Literal

import sqlalchemy as sa
from fastapi import APIRouter, HTTPException, Path, Query
from pydantic import AfterValidator, BeforeValidator

from assay.lineage.api import columns
from assay.lineage.api import marquez_json as shapes
from assay.lineage.api import marquez_models as models
from assay.lineage.api.catalogue import Catalogue
from assay.lineage.api.listings import jobs_by_state
from assay.lineage.api.marquez_json import decoded
from assay.lineage.api.records import Dataset, Json, Key
from assay.lineage.api.safe_json import Answer
from assay.lineage.store.lineage_store import LineageStore

Limit = Annotated[int, Query(ge=1, le=1_000, description="at most so many")]
Offset = Annotated[int, Query(ge=0, le=10**9, description="leave out so many")]
Namespace = Annotated[str, Path(examples=["s3://shop"]), AfterValidator(decoded)]
Name = Annotated[str, Path(examples=["clean/orders"]), AfterValidator(decoded)]
NodeId = Annotated[str, Query(alias="nodeId", examples=["dataset:s3://shop:clean/orders"])]
Version = Annotated[str, Path(examples=["42"]), AfterValidator(decoded)]
States = Annotated[
    list[Literal["NEW", "RUNNING", "COMPLETED", "ABORTED", "FAILED"]] | None,
    Query(alias="lastRunStates", description="only jobs whose last run is in one of these states"),
]
Moment = Annotated[datetime | None, BeforeValidator(lambda given: given or None)]  # the web UI sends empty ones
Depth = Annotated[int, Query(ge=0, le=1_000)]
MISSING: Any = {404: {"model": models.Refused}}
GRAPH_LIMIT = 2_000  # nodes


def create_router(store: LineageStore) -> APIRouter:
    router = APIRouter(prefix="/api/v1", tags=["marquez"])

    @router.get("/namespaces", response_model=models.Namespaces)
    def namespaces(limit: Limit = 100, offset: Offset = 0) -> Answer:
        """All namespaces of datasets and jobs."""
        with _catalogue(store) as catalogue:
            entries, total = catalogue.namespaces(limit, offset)
        return Answer({"namespaces": [shapes.namespace(*item) for item in entries], "totalCount": total})

    @router.get("/namespaces/{namespace}", response_model=models.Namespace, responses=MISSING)
    def namespace(namespace: Namespace) -> Answer:
        """One namespace, and when events first and last mentioned something in it."""
        with _catalogue(store) as catalogue:
            span = catalogue.namespace_span(namespace)
        if span is None:
            raise HTTPException(404, "There is no such namespace. They are listed at /api/v1/namespaces.")
        return Answer(shapes.namespace(*span))

    @router.get("/namespaces/{namespace}/datasets", response_model=models.Datasets)
    def datasets(namespace: Namespace, limit: Limit = 100, offset: Offset = 0) -> Answer:
        """The datasets of a namespace; none where there is no such namespace."""
        with _catalogue(store) as catalogue:
            entries, total = catalogue.datasets_in(namespace, limit, offset)
        return Answer({"datasets": [_dataset_shape(entry) for entry in entries], "totalCount": total})

    @router.get("/namespaces/{namespace}/datasets/{name}", response_model=models.Dataset, responses=MISSING)
    def dataset(namespace: Namespace, name: Name) -> Answer:
        """A dataset with all facets known of it. Assay's tables are also found as namespace `assay`, name `clean/tickets`,
        others by the names of their `symlinks` facet."""
        with _catalogue(store) as catalogue:
            key = _dataset(catalogue, namespace, name)
            return Answer(_dataset_shape(catalogue.datasets([key])[key]))

    @router.get("/namespaces/{namespace}/datasets/{name}/versions", response_model=models.Versions, responses=MISSING)
    def versions(namespace: Namespace, name: Name, limit: Limit = 100, offset: Offset = 0) -> Answer:
        """The versions that events name, newest first, each with its facets and the run that wrote it."""
        with _catalogue(store) as catalogue:
            entries, total = catalogue.versions_of(_dataset(catalogue, namespace, name), limit, offset)
        return Answer({"versions": [shapes.version(entry) for entry in entries], "totalCount": total})

    @router.get(
        "/namespaces/{namespace}/datasets/{name}/versions/{version}",
        response_model=models.DatasetVersion,
        responses=MISSING,
    )
    def version(namespace: Namespace, name: Name, version: Version) -> Answer:
        """One version of a dataset, with its facets and the run that wrote it."""
        with _catalogue(store) as catalogue:
            entry = catalogue.version_of(_dataset(catalogue, namespace, name), version)
        if entry is None:
            raise HTTPException(404, "No event names this version of the dataset.")
        return Answer(shapes.version(entry))

    @router.get("/namespaces/{namespace}/jobs", response_model=models.Jobs)
    def jobs(namespace: Namespace, states: States = None, limit: Limit = 100, offset: Offset = 0) -> Answer:
        """The jobs of a namespace; none where there is no such namespace. By state of their last run: the latest first."""
        if states:
            return jobs_answer(store, namespace, states, limit, offset)
        with _catalogue(store) as catalogue:
            entries, total = catalogue.jobs_in(namespace, limit, offset)
            latest = catalogue.latest_runs([entry.key for entry in entries], 1)
        return Answer({"jobs": [shapes.job(entry, latest[entry.key]) for entry in entries], "totalCount": total})

    @router.get("/namespaces/{namespace}/jobs/{name}", response_model=models.Job, responses=MISSING)
    def job(namespace: Namespace, name: Name) -> Answer:
        """A job with its facets, inputs, outputs and latest runs."""
        with _catalogue(store) as catalogue:
            key = _job(catalogue, namespace, name)
            return Answer(shapes.job(catalogue.jobs([key])[key], catalogue.latest_runs([key], 10)[key]))

    @router.get("/namespaces/{namespace}/jobs/{name}/runs", response_model=models.Runs, responses=MISSING)
    def runs(namespace: Namespace, name: Name, limit: Limit = 100, offset: Offset = 0) -> Answer:
        """A job's runs, latest first, with all their facets."""
        with _catalogue(store) as catalogue:
            key = _job(catalogue, namespace, name)
            entries, total = catalogue.latest_runs([key], limit, offset)[key], catalogue.count_runs(key)
        return Answer({"runs": [shapes.run(entry) for entry in entries], "totalCount": total})

    @router.get("/lineage", response_model=models.Lineage, responses=MISSING)
    def lineage(node_id: NodeId, depth: Depth = 20) -> Answer:
        """Datasets and jobs around a node, in both directions, regardless of versions. For what was really read, see
        /api/v1/graph."""
        with _catalogue(store) as catalogue:
            node = catalogue.node(node_id)
            if node is None:
                raise HTTPException(
                    404, "There is no such node. Ids look like dataset:{namespace}:{name} or job:{namespace}:{name}."
                )
            return Answer(shapes.lineage(catalogue, *node, depth, GRAPH_LIMIT))

    @router.get("/column-lineage", response_model=models.Lineage, responses=MISSING)
    def column_lineage(
        node_id: NodeId,
        depth: Depth = 20,
        downstream: Annotated[bool, Query(alias="withDownstream", description="also what comes from them")] = False,
    ) -> Answer:
        """The columns that a dataset's columns come from, according to the latest `lineage` and `columnLineage` facets.
        nodeId: a dataset, `datasetField:{namespace}:{name}:{column}`, or a job, for the datasets that it writes. A version
        after `#` leads to the dataset as it is now."""
        with _catalogue(store) as catalogue:
            graph = columns.columns(catalogue, node_id, depth, GRAPH_LIMIT, downstream=downstream)
        if graph is None:
            raise HTTPException(404, "There is no such dataset or column. Search for it: /api/v1/search?q=…")
        return Answer(graph)

    @router.get("/search", response_model=models.Hits)
    def search(
        q: Annotated[str, Query(max_length=1_000, examples=["orders"])],
        filter: Annotated[str | None, Query(pattern="^(DATASET|JOB|dataset|job)$")] = None,
        sort: Annotated[str, Query(pattern="^(NAME|UPDATE_AT|name|update_at)$")] = "NAME",
        namespace: Annotated[str | None, Query()] = None,
        limit: Limit = 100,
    ) -> Answer:
        """Datasets and jobs whose name holds a text (or, for Assay's tables, whose logical name does; or one of the names of
        a `symlinks` facet)."""
        with _catalogue(store) as catalogue:
            hits, total = catalogue.search(q, filter.upper() if filter else None, namespace, limit)
        if sort.upper() != "NAME":
            hits.sort(key=lambda hit: hit.last_us, reverse=True)
        return Answer({"totalCount": total, "results": [shapes.hit(entry) for entry in hits]})

    @router.get("/events/lineage", response_model=models.Events)
    def events(
        before: Annotated[Moment, Query(description="events earlier than this")] = None,
        after: Annotated[Moment, Query(description="events at this time or later")] = None,
        direction: Annotated[str, Query(alias="sortDirection", pattern="^(asc|desc)$")] = "desc",
        limit: Limit = 100,
        offset: Offset = 0,
    ) -> Answer:
        """Events by their time, as they came but without credentials."""
        entries, total = shapes.events_between(store, after, before, direction == "desc", limit, offset)
        return Answer({"events": entries, "totalCount": total})

    return router


@contextmanager
def _catalogue(store: LineageStore) -> Iterator[Catalogue]:
    with opened(store) as (_, catalogue):
        yield catalogue


@contextmanager
def opened(store: LineageStore) -> Iterator[tuple[sa.Connection, Catalogue]]:
    with store.reading() as connection:
        yield connection, Catalogue(connection)


def jobs_answer(
    store: LineageStore, namespace: str | None, states: Sequence[str] | None, limit: int, offset: int
) -> Answer:
    """Jobs by the state of their last run, that which ran last first."""
    wanted = [state for shown in states or () for state in shapes.states_shown_as(shown)]
    with opened(store) as (connection, catalogue):
        keys, total = jobs_by_state(connection, namespace, wanted, limit, offset)
        entries, latest = catalogue.jobs(keys), catalogue.latest_runs(keys, 1)
    listed = [shapes.job(entries[key], latest[key]) for key in keys if key in entries]
    return Answer({"jobs": listed, "totalCount": total})


def _dataset_shape(entry: Dataset) -> Json:
    return shapes.dataset(entry) | {"columnLineage": columns.of_dataset(entry)}


def _dataset(catalogue: Catalogue, namespace: str, name: str) -> Key:
    key = catalogue.dataset_named(namespace, name)
    if key is None:
        raise HTTPException(404, "There is no such dataset. Search for it: /api/v1/search?q=…")
    return key


def _job(catalogue: Catalogue, namespace: str, name: str) -> Key:
    key = catalogue.job_named(namespace, name)
    if key is None:
        raise HTTPException(404, "There is no such job. Search for it: /api/v1/search?q=…")
    return key
