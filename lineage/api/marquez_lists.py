"""What Marquez's web UI and its Python client read besides datasets and jobs: runs by id, jobs of all namespaces, sources, tags,
statistics, and search in the form of its newer version."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, HTTPException, Path, Query
from pydantic import AfterValidator

from assay.lineage.api import listings
from assay.lineage.api import marquez_json as shapes
from assay.lineage.api import marquez_models as models
from assay.lineage.api.catalogue import Catalogue
from assay.lineage.api.marquez import MISSING, Limit, Offset, States, jobs_answer, opened
from assay.lineage.api.marquez_json import decoded
from assay.lineage.api.records import Json
from assay.lineage.api.safe_json import Answer
from assay.lineage.store.latest_facets import current_facets
from assay.lineage.store.lineage_store import LineageStore

RunId = Annotated[UUID, Path(examples=["0195512a-7a00-7000-8000-000000000001"])]
Part = Annotated[Literal["run", "job"], Query(alias="type", description="the facets of the run, or of its job there")]
Text = Annotated[str, Query(max_length=1_000, examples=["orders"])]
PeriodOf = Annotated[listings.Period, Query(description="24 hours by the hour, or 7 days by the day")]
Zone = Annotated[str, Query(max_length=64, description="the time zone that days are of", examples=["Europe/Berlin"])]
_FOUND = 10


def create_router(store: LineageStore) -> APIRouter:
    router = APIRouter(prefix="/api", tags=["marquez"])

    @router.get("/v1/jobs", response_model=models.Jobs)
    def jobs(states: States = None, limit: Limit = 100, offset: Offset = 0) -> Answer:
        """The jobs of all namespaces, that which ran last first."""
        return jobs_answer(store, None, states, limit, offset)

    @router.get("/v1/jobs/runs/{run_id}", response_model=models.Run, responses=MISSING)
    def run(run_id: RunId) -> Answer:
        """A run with its facets."""
        with opened(store) as (_, catalogue):
            return Answer(shapes.run(_run(catalogue, run_id)))

    @router.get("/v1/jobs/runs/{run_id}/facets", response_model=models.RunFacets, responses=MISSING)
    def run_facets(run_id: RunId, part: Part) -> Answer:
        """The facets of a run, or those that its events have of its job."""
        with opened(store) as (_, catalogue):
            entry = _run(catalogue, run_id)
        facets = entry.facets if part == "run" else current_facets(_latest_first(store, entry.id), part)
        return Answer({"runId": entry.id, "facets": facets})

    @router.get("/v1/sources", response_model=models.Sources)
    def sources(limit: Limit = 100, offset: Offset = 0) -> Answer:
        """What datasets come from, as their `dataSource` facets name it; without one, their namespace."""
        with opened(store) as (connection, _):
            entries, total = listings.sources(connection, limit, offset)
        return Answer({"sources": [shapes.source(entry) for entry in entries], "totalCount": total})

    @router.get("/v1/sources/{source}", response_model=models.Source, responses=MISSING)
    def source(source: Annotated[str, Path(examples=["s3://shop"]), AfterValidator(decoded)]) -> Answer:
        """One source."""
        with opened(store) as (connection, _):
            entries, _total = listings.sources(connection, 1, 0, source)
        if not entries:
            raise HTTPException(404, "There is no such source.")
        return Answer(shapes.source(entries[0]))

    @router.get("/v1/tags", response_model=models.Tags)
    def tags(limit: Limit = 100, offset: Offset = 0) -> Answer:
        """The names of the tags that events gave to datasets and jobs."""
        with opened(store) as (connection, _):
            return Answer(
                {"tags": [{"name": name, "description": None} for name in listings.tags(connection, limit, offset)]}
            )

    @router.get("/v1/stats/lineage-events", response_model=list[models.EventCounts])
    def event_stats(period: PeriodOf, timezone: Zone = "UTC") -> Answer:
        """How many events of each type happened in each hour or day."""
        spans = listings.intervals(period, _zone(timezone), datetime.now(UTC))
        with opened(store) as (connection, _):
            counts = listings.event_counts(connection, spans)
        return Answer([shapes.interval(*span) | count for span, count in zip(spans, counts, strict=True)])

    @router.get("/v1/stats/{asset}", response_model=list[models.AssetCount])
    def asset_stats(asset: listings.Asset, period: PeriodOf, timezone: Zone = "UTC") -> Answer:
        """How many jobs, datasets or sources there were at the end of each hour or day."""
        spans = listings.intervals(period, _zone(timezone), datetime.now(UTC))
        with opened(store) as (connection, _):
            counts = listings.asset_counts(connection, asset, spans)
        return Answer([shapes.interval(*span) | {"count": count} for span, count in zip(spans, counts, strict=True)])

    @router.get("/v2beta/search/{kind}", response_model=models.FullHits)
    def full_search(kind: Literal["jobs", "datasets"], q: Text) -> Answer:
        """The first jobs or datasets that a search finds, with their facets."""
        with opened(store) as (_, catalogue):
            hits, _total = catalogue.search(q, "JOB" if kind == "jobs" else "DATASET", None, _FOUND)
            keys = [hit.key for hit in hits]
            entries = catalogue.jobs(keys) if kind == "jobs" else catalogue.datasets(keys)
            latest = catalogue.latest_runs(keys, 1) if kind == "jobs" else {}
            listed = [shapes.full_hit(entry, next(iter(latest.get(key, ())), None)) for key, entry in entries.items()]
        return Answer({"hits": listed, "highlights": [{} for _ in listed]})

    return router


def events_router(store: LineageStore) -> APIRouter:
    """`/events` and `/events/{namespace}`, which the client calls. Routes before it are matched first."""
    router = APIRouter(prefix="/api/v1", tags=["marquez"])

    @router.get("/events", response_model=models.Events)
    def events(limit: Limit = 100, offset: Offset = 0) -> Answer:
        """Events, the latest first, as they came but without credentials."""
        entries, total = shapes.events_between(store, None, None, True, limit, offset)
        return Answer({"events": entries, "totalCount": total})

    @router.get("/events/{namespace:path}", response_model=models.Events)
    def events_in(
        namespace: Annotated[str, Path(examples=["spark"]), AfterValidator(decoded)],
        limit: Limit = 100,
        offset: Offset = 0,
    ) -> Answer:
        """Events of the runs of a namespace's jobs, the latest first."""
        entries, total = shapes.events_between(store, None, None, True, limit, offset, namespace)
        return Answer({"events": entries, "totalCount": total})

    return router


def _run(catalogue: Catalogue, run_id: UUID) -> Any:
    entry = catalogue.runs([str(run_id)]).get(str(run_id))
    if entry is None:
        raise HTTPException(404, "There is no such run.")
    return entry


def _latest_first(store: LineageStore, run_id: str) -> Iterator[Json]:
    yield from (
        item.data for item in sorted(store.events(run_id), key=lambda item: (item.at, item.sha256), reverse=True)
    )


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        raise HTTPException(400, "There is no such time zone. They are called as in Europe/Berlin.") from None
