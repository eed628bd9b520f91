"""The embedded lineage store: raw OpenLineage events, and an index of runs, dataset versions, edges and checks.

Only an index: what Assay did can be restored from the lake. SQLite by default, PostgreSQL by URL. Many
processes write at once; every event is one short transaction, and the order in which events arrive does not matter.
"""

import json
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import groupby
from pathlib import Path
from threading import Lock
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import ArgumentError

from assay.errors import AssayError
from assay.lineage.events.event_json import read_json
from assay.lineage.store import bulk
from assay.lineage.store.index_writer import put
from assay.lineage.store.migrations import upgrade
from assay.lineage.store.parse_event import TERMINAL, DatasetUse, EventCheck, EventFacts, read_event
from assay.lineage.store.reindex import mark_unread, read_again
from assay.lineage.store.schema import ALL, NONE, checks, datasets, edges, events, jobs, runs, versions
from assay.lineage.store.uncollected import uncollected
from assay.optional import require

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RUNS = sa.select(runs, jobs.c.namespace, jobs.c.name).join(jobs, jobs.c.id == runs.c.job_id)
_SCHEMA_LOCK = 0x4153_5341_59  # any number, the same in every process


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as it came. `body` are its bytes, unchanged."""

    id: int
    sha256: str
    run_id: str | None
    kind: str
    at: datetime
    body: bytes

    @property
    def data(self) -> dict[str, Any]:
        return read_json(self.body)


@dataclass(frozen=True, slots=True)
class RunInfo:
    """A run and its state: that of its terminal event once there is one, whatever arrives later."""

    id: str
    namespace: str
    job: str
    state: str
    started_at: datetime | None
    ended_at: datetime | None
    parent_id: str | None


@dataclass(frozen=True)
class LineageStore:
    """One store. Made by `open_lineage_store`; nothing is opened before it is used, so that making it cannot fail."""

    url: sa.URL
    home: Path
    busy_seconds: float = 1.0
    _opened: list[bool] = field(default_factory=list, repr=False)
    _whole: list[bool] = field(default_factory=list, repr=False)  # the index: all events are in it
    _reindexing: Lock = field(default_factory=Lock, repr=False)

    @cached_property
    def engine(self) -> sa.Engine:
        # hide_parameters: a database error must not quote an event into a log
        if self.url.get_backend_name() != "sqlite":
            seconds = max(1, round(self.busy_seconds))
            return sa.create_engine(self.url, hide_parameters=True, connect_args={"connect_timeout": seconds})
        Path(self.url.database or "").parent.mkdir(parents=True, exist_ok=True)
        engine = sa.create_engine(self.url, hide_parameters=True, connect_args={"timeout": self.busy_seconds})
        event.listen(engine, "connect", _on_connect)
        event.listen(engine, "begin", _on_begin)
        return engine

    def close(self) -> None:
        if "engine" in self.__dict__:
            self.engine.dispose()

    # -- writing ---------------------------------------------------------------------------------------------------

    def put(self, body: bytes, *, once: bool = False, forward: bool = False) -> bool:
        """Store an event and index it, in one transaction. Returns False if it was there already (same bytes).

        `once`: at most one START and one terminal event per run; a second one is dropped. `forward`: also put it into
        the outbox. Raises AssayError if it is not an OpenLineage event, sqlalchemy.exc.SQLAlchemyError if the database
        cannot take it.
        """
        return self.put_all([body], once=once, forward=forward) == 1

    def put_all(self, bodies: Iterable[bytes], *, once: bool = False, forward: bool = False) -> int:
        """Several events in one transaction: all or none. Returns how many were new."""
        with uncollected():
            return self.put_facts([read_event(body) for body in bodies], once=once, forward=forward)

    def put_facts(self, facts: Sequence[EventFacts], *, once: bool = False, forward: bool = False) -> int:
        """As `put_all`, for events that were read already."""
        if not facts:
            return 0
        with self.writing() as connection:
            return put(connection, facts, once=once, forward=forward)

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction that writes. It does not wait for an index that is made anew."""
        self._open()
        with self.engine.execution_options(assay_write=True).begin() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A view of the whole index: where it is made anew, this waits until it is done."""
        self._open()
        if not self._whole:
            with self._reindexing:  # one thread reads, the others wait
                if not self._whole:
                    read_again(self.engine.connect, self.writing)
                    self._whole.append(True)
        with self.engine.connect() as connection:
            yield connection

    def _open(self) -> None:
        """The tables of the present schema."""
        if self._opened:
            return
        if self.engine.dialect.name == "sqlite":
            _use_wal(self.engine)
        with self.engine.execution_options(assay_write=True).begin() as connection:
            if self.engine.dialect.name == "postgresql":
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _SCHEMA_LOCK})
            upgrade(connection)
            mark_unread(connection)
        self._opened.append(True)

    # -- reading ---------------------------------------------------------------------------------------------------

    def events(self, run_id: str | None = None) -> list[StoredEvent]:
        """All events, or those of a run, in the order of their arrival."""
        query = sa.select(
            events.c.id, events.c.sha256, events.c.run_id, events.c.event_type, events.c.event_us, events.c.body
        ).order_by(events.c.id)
        if run_id is not None:
            query = query.where(events.c.run_id == run_id)
        with self.reading() as connection:
            rows = connection.execute(query).all()
        return [StoredEvent(row[0], row[1], row[2], row[3], _instant(row[4]), bytes(row[5])) for row in rows]

    def events_of(self, run_ids: Iterable[str]) -> list[StoredEvent]:
        """The events of several runs, in the order of their arrival."""
        query = "SELECT e.id, e.sha256, e.run_id, e.event_type, e.event_us, e.body FROM $rows CROSS JOIN events e"
        with self.reading() as connection:
            bulk.by_index(connection)
            asked = [[key] for key in sorted(set(run_ids))]
            rows = bulk.execute(connection, f"{query} WHERE e.run_id = $0 ORDER BY e.id", asked).all()
        return [StoredEvent(row[0], row[1], row[2], row[3], _instant(row[4]), bytes(row[5])) for row in rows]

    def commits_of(self, wanted: Mapping[str, Collection[int]]) -> list[tuple[str, int, str]]:
        """Table id, version and SHA-256 of the commit, as far as events named it, of these versions by table id."""
        query = """SELECT d.table_id, v.version, v.commit_sha256 FROM $rows CROSS JOIN datasets d
            JOIN dataset_versions v ON v.dataset_id = d.id AND v.version = $1 WHERE d.table_id = $0"""
        asked = [[key, str(version)] for key, versions in sorted(wanted.items()) for version in sorted(versions)]
        with self.reading() as connection:
            bulk.by_index(connection)
            rows = bulk.execute(connection, query, asked).all()
        return [(row[0], int(row[1]), row[2]) for row in rows if row[2]]

    def newest_versions(self, table_ids: Iterable[str]) -> dict[str, int]:
        """The newest version of each table that an event named, by table id."""
        newest = "SELECT v.number FROM dataset_versions v WHERE v.line = d.life ORDER BY v.number DESC LIMIT 1"
        query = f"""SELECT d.table_id, ({newest}) FROM $rows CROSS JOIN datasets d WHERE d.table_id = $0"""
        with self.reading() as connection:
            bulk.by_index(connection)
            rows = bulk.execute(connection, query, [[key] for key in sorted(set(table_ids))]).all()
        found: dict[str, int] = {}
        for table_id, number in rows:
            if number is not None:
                found[table_id] = max(number, found.get(table_id, 0))
        return found

    def runs(self, state: str | None = None) -> list[RunInfo]:
        """All runs, or those in a state, earliest first."""
        query = _RUNS if state is None else _RUNS.where(runs.c.state == state)
        with self.reading() as connection:
            rows = connection.execute(query.order_by(runs.c.started_us, runs.c.run_id)).all()
        return [_run_info(row) for row in rows]

    def state_counts(self) -> dict[str, int]:
        """How many runs are in each state."""
        query = sa.select(runs.c.state, sa.func.count()).group_by(runs.c.state)
        with self.reading() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def states(self, run_ids: Iterable[str]) -> dict[str, str]:
        """The state of each of these runs that is known."""
        query = "SELECT r.run_id, r.state FROM $rows CROSS JOIN runs r WHERE r.run_id = $0"
        with self.reading() as connection:
            bulk.by_index(connection)
            return {row[0]: row[1] for row in bulk.execute(connection, query, [[key] for key in sorted(run_ids)])}

    def run(self, run_id: str) -> RunInfo | None:
        with self.reading() as connection:
            row = connection.execute(_RUNS.where(runs.c.run_id == run_id)).one_or_none()
        return _run_info(row) if row else None

    def failures(self, job: str, until: datetime, most: int = 200) -> list[RunInfo]:
        """The last runs of a job that had failed by a time, the newest first."""
        microseconds = (until - _EPOCH) // timedelta(microseconds=1)
        query = _RUNS.where(jobs.c.name == job, runs.c.state == "FAIL", runs.c.ended_us <= microseconds)
        with self.reading() as connection:
            return [_run_info(row) for row in connection.execute(query.order_by(runs.c.ended_us.desc()).limit(most))]

    def run_of(self, table_id: str, version: int) -> RunInfo | None:
        """The run that wrote this version of a table."""
        query = (
            _RUNS.join(edges, edges.c.run_key == runs.c.id)
            .join(versions, versions.c.id == edges.c.version_id)
            .join(datasets, datasets.c.id == versions.c.dataset_id)
            .where(datasets.c.table_id == table_id, versions.c.version == str(version), edges.c.role == "output")
            .order_by(runs.c.started_us)
            .limit(1)
        )
        with self.reading() as connection:
            row = connection.execute(query).one_or_none()
        return _run_info(row) if row else None

    def uses(self, run_id: str) -> list[DatasetUse]:
        """The dataset versions of a run, with the role of each."""
        key = (datasets.c.namespace, datasets.c.name, versions.c.version, edges.c.role, datasets.c.table_name)
        key += (datasets.c.table_id, versions.c.commit_sha256)
        query = sa.select(*key, edges.c.partition, edges.c.digest, edges.c.mode, edges.c.excluded).select_from(
            edges.join(runs, runs.c.id == edges.c.run_key)
            .join(versions, versions.c.id == edges.c.version_id)
            .join(datasets, datasets.c.id == versions.c.dataset_id)
        )
        query = query.where(runs.c.run_id == run_id).order_by(*key[:4], edges.c.partition)
        with self.reading() as connection:
            rows = connection.execute(query).all()
        return [_use(list(group)) for _, group in groupby(rows, key=lambda row: tuple(row[:7]))]

    def checks(self, run_id: str) -> list[EventCheck]:
        """The results of a run's checks."""
        columns = (
            checks.c.dataset,
            checks.c.name,
            checks.c.column,
            checks.c.passed,
            checks.c.severity,
            checks.c.actual,
        )
        query = sa.select(*columns).join(runs, runs.c.id == checks.c.run_key).where(runs.c.run_id == run_id)
        with self.reading() as connection:
            return [EventCheck(*row) for row in connection.execute(query.order_by(*columns[:3]))]

    def ended(self) -> set[str]:
        """Ids of all runs with a terminal event."""
        with self.reading() as connection:
            return set(connection.scalars(sa.select(runs.c.run_id).where(runs.c.state.in_(TERMINAL))))


def open_lineage_store(url: str | Path, home: str | Path | None = None, *, busy_seconds: float = 1.0) -> LineageStore:
    """A store from a database URL (`postgresql://…`) or a file's path: a `Path`, or text that looks like one, with a `/` or the
    ending `.db`, `.sqlite` or `.sqlite3`.

    `home` is the folder for what belongs beside it (the spool); by default that of the SQLite file. `busy_seconds` is how
    long to wait for another process's write, or for a server. Raises AssayError for what is neither.
    """
    text = str(url)
    if "://" not in text:
        if isinstance(url, str) and "/" not in text and not text.endswith((".db", ".sqlite", ".sqlite3")):
            raise AssayError(
                "The lineage database is neither a URL (postgresql://host/name, sqlite:////path/lineage.db) nor the path of a "
                "file (with a / or the ending .db, .sqlite or .sqlite3). See ASSAY_LINEAGE_DB."
            )
        parsed = sa.URL.create("sqlite", database=str(Path(text).expanduser().resolve()))
    else:
        scheme, _, rest = text.partition("://")
        driver = "postgresql+psycopg" if scheme in ("postgres", "postgresql") else scheme
        try:
            parsed = sa.make_url(f"{driver}://{rest}")
        except ArgumentError:
            raise AssayError(
                "The lineage database's URL cannot be read. It looks like postgresql://host/name."
            ) from None
    backend = parsed.get_backend_name()
    if backend not in ("sqlite", "postgresql"):
        raise AssayError(f"The lineage store runs on SQLite or PostgreSQL, not on {backend}.")
    if backend == "postgresql":
        require("psycopg", "A lineage store in PostgreSQL")
    if backend == "sqlite" and not parsed.database:
        raise AssayError("The lineage store needs a file: sqlite:////path/to/lineage.db.")
    beside = Path(parsed.database or "").parent if backend == "sqlite" else Path()
    return LineageStore(parsed, Path(home) if home is not None else beside, busy_seconds)


# -- SQLite ------------------------------------------------------------------------------------------------------------


def _on_connect(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions begin where this module begins them, not where the driver guesses
    connection.execute("PRAGMA synchronous=NORMAL")  # in WAL mode a killed process loses nothing
    connection.execute("PRAGMA cache_size=-65536")  # KiB: the upper pages of the indexes stay in memory
    # Pages. The log is copied into the file every 32 MB instead of 4: of a page that many transactions changed, once.
    connection.execute("PRAGMA wal_autocheckpoint=8000")


def _on_begin(connection: sa.Connection) -> None:
    """Writers queue at the start, where waiting works; a reader turned writer would fail at once when another was first."""
    writes = connection.get_execution_options().get("assay_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _use_wal(engine: sa.Engine, attempts: int = 20) -> None:
    """Switch the file to write-ahead logging, once in its life. Processes that open a new file together may have to try
    again: the switch does not wait for others by itself."""
    raw = engine.raw_connection()
    try:
        cursor = raw.cursor()
        for attempt in range(attempts):
            try:
                cursor.execute("PRAGMA journal_mode=WAL")
                return
            except engine.dialect.loaded_dbapi.OperationalError:
                if attempt + 1 == attempts:
                    raise
                time.sleep(0.01)
    finally:
        raw.close()


# -- values ------------------------------------------------------------------------------------------------------------


def _instant(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)


def _use(rows: list[Any]) -> DatasetUse:
    """The rows of one use: one per partition."""
    parts = tuple(row.partition for row in rows)
    partitions = None if ALL in parts else () if parts == (NONE,) else tuple(part for part in parts if part != NONE)
    digest, mode = (max(getattr(row, name) or "" for row in rows) or None for name in ("digest", "mode"))
    excluded = tuple(json.loads(rows[0].excluded)) if rows[0].excluded else ()
    return DatasetUse(*rows[0][:7], partitions=partitions, digest=digest, mode=mode, excluded=excluded)


def _run_info(row: Any) -> RunInfo:
    started = _instant(row.started_us) if row.started_us is not None else None
    ended = _instant(row.ended_us) if row.ended_us is not None else None
    return RunInfo(row.run_id, row.namespace, row.name, row.state, started, ended, row.parent_id)
