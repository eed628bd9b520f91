"""Nodes of the graph: their ids, their facts, and how they are found."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from typing import Any, Literal, NamedTuple

import sqlalchemy as sa

from assay.features.storage.verdict import CheckState, named, worst
from assay.lineage.events.naming import LOGICAL, NOT_JUDGED
from assay.lineage.queries.walk_queries import Point
from assay.lineage.store import bulk
from assay.lineage.store.facet_index import OTHER_NAMES
from assay.lineage.store.lineage_store import LineageStore
from assay.lineage.store.parse_event import known_as, recorded_state
from assay.lineage.store.schema import ADDS, REPLACES, datasets, jobs, runs, versions

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LONGEST = 1_000  # characters of a text that is searched for

Kind = Literal["dataset", "job", "run"]
Key = Point | int | str  # inside the store: a dataset version, a run, or the id of a job


@dataclass(frozen=True, slots=True)
class GraphNode:
    """`id` is unique. Facts of a dataset: table, table_id, commit_sha256, run, written_at, checks; of a run: job,
    job_namespace, state, started_at, ended_at, parent_id, checks; of a job: runs, state, run (the last one's, if it ran).
    `checks` is {"state": the worst, "passed": count, "set_aside": [names], "warned": [names], "failed": [names], "not_judged":
    [names]}, by `CheckState`. A run's name is its id."""

    id: str
    kind: Kind
    namespace: str
    name: str
    version: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)


def find(store: LineageStore, node_id: str) -> GraphNode | None:
    """The node with this id, or None. `dataset:{namespace}:{name}@{version}` (without @version: the latest),
    `job:{namespace}:{name}`, `run:{id}`; Assay's own tables also by `dataset:assay:{table}`."""
    with store.reading() as connection:
        return NodeReader(connection).find(node_id)


def micros(instant: datetime) -> int:
    aware = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(microseconds=1)


def present(as_of: datetime | None) -> sa.ColumnElement[bool]:
    """Whether a run counts at a time. An ended run counts from its end: what it wrote was not known before."""
    return sa.true() if as_of is None else micros(as_of) >= _WHEN


_WHEN = sa.func.coalesce(runs.c.ended_us, runs.c.started_us, 0)


@lru_cache(8192)  # a run ends when its versions are written
def _iso(us: int | None) -> str | None:
    return (_EPOCH + timedelta(microseconds=us)).isoformat() if us is not None else None


class _Version(NamedTuple):
    id: int
    timeline: int
    position: int
    version: str
    commit_sha256: str
    dataset_id: int
    namespace: str
    name: str
    table_id: str
    table_name: str


_version = partial(tuple.__new__, _Version)  # as `_Version._make`, without a Python call for each
_VERSIONS = """SELECT v.id, v.line, v.number, v.version, v.commit_sha256, v.dataset_id, d.namespace, d.name, d.table_id,
 d.table_name FROM $rows CROSS JOIN dataset_versions v JOIN datasets d ON d.id = v.dataset_id
 WHERE v.line = $0i AND v.number = $1i"""


class NodeReader:
    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        bulk.by_index(connection)

    # -- finding ---------------------------------------------------------------------------------------------------

    def find(self, node_id: str) -> GraphNode | None:
        key = self.key(node_id)
        return self.nodes([key])[key] if key is not None else None

    def key(self, node_id: str) -> Key | None:
        kind, _, rest = node_id.partition(":")
        if kind == "run":
            return self._connection.scalar(sa.select(runs.c.id).where(runs.c.run_id == rest.lower()))
        if kind == "job":
            row = self._connection.execute(sa.select(jobs).where(_is_job(node_id)).limit(1)).first()
            return f"job:{row.namespace}:{row.name}" if row else None
        return self._dataset(rest) if kind == "dataset" else None

    def _dataset(self, rest: str) -> Point | None:
        """Namespaces, names and versions may all hold colons and @: the store knows which reading is meant."""
        name, _, table_id = rest.rpartition("#")
        for find in (self._named, self._also_called):
            for text, incarnation in ((rest, None), *([(name, table_id)] if name else ())):
                for at in [*reversed([match.start() for match in re.finditer("@", text)]), len(text)]:
                    rows = [row for row in find(text[:at]) if incarnation is None or row.table_id == incarnation]
                    point = self._point(rows, text[at + 1 :] if at < len(text) else None)
                    if point is not None:
                        return point
        return None

    def _named(self, text: str) -> Sequence[Any]:
        """The datasets with this name; of Assay's tables, also by their logical names."""
        keys = [known_as(*pair) for pair in _splits(text)]
        named = [sa.and_(datasets.c.namespace == key.namespace, datasets.c.name == key.name) for key in keys]
        named += [datasets.c.table_name == right for left, right in _splits(text) if left == LOGICAL and right]
        return self._connection.execute(sa.select(datasets).where(sa.or_(*named))).all()

    def _also_called(self, text: str) -> Sequence[Any]:
        """The datasets that have this name besides their own (`symlinks`)."""
        keys = [known_as(*pair) for pair in _splits(text)]
        other = OTHER_NAMES.c
        called = sa.or_(*(sa.and_(other.namespace == key.namespace, other.name == key.name) for key in keys))
        query = sa.select(datasets).join(OTHER_NAMES, other.dataset_id == datasets.c.id).where(called)
        return self._connection.execute(query).all()

    def _point(self, rows: Sequence[Any], version: str | None) -> Point | None:
        """A version of what is one dataset by its name; without a version: its latest."""
        if not rows:
            return None
        timelines = {row.incarnation for row in rows if row.incarnation is not None}
        if version is None and len(timelines) == 1:  # one Delta table: the highest number
            timeline = timelines.pop()
            top = sa.select(sa.func.max(versions.c.position)).where(versions.c.timeline == timeline)
            position = self._connection.scalar(top)
            if position is not None:
                return timeline, position
        query = sa.select(versions.c.timeline, versions.c.position, versions.c.version, versions.c.id)
        query = query.where(versions.c.dataset_id.in_([row.id for row in rows]))
        if version is not None:
            query = query.where(versions.c.version == version)
        candidates = self._connection.execute(query).all()
        if not candidates:
            return None
        # Of several tables, the one that was used last; of it the highest version. Where versions are no numbers: the one
        # used last.
        last = self._last_used([row.id for row in candidates])
        incarnations: dict[int, int] = defaultdict(int)
        for row in candidates:
            incarnations[max(row.timeline, 0)] = max(incarnations[max(row.timeline, 0)], last.get(row.id, 0))
        newest = max(incarnations, key=lambda timeline: (bool(timeline), incarnations[timeline], timeline))
        ours = [row for row in candidates if max(row.timeline, 0) == newest]
        best = max(ours, key=lambda row: (row.position, last.get(row.id, 0), row.version))
        return best.timeline, best.position

    def _last_used(self, ids: list[int]) -> dict[int, int]:
        query = f"SELECT e.version_id, max({_WHEN_SQL}) FROM $rows CROSS JOIN edges e JOIN runs r ON r.id = e.run_key"
        rows = bulk.execute(self._connection, f"{query} WHERE e.version_id = $0i GROUP BY 1", [[key] for key in ids])
        return {row[0]: row[1] for row in rows}

    def runs_of(self, key: Key, where: sa.ColumnElement[bool], limit: int) -> list[int]:
        """The runs of a job, latest first; one more than the limit where there are more. A run is its own."""
        query = sa.select(runs.c.id).where(where).order_by(runs.c.first_us.desc(), runs.c.run_id).limit(limit + 1)
        if isinstance(key, int):
            return list(self._connection.scalars(query.where(runs.c.id == key)))
        return list(self._connection.scalars(query.join(jobs, jobs.c.id == runs.c.job_id).where(_is_job(str(key)))))

    # -- describing ------------------------------------------------------------------------------------------------

    def nodes(self, keys: Iterable[Key]) -> dict[Key, GraphNode]:
        listed = list(keys)
        found: dict[Key, GraphNode] = {}
        found |= self._datasets([key for key in listed if isinstance(key, tuple)])
        found |= self._runs([key for key in listed if isinstance(key, int)])
        found |= {key: self._job(key) for key in listed if isinstance(key, str)}
        return found

    def _datasets(self, points: list[Point]) -> dict[Key, GraphNode]:
        if not points:
            return {}
        rows = list(map(_version, bulk.fetch(self._connection, _VERSIONS, points)))
        doubled = self._doubled({(row.dataset_id, row.version): row for row in rows})
        ids = [row.id for row in rows]
        writers, results = self._writers(ids), self._checks_of_versions(ids)
        nodes: dict[Key, GraphNode] = {}
        # Who names the table knows most of it; its name in the lake goes before former addresses.
        for row in sorted(rows, key=lambda row: (row.table_id != "", row.namespace == LOGICAL, -row.id)):
            node_id = f"dataset:{row.namespace}:{row.name}" + (f"@{row.version}" if row.version else "")
            if row.table_id and (row.dataset_id, row.version) in doubled:
                node_id += f"#{row.table_id}"  # a table deleted and made anew counts its versions from 0 again
            identity = (("table", row.table_name), ("table_id", row.table_id), ("commit_sha256", row.commit_sha256))
            facts: dict[str, Any] = {name: value for name, value in identity if value}
            if row.id in writers:
                facts["run"], facts["written_at"] = writers[row.id][0], _iso(writers[row.id][1])
            if row.id in results:
                facts["checks"] = results[row.id]
            if before := nodes.get((row.timeline, row.position)):
                facts = {**before.facts, **facts}
            node = GraphNode(node_id, "dataset", row.namespace, row.name, row.version or None, facts)
            nodes[row.timeline, row.position] = node
        return nodes

    def _doubled(self, asked: dict[tuple[int, str], Any]) -> set[tuple[int, str]]:
        """Of these (dataset, version), those whose name and version mean another point as well."""
        twins = "SELECT DISTINCT d.id, o.id AS other FROM $rows CROSS JOIN datasets d JOIN datasets o"
        twins += " ON o.namespace = d.namespace AND o.name = d.name AND o.id <> d.id WHERE d.id = $0i"
        others = defaultdict(list)
        for dataset, other in bulk.fetch(self._connection, twins, [[key] for key in {dataset for dataset, _ in asked}]):
            others[dataset].append(other)
        if not others:
            return set()
        pairs = [
            [dataset, version, other, row.timeline, row.position]
            for (dataset, version), row in asked.items()
            for other in others[dataset]
        ]
        query = "SELECT $0i AS dataset, $1 AS version FROM $rows CROSS JOIN dataset_versions v"
        query += " WHERE v.dataset_id = $2i AND v.version = $1 AND (v.line <> $3i OR v.number <> $4i)"
        return {(dataset, version) for dataset, version in bulk.fetch(self._connection, query, pairs)}

    def _writers(self, ids: list[int]) -> dict[int, tuple[str, int]]:
        query = (
            "SELECT e.version_id, r.run_id, r.ended_us FROM $rows CROSS JOIN edges e JOIN runs r ON r.id = e.run_key"
        )
        query += f" WHERE e.version_id = $0i AND e.flow IN ({ADDS}, {REPLACES}) AND e.role = 'output'"
        rows = bulk.fetch(self._connection, f"{query} ORDER BY r.ended_us, r.run_id", [[key] for key in ids])
        return {version: (run, ended) for version, run, ended in rows}

    def _checks_of_versions(self, ids: list[int]) -> dict[int, dict[str, Any]]:
        """What the runs that wrote a version found out about it."""
        query = f"SELECT e.version_id, {_CHECK}, count(*) AS times"
        query += " FROM $rows CROSS JOIN edges e JOIN checks c ON c.run_key = e.run_key"
        query += " JOIN dataset_versions v ON v.id = e.version_id JOIN datasets d ON d.id = v.dataset_id"
        query += f" WHERE e.version_id = $0i AND e.flow IN ({ADDS}, {REPLACES}) AND e.role = 'output'"
        query += " AND c.dataset IN (d.name, d.table_name) GROUP BY 1, 2, 3, 4, 5"
        return _summed(bulk.fetch(self._connection, query, [[key] for key in ids]))

    def _runs(self, keys: list[int]) -> dict[Key, GraphNode]:
        if not keys:
            return {}
        asked = [[key] for key in keys]
        query = f"SELECT c.run_key, {_CHECK}, count(*) AS times"
        query += " FROM $rows CROSS JOIN checks c WHERE c.run_key = $0i GROUP BY 1, 2, 3, 4, 5"
        results = _summed(bulk.fetch(self._connection, query, asked))
        query = "SELECT r.id, r.run_id, r.state, r.started_us, r.ended_us, r.parent_id, j.namespace, j.name"
        query += " FROM $rows CROSS JOIN runs r JOIN jobs j ON j.id = r.job_id WHERE r.id = $0i"
        nodes: dict[Key, GraphNode] = {}
        for key, run_id, state, started, ended, parent, namespace, job in bulk.fetch(self._connection, query, asked):
            facts = {
                "job": job,
                "job_namespace": namespace,
                "state": state,
                "started_at": _iso(started),
                "ended_at": _iso(ended),
                "parent_id": parent,
            }
            if key in results:
                facts["checks"] = results[key]
            nodes[key] = GraphNode(f"run:{run_id}", "run", namespace, run_id, None, facts)
        return nodes

    def _job(self, job_id: str) -> GraphNode:
        job = self._connection.execute(sa.select(jobs).where(_is_job(job_id)).limit(1)).one()
        mine = sa.select(runs.c.state, runs.c.run_id).where(runs.c.job_id == job.id)
        last = self._connection.execute(mine.order_by(runs.c.first_us.desc(), runs.c.run_id).limit(1)).one_or_none()
        count = self._connection.scalar(sa.select(sa.func.count()).select_from(mine.subquery()))
        facts = {"runs": count} | ({"state": last.state, "run": last.run_id} if last else {})
        return GraphNode(job_id, "job", job.namespace, job.name, None, facts)


# A check as it was recorded; of those that held, which are most, only the number is asked.
_HELD = f"(c.passed AND coalesce(c.actual, '') <> '{NOT_JUDGED}') OR (NOT c.passed AND c.severity = 'info')"
_CHECK = ", ".join(
    f"CASE WHEN {_HELD} THEN {other} ELSE {column} END AS {name}"
    for name, column, other in (
        ("name", "c.name", "''"),
        ("passed", "c.passed", "true"),
        ("severity", "c.severity", "''"),
        ("actual", "coalesce(c.actual, '')", "''"),
    )
)
_WHEN_SQL = "coalesce(r.ended_us, r.started_us, 0)"


def _is_job(job_id: str) -> sa.ColumnElement[bool]:
    rest = job_id.removeprefix("job:")
    return sa.or_(*(sa.and_(jobs.c.namespace == left, jobs.c.name == right) for left, right in _splits(rest)))


def _splits(text: str) -> list[tuple[str, str]]:
    """Every way to read text as namespace:name."""
    return [(text[: match.start()], text[match.end() :]) for match in re.finditer(":", text)] or [("", text)]


def _summed(rows: Iterable[Any]) -> dict[Any, dict[str, Any]]:
    """By key: how many checks passed, and the names of the others by what became of them."""
    passed: dict[Any, int] = defaultdict(int)
    others: dict[Any, dict[str, set[CheckState]]] = defaultdict(lambda: defaultdict(set))
    for key, name, held, severity, actual, times in rows:
        passed[key] += 0 if name else times
        if name:
            others[key][name].add(recorded_state(bool(held), severity, actual))
    return {key: _checks(count, others[key]) for key, count in passed.items()}


def _checks(passed: int, others: Mapping[str, Collection[CheckState]]) -> dict[str, Any]:
    names = named(others)
    lists = {state.value.replace(" ", "_"): names.get(state, []) for state in CheckState if state != CheckState.HELD}
    return {"state": worst([*names, *([CheckState.HELD] if passed else [])]), "passed": passed, **lists}
