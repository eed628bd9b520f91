"""What the catalogue and the store know, in the shapes of Marquez's answers."""

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote

import sqlalchemy as sa

from assay.lineage.api.catalogue import Catalogue
from assay.lineage.api.listings import Source
from assay.lineage.api.records import Dataset, Hit, Job, Json, Key, Run, Version
from assay.lineage.api.safe_json import NodeId
from assay.lineage.store.lineage_store import LineageStore, StoredEvent
from assay.lineage.store.schema import events, jobs, runs

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STATES = {"COMPLETE": "COMPLETED", "FAIL": "FAILED", "ABORT": "ABORTED", "START": "RUNNING", "RUNNING": "RUNNING"}


def states_shown_as(state: str) -> list[str]:
    """The states of events that Marquez calls so."""
    named = [name for name, shown in _STATES.items() if shown == state]
    return named or ["OTHER"]


def decoded(text: str) -> str:
    """A segment of the path as it was meant: slashes in names arrive as %2F."""
    return unquote(text)


def instant(us: int) -> str:
    return (_EPOCH + timedelta(microseconds=us)).isoformat().replace("+00:00", "Z")


def _time(us: int | None) -> str | None:
    return instant(us) if us is not None else None


def _micros(at: datetime) -> int:
    return ((at if at.tzinfo else at.replace(tzinfo=UTC)) - _EPOCH) // timedelta(microseconds=1)


def text_in(facets: Json, name: str, field: str) -> str | None:
    """A text in a facet, wherever the facet has the expected shape."""
    facet = facets.get(name)
    return text_of(facet, field) if isinstance(facet, dict) else None


def list_in(facets: Json, name: str, field: str) -> list[Json]:
    facet = facets.get(name)
    value = facet.get(field) if isinstance(facet, dict) else None
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def text_of(item: Json, name: str) -> str | None:
    value = item.get(name)
    return value if isinstance(value, str) else None


def _tags(facets: Json) -> list[str]:
    return [f"{tag['key']}:{tag.get('value', '')}" for tag in list_in(facets, "tags", "tags") if "key" in tag]


def _name(key: Key) -> Json:
    return {"namespace": key[0], "name": key[1]}


# -- datasets and jobs -------------------------------------------------------------------------------------------------


def namespace(name: str, first: int, last: int) -> Json:
    times = {"createdAt": instant(first), "updatedAt": instant(last)}
    return {"name": name, **times, "ownerName": "", "description": None, "isHidden": False}


def dataset(entry: Dataset) -> Json:
    facets = entry.facets
    fields = [
        {
            "name": str(field.get("name", "")),
            "type": text_of(field, "type"),
            "description": text_of(field, "description"),
            "tags": [],
        }
        for field in list_in(facets, "schema", "fields")
    ]
    change = text_in(facets, "lifecycleStateChange", "lifecycleStateChange")
    return {
        "id": _name(entry.key),
        "type": "MODEL" if text_in(facets, "datasetType", "datasetType") == "MODEL" else "DB_TABLE",
        "name": entry.key[1],
        "physicalName": entry.key[1],
        "namespace": entry.key[0],
        "sourceName": text_in(facets, "dataSource", "name") or entry.key[0],
        "createdAt": instant(entry.first_us),
        "updatedAt": instant(entry.last_us),
        "lastModifiedAt": _time(entry.written_us),
        "lastLifecycleState": change,
        "currentVersion": entry.version,
        "description": text_in(facets, "documentation", "description"),
        "deleted": change == "DROP",
        "fields": fields,
        "tags": _tags(facets),
        "facets": facets,
        "inputFacets": entry.input_facets,
        "outputFacets": entry.output_facets,
    }


def version(entry: Version) -> Json:
    made = dataset(entry.dataset)
    version = entry.dataset.version
    named = {"version": version, "createdByRun": run(entry.run) if entry.run else None}
    return made | named | {"id": made["id"] | {"version": version}, "lifecycleState": made["lastLifecycleState"]}


def job(entry: Job, latest_runs: Iterable[Run]) -> Json:
    facets, latest = entry.facets, [run(item) for item in latest_runs]
    return {
        "id": _name(entry.key),
        "type": "STREAM" if text_in(facets, "jobType", "processingType") == "STREAMING" else "BATCH",
        "name": entry.key[1],
        "simpleName": entry.key[1].rpartition(".")[2],
        "namespace": entry.key[0],
        "parentJobName": None,
        "parentJobUuid": None,
        "createdAt": instant(entry.first_us),
        "updatedAt": instant(entry.last_us),
        "inputs": [_name(key) for key in entry.inputs],
        "outputs": [_name(key) for key in entry.outputs],
        "location": text_in(facets, "sourceCodeLocation", "url"),
        "description": text_in(facets, "documentation", "description"),
        "latestRun": latest[0] if latest else None,
        "latestRuns": latest,
        "tags": _tags(facets),
        "facets": facets,
    }


def run(entry: Run) -> Json:
    facets, began, ended = entry.facets, entry.started_us, entry.ended_us
    arguments = {
        str(item.get("key")): item.get("value") for item in list_in(facets, "executionParameters", "parameters")
    }
    return {
        "id": entry.id,
        "namespace": entry.job[0],
        "job": entry.job[1],
        "state": _STATES.get(entry.state, "NEW"),
        "createdAt": instant(entry.first_us),
        "updatedAt": instant(entry.last_us),
        "nominalStartTime": text_in(facets, "nominalTime", "nominalStartTime"),
        "nominalEndTime": text_in(facets, "nominalTime", "nominalEndTime"),
        "startedAt": _time(began),
        "endedAt": _time(ended),
        "durationMs": (ended - began) // 1_000 if began is not None and ended is not None else None,
        "args": arguments,
        "facets": facets,
    }


def source(entry: Source) -> Json:
    """Marquez's sources are databases; the type is the scheme of the name, where it has one."""
    scheme, mark, _ = entry.name.partition("://")
    times = {"createdAt": instant(entry.first_us), "updatedAt": instant(entry.last_us)}
    address = {"connectionUrl": entry.name, "description": None}
    return {"type": scheme.upper() if mark else "OTHER", "name": entry.name, **times, **address}


def interval(start: datetime, end: datetime) -> Json:
    return {"startInterval": _iso(start), "endInterval": _iso(end)}


def _iso(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


# -- search and events -------------------------------------------------------------------------------------------------


def node_id(kind: str, key: Key) -> NodeId:
    return NodeId(f"{kind}:{key[0]}:{key[1]}")


def hit(entry: Hit) -> Json:
    node = node_id(entry.kind.lower(), entry.key)
    return {"type": entry.kind, **_name(entry.key), "nodeId": node, "updatedAt": instant(entry.last_us)}


def full_hit(entry: Dataset | Job, last: Run | None) -> Json:
    run_facets = {"runFacets": last.facets if last else {}, "type": "BATCH"} if isinstance(entry, Job) else {}
    state = {"run_id": last.id if last else "", "eventType": last.state if last else ""}
    return {**state, **_name(entry.key), "facets": entry.facets, **run_facets}


def events_between(
    store: LineageStore,
    after: datetime | None,
    before: datetime | None,
    newest_first: bool,
    limit: int,
    offset: int,
    namespace: str | None = None,
) -> tuple[list[Json], int]:
    """Events of a time, and how many there are in all. `namespace`: only of the runs of its jobs."""
    of_namespace = sa.exists().where(
        runs.c.run_id == events.c.run_id, jobs.c.id == runs.c.job_id, jobs.c.namespace == namespace
    )
    where = sa.and_(
        sa.true() if namespace is None else of_namespace,
        sa.true() if after is None else events.c.event_us >= _micros(after),
        sa.true() if before is None else events.c.event_us < _micros(before),
    )
    order = (events.c.event_us, events.c.sha256)
    query = sa.select(events).where(where).order_by(*(column.desc() for column in order) if newest_first else order)
    with store.reading() as connection:
        total = connection.scalar(sa.select(sa.func.count()).select_from(events).where(where)) or 0
        rows = connection.execute(query.limit(limit).offset(offset)).all()
    return [
        StoredEvent(row.id, row.sha256, row.run_id, row.event_type, _EPOCH, bytes(row.body)).data for row in rows
    ], total


# -- graphs ------------------------------------------------------------------------------------------------------------


def linked(node: NodeId, kind: str, data: Json, edges: Mapping[str, Collection[tuple[str, str]]]) -> Json:
    """A node of a graph with those of its edges."""

    def listed(place: int) -> list[Json]:
        return [{"origin": a, "destination": b} for a, b in sorted(edges[node]) if (a, b)[place] == node]

    return {"id": node, "type": kind, "data": data, "inEdges": listed(1), "outEdges": listed(0)}


def lineage(catalogue: Catalogue, kind: str, key: Key, depth: int, limit: int) -> Json:
    """Breadth first in both directions. Edges lead only to nodes that are listed."""
    nodes: dict[tuple[str, Key], None] = {(kind, key): None}
    frontier, truncated = [(kind, key)], None
    for _ in range(depth):
        following: list[tuple[str, Key]] = []
        for other in _beside(catalogue, frontier):
            if other in nodes:
                continue
            if len(nodes) >= limit:
                truncated = f"there are more than {limit:,} nodes"
                break
            nodes[other] = None
            following.append(other)
        frontier = following
        if not frontier:
            break
    datasets = catalogue.datasets(item for kind, item in nodes if kind == "dataset")
    jobs = catalogue.jobs(item for kind, item in nodes if kind == "job")
    edges: dict[str, set[tuple[str, str]]] = {node_id(*each): set() for each in nodes}
    for entry in jobs.values():
        node = node_id("job", entry.key)
        pairs = {(node_id("dataset", item), node) for item in entry.inputs if item in datasets}
        pairs |= {(node, node_id("dataset", item)) for item in entry.outputs if item in datasets}
        for a, b in pairs:
            edges[a].add((a, b))
            edges[b].add((a, b))
    graph = [linked(node_id("dataset", item), "DATASET", dataset(entry), edges) for item, entry in datasets.items()]
    graph += [linked(node_id("job", item), "JOB", _job_node(entry), edges) for item, entry in jobs.items()]
    return {"graph": sorted(graph, key=lambda node: node["id"]), "truncated": truncated}


def _beside(catalogue: Catalogue, frontier: Collection[tuple[str, Key]]) -> list[tuple[str, Key]]:
    keys = {side: [key for kind, key in frontier if kind == side] for side in ("dataset", "job")}
    neighbours = {
        ("job", other) for near in catalogue.beside_datasets(keys["dataset"]).values() for other, _ in near if other[1]
    }
    neighbours |= {("dataset", other) for near in catalogue.beside_jobs(keys["job"]).values() for other, _ in near}
    return sorted(neighbours)


def _job_node(entry: Job) -> Json:
    return {**_name(entry.key), "id": _name(entry.key), "type": "BATCH", "facets": entry.facets}
