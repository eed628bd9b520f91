"""What the catalogue and the store know, in the shapes of Marquez's answers."""

import re
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

import sqlalchemy as sa

from assay.lineage.api.answers import NodeId
from assay.lineage.api.catalogue import Catalogue, DatasetEntry, Entity, Facets, JobEntry, Key, splits
from assay.lineage.redaction import redact_text
from assay.lineage.store import LineageStore, StoredEvent
from assay.lineage.tables import events

Json = dict[str, Any]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STATES = {"COMPLETE": "COMPLETED", "FAIL": "FAILED", "ABORT": "ABORTED", "START": "RUNNING", "RUNNING": "RUNNING"}
_DIGITS = re.compile(r"(\d+)")


def decoded(text: str) -> str:
    """A segment of the path as it was meant: slashes in names arrive as %2F."""
    return unquote(text)


def instant(us: int) -> str:
    return (_EPOCH + timedelta(microseconds=us)).isoformat().replace("+00:00", "Z")


def _time(at: datetime | None) -> str | None:
    return at.isoformat().replace("+00:00", "Z") if at else None


def _micros(at: datetime) -> int:
    return ((at if at.tzinfo else at.replace(tzinfo=UTC)) - _EPOCH) // timedelta(microseconds=1)


def _text(facets: Json, name: str, field: str) -> str | None:
    """A text in a facet, wherever the facet has the expected shape."""
    facet = facets.get(name)
    value = facet.get(field) if isinstance(facet, dict) else None
    return value if isinstance(value, str) else None


def _list(facets: Json, name: str, field: str) -> list[Json]:
    facet = facets.get(name)
    value = facet.get(field) if isinstance(facet, dict) else None
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _tags(facets: Json) -> list[str]:
    return [f"{tag['key']}:{tag.get('value', '')}" for tag in _list(facets, "tags", "tags") if "key" in tag]


def _name(key: Key) -> Json:
    return {"namespace": key[0], "name": key[1]}


# -- datasets and jobs -------------------------------------------------------------------------------------------------


def namespace(name: str, first: int, last: int) -> Json:
    times = {"createdAt": instant(first), "updatedAt": instant(last)}
    return {"name": name, **times, "ownerName": "", "description": None, "isHidden": False}


def dataset(entry: DatasetEntry) -> Json:
    said = (entry.input_facets.current(), entry.output_facets.current())
    return _dataset(entry, entry.facets.current(), *said, entry.latest[1] or None)


def _dataset(entry: DatasetEntry, facets: Json, input_facets: Json, output_facets: Json, version: str | None) -> Json:
    fields = [
        {
            "name": str(field.get("name", "")),
            "type": _said(field, "type"),
            "description": _said(field, "description"),
            "tags": [],
        }
        for field in _list(facets, "schema", "fields")
    ]
    change = _text(facets, "lifecycleStateChange", "lifecycleStateChange")
    return {
        "id": _name(entry.key),
        "type": "MODEL" if _text(facets, "datasetType", "datasetType") == "MODEL" else "DB_TABLE",
        "name": entry.key[1],
        "physicalName": entry.key[1],
        "namespace": entry.key[0],
        "sourceName": _text(facets, "dataSource", "name") or entry.key[0],
        "createdAt": instant(entry.first),
        "updatedAt": instant(entry.last),
        "lastModifiedAt": instant(entry.written) if entry.written is not None else None,
        "lastLifecycleState": change,
        "currentVersion": version,
        "description": _text(facets, "documentation", "description"),
        "deleted": change == "DROP",
        "fields": fields,
        "tags": _tags(facets),
        "facets": facets,
        "inputFacets": input_facets,
        "outputFacets": output_facets,
    }


def _said(item: Json, name: str) -> str | None:
    value = item.get(name)
    return value if isinstance(value, str) else None


def version_order(name: str) -> list[tuple[bool, int, str]]:
    """Versions as people count: 9 before 10."""
    return [(part.isdecimal(), int(part[:18]) if part.isdecimal() else 0, part) for part in _DIGITS.split(name)]


def version(catalogue: Catalogue, entry: DatasetEntry, name: str) -> Json:
    facets, input_facets, output_facets, writer = Facets(), Facets(), Facets(), None
    first = last = None
    for facts, use, given in catalogue.dataset_events(entry, name):
        moment = (facts.at_us, facts.sha256)
        facets.add(given.get("facets"), moment)
        input_facets.add(given.get("inputFacets"), moment)
        output_facets.add(given.get("outputFacets"), moment)
        first, last = first if first is not None else facts.at_us, facts.at_us
        if use.role == "output" and writer is None:
            writer = facts.run_id
    found = _dataset(entry, facets.current(), input_facets.current(), output_facets.current(), name)
    if first is not None and last is not None:
        found |= {"createdAt": instant(first), "updatedAt": instant(last)}
    return found | {"version": name, "createdByRun": run(catalogue.store, writer) if writer else None}


def job(store: LineageStore, entry: JobEntry, runs: int) -> Json:
    facets = entry.facets.current()
    latest = [run(store, run_id) for run_id in latest_runs(entry)[:runs]]
    return {
        "id": _name(entry.key),
        "type": "STREAM" if _text(facets, "jobType", "processingType") == "STREAMING" else "BATCH",
        "name": entry.key[1],
        "simpleName": entry.key[1].rpartition(".")[2],
        "namespace": entry.key[0],
        "parentJobName": None,
        "createdAt": instant(entry.first),
        "updatedAt": instant(entry.last),
        "inputs": [_name(key) for key in sorted(entry.inputs)],
        "outputs": [_name(key) for key in sorted(entry.outputs)],
        "location": _text(facets, "sourceCodeLocation", "url"),
        "description": _text(facets, "documentation", "description"),
        "latestRun": latest[0] if latest else None,
        "latestRuns": latest,
        "tags": _tags(facets),
        "facets": facets,
    }


def latest_runs(entry: JobEntry) -> list[str]:
    return sorted(entry.runs, key=lambda run_id: (entry.runs[run_id], run_id), reverse=True)


def run(store: LineageStore, run_id: str) -> Json | None:
    info = store.run(run_id)
    if info is None:
        return None
    facets, spoken = Facets(), store.events(run_id)
    for event in spoken:
        facets.add(_run_facets(event), (_micros(event.at), event.sha256))
    known, times = facets.current(), [event.at for event in spoken]
    began, ended = info.started_at, info.ended_at
    arguments = {str(item.get("key")): item.get("value") for item in _list(known, "executionParameters", "parameters")}
    return {
        "id": info.id,
        "namespace": info.namespace,
        "job": info.job,
        "state": _STATES.get(info.state, "NEW"),
        "createdAt": _time(min(times, default=None)),
        "updatedAt": _time(max(times, default=None)),
        "nominalStartTime": _text(known, "nominalTime", "nominalStartTime"),
        "nominalEndTime": _text(known, "nominalTime", "nominalEndTime"),
        "startedAt": _time(began),
        "endedAt": _time(ended),
        "durationMs": (ended - began) // timedelta(milliseconds=1) if began and ended else None,
        "args": arguments,
        "facets": known,
    }


def _run_facets(event: StoredEvent) -> Any:
    described = event.data.get("run")
    return described.get("facets") if isinstance(described, dict) else None


# -- search and events -------------------------------------------------------------------------------------------------


def node_id(entity: Entity) -> NodeId:
    kind = "job" if isinstance(entity, JobEntry) else "dataset"
    return NodeId(f"{kind}:{entity.key[0]}:{entity.key[1]}")


def _dataset_id(key: Key) -> NodeId:
    return NodeId(f"dataset:{key[0]}:{key[1]}")


def hits(known: Catalogue, text: str) -> list[Json]:
    found: list[Entity] = [
        entry for entry in known.datasets.values() if text in entry.key[1].lower() or text in entry.table.lower()
    ]
    found += [entry for entry in known.jobs.values() if text in entry.key[1].lower()]
    return [
        {
            "type": "JOB" if isinstance(entity, JobEntry) else "DATASET",
            **_name(entity.key),
            "nodeId": node_id(entity),
            "updatedAt": instant(entity.last),
        }
        for entity in sorted(found, key=lambda entity: (entity.key[1], entity.key[0]))
    ]


def events_between(
    store: LineageStore, after: datetime | None, before: datetime | None, newest_first: bool, limit: int, offset: int
) -> tuple[list[Json], int]:
    """Events of a time, and how many there are in all."""
    where = sa.and_(
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


def _node(node: str, kind: str, data: Json, edges: set[tuple[str, str]]) -> Json:
    def listed(place: int) -> list[Json]:
        return [{"origin": a, "destination": b} for a, b in sorted(edges) if (a, b)[place] == node]

    return {"id": node, "type": kind, "data": data, "inEdges": listed(1), "outEdges": listed(0)}


def lineage(known: Catalogue, focus: Entity, depth: int, limit: int) -> Json:
    """Breadth first in both directions. Edges lead only to nodes that are listed."""
    around: dict[Key, list[JobEntry]] = {}
    for entry in known.jobs.values():
        for key in entry.inputs | entry.outputs:
            around.setdefault(key, []).append(entry)
    found, frontier, truncated = {node_id(focus): focus}, [focus], None
    for _ in range(depth):
        following: list[Entity] = []
        for entity in frontier:
            for other in _beside(known, entity, around):
                if node_id(other) in found:
                    continue
                if len(found) >= limit:
                    truncated = f"there are more than {limit:,} nodes"
                    break
                found[node_id(other)] = other
                following.append(other)
        frontier = following
        if not frontier:
            break
    edges: dict[str, set[tuple[str, str]]] = {node: set() for node in found}
    for node, entry in found.items():
        if isinstance(entry, JobEntry):
            pairs = {(_dataset_id(key), node) for key in entry.inputs}
            pairs |= {(node, _dataset_id(key)) for key in entry.outputs}
            for a, b in pairs:
                if a in found and b in found:
                    edges[a].add((a, b))
                    edges[b].add((a, b))
    graph = [_node(node, *_kind(found[node]), edges[node]) for node in sorted(found)]
    return {"graph": graph, "truncated": truncated}


def _beside(known: Catalogue, entity: Entity, around: dict[Key, list[JobEntry]]) -> Iterator[Entity]:
    if isinstance(entity, JobEntry):
        yield from (known.datasets[key] for key in sorted(entity.inputs | entity.outputs))
    else:
        yield from around.get(entity.key, ())


def _kind(entity: Entity) -> tuple[str, Json]:
    if isinstance(entity, DatasetEntry):
        return "DATASET", dataset(entity)
    return "JOB", {**_name(entity.key), "id": _name(entity.key), "type": "BATCH", "facets": entity.facets.current()}


def columns(known: Catalogue, node: str, depth: int, limit: int) -> Json | None:
    """Columns upstream of a dataset's columns, or of one column; None where there is none of that name."""
    start = _columns_named(known, node)
    if start is None:
        return None
    found: dict[str, Json] = {}
    edges: dict[str, set[tuple[str, str]]] = {}
    queue, truncated = deque((item, 0) for item in start), None
    while queue:
        (key, column), level = queue.popleft()
        this = _field_id(key, column)
        if this in found:
            continue
        if len(found) >= limit:
            truncated = f"there are more than {limit:,} columns"
            break
        found[this] = _column(known, key, column)
        edges.setdefault(this, set())
        for source in found[this]["inputFields"] if level < depth else ():
            origin = ((source["namespace"], source["dataset"]), source["field"])
            pair = (_field_id(*origin), this)
            edges[this].add(pair)
            edges.setdefault(pair[0], set()).add(pair)
            queue.append((origin, level + 1))
    kept = {node: {pair for pair in edges[node] if pair[0] in found and pair[1] in found} for node in found}
    return {
        "graph": [_node(node, "DATASET_FIELD", found[node], kept[node]) for node in sorted(found)],
        "truncated": truncated,
    }


def _columns_named(known: Catalogue, node: str) -> list[tuple[Key, str]] | None:
    kind, _, rest = node.partition(":")
    if kind == "datasetField":
        name, _, column = rest.rpartition(":")
        entry = next((found for pair in splits(name) if (found := known.dataset(*pair)) is not None), None)
        return [(entry.key, column)] if entry is not None and column in _all_columns(entry) else None
    entry = known.node(node)
    return [(entry.key, column) for column in _all_columns(entry)] if isinstance(entry, DatasetEntry) else None


def _all_columns(entry: DatasetEntry) -> list[str]:
    facets = entry.facets.current()
    named = [str(field.get("name", "")) for field in _list(facets, "schema", "fields")]
    return list(dict.fromkeys([*named, *_derived(facets)]))


def _derived(facets: Json) -> Json:
    facet = facets.get("columnLineage")
    fields = facet.get("fields") if isinstance(facet, dict) else None
    return {name: item for name, item in fields.items() if isinstance(item, dict)} if isinstance(fields, dict) else {}


def _field_id(key: Key, column: str) -> NodeId:
    return NodeId(f"datasetField:{redact_text(key[0])}:{redact_text(key[1])}:{redact_text(column)}")


def _column(known: Catalogue, key: Key, column: str) -> Json:
    entry = known.datasets.get(key)
    facets = entry.facets.current() if entry is not None else {}
    derived = _derived(facets).get(column, {})
    types = {str(field.get("name")): _said(field, "type") for field in _list(facets, "schema", "fields")}
    sources = [
        {"namespace": str(item.get("namespace", "")), "dataset": str(item.get("name", "")), "field": str(item["field"])}
        for item in _list({"column": derived}, "column", "inputFields")
        if "field" in item
    ]
    return {
        "namespace": key[0],
        "dataset": key[1],
        "datasetVersion": entry.latest[1] or None if entry is not None else None,
        "field": column,
        "fieldType": types.get(column),
        "transformationDescription": _said(derived, "transformationDescription"),
        "transformationType": _said(derived, "transformationType"),
        "inputFields": sources,
    }
