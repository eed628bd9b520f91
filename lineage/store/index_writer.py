"""Writes events to the store unchanged, and reads them into the index of runs, dataset versions, edges and checks.

A batch of events is a handful of statements, however many events it holds. Nothing depends on the order in which events
arrive: every value of the index is a maximum, a minimum or a union over the events that mention it.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from assay.lineage.store import bulk
from assay.lineage.store.facet_index import Places, put_mentions
from assay.lineage.store.labels import put_labels
from assay.lineage.store.parse_event import DECLARED, TERMINAL, DatasetUse, EventCheck, EventFacts
from assay.lineage.store.schema import ADDS, ALL, ASIDE, LOOKS_UP, NONE, READS, REPLACES, events, outbox

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
    index(connection, [facts for _, facts in new])
    return len(new)


def index(connection: sa.Connection, batch: Sequence[EventFacts]) -> None:
    """Read events into the index. Doing it again changes nothing."""
    points = _put_versions(connection, [use for facts in batch for use in facts.datasets])
    placed = [[points[_key(use)] for use in facts.datasets] for facts in batch]
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
    put_mentions(connection, batch, Places(jobs, runs, placed))
    _settle_other_names(connection, batch)
    put_labels(connection, [each for facts in batch for each in facts.labels])


# -- events ------------------------------------------------------------------------------------------------------------


def _put_events(connection: sa.Connection, batch: Sequence[EventFacts], once: bool) -> list[tuple[int, EventFacts]]:
    by_digest = {facts.sha256: facts for facts in batch}
    known = bulk.execute(
        connection, "SELECT e.sha256 FROM $rows CROSS JOIN events e WHERE e.sha256 = $0", [[key] for key in by_digest]
    )
    for (digest,) in known:
        del by_digest[digest]
    rows = [
        (facts.sha256, facts.run_id, _slot(facts) if once else None, facts.kind, facts.at_us, facts.body)
        for facts in by_digest.values()
    ]
    if not rows:
        return []
    if connection.dialect.name == "postgresql":  # one array a column: bodies travel as the bytes that they are
        made = connection.exec_driver_sql(_INSERT_ARRAYS, tuple(map(list, zip(*rows, strict=True))))
    else:
        names = ("sha256", "run_id", "slot", "event_type", "event_us", "body")
        insert = sqlite.insert(events).on_conflict_do_nothing().returning(events.c.id, events.c.sha256)
        made = connection.execute(insert, [dict(zip(names, row, strict=True)) for row in rows])
    return [(row.id, by_digest[row.sha256]) for row in made]


_INSERT_ARRAYS = """INSERT INTO events (sha256, run_id, slot, event_type, event_us, body)
 SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[], %b::bytea[])
 ON CONFLICT DO NOTHING RETURNING id, sha256"""


def _slot(facts: EventFacts) -> str | None:
    if facts.run_id is None or not (facts.ends_run or facts.kind == "START"):
        return None
    return f"{facts.run_id}:{'END' if facts.ends_run else 'START'}"


# -- datasets and their versions ---------------------------------------------------------------------------------------

_Key = tuple[str, str, str, str]  # namespace, name, table id, version


@dataclass(frozen=True, slots=True)
class _VersionPoint:
    """The key of a version, the key of its dataset, and its position on a timeline: rows are carried along a timeline."""

    id: int
    dataset: int
    timeline: int
    position: int


def _key(use: DatasetUse) -> _Key:
    return use.namespace, use.name, use.table_id, use.version


def _put_versions(connection: sa.Connection, uses: Iterable[DatasetUse]) -> dict[_Key, _VersionPoint]:
    wanted: dict[_Key, DatasetUse] = {}
    for use in uses:
        key = _key(use)
        before = wanted.setdefault(key, use)
        if (before.table, before.commit_sha256) != (use.table, use.commit_sha256):
            greater = max(before.table, use.table), max(before.commit_sha256, use.commit_sha256)
            wanted[key] = replace(before, table=greater[0], commit_sha256=greater[1])
    if not wanted:
        return {}
    datasets = _put_datasets(connection, wanted.values())
    asked = {(datasets[key[:3]], key[3]): key for key in sorted(wanted)}
    columns = "v.dataset_id, v.version, v.id, v.line AS timeline, v.number AS position, v.commit_sha256"
    find = f"SELECT {columns} FROM $rows CROSS JOIN dataset_versions v WHERE v.dataset_id = $0i AND v.version = $1"
    ids = [[*dataset, version] for dataset, version in asked]
    known = {(row[0], row[1]): row for row in bulk.execute(connection, find, [[a, c] for a, _, c in ids])}
    missing = [
        [dataset, version, wanted[key].commit_sha256, *_place(incarnation, key)]
        for ((dataset, incarnation), version), key in asked.items()
        if (dataset, version) not in known
    ]
    if missing:
        insert = "INSERT INTO dataset_versions (dataset_id, version, commit_sha256, line, number)"
        insert += (
            " SELECT $0i, $1, $2, $3i, $4i FROM $rows WHERE true ON CONFLICT DO NOTHING RETURNING id, line AS timeline"
        )
        alone = [[row.id] for row in bulk.execute(connection, insert, missing) if row.timeline == 0]
        if alone:
            own = "UPDATE dataset_versions SET line = -id FROM $rows WHERE id = $0i"
            bulk.execute(connection, own, alone)
        known |= {(row[0], row[1]): row for row in bulk.execute(connection, find, [row[:2] for row in missing])}
    better = [
        [known[dataset, version].id, wanted[key].commit_sha256]
        for ((dataset, _), version), key in asked.items()
        if wanted[key].commit_sha256 > known[dataset, version].commit_sha256
    ]
    if better:
        bulk.execute(connection, "UPDATE dataset_versions SET commit_sha256 = $1 FROM $rows WHERE id = $0i", better)
    found = {key: known[dataset, version] for ((dataset, _), version), key in asked.items()}
    return {key: _VersionPoint(row.id, row.dataset_id, row.timeline, row.position) for key, row in found.items()}


def _place(incarnation: int | None, key: _Key) -> tuple[int, int]:
    """(timeline, position) of a new version; timeline 0: it gets a timeline of its own."""
    version = key[3]
    numbered = version.isascii() and version.isdecimal() and len(version) <= 18
    return (incarnation, int(version)) if incarnation is not None and numbered else (0, 0)


def _put_datasets(
    connection: sa.Connection, uses: Iterable[DatasetUse]
) -> dict[tuple[str, str, str], tuple[int, int | None]]:
    """(id, incarnation) by (namespace, name, table id)"""
    wanted: dict[tuple[str, str, str], str] = {}
    for use in uses:
        key = (use.namespace, use.name, use.table_id)
        wanted[key] = max(wanted.get(key, ""), use.table)
    find = "SELECT d.namespace, d.name, d.table_id, d.id, d.life AS incarnation, d.table_name FROM $rows CROSS JOIN datasets d"
    find += " WHERE d.namespace = $0 AND d.name = $1 AND d.table_id = $2"
    keys = sorted(wanted)
    known = {tuple(row[:3]): row for row in bulk.execute(connection, find, keys)}
    missing = [(*key, wanted[key]) for key in keys if key not in known]
    if missing:
        if connection.dialect.name == "postgresql":  # addresses are settled one transaction at a time
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _INCARNATIONS_LOCK})
        insert = "INSERT INTO datasets (namespace, name, table_id, table_name) SELECT $0, $1, $2, $3 FROM $rows"
        bulk.execute(connection, f"{insert} WHERE true ON CONFLICT DO NOTHING", missing)
        _settle_incarnations(connection, sorted({key[:2] for key in missing}))
        known = {tuple(row[:3]): row for row in bulk.execute(connection, find, keys)}
    named = [[known[key].id, name] for key, name in wanted.items() if name > known[key].table_name]
    if named:
        bulk.execute(connection, "UPDATE datasets SET table_name = $1 FROM $rows WHERE id = $0i", named)
    return {(row.namespace, row.name, row.table_id): (row.id, row.incarnation) for row in known.values()}


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
        timeline, position = _place(incarnation, ("", "", "", version))
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
    if not states:
        return {}
    insert = "INSERT INTO runs (run_id, job_id, state, first_us, started_us, ended_us, parent_id)"
    insert += " SELECT $0, $1i, $2, $3i, $4i, $5i, $6 FROM $rows WHERE true ON CONFLICT DO NOTHING RETURNING run_id, id"
    rows = [[run_id, jobs[states[run_id].job], *states[run_id].values] for run_id in sorted(states)]
    keys: dict[str | None, int] = {row.run_id: row.id for row in bulk.execute(connection, insert, rows)}
    known = sorted(states.keys() - keys.keys())
    if not known:
        return keys
    find = "SELECT r.id, r.run_id, r.state, r.first_us, r.started_us, r.ended_us, r.parent_id, j.namespace, j.name FROM $rows"
    find += " CROSS JOIN runs r JOIN jobs j ON j.id = r.job_id WHERE r.run_id = $0"
    if connection.dialect.name == "postgresql":
        find += " ORDER BY r.id FOR UPDATE OF r"
    changed = []
    for row in bulk.execute(connection, find, [[run_id] for run_id in known]):
        keys[row.run_id] = row.id
        ended = (row.ended_us, row.state) if row.state in TERMINAL else None
        open_ = (-1, "") if ended else _rank(row.state)
        before = _Run((row.namespace, row.name), row.parent_id, row.first_us, row.started_us, ended, open_)
        after = before.merge(states[row.run_id])
        if after != before:
            changed.append((row.id, after))
    if changed:
        jobs = _put_jobs(connection, {run.job for _, run in changed})
        update = (
            "UPDATE runs SET job_id = $1i, state = $2, first_us = $3i, started_us = $4i, ended_us = $5i, parent_id = $6"
        )
        rows = [[key, jobs[run.job], *run.values] for key, run in changed]
        bulk.execute(connection, f"{update} FROM $rows WHERE id = $0i", rows)
    return keys


def _put_jobs(connection: sa.Connection, names: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
    find = "SELECT j.namespace, j.name, j.id FROM $rows CROSS JOIN jobs j WHERE j.namespace = $0 AND j.name = $1"
    wanted = sorted(names)
    found = {(row.namespace, row.name): row.id for row in bulk.execute(connection, find, wanted)}
    missing = [key for key in wanted if key not in found]
    if missing:
        insert = "INSERT INTO jobs (namespace, name) SELECT $0, $1 FROM $rows WHERE true ON CONFLICT DO NOTHING"
        bulk.execute(connection, insert, missing)
        found |= {(row.namespace, row.name): row.id for row in bulk.execute(connection, find, missing)}
    return found


# -- edges and checks --------------------------------------------------------------------------------------------------


def _put_edges(connection: sa.Connection, used: Iterable[tuple[int, _VersionPoint, DatasetUse]]) -> None:
    rows: dict[tuple[int, int, str, str], list[Any]] = {}
    for run, point, use in used:
        flow = _FLOWS.get(use.role, ASIDE)
        if flow == ADDS and use.mode == "replace":
            flow = REPLACES
        left_out = _left_out(use)
        for partition in (ALL,) if use.partitions is None else use.partitions or (NONE,):
            key = (run, point.id, use.role, partition)
            row = rows.setdefault(key, [*key, point.timeline, point.position, flow, use.digest, use.mode, left_out])
            row[6:9] = max(row[6], flow), _either(max, row[7], use.digest), _either(max, row[8], use.mode)
            row[9] = left_out if row[9] == left_out else None
    if not rows:
        return
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
    bulk.execute(connection, upsert, [rows[key] for key in sorted(rows)])


def _left_out(use: DatasetUse) -> str | None:
    """The excluded partitions, as JSON. Two reads of a run that leave out different ones are kept as one of all: a superset."""
    return json.dumps(use.excluded, ensure_ascii=False) if use.excluded and use.partitions is None else None


def _put_checks(connection: sa.Connection, found: Iterable[tuple[int, EventCheck]]) -> None:
    """A check passed only if it passed in every event; of all other values the greater one is kept."""
    rows: dict[tuple[int, str, str, str], list[Any]] = {}
    for run, check in found:
        key = (run, check.dataset, check.name, check.column)
        row = rows.setdefault(key, [*key, check.passed, check.severity, check.actual])
        row[4:] = row[4] and check.passed, max(row[5], check.severity), _either(max, row[6], check.actual)
    if not rows:
        return
    upsert = 'INSERT INTO checks (run_key, dataset, name, "column", passed, severity, actual)'
    upsert += " SELECT $0i, $1, $2, $3, $4b, $5, $6 FROM $rows WHERE true"
    upsert += ' ON CONFLICT (run_key, dataset, name, "column") DO UPDATE SET'
    upsert += " passed = checks.passed AND excluded.passed, severity = greatest(checks.severity, excluded.severity),"
    upsert += " actual = greatest(coalesce(checks.actual, excluded.actual), coalesce(excluded.actual, checks.actual))"
    bulk.execute(connection, upsert, [rows[key] for key in sorted(rows)])
