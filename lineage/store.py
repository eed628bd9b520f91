"""The embedded lineage store: raw OpenLineage events, and an index of runs, dataset versions, edges and checks.

Only an index: what Assay wrote can be restored from the tables' own commits. SQLite by default, PostgreSQL by URL. Many
processes write at once; every event is one short transaction, and the order in which events arrive does not matter.
"""

import json
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError

from assay.errors import AssayError
from assay.lineage.index import TERMINAL, DatasetUse, EventFacts, read_event
from assay.lineage.migrations import upgrade
from assay.lineage.tables import checks, edges, events, outbox, runs, versions

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
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
        return json.loads(self.body)


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
    """One store. Made by `open_store`; nothing is opened before it is used, so that making it cannot fail."""

    url: sa.URL
    home: Path
    busy_seconds: float = 1.0
    _prepared: list[bool] = field(default_factory=list, repr=False)

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
        facts = [read_event(body) for body in bodies]
        with self.writing() as connection:
            return sum(_put(connection, item, once, forward) for item in facts)

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        self._prepare()
        with self.engine.execution_options(assay_write=True).begin() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        self._prepare()
        with self.engine.connect() as connection:
            yield connection

    def _prepare(self) -> None:
        if self._prepared:
            return
        if self.engine.dialect.name == "sqlite":
            _use_wal(self.engine)
        with self.engine.execution_options(assay_write=True).begin() as connection:
            if self.engine.dialect.name == "postgresql":
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _SCHEMA_LOCK})
            upgrade(connection)
        self._prepared.append(True)

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

    def runs(self) -> list[RunInfo]:
        """All runs, earliest first."""
        with self.reading() as connection:
            rows = connection.execute(sa.select(runs).order_by(runs.c.started_us, runs.c.run_id)).all()
        return [_run_info(row) for row in rows]

    def run(self, run_id: str) -> RunInfo | None:
        with self.reading() as connection:
            row = connection.execute(sa.select(runs).where(runs.c.run_id == run_id)).one_or_none()
        return _run_info(row) if row else None

    def run_of(self, table_id: str, version: int) -> RunInfo | None:
        """The run that wrote this version of a table."""
        query = (
            sa.select(runs)
            .join(edges, edges.c.run_id == runs.c.run_id)
            .join(versions, versions.c.id == edges.c.version_id)
            .where(versions.c.table_id == table_id, versions.c.version == str(version), edges.c.role == "output")
            .order_by(runs.c.started_us)
            .limit(1)
        )
        with self.reading() as connection:
            row = connection.execute(query).one_or_none()
        return _run_info(row) if row else None

    def uses(self, run_id: str) -> list[DatasetUse]:
        """The dataset versions of a run, with the part each played."""
        columns = (versions.c.namespace, versions.c.name, versions.c.version, edges.c.role, versions.c.table_name)
        columns += (versions.c.table_id, versions.c.commit_sha256, edges.c.partitions, edges.c.digest, edges.c.mode)
        query = sa.select(*columns).join(versions, versions.c.id == edges.c.version_id)
        query = query.where(edges.c.run_id == run_id).order_by(versions.c.namespace, versions.c.name, edges.c.role)
        with self.reading() as connection:
            return [DatasetUse(*row) for row in connection.execute(query)]

    def ended(self) -> set[str]:
        """Ids of all runs with a terminal event."""
        with self.reading() as connection:
            return set(connection.scalars(sa.select(runs.c.run_id).where(runs.c.state.in_(TERMINAL))))


def open_store(url: str | Path, home: str | Path | None = None, *, busy_seconds: float = 1.0) -> LineageStore:
    """A store from a file's path or a database URL (`postgresql://…`).

    `home` is the folder for what belongs beside it (the spool); by default that of the SQLite file. `busy_seconds` is how
    long to wait for another process's write, or for a server. Raises AssayError for a URL that is none.
    """
    text = str(url)
    if "://" not in text:
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
    if backend == "sqlite" and not parsed.database:
        raise AssayError("The lineage store needs a file: sqlite:////path/to/lineage.db.")
    beside = Path(parsed.database or "").parent if backend == "sqlite" else Path()
    return LineageStore(parsed, Path(home) if home is not None else beside, busy_seconds)


# -- one event ---------------------------------------------------------------------------------------------------------


def _put(connection: sa.Connection, facts: EventFacts, once: bool, forward: bool) -> bool:
    slot = _slot(facts) if once else None
    row = {"sha256": facts.sha256, "run_id": facts.run_id, "slot": slot, "event_type": facts.kind}
    event_id = _insert_new(connection, events, row | {"event_us": facts.at_us, "body": facts.body})
    if event_id is None:
        return False
    # In one order everywhere: transactions that insert the same rows crosswise would deadlock.
    datasets = sorted(facts.datasets, key=lambda use: (use.namespace, use.name, use.version, use.table_id))
    used = [(_version_id(connection, use), use) for use in datasets]
    if facts.run_id is not None:
        _put_run(connection, facts, facts.run_id)
        run = {"run_id": facts.run_id}
        _merge_all(connection, edges, [run | {"version_id": key} | _edge(use) for key, use in used])
        _merge_all(connection, checks, [run | asdict(check) for check in facts.checks])
    if forward:
        connection.execute(sa.insert(outbox).values(event_id=event_id, lane=facts.run_id or facts.sha256))
    return True


def _slot(facts: EventFacts) -> str | None:
    if facts.run_id is None or not (facts.ends_run or facts.kind == "START"):
        return None
    return f"{facts.run_id}:{'END' if facts.ends_run else 'START'}"


def _put_run(connection: sa.Connection, facts: EventFacts, run_id: str) -> None:
    """Merge an event into its run such that the order of arrival does not matter."""
    blank = {"run_id": run_id, "namespace": facts.namespace, "job": facts.job, "state": ""}
    _insert_new(connection, runs, blank)
    row = connection.execute(sa.select(runs).where(runs.c.run_id == run_id).with_for_update()).one()
    change: dict[str, Any] = {}
    if facts.parent_id and facts.parent_id > (row.parent_id or ""):
        change["parent_id"] = facts.parent_id
    if (facts.namespace, facts.job) > (row.namespace, row.job):  # one run, two jobs: against the specification
        change |= {"namespace": facts.namespace, "job": facts.job}
    if facts.kind == "START":
        change["started_us"] = min(facts.at_us, row.started_us or facts.at_us)
    if facts.ends_run:
        if row.state not in TERMINAL or (facts.at_us, facts.kind) > (row.ended_us, row.state):
            change |= {"state": facts.kind, "ended_us": facts.at_us}
    elif row.state not in TERMINAL and (row.state in ("", "OTHER") or facts.kind == "RUNNING"):
        change["state"] = facts.kind
    if change:
        connection.execute(sa.update(runs).where(runs.c.run_id == run_id).values(change))


def _version_id(connection: sa.Connection, use: DatasetUse) -> int:
    key = {"namespace": use.namespace, "name": use.name, "version": use.version, "table_id": use.table_id}
    said = {"table_name": use.table, "commit_sha256": use.commit_sha256}
    made = _insert_new(connection, versions, key | said)
    if made is not None:
        return made
    row = connection.execute(sa.select(versions).filter_by(**key)).one()
    change = {name: value for name, value in said.items() if value > row._mapping[name]}
    if change:
        connection.execute(sa.update(versions).where(versions.c.id == row.id).values(change))
    return row.id


def _edge(use: DatasetUse) -> dict[str, Any]:
    return {"role": use.role, "partitions": use.partitions, "digest": use.digest, "mode": use.mode}


def _insert_new(connection: sa.Connection, table: sa.Table, row: dict[str, Any]) -> Any:
    """Insert a row unless it is there already (by any unique key). Returns the first column of its primary key, or None if
    it was there."""
    first = next(iter(table.primary_key.columns))
    return connection.scalar(_insert(connection, table).values(row).on_conflict_do_nothing().returning(first))


def _merge_all(connection: sa.Connection, table: sa.Table, rows: list[dict[str, Any]]) -> None:
    """Insert rows. Where one is there already, each value becomes the greater of the two, so that the order in which they
    came does not matter; but a check passed only if it always did."""
    if not rows:
        return
    insert = _insert(connection, table)
    greater, lesser = (
        (sa.func.max, sa.func.min) if connection.dialect.name == "sqlite" else (sa.func.greatest, sa.func.least)
    )
    change: dict[str, Any] = {}
    for column in table.columns:
        old, new = column, insert.excluded[column.name]
        if isinstance(column.type, sa.Boolean):
            change[column.name] = lesser(old, new)
        elif not column.primary_key:
            change[column.name] = greater(sa.func.coalesce(old, new), sa.func.coalesce(new, old))
    connection.execute(insert.on_conflict_do_update(index_elements=list(table.primary_key), set_=change), rows)


def _insert(connection: sa.Connection, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)


# -- SQLite ------------------------------------------------------------------------------------------------------------


def _on_connect(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions begin where we say, not where the driver guesses
    connection.execute("PRAGMA synchronous=NORMAL")  # in WAL mode a killed process loses nothing


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


def _run_info(row: Any) -> RunInfo:
    started = _instant(row.started_us) if row.started_us is not None else None
    ended = _instant(row.ended_us) if row.ended_us is not None else None
    return RunInfo(row.run_id, row.namespace, row.job, row.state, started, ended, row.parent_id)
