"""Datasets and jobs as such, regardless of who read which version: their latest facets, versions, runs and neighbours.

Everything is asked of the store's index; of events only those are read whose facets an answer shows.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from assay.lineage.api.records import Dataset, Hit, Job, Key, Run, Version
from assay.lineage.events.naming import LOGICAL
from assay.lineage.queries.search import CANDIDATES, Kind, search_with
from assay.lineage.store import bulk
from assay.lineage.store.facet_index import DATASET, JOB, OTHER_NAMES, READ, RUN, VERSION, WRITTEN
from assay.lineage.store.latest_facets import LatestFacets, Mentions
from assay.lineage.store.parse_event import known_as
from assay.lineage.store.schema import datasets, jobs, mentions, runs, versions

_DIGITS = re.compile(r"(\d+)")


class Catalogue:
    """Reads over one connection, for one answer. Lists come with the number of all there are."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._facets = LatestFacets(connection)
        bulk.by_index(connection)

    # -- lists -----------------------------------------------------------------------------------------------------

    def namespaces(self, limit: int, offset: int) -> tuple[list[tuple[str, int, int]], int]:
        """(name, first and last time that an event mentions something in it)"""
        spans = []
        for kind, table in ((DATASET, datasets), (JOB, jobs)):
            columns = (table.c.namespace, mentions.c.first_us, mentions.c.last_us)
            spans.append(sa.select(*columns).where(mentions.c.kind == kind, mentions.c.entity == table.c.id))
        every = sa.union_all(*spans).subquery()
        query = sa.select(every.c[0], sa.func.min(every.c[1]), sa.func.max(every.c[2])).group_by(every.c[0])
        rows = [(row[0], row[1], row[2]) for row in self._connection.execute(query.order_by(every.c[0]))]
        return rows[offset : offset + limit], len(rows)

    def namespace_span(self, name: str) -> tuple[str, int, int] | None:
        """(name, first and last time that an event mentions something in it)"""
        known = known_as(name, "").namespace
        spans = []
        for kind, table in ((DATASET, datasets), (JOB, jobs)):
            columns = (sa.func.min(mentions.c.first_us), sa.func.max(mentions.c.last_us))
            own = table.c.namespace.in_([name, known])
            query = sa.select(*columns).where(own, mentions.c.kind == kind, mentions.c.entity == table.c.id)
            spans += [tuple(row) for row in self._connection.execute(query) if row[0] is not None]
        return (name, min(span[0] for span in spans), max(span[1] for span in spans)) if spans else None

    def datasets_in(self, namespace: str, limit: int, offset: int) -> tuple[list[Dataset], int]:
        namespace = known_as(namespace, "").namespace
        keys, total = self._page(sa.select(datasets.c.name).where(datasets.c.namespace == namespace), limit, offset)
        return list(self.datasets([(namespace, name) for name in keys]).values()), total

    def jobs_in(self, namespace: str, limit: int, offset: int) -> tuple[list[Job], int]:
        named = sa.select(jobs.c.name).where(jobs.c.namespace == namespace, jobs.c.name != "")
        keys, total = self._page(named, limit, offset)
        return list(self.jobs([(namespace, name) for name in keys]).values()), total

    def _page(self, query: sa.Select[Any], limit: int, offset: int) -> tuple[list[str], int]:
        names = query.distinct()
        total = self._connection.scalar(sa.select(sa.func.count()).select_from(names.subquery())) or 0
        return list(self._connection.scalars(names.order_by("name").limit(limit).offset(offset))), total

    def search(self, text: str, kind: str | None, namespace: str | None, limit: int) -> tuple[list[Hit], int]:
        """Datasets and jobs that a text finds (see `queries/search.py`), the best first."""
        kinds: set[Kind] = {"dataset", "job"} if kind is None else {"dataset"} if kind == "DATASET" else {"job"}
        space = None if namespace is None else known_as(namespace, "").namespace if kind == "DATASET" else namespace
        found = search_with(self._connection, text, kinds=kinds, limit=CANDIDATES, namespace=space).hits
        page = found[:limit]
        last: dict[tuple[str, Key], int] = {}
        for name, asked, find in (("DATASET", DATASET, self._dataset_ids), ("JOB", JOB, self._job_ids)):
            ids = find([(hit.namespace, hit.name) for hit in page if hit.kind == name.lower()])
            last |= {(name, key): mentioned.last_us for key, mentioned in self._facets.mentions(asked, ids).items()}
        hits = [(hit.kind.upper(), (hit.namespace, hit.name)) for hit in page]
        return [Hit(*hit, last[hit]) for hit in hits if hit in last], len(found)

    # -- one by its name -------------------------------------------------------------------------------------------

    def dataset_named(self, namespace: str, name: str) -> Key | None:
        """Assay's own tables are also found by their logical names, others also by their other names."""
        names = known_as(namespace, name)
        key = (names.namespace, names.name)
        if self._dataset_ids([key]):
            return key
        other = OTHER_NAMES
        queries = [sa.select(other.c.dataset_id).where(other.c.namespace == key[0], other.c.name == key[1])]
        if namespace == LOGICAL:
            queries.insert(0, sa.select(datasets.c.id).where(datasets.c.table_name == name))
        for query in queries:
            if ids := list(self._connection.scalars(query)):
                mentions = self._facets.mentions(DATASET, {dataset: [dataset] for dataset in ids})
                last = max(ids, key=lambda dataset: (mentions[dataset].last_us, dataset))
                row = self._connection.execute(sa.select(datasets).where(datasets.c.id == last)).one()
                return row.namespace, row.name
        return None

    def job_named(self, namespace: str, name: str) -> Key | None:
        return (namespace, name) if name and self._job_ids([(namespace, name)]) else None

    def node(self, node_id: str) -> tuple[str, Key] | None:
        """("dataset" or "job", key) of a node's id. Namespaces and names may hold colons: every reading is tried. A version
        of a dataset leads to the dataset."""
        kind, _, rest = node_id.partition(":")
        find = {"dataset": self.dataset_named, "job": self.job_named}.get(kind)
        if find is None:
            return None
        marks = {"dataset": "@#", "job": "#"}.get(kind, "")
        texts = [rest, *(rest.rpartition(mark)[0] for mark in marks if mark in rest)]
        nodes = (find(*pair) for text in texts for pair in splits(text))
        return next(((kind, key) for key in nodes if key is not None), None)

    # -- their facets ----------------------------------------------------------------------------------------------

    def datasets(self, keys: Iterable[Key]) -> dict[Key, Dataset]:
        mentions = self._facets.mentions(DATASET, ids := self._dataset_ids(keys))
        versioned = {key: _last_version(mentioned) for key, mentioned in mentions.items()}
        self._facets.load({event for mentioned in mentions.values() for event in mentioned.events})
        self._facets.load(event for event in versioned.values() if event is not None)
        datasets = {}
        for key in ids:
            event = versioned[key]
            version = max((use.version for use in self._uses(event, key)), default=None) if event is not None else None
            datasets[key] = self._dataset(key, mentions[key], version, None)
        return datasets

    def _uses(self, event: int, key: Key) -> Iterator[Any]:
        uses = (use for use, _ in self._facets.datasets(event) if (use.namespace, use.name) == key)
        return (use for use in uses if use.version and use.role not in READ)

    def _dataset(self, key: Key, mentions: Mentions, version: str | None, only: str | None) -> Dataset:
        """`only`: the facets of this version."""
        mentioned = self._facets.of_dataset(
            mentions, lambda use: (use.namespace, use.name) == key and (only is None or use.version == only)
        )
        written = max((item.moment[0] for item in mentions.mentions if item.role in WRITTEN), default=None)
        return Dataset(key, mentions.first_us, mentions.last_us, written, version, *mentioned.values())

    def version_of(self, key: Key, name: str) -> Version | None:
        return next(iter(self.versions_of(key, 1, 0, name)[0]), None)

    def versions_of(self, key: Key, limit: int, offset: int, only: str | None = None) -> tuple[list[Version], int]:
        """The versions that events name, newest first; or `only` the one of this name."""
        own = [dataset for ids in self._dataset_ids([key]).values() for dataset in ids]
        query = sa.select(versions.c.id, versions.c.version).where(
            versions.c.dataset_id.in_(own),
            versions.c.version != "",
            sa.true() if only is None else versions.c.version == only,
        )
        ids: dict[str, list[int]] = {}
        for row in self._connection.execute(query):
            ids.setdefault(row.version, []).append(row.id)
        page = sorted(ids, key=_version_order, reverse=True)[offset : offset + limit]
        writers = self._writers({version: name for name in page for version in ids[name]})
        made = self.runs(writers.values())
        mentions = self._facets.mentions(VERSION, {name: ids[name] for name in page})
        self._facets.load({event for mentioned in mentions.values() for event in mentioned.events})
        entries = [
            Version(self._dataset(key, mentions[name], name, name), made.get(writers.get(name, ""))) for name in page
        ]
        return entries, len(ids)

    def _writers(self, names: dict[int, str]) -> dict[str, str]:
        """By version: the run that wrote it; the first if there are several."""
        query = "SELECT e.version_id, r.run_id FROM $rows CROSS JOIN edges e JOIN runs r ON r.id = e.run_key"
        query += " WHERE e.version_id = $0i AND e.role = 'output' ORDER BY r.first_us DESC, r.run_id DESC"
        return {
            names[row.version_id]: row.run_id for row in bulk.execute(self._connection, query, [[key] for key in names])
        }

    def jobs(self, keys: Iterable[Key]) -> dict[Key, Job]:
        ids = self._job_ids(keys)
        mentions = self._facets.mentions(JOB, ids)
        self._facets.load({event for mentioned in mentions.values() for event in mentioned.events})
        linked = self.beside_jobs(ids)
        jobs = {}
        for key, mentioned in mentions.items():
            sides = [
                tuple(sorted(other for other, written in linked[key] if written is side)) for side in (False, True)
            ]
            jobs[key] = Job(key, mentioned.first_us, mentioned.last_us, self._facets.of_part("job", mentioned), *sides)
        return {key: jobs[key] for key in ids if key in jobs}

    def latest_runs(self, keys: Iterable[Key], each: int, offset: int = 0) -> dict[Key, list[Run]]:
        """By job, its latest runs first."""
        latest = (
            sa.select(runs.c.run_id).order_by(runs.c.first_us.desc(), runs.c.run_id.desc()).limit(each).offset(offset)
        )
        listed = {
            key: list(self._connection.scalars(latest.where(runs.c.job_id == job)))
            for key, (job,) in self._job_ids(keys).items()
        }
        by_id = self.runs(run for ids in listed.values() for run in ids)
        return {key: [by_id[run] for run in ids] for key, ids in listed.items()}

    def count_runs(self, key: Key) -> int:
        of = sa.select(sa.func.count()).select_from(runs).join(jobs, jobs.c.id == runs.c.job_id)
        return self._connection.scalar(of.where(jobs.c.namespace == key[0], jobs.c.name == key[1])) or 0

    def runs(self, ids: Iterable[str]) -> dict[str, Run]:
        query = "SELECT r.id, r.run_id, r.state, r.started_us, r.ended_us, j.namespace, j.name FROM $rows"
        query += " CROSS JOIN runs r JOIN jobs j ON j.id = r.job_id WHERE r.run_id = $0"
        rows = bulk.execute(self._connection, query, [[run] for run in sorted(set(ids))]).all()
        mentions = self._facets.mentions(RUN, {row.run_id: [row.id] for row in rows})
        self._facets.load({event for mentioned in mentions.values() for event in mentioned.events})
        runs = {}
        for row in rows:
            mentioned, job = mentions[row.run_id], (row.namespace, row.name)
            times = (row.started_us, row.ended_us, mentioned.first_us, mentioned.last_us)
            runs[row.run_id] = Run(row.run_id, job, row.state, *times, self._facets.of_part("run", mentioned))
        return runs

    # -- neighbours ------------------------------------------------------------------------------------------------

    def beside_jobs(self, keys: Collection[Key]) -> dict[Key, list[tuple[Key, bool]]]:
        """By job: (dataset, whether it is written) over all its runs and declarations."""
        query = """SELECT DISTINCT j.namespace, j.name, d.namespace, d.name, l.written
FROM $rows CROSS JOIN jobs j JOIN job_datasets l ON l.job_id = j.id JOIN datasets d ON d.id = l.dataset_id
WHERE j.namespace = $0 AND j.name = $1"""
        return self._beside(query, keys)

    def beside_datasets(self, keys: Collection[Key]) -> dict[Key, list[tuple[Key, bool]]]:
        """By dataset: (job, whether the job writes it)."""
        query = """SELECT DISTINCT d.namespace, d.name, j.namespace, j.name, l.written
FROM $rows CROSS JOIN datasets d JOIN job_datasets l ON l.dataset_id = d.id JOIN jobs j ON j.id = l.job_id
WHERE d.namespace = $0 AND d.name = $1"""
        return self._beside(query, keys)

    def _beside(self, query: str, keys: Collection[Key]) -> dict[Key, list[tuple[Key, bool]]]:
        neighbours: dict[Key, list[tuple[Key, bool]]] = {key: [] for key in keys}
        for row in bulk.execute(self._connection, query, list(keys)):
            neighbours[row[0], row[1]].append(((row[2], row[3]), bool(row[4])))
        return {key: sorted(neighbours[key]) for key in neighbours}

    def derived_from(self, keys: Collection[Key]) -> dict[Key, list[Key]]:
        """By dataset: those with columns that come from its columns, according to any event."""
        query = "SELECT DISTINCT c.namespace, c.name, d.namespace, d.name FROM $rows CROSS JOIN column_sources c"
        query += " JOIN datasets d ON d.id = c.dataset_id WHERE c.namespace = $0 AND c.name = $1"
        sources: dict[Key, list[Key]] = {key: [] for key in keys}
        for row in bulk.execute(self._connection, query, list(keys)):
            sources[row[0], row[1]].append((row[2], row[3]))
        return sources

    # -- their numbers ---------------------------------------------------------------------------------------------

    def _dataset_ids(self, keys: Iterable[Key]) -> dict[Key, list[int]]:
        return self._ids("datasets", keys)

    def _job_ids(self, keys: Iterable[Key]) -> dict[Key, list[int]]:
        return self._ids("jobs", keys)

    def _ids(self, table: str, keys: Iterable[Key]) -> dict[Key, list[int]]:
        query = (
            f"SELECT t.namespace, t.name, t.id FROM $rows CROSS JOIN {table} t WHERE t.namespace = $0 AND t.name = $1"
        )
        ids: dict[Key, list[int]] = {}
        for row in bulk.execute(self._connection, query, asked := list(keys)):
            ids.setdefault((row.namespace, row.name), []).append(row.id)
        return {key: ids[key] for key in asked if key in ids}


def splits(text: str) -> Sequence[Key]:
    """Every way to read a text as namespace:name."""
    parts = text.split(":")
    return [(":".join(parts[:place]), ":".join(parts[place:])) for place in range(1, len(parts))]


def _last_version(mentions: Mentions) -> int | None:
    """The last event that named a version that was not only read."""
    return next((item.event_id for item in mentions.mentions if item.versioned and item.role not in READ), None)


def _version_order(name: str) -> list[tuple[bool, int, str]]:
    """Versions as people count: 9 before 10."""
    return [(part.isdecimal(), int(part[:18]) if part.isdecimal() else 0, part) for part in _DIGITS.split(name)]
