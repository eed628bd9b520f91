"""What the events say of datasets and jobs as such: their latest facets, versions and runs.

Folded from the store's events in memory, each once: the first answer reads them all, later ones only what is new. The
graph's own queries do not need it. Facets add up over events as OpenLineage says: one sent again replaces the earlier one,
`_deleted` removes it; by the events' times, so that the order of arrival does not matter.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import sqlalchemy as sa

from assay.lineage.index import DatasetUse, EventFacts, read_event
from assay.lineage.naming import LOGICAL
from assay.lineage.redaction import redact_text
from assay.lineage.store import LineageStore
from assay.lineage.tables import events

Key = tuple[str, str]  # namespace and name, without credentials
Moment = tuple[int, str]  # when an event happened; its digest, so that no two are equal

_BATCH = 1_000
_OVERLAP = 1_000  # ids looked at again: writers of a server's database may commit out of order
_READ = ("input", "reference")
_WRITTEN = ("output", "unchanged")


@dataclass
class Facets:
    """Facets by name, each with the moment it is of."""

    known: dict[str, tuple[Moment, Any]] = field(default_factory=dict)

    def add(self, given: Any, moment: Moment) -> None:
        for name, facet in given.items() if isinstance(given, dict) else ():
            if name not in self.known or moment > self.known[name][0]:
                self.known[name] = (moment, facet)

    def current(self) -> dict[str, Any]:
        facets = {name: facet for name, (_, facet) in sorted(self.known.items())}
        return {name: f for name, f in facets.items() if not (isinstance(f, dict) and f.get("_deleted") is True)}


@dataclass
class Entity:
    """A dataset or a job. `first` and `last` are the times of events that name it, µs."""

    key: Key
    first: int
    last: int
    facets: Facets = field(default_factory=Facets)

    def see(self, at_us: int) -> None:
        self.first, self.last = min(self.first, at_us), max(self.last, at_us)


@dataclass
class DatasetEntry(Entity):
    """`versions`: by name, the ids of the events that speak of each. `written` is when it was last written."""

    input_facets: Facets = field(default_factory=Facets)
    output_facets: Facets = field(default_factory=Facets)
    versions: dict[str, list[int]] = field(default_factory=dict)
    latest: tuple[Moment, str] = ((0, ""), "")
    written: int | None = None
    table: str = ""


@dataclass
class JobEntry(Entity):
    """`runs`: the first moment of each; `uses`: datasets by part, over all runs."""

    runs: dict[str, int] = field(default_factory=dict)
    inputs: set[Key] = field(default_factory=set)
    outputs: set[Key] = field(default_factory=set)


@dataclass
class Catalogue:
    """`current()` brings it up to date with its store."""

    store: LineageStore
    datasets: dict[Key, DatasetEntry] = field(default_factory=dict)
    jobs: dict[Key, JobEntry] = field(default_factory=dict)
    tables: dict[str, Key] = field(default_factory=dict)
    _seen: set[int] = field(default_factory=set)
    _last: int = 0
    _lock: Lock = field(default_factory=Lock)

    def current(self) -> "Catalogue":
        with self._lock, self.store.reading() as connection:
            newest = connection.scalar(sa.select(sa.func.max(events.c.id))) or 0
            if newest < self._last:  # another database has taken this one's place
                self._forget()
            ids = sa.select(events.c.id).where(events.c.id > self._last - _OVERLAP).order_by(events.c.id)
            new = [key for key in connection.scalars(ids) if key not in self._seen]
            for start in range(0, len(new), _BATCH):
                batch = new[start : start + _BATCH]
                query = sa.select(events.c.id, events.c.body).where(events.c.id.in_(batch)).order_by(events.c.id)
                for event_id, body in connection.execute(query):
                    self._fold(event_id, bytes(body))
            if new:
                self._last = max(self._last, new[-1])
                self._seen = {key for key in {*self._seen, *new} if key > self._last - _OVERLAP}
        return self

    def _forget(self) -> None:
        self.datasets, self.jobs, self.tables, self._seen, self._last = {}, {}, {}, set(), 0

    # -- folding ---------------------------------------------------------------------------------------------------

    def _fold(self, event_id: int, body: bytes) -> None:
        facts, event = read_event(body), json.loads(body)
        moment = (facts.at_us, facts.sha256)
        job = event.get("job") if isinstance(event.get("job"), dict) else {}
        entry = self._job(facts, job, moment) if job else None
        for use, given in zip(facts.datasets, _described(event), strict=True):
            self._dataset(event_id, use, given, moment)
            if entry is not None and use.role in _READ:
                entry.inputs.add(_key(use.namespace, use.name))
            if entry is not None and use.role in _WRITTEN:
                entry.outputs.add(_key(use.namespace, use.name))

    def _job(self, facts: EventFacts, job: dict[str, Any], moment: Moment) -> JobEntry:
        key = _key(facts.namespace, facts.job)
        entry = self.jobs.setdefault(key, JobEntry(key, facts.at_us, facts.at_us))
        entry.see(facts.at_us)
        entry.facets.add(job.get("facets"), moment)
        if facts.run_id is not None:
            entry.runs[facts.run_id] = min(entry.runs.get(facts.run_id, facts.at_us), facts.at_us)
        return entry

    def _dataset(self, event_id: int, use: DatasetUse, given: dict[str, Any], moment: Moment) -> None:
        key = _key(use.namespace, use.name)
        entry = self.datasets.setdefault(key, DatasetEntry(key, moment[0], moment[0]))
        entry.see(moment[0])
        entry.facets.add(given.get("facets"), moment)
        entry.input_facets.add(given.get("inputFacets"), moment)
        entry.output_facets.add(given.get("outputFacets"), moment)
        if use.table:
            entry.table = use.table
            self.tables[use.table] = key
        if use.version:
            spoken = entry.versions.setdefault(use.version, [])
            if event_id not in spoken:
                spoken.append(event_id)
        if use.role in _WRITTEN:
            entry.written = max(entry.written or 0, moment[0])
        if use.version and use.role not in _READ and (moment, use.version) > entry.latest:
            entry.latest = (moment, use.version)

    # -- asking ----------------------------------------------------------------------------------------------------

    def dataset(self, namespace: str, name: str) -> DatasetEntry | None:
        """Assay's own tables are also found by their logical names."""
        key = self.tables.get(name) if namespace == LOGICAL else None
        return self.datasets.get(key or (namespace, name))

    def job(self, namespace: str, name: str) -> JobEntry | None:
        return self.jobs.get((namespace, name))

    def node(self, node_id: str) -> Entity | None:
        """The dataset or job with a node id. Namespaces and names may hold colons: every reading is tried. A version of a
        dataset leads to the dataset."""
        kind, _, rest = node_id.partition(":")
        find = {"dataset": self.dataset, "job": self.job}.get(kind)
        if find is None:
            return None
        texts = [rest, *(rest.rpartition(mark)[0] for mark in "@#" if kind == "dataset" and mark in rest)]
        found = (find(*pair) for text in texts for pair in splits(text))
        return next((entity for entity in found if entity is not None), None)

    def dataset_events(
        self, entry: DatasetEntry, version: str
    ) -> Iterator[tuple[EventFacts, DatasetUse, dict[str, Any]]]:
        """What events say of a version, earliest first."""
        query = sa.select(events.c.body).where(events.c.id.in_(entry.versions[version][:_BATCH]))
        with self.store.reading() as connection:
            bodies = [bytes(body) for body in connection.scalars(query)]
        for facts in sorted(map(read_event, bodies), key=lambda item: (item.at_us, item.sha256)):
            for use, given in zip(facts.datasets, _described(json.loads(facts.body)), strict=True):
                if _key(use.namespace, use.name) == entry.key and use.version == version:
                    yield facts, use, given


def splits(text: str) -> Iterable[Key]:
    """Every way to read a text as namespace:name."""
    parts = text.split(":")
    return [(":".join(parts[:place]), ":".join(parts[place:])) for place in range(1, len(parts))]


def _key(namespace: str, name: str) -> Key:
    return redact_text(namespace), redact_text(name)


def _described(event: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The datasets of an event as they are written, in the order of its facts."""
    for side in ("inputs", "outputs"):
        listed = event.get(side)
        yield from (item for item in listed if isinstance(item, dict)) if isinstance(listed, list) else ()
    if isinstance(event.get("dataset"), dict) and event["dataset"]:
        yield event["dataset"]
