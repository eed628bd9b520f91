"""Which events mention which dataset, dataset version, job and run, so that their facets can be found without reading all
events.

Facets accumulate over events: the latest of each name is valid. The index does not copy them. For each entity and facet shape
(the role it played and the names of its facets), it keeps the id of the latest event. The latest facet of a name is always in
one of these few events, whatever the order in which events arrive.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import sqlalchemy as sa

from assay.lineage.store import bulk
from assay.lineage.store.facet_shape import Shape
from assay.lineage.store.parse_event import DECLARED, EventFacts
from assay.lineage.store.schema import symlinks as _names

DATASET, VERSION, JOB, RUN = range(4)  # kinds of entities
READ, WRITTEN = ("input", "reference", DECLARED), ("output", "unchanged")  # roles
_LINKED = READ + WRITTEN
ITSELF = ("", "")  # marks the facet itself among the other names of a dataset: only names of its latest event are valid

_facet = _names.alias("facet")
OTHER_NAMES = (  # (dataset_id, namespace, name) as the latest facet of each dataset says
    sa.select(_names.c.dataset_id, _names.c.namespace, _names.c.name)
    .join(_facet, sa.and_(_facet.c.dataset_id == _names.c.dataset_id, _facet.c.event_id == _names.c.event_id))
    .where(_facet.c.namespace == ITSELF[0], _facet.c.name == ITSELF[1], _names.c.name != ITSELF[1])
    .subquery("other_names")
)

_LATER = """(excluded.last_us > {0}.last_us OR excluded.last_us = {0}.last_us
 AND (SELECT e.sha256 FROM events e WHERE e.id = excluded.event_id) >
 (SELECT e.sha256 FROM events e WHERE e.id = {0}.event_id))"""


class Place(Protocol):
    """A dataset version in the index."""

    @property
    def id(self) -> int: ...

    @property
    def dataset(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Places:
    """Keys of a batch in the index: jobs by namespace and name, runs by id; per event the versions that it uses."""

    jobs: Mapping[tuple[str, str], int]
    runs: Mapping[str | None, int]
    uses: Sequence[Sequence[Place]]


_Moment = tuple[int, str, int]  # when an event happened, its digest (so that no two are equal) and its id
_Span = tuple[int, _Moment]  # the time of the first mention, and the latest event with one
_Spans = dict[tuple[Any, ...], _Span]


def put_mentions(connection: sa.Connection, events: Sequence[tuple[int, EventFacts]], places: Places) -> None:
    """Index the mentions of stored events, each with its id. Indexing the same events again changes nothing."""
    shapes: set[Shape] = set()
    spans: _Spans = {}  # by kind, entity, id of the shape
    symlinks: _Spans = {}  # by dataset, namespace, name
    links: set[tuple[int, int, bool]] = set()  # job, dataset, whether it is written
    sources: set[tuple[str, str, int]] = set()
    derivations: set[tuple[int, int, str, str]] = set()  # run, output, source
    for (event_id, facts), uses in zip(events, places.uses, strict=True):
        span = (facts.at_us, (facts.at_us, facts.sha256, event_id))
        job = places.jobs[facts.namespace, facts.job] if facts.job else None
        if job is not None:
            shapes.add(facts.job_shape)
            _see(spans, (JOB, job, facts.job_shape.id), span)
        if facts.run_id is not None:
            shapes.add(facts.run_shape)
            _see(spans, (RUN, places.runs[facts.run_id], facts.run_shape.id), span)
        for use, mentions, place in zip(facts.datasets, facts.mentions, uses, strict=True):
            shapes.add(mentions.shape)
            _see(spans, (DATASET, place.dataset, mentions.shape.id), span)
            if use.version:
                _see(spans, (VERSION, place.id, mentions.shape.id), span)
            if job is not None and use.role in _LINKED:
                links.add((job, place.dataset, use.role in WRITTEN))
            if mentions.sources:
                sources.update((key.namespace, key.name, place.dataset) for key in mentions.sources)
            if mentions.made_from is not None and facts.run_id is not None:
                made_from = [(key.namespace, key.name) for key in mentions.made_from] or [ITSELF]
                derivations.update((places.runs[facts.run_id], place.dataset, *source) for source in made_from)
            if mentions.symlinks is not None:
                for name in (ITSELF, *((key.namespace, key.name) for key in mentions.symlinks)):
                    _see(symlinks, (place.dataset, *name), span)
    _write(connection, _SHAPES, shapes)
    _write(connection, _MENTIONS, _rows(spans))
    _write(connection, _SYMLINKS, _rows(symlinks))
    _write(connection, _LINKS, links)
    _write(connection, _SOURCES, sources)
    _write(connection, _DERIVATIONS, derivations)


def _see(spans: _Spans, key: tuple[Any, ...], new: _Span) -> None:
    known = spans.setdefault(key, new)
    if known is not new:
        spans[key] = (min(known[0], new[0]), max(known[1], new[1]))


def _rows(spans: _Spans) -> Iterable[tuple[Any, ...]]:
    return [(*key, first, last[0], last[2]) for key, (first, last) in spans.items()]


def _latest(table: str) -> str:
    later, earlier = _LATER.format(table), f"excluded.first_us < {table}.first_us"
    return f""" DO UPDATE SET
 first_us = CASE WHEN {earlier} THEN excluded.first_us ELSE {table}.first_us END,
 last_us = greatest(excluded.last_us, {table}.last_us),
 event_id = CASE WHEN {later} THEN excluded.event_id ELSE {table}.event_id END WHERE {earlier} OR {later}"""


_SHAPES = "INSERT INTO shapes (id, role, names) SELECT $0i, $1, $2 FROM $rows WHERE true ON CONFLICT DO NOTHING"
_MENTIONS = f"""INSERT INTO mentions (kind, entity, shape, first_us, last_us, event_id)
 SELECT $0i, $1i, $2i, $3i, $4i, $5i FROM $rows WHERE true
 ON CONFLICT (kind, entity, shape){_latest("mentions")}"""
_SYMLINKS = f"""INSERT INTO symlinks (dataset_id, namespace, name, first_us, last_us, event_id)
 SELECT $0i, $1, $2, $3i, $4i, $5i FROM $rows WHERE true
 ON CONFLICT (dataset_id, namespace, name){_latest("symlinks")}"""
_LINKS = """INSERT INTO job_datasets (job_id, dataset_id, written)
 SELECT $0i, $1i, $2b FROM $rows WHERE true ON CONFLICT DO NOTHING"""
_SOURCES = """INSERT INTO column_sources (namespace, name, dataset_id)
 SELECT $0, $1, $2i FROM $rows WHERE true ON CONFLICT DO NOTHING"""


_DERIVATIONS = """INSERT INTO derivations (run_key, dataset_id, namespace, name)
 SELECT $0i, $1i, $2, $3 FROM $rows WHERE true ON CONFLICT DO NOTHING"""


def _write(connection: sa.Connection, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
    bulk.write(connection, statement, sorted(rows))  # all writers in one order: none waits for another in a circle
