"""The read endpoints of Marquez, in its shapes, so that its clients work here. Names in the path are percent-encoded."""

from collections.abc import Iterable
from datetime import datetime
from itertools import islice
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, HTTPException, Path, Query
from pydantic import AfterValidator

from assay.lineage.api import models, shapes
from assay.lineage.api.answers import Answer
from assay.lineage.api.catalogue import Catalogue, DatasetEntry, Entity, JobEntry
from assay.lineage.api.shapes import decoded
from assay.lineage.store import LineageStore

T = TypeVar("T")
Limit = Annotated[int, Query(ge=1, le=1_000, description="at most so many")]
Offset = Annotated[int, Query(ge=0, le=10**9, description="leave out so many")]
Namespace = Annotated[str, Path(examples=["s3://shop"]), AfterValidator(decoded)]
Name = Annotated[str, Path(examples=["clean/orders"]), AfterValidator(decoded)]
NodeId = Annotated[str, Query(alias="nodeId", examples=["dataset:s3://shop:clean/orders"])]
Depth = Annotated[int, Query(ge=0, le=1_000)]
MISSING: Any = {404: {"model": models.Refused}}
GRAPH_LIMIT = 2_000  # nodes


def create_router(store: LineageStore) -> APIRouter:
    router = APIRouter(prefix="/api/v1", tags=["marquez"])
    catalogue = Catalogue(store)

    @router.get("/namespaces", response_model=models.Namespaces)
    def namespaces(limit: Limit = 100, offset: Offset = 0) -> Answer:
        """All namespaces of datasets and jobs."""
        known = catalogue.current()
        spans: dict[str, tuple[int, int]] = {}
        for entity in [*known.datasets.values(), *known.jobs.values()]:
            first, last = spans.get(entity.key[0], (entity.first, entity.last))
            spans[entity.key[0]] = (min(first, entity.first), max(last, entity.last))
        found = [shapes.namespace(name, *spans[name]) for name in _page(sorted(spans), limit, offset)]
        return Answer({"namespaces": found, "totalCount": len(spans)})

    @router.get("/namespaces/{namespace}/datasets", response_model=models.Datasets)
    def datasets(namespace: Namespace, limit: Limit = 100, offset: Offset = 0) -> Answer:
        """The datasets of a namespace; none where there is no such namespace."""
        found = _of(catalogue.current().datasets.values(), namespace)
        page = [shapes.dataset(entry) for entry in _page(found, limit, offset)]
        return Answer({"datasets": page, "totalCount": len(found)})

    @router.get("/namespaces/{namespace}/datasets/{name}", response_model=models.Dataset, responses=MISSING)
    def dataset(namespace: Namespace, name: Name) -> Answer:
        """A dataset with all facets known of it. Assay's tables are also found as namespace `assay`, name `clean/tickets`."""
        return Answer(shapes.dataset(_dataset(catalogue, namespace, name)))

    @router.get("/namespaces/{namespace}/datasets/{name}/versions", response_model=models.Versions, responses=MISSING)
    def versions(namespace: Namespace, name: Name, limit: Limit = 100, offset: Offset = 0) -> Answer:
        """The versions that events name, newest first, each with the facets that were said of it and the run that wrote it."""
        entry = _dataset(catalogue, namespace, name)
        names = sorted(entry.versions, key=shapes.version_order, reverse=True)
        page = [shapes.version(catalogue, entry, name) for name in _page(names, limit, offset)]
        return Answer({"versions": page, "totalCount": len(names)})

    @router.get("/namespaces/{namespace}/jobs", response_model=models.Jobs)
    def jobs(namespace: Namespace, limit: Limit = 100, offset: Offset = 0) -> Answer:
        """The jobs of a namespace; none where there is no such namespace."""
        found = _of(catalogue.current().jobs.values(), namespace)
        page = [shapes.job(store, entry, 1) for entry in _page(found, limit, offset)]
        return Answer({"jobs": page, "totalCount": len(found)})

    @router.get("/namespaces/{namespace}/jobs/{name}", response_model=models.Job, responses=MISSING)
    def job(namespace: Namespace, name: Name) -> Answer:
        """A job with its facets, inputs, outputs and latest runs."""
        return Answer(shapes.job(store, _job(catalogue, namespace, name), 10))

    @router.get("/namespaces/{namespace}/jobs/{name}/runs", response_model=models.Runs, responses=MISSING)
    def runs(namespace: Namespace, name: Name, limit: Limit = 100, offset: Offset = 0) -> Answer:
        """A job's runs, latest first, with all their facets."""
        entry = _job(catalogue, namespace, name)
        page = [shapes.run(store, run_id) for run_id in _page(shapes.latest_runs(entry), limit, offset)]
        return Answer({"runs": page, "totalCount": len(entry.runs)})

    @router.get("/lineage", response_model=models.Lineage, responses=MISSING)
    def lineage(node_id: NodeId, depth: Depth = 20) -> Answer:
        """Datasets and jobs around a node, in both directions, regardless of versions. For what was really read, see
        /api/v1/graph."""
        known = catalogue.current()
        return Answer(shapes.lineage(known, _node(known, node_id), depth, GRAPH_LIMIT))

    @router.get("/column-lineage", response_model=models.Lineage, responses=MISSING)
    def column_lineage(node_id: NodeId, depth: Depth = 20) -> Answer:
        """Columns behind a dataset's columns, as far as the latest `columnLineage` facets say. nodeId: a dataset, or
        `datasetField:{namespace}:{name}:{column}`."""
        known = catalogue.current()
        found = shapes.columns(known, node_id, depth, GRAPH_LIMIT)
        if found is None:
            raise HTTPException(404, "There is no such dataset or column. Search for it: /api/v1/search?q=…")
        return Answer(found)

    @router.get("/search", response_model=models.Hits)
    def search(
        q: Annotated[str, Query(max_length=1_000, examples=["orders"])],
        filter: Annotated[str | None, Query(pattern="^(DATASET|JOB|dataset|job)$")] = None,
        namespace: Annotated[str | None, Query()] = None,
        limit: Limit = 100,
    ) -> Answer:
        """Datasets and jobs whose name holds a text (or, for Assay's tables, whose logical name does)."""
        hits = [
            hit
            for hit in shapes.hits(catalogue.current(), q.lower())
            if (filter is None or hit["type"] == filter.upper())
            and (namespace is None or hit["namespace"] == namespace)
        ]
        return Answer({"totalCount": len(hits), "results": hits[:limit]})

    @router.get("/events/lineage", response_model=models.Events)
    def events(
        before: Annotated[datetime | None, Query(description="events earlier than this")] = None,
        after: Annotated[datetime | None, Query(description="events at this time or later")] = None,
        direction: Annotated[str, Query(alias="sortDirection", pattern="^(asc|desc)$")] = "desc",
        limit: Limit = 100,
        offset: Offset = 0,
    ) -> Answer:
        """Events by their time, as they came but without credentials."""
        found, total = shapes.events_between(store, after, before, direction == "desc", limit, offset)
        return Answer({"events": found, "totalCount": total})

    return router


def _page(items: Iterable[T], limit: int, offset: int) -> list[T]:
    return list(islice(items, offset, offset + limit))


E = TypeVar("E", bound=Entity)


def _of(entities: Iterable[E], namespace: str) -> list[E]:
    return sorted((entity for entity in entities if entity.key[0] == namespace), key=lambda entity: entity.key)


def _dataset(catalogue: Catalogue, namespace: str, name: str) -> DatasetEntry:
    found = catalogue.current().dataset(namespace, name)
    if found is None:
        raise HTTPException(404, "There is no such dataset. Search for it: /api/v1/search?q=…")
    return found


def _job(catalogue: Catalogue, namespace: str, name: str) -> JobEntry:
    found = catalogue.current().job(namespace, name)
    if found is None:
        raise HTTPException(404, "There is no such job. Search for it: /api/v1/search?q=…")
    return found


def _node(known: Catalogue, node_id: str) -> Entity:
    found = known.node(node_id)
    if found is None:
        raise HTTPException(
            404, "There is no such node. Ids look like dataset:{namespace}:{name} or job:{namespace}:{name}."
        )
    return found
