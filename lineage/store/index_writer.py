"""Writes events to the store unchanged, and reads them into the index of runs, dataset versions, edges and checks.

A batch of events is a handful of statements, however many events it holds. Nothing depends on the order in which events
arrive: every value of the index is a maximum, a minimum or a union over the events that mention it.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from assay.lineage.store import bulk
from assay.lineage.store.facet_index import Places, put_mentions
from assay.lineage.store.labels import put_labels
from assay.lineage.store.parse_event import DECLARED, TERMINAL, DatasetUse, EventCheck, EventFacts, VersionKey
from assay.lineage.store.schema import ADDS, ALL, ASIDE, LOOKS_UP, NONE, READS, REPLACES, outbox

_OPEN = ("OTHER", "START", "RUNNING")  # states of a run that has not ended; a later one in this list is valid
_INCARNATIONS_LOCK = 0x4153_5341_5A
_FLOWS = {"input": READS, DECLARED: READS, "reference": LOOKS_UP, "output": ADDS, "unchanged": ADDS}


def put(connection: sa.Connection, batch: Sequence[EventFacts], *, once: bool, forward: bool) -> int:
    """Store the events that are not there yet, in the caller's transaction. Returns how many those were.

    `once`: at most one START and one terminal event per run. `forward`: put them into the outbox as well.
    """
    bulk.by_index(connection)
    new = _put_events(connection, batch, once)
    if forward and new:
        lanes = [{"event_id": key, "lane": facts.run_id or facts.sha256} for key, facts in new]
        connection.execute(sa.insert(outbox), lanes)
    index(connection, new)
    return len(new)


def index(connection: sa.Connection, events: Sequence[tuple[int, EventFacts]]) -> None:
    """Read stored events, each with its id, into the index. Doing it again changes nothing."""
    batch = [facts for _, facts in events]
    points = _put_versions(connection, [use for facts in batch for use in facts.datasets])
    placed = [[points[use.key] for use in facts.datasets] for facts in batch]
    jobs = _put_jobs(connection, {(facts.namespace, facts.job) for facts in batch if facts.job or facts.run_id})
    runs = _put_runs(connection, [facts for facts in batch if facts.run_id is not None], jobs)
    used = [
        (runs[facts.run_id], point, use)
        for facts, found in zip(batch, placed, strict=True)
        if facts.run_id is not None
        for use, point in zip(facts.datasets, found, strict=True)
    ]
    _put_edges(connection, used)
    _put_checks(connection, [(runs[facts.run_id], check) for facts in batch if facts.run_id for check in facts.checks])
    put_mentions(connection, events, Places(jobs, runs, placed))
    _settle_other_names(connection, batch)
    put_labels(connection, [each for facts in batch for each in facts.labels])


# -- events ------------------------------------------------------------------------------------------------------------


def _put_events(connection: sa.Connection, batch: Sequence[EventFacts], once: bool) -> list[tuple[int, EventFacts]]:
    by_digest = {facts.sha256: facts for facts in batch}
    ids = bulk.new_ids(connection, "events", len(by_digest))
    new = dict(zip(ids, by_digest.values(), strict=True))
    rows = [
        (key, facts.sha256, facts.run_id, _slot(facts) if once else None, facts.kind, facts.at_us, facts.body)
        for key, facts in new.items()
    ]
    if connection.dialect.name == "postgresql":  # one array a column: bodies travel as the bytes that they are
        made = connection.exec_driver_sql(_INSERT_ARRAYS, tuple(map(list, zip(*rows, strict=True)))).scalars()
    else:
        made = bulk.insert(connection, "events", _INSERT, rows)
    return [(key, new[key]) for key in sorted(made)]


_INSERT = """INSERT INTO events (id, sha256, run_id, slot, event_type, event_us, body)
 SELECT $0i, $1, $2, $3, $4, $5i, $6 FROM $rows WHERE true ON CONFLICT DO NOTHING"""
_INSERT_ARRAYS = """INSERT INTO events (id, sha256, run_id, slot, event_type, event_us, body)
 SELECT * FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[], %b::bytea[])
 ON CONFLICT DO NOTHING RETURNING id"""


def _slot(facts: EventFacts) -> str | None:
    if facts.run_id is None or not (facts.ends_run or facts.kind == "START"):
        return None
    return f"{facts.run_id}:{'END' if facts.ends_run else 'START'}"


# -- datasets and their versions ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _VersionPoint:
    """The key of a version, the key of its dataset, and its position on a timeline: rows are carried along a timeline."""

    id: int
    dataset: int
    timeline: int
    position: int


def _put_versions(connection: sa.Connection, uses: Iterable[DatasetUse]) -> dict[VersionKey, _VersionPoint]:
    wanted: dict[VersionKey, DatasetUse] = {}
    for use in uses:
        before = wanted.setdefault(use.key, use)
        if before is not use and (before.table, before.commit_sha256) != (use.table, use.commit_sha256):
            greater = max(before.table, use.table), max(before.commit_sha256, use.commit_sha256)
            wanted[use.key] = before._replace(table=greater[0], commit_sha256=greater[1])
    if not wanted:
        return {}
    datasets = _put_datasets(connection, wanted.values())
    asked = {(datasets[key[:3]][0], key[3]): key for key in sorted(wanted)}
    known = _find_versions(connection, list(asked))
    missing = [ends for ends in asked if ends not in known]
    new: dict[tuple[int, str], _Row] = {}
    for key, ends in zip(bulk.new_ids(connection, "dataset_versions", len(missing)), missing, strict=True):
        named = asked[ends]
        timeline, position = _place(datasets[named[:3]][1], ends[1])
        new[ends] = (key, *ends, wanted[named].commit_sha256, timeline or -key, position)
    made = bulk.insert(connection, "dataset_versions", _INSERT_VERSIONS, list(new.values()))
    known |= {ends: row for ends, row in new.items() if row[0] in made}
    known |= _find_versions(connection, [ends for ends in asked if ends not in known])  # another writer was first
    better = [
        (known[ends][0], wanted[key].commit_sha256)
        for ends, key in asked.items()
        if wanted[key].commit_sha256 > known[ends][3]
    ]
    bulk.write(connection, "UPDATE dataset_versions SET commit_sha256 = $1 FROM $rows WHERE id = $0i", better)
    found = ((key, known[ends]) for ends, key in asked.items())
    return {key: _VersionPoint(row[0], row[1], row[4], row[5]) for key, row in found}


_Row = tuple[int, int, str, str, int, int]  # id, dataset, version, SHA-256 of the commit, timeline, position
_FIND_VERSIONS = """SELECT v.id, v.dataset_id, v.version, v.commit_sha256, v.line, v.number
 FROM $rows CROSS JOIN dataset_versions v WHERE v.dataset_id = $0i AND v.version = $1"""
_INSERT_VERSIONS = """INSERT INTO dataset_versions (id, dataset_id, version, commit_sha256, line, number)
 SELECT $0i, $1i, $2, $3, $4i, $5i FROM $rows WHERE true ON CONFLICT DO NOTHING"""


def _find_versions(connection: sa.Connection, asked: Sequence[tuple[int, str]]) -> dict[tuple[int, str], Any]:
    return {(row[1], row[2]): row for row in bulk.fetch(connection, _FIND_VERSIONS, asked)}


def _place(incarnation: int | None, version: str) -> tuple[int, int]:
    """(timeline, position) of a version; timeline 0: it gets a timeline of its own."""
    numbered = version.isascii() and version.isdecimal() and len(version) <= 18
    return (incarnation, int(version)) if incarnation is not None and numbered else (0, 0)


def _put_datasets(
    connection: sa.Connection, uses: Iterable[DatasetUse]
) -> dict[tuple[str, str, str], tuple[int, int | None]]:
    """(id, incarnation) by (namespace, name, table id)"""
    wanted: dict[tuple[str, str, str], str] = {}
    for use in uses:
        key = use.key[:3]
        wanted[key] = max(wanted.get(key, ""), use.table)
    keys = sorted(wanted)
    known = _find_datasets(connection, keys)
    missing = [(*key, wanted[key]) for key in keys if key not in known]
    if missing:
        if connection.dialect.name == "postgresql":  # addresses are settled one transaction at a time
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _INCARNATIONS_LOCK})
        insert = "INSERT INTO datasets (namespace, name, table_id, table_name) SELECT $0, $1, $2, $3 FROM $rows"
        bulk.write(connection, f"{insert} WHERE true ON CONFLICT DO NOTHING", missing)
        _settle_incarnations(connection, sorted({key[:2] for key in missing}))
        known = _find_datasets(connection, keys)
    named = [(known[key][0], name) for key, name in wanted.items() if name > known[key][2]]
    bulk.write(connection, "UPDATE datasets SET table_name = $1 FROM $rows WHERE id = $0i", named)
    return {key: row[:2] for key, row in known.items()}


def _find_datasets(connection: sa.Connection, keys: Sequence[Any]) -> dict[tuple[str, str, str], Any]:
    """(id, incarnation, name of the table) by (namespace, name, table id)"""
    find = "SELECT d.namespace, d.name, d.table_id, d.id, d.life, d.table_name FROM $rows CROSS JOIN datasets d"
    find += " WHERE d.namespace = $0 AND d.name = $1 AND d.table_id = $2"
    return {row[:3]: row[3:] for row in bulk.fetch(connection, find, keys)}


def _settle_incarnations(connection: sa.Connection, addresses: Sequence[tuple[str, str]]) -> None:
    """A table, known by its id, is one timeline under all names that it ever had. Names without a table id are linked to the
    table at the same address (its name, or another one: `symlinks`), as long as only one table was ever seen there. Once a
    second table is seen at the address, the link is removed and its versions are kept apart."""
    find = "SELECT d.id, d.namespace, d.name, d.table_id, d.life AS incarnation FROM $rows CROSS JOIN datasets d"
    rows = bulk.execute(connection, f"{find} WHERE d.namespace = $0 AND d.name = $1", addresses).all()
    linked = (
        "SELECT l.namespace, l.name, d.table_id FROM $rows CROSS JOIN symlinks l JOIN datasets d ON d.id = l.dataset_id"
    )
    linked += " WHERE l.namespace = $0 AND l.name = $1 AND d.table_id <> ''"
    tables: dict[tuple[str, str], set[str]] = {}
    for row in (*rows, *bulk.execute(connection, linked, addresses).all()):
        if row.table_id:
            tables.setdefault((row.namespace, row.name), set()).add(row.table_id)
    oldest = (
        "SELECT d.table_id, min(d.id) AS id FROM $rows CROSS JOIN datasets d WHERE d.table_id = $0 GROUP BY d.table_id"
    )
    asked = [[table] for table in sorted(set().union(*tables.values()))]
    first = {row.table_id: row.id for row in bulk.execute(connection, oldest, asked)} if asked else {}
    changed = []
    for row in rows:
        here = sorted(tables.get((row.namespace, row.name), ()))
        incarnation = first[row.table_id] if row.table_id else first[here[0]] if len(here) == 1 else None
        if incarnation != row.incarnation:
            changed.append((row.id, incarnation))
            if not row.table_id:  # a table's own versions are never moved
                _move(connection, row.id, incarnation)
    if changed:
        bulk.execute(connection, "UPDATE datasets SET life = $1i FROM $rows WHERE id = $0i", changed)


def _settle_other_names(connection: sa.Connection, batch: Sequence[EventFacts]) -> None:
    """The same for datasets whose name was given, by this batch, as another name of a table."""
    names = {(key.namespace, key.name) for facts in batch for item in facts.mentions for key in item.symlinks or ()}
    find = "SELECT d.namespace, d.name FROM $rows CROSS JOIN datasets d"
    find += " WHERE d.namespace = $0 AND d.name = $1 AND d.table_id = ''"
    if names and (met := {(row[0], row[1]) for row in bulk.execute(connection, find, sorted(names))}):
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _INCARNATIONS_LOCK})
        _settle_incarnations(connection, sorted(met))


def _move(connection: sa.Connection, dataset: int, incarnation: int | None) -> None:
    """Put the versions of a dataset, and their edges, on another timeline."""
    query = sa.text("SELECT id, version FROM dataset_versions WHERE dataset_id = :id")
    moved = []
    for key, version in connection.execute(query, {"id": dataset}):
        timeline, position = _place(incarnation, version)
        moved.append([key, timeline or -key, position])
    for table, column in (("dataset_versions", "id"), ("edges", "version_id")):
        update = f"UPDATE {table} SET line = $1i, number = $2i FROM $rows WHERE {column} = $0i"
        bulk.execute(connection, update, moved)


# -- runs --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Run:
    """The state of a run. States are (rank, state): the greater one is valid."""

    job: tuple[str, str]
    parent: str | None
    first_us: int
    started_us: int | None
    end: tuple[int, str] | None
    open: tuple[int, str]

    def merge(self, other: "_Run") -> "_Run":
        return _Run(
            job=max(self.job, other.job),  # one run, two jobs: against the specification
            parent=_either(max, self.parent, other.parent),
            first_us=min(self.first_us, other.first_us),
            started_us=_either(min, self.started_us, other.started_us),
            end=_either(max, self.end, other.end),
            open=max(self.open, other.open),
        )

    @property
    def values(self) -> tuple[Any, ...]:
        """state, first, started, ended, parent"""
        state = self.end[1] if self.end else self.open[1]
        return state, self.first_us, self.started_us, self.end[0] if self.end else None, self.parent


def _either(choose: Callable[..., Any], one: Any, other: Any) -> Any:
    if one is None or other is None:
        return one if other is None else other
    return choose(one, other)


def _rank(state: str) -> tuple[int, str]:
    return (_OPEN.index(state) + 1 if state in _OPEN else 0, state)


def _run_state(facts: EventFacts) -> _Run:
    ended = (facts.at_us, facts.kind) if facts.ends_run else None
    started = facts.at_us if facts.kind == "START" else None
    open_ = (-1, "") if ended else _rank(facts.kind)
    return _Run((facts.namespace, facts.job), facts.parent_id, facts.at_us, started, ended, open_)


def _put_runs(
    connection: sa.Connection, batch: Iterable[EventFacts], jobs: Mapping[tuple[str, str], int]
) -> dict[str | None, int]:
    states: dict[str, _Run] = {}
    for facts in batch:
        run_id = str(facts.run_id)
        states[run_id] = states[run_id].merge(_run_state(facts)) if run_id in states else _run_state(facts)
    found = _find_runs(connection, sorted(states))
    missing = sorted(states.keys() - found.keys())
    new = {
        run_id: (key, run_id, jobs[states[run_id].job], *states[run_id].values)
        for key, run_id in zip(bulk.new_ids(connection, "runs", len(missing)), missing, strict=True)
    }
    made = bulk.insert(connection, "runs", _INSERT_RUNS, list(new.values()))
    keys: dict[str | None, int] = {run_id: row[0] for run_id, row in new.items() if row[0] in made}
    found |= _find_runs(connection, [run_id for run_id in missing if run_id not in keys])  # another writer was first
    changed = []
    for run_id, (key, before) in found.items():
        keys[run_id] = key
        after = before.merge(states[run_id])
        if after != before:
            changed.append((key, after))
    if changed:
        jobs = _put_jobs(connection, {run.job for _, run in changed})
        update = (
            "UPDATE runs SET job_id = $1i, state = $2, first_us = $3i, started_us = $4i, ended_us = $5i, parent_id = $6"
        )
        rows = [(key, jobs[run.job], *run.values) for key, run in changed]
        bulk.write(connection, f"{update} FROM $rows WHERE id = $0i", rows)
    return keys


_INSERT_RUNS = """INSERT INTO runs (id, run_id, job_id, state, first_us, started_us, ended_us, parent_id)
 SELECT $0i, $1, $2i, $3, $4i, $5i, $6i, $7 FROM $rows WHERE true ON CONFLICT DO NOTHING"""
_FIND_RUNS = """SELECT r.id, r.run_id, r.state, r.first_us, r.started_us, r.ended_us, r.parent_id, j.namespace, j.name
 FROM $rows CROSS JOIN runs r JOIN jobs j ON j.id = r.job_id WHERE r.run_id = $0"""


def _find_runs(connection: sa.Connection, run_ids: Sequence[str]) -> dict[str, tuple[int, _Run]]:
    """Key and state of those that are there."""
    locked = " ORDER BY r.id FOR UPDATE OF r" if connection.dialect.name == "postgresql" else ""
    found = {}
    for row in bulk.fetch(connection, _FIND_RUNS + locked, [[run_id] for run_id in run_ids]):
        key, run_id, state, first, started, ended, parent, *job = row
        end = (ended, state) if state in TERMINAL else None
        found[run_id] = key, _Run((job[0], job[1]), parent, first, started, end, (-1, "") if end else _rank(state))
    return found


def _put_jobs(connection: sa.Connection, names: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
    find = "SELECT j.namespace, j.name, j.id FROM $rows CROSS JOIN jobs j WHERE j.namespace = $0 AND j.name = $1"
    wanted = sorted(names)
    found = {row[:2]: row[2] for row in bulk.fetch(connection, find, wanted)}
    missing = [key for key in wanted if key not in found]
    if missing:
        insert = "INSERT INTO jobs (namespace, name) SELECT $0, $1 FROM $rows WHERE true ON CONFLICT DO NOTHING"
        bulk.write(connection, insert, missing)
        found |= {row[:2]: row[2] for row in bulk.fetch(connection, find, missing)}
    return found


# -- edges and checks --------------------------------------------------------------------------------------------------


def _put_edges(connection: sa.Connection, used: Iterable[tuple[int, _VersionPoint, DatasetUse]]) -> None:
    rows: dict[tuple[int, int, str, str], tuple[Any, ...]] = {}
    for run, point, use in used:
        flow = _FLOWS.get(use.role, ASIDE)
        if flow == ADDS and use.mode == "replace":
            flow = REPLACES
        left_out = _left_out(use)
        for partition in (ALL,) if use.partitions is None else use.partitions or (NONE,):
            key = (run, point.id, use.role, partition)
            row = (*key, point.timeline, point.position, flow, use.digest, use.mode, left_out)
            rows[key] = _both(rows[key], row) if key in rows else row
    upsert = "INSERT INTO edges (run_key, version_id, role, partition, line, number, flow, digest, mode, excluded)"
    upsert += " SELECT $0i, $1i, $2, $3, $4i, $5i, $6i, $7, $8, $9 FROM $rows WHERE true"
    upsert += " ON CONFLICT (run_key, version_id, role, partition) DO UPDATE SET"
    upsert += " flow = greatest(edges.flow, excluded.flow), digest = greatest(coalesce(edges.digest, excluded.digest),"
    upsert += " coalesce(excluded.digest, edges.digest)), mode = greatest(coalesce(edges.mode, excluded.mode),"
    upsert += " coalesce(excluded.mode, edges.mode)), excluded = CASE WHEN edges.excluded = excluded.excluded"
    upsert += " THEN edges.excluded END WHERE excluded.flow > edges.flow"
    upsert += " OR coalesce(excluded.digest, '') > coalesce(edges.digest, '')"
    upsert += " OR coalesce(excluded.mode, '') > coalesce(edges.mode, '')"
    upsert += " OR coalesce(excluded.excluded, '') <> coalesce(edges.excluded, '')"
    bulk.write(connection, upsert, [rows[key] for key in sorted(rows)])


def _both(one: tuple[Any, ...], other: tuple[Any, ...]) -> tuple[Any, ...]:
    """The edge of two uses of a version, or of a part of it, in one role."""
    flow, digest, mode = (_either(max, one[place], other[place]) for place in (6, 7, 8))
    return *one[:6], flow, digest, mode, one[9] if one[9] == other[9] else None


def _left_out(use: DatasetUse) -> str | None:
    """The excluded partitions, as JSON. Two reads of a run that leave out different ones are kept as one of all: a superset."""
    return json.dumps(use.excluded, ensure_ascii=False) if use.excluded and use.partitions is None else None


def _put_checks(connection: sa.Connection, found: Iterable[tuple[int, EventCheck]]) -> None:
    """A check passed only if it passed in every event; of all other values the greater one is kept."""
    rows: dict[tuple[int, str, str, str], tuple[Any, ...]] = {}
    for run, check in found:
        key = (run, check.dataset, check.name, check.column)
        state = (check.passed, check.severity, check.actual)
        if key in rows:
            passed, severity, actual = rows[key][4:]
            state = (passed and check.passed, max(severity, check.severity), _either(max, actual, check.actual))
        rows[key] = (*key, *state)
    upsert = 'INSERT INTO checks (run_key, dataset, name, "column", passed, severity, actual)'
    upsert += " SELECT $0i, $1, $2, $3, $4b, $5, $6 FROM $rows WHERE true"
    upsert += ' ON CONFLICT (run_key, dataset, name, "column") DO UPDATE SET'
    upsert += " passed = checks.passed AND excluded.passed, severity = greatest(checks.severity, excluded.severity),"
    upsert += " actual = greatest(coalesce(checks.actual, excluded.actual), coalesce(excluded.actual, checks.actual))"
    bulk.write(connection, upsert, [rows[key] for key in sorted(rows)])
