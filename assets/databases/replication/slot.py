"""A logical replication slot: what must be there for it, making it, looking at its changes, and moving it on.

Changes are peeked at, with SQL functions: a slot moves only when it is advanced. So no connection of the replication protocol is
needed, and nothing is lost whenever a process dies.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from assay.assets.databases.replication.declared import Slot, quoted
from assay.assets.databases.replication.pgoutput import Column, as_text, position
from assay.assets.databases.replication.required import (
    origin_of,
    published,
    require_key,
    require_log,
    require_published,
    require_slot,
)
from assay.assets.databases.sql import TEXT_FORMS, connected, database_url
from assay.assets.lacking import DENIED, SETTING, NotConnected

_Answer = TypeVar("_Answer")
_FETCHED = 500  # messages at a time: one may be as large as a row
_WRITTEN_SECONDS = 0.3
_PATIENCE_SECONDS = 3.0  # another process of ours peeks meanwhile
_CREATING_SECONDS = 60  # it waits for all transactions that write
_STATUS = """
SELECT jsonb_build_object(
  'version', current_setting('server_version_num')::int,
  'wal_level', current_setting('wal_level'),
  'log', (SELECT system_identifier::text FROM pg_control_system()) || '/'
         || (SELECT timeline_id::text FROM pg_control_checkpoint()) || '/'
         || (SELECT oid::text FROM pg_database WHERE datname = current_database()),
  'database', current_database(),
  'end', CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END,
  'slot', (SELECT to_jsonb(s) FROM pg_replication_slots s WHERE slot_name = :slot),
  'publication', (SELECT to_jsonb(p) FROM pg_publication p WHERE pubname = :publication),
  'published', (SELECT to_jsonb(t) FROM pg_publication_tables t
                WHERE pubname = :publication AND schemaname = n.nspname AND tablename = c.relname),
  'member', (SELECT r.oid::text FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid
             WHERE p.pubname = :publication AND r.prrelid = c.oid),
  'oid', c.oid::bigint,
  'schema', n.nspname,
  'kind', c.relkind,
  'identity', c.relreplident,
  'parts', (SELECT string_agg(p.oid || ':' || p.relfilenode, ',' ORDER BY p.oid)
            FROM pg_partition_tree(c.oid) t JOIN pg_class p ON p.oid = t.relid),
  'unique', (SELECT jsonb_agg((SELECT jsonb_agg(a.attname) FROM pg_attribute a
                               WHERE a.attrelid = c.oid AND a.attnum = ANY (i.indkey[0:i.indnkeyatts - 1])))
             FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND i.indimmediate AND i.indisvalid
             AND i.indpred IS NULL AND i.indexprs IS NULL),
  'columns', (SELECT jsonb_agg(jsonb_build_array(a.attname, a.atttypid::bigint, a.atttypmod, EXISTS (
      SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid AND a.attnum = ANY (i.indkey)
      AND CASE c.relreplident WHEN 'd' THEN i.indisprimary AND i.indimmediate ELSE i.indisreplident END
    ), a.attgenerated <> '', (
      WITH RECURSIVE base AS (
        SELECT a.atttypid AS kind, a.atttypmod AS modifier
        UNION ALL
        SELECT t.typbasetype, t.typtypmod FROM base JOIN pg_type t ON t.oid = base.kind WHERE t.typtype = 'd'
      ) SELECT format_type(base.kind, base.modifier) FROM base JOIN pg_type t ON t.oid = base.kind WHERE t.typtype <> 'd'
    )) ORDER BY a.attnum)
    FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = :name AND CASE WHEN :schema = '' THEN pg_table_is_visible(c.oid) ELSE n.nspname = :schema END
"""
_PEEK = (
    "SELECT data FROM pg_logical_slot_peek_binary_changes(:slot, NULL, :most, 'proto_version', '1', "
    "'publication_names', :publication)"
)


@dataclass(frozen=True, slots=True)
class Status:
    """What a server says of a table and its slot. `columns` are those whose changes are published, `casts` their base types in
    SQL; `log` and `end` are the write-ahead log and the place that it has reached; `confirmed` is where the slot is."""

    oid: int
    columns: tuple[Column, ...]
    casts: tuple[str, ...]
    origin: str
    end: int
    confirmed: int
    restart: int
    active: bool
    wal_status: str


class Busy(Exception):
    """Another process uses the slot."""


@contextmanager
def connected_to(slot: Slot, *, isolation: str = "") -> Iterator[sa.Connection]:
    """A transaction on the slot's server. Raises as `connected` does, Busy, and NotConnected for what a user may not do with
    slots."""
    with connected(database_url(slot.url, slot.setting), slot.table, slot.setting, isolation=isolation) as connection:
        try:
            yield connection
        except DBAPIError as error:
            state = getattr(error.orig, "sqlstate", None)
            if state == "55006":
                raise Busy from None
            if state in _EXPLAINED:
                lack, text = _EXPLAINED[state]
                raise NotConnected(f"{slot.place}: {text.format(slot=slot.name)}", lack) from None
            raise


_EXPLAINED = {
    "42501": (
        DENIED,
        "this user may not use replication slots, not read the table, or not make a publication of it. Next: ALTER ROLE … "
        "REPLICATION (on Amazon RDS: GRANT rds_replication TO …), GRANT SELECT ON the table, or let its owner make both",
    ),
    "55000": (
        SETTING,
        "the slot {slot!r} cannot be read any more. Next: SELECT pg_drop_replication_slot('{slot}'), and create it anew; then "
        "the table is compared as a whole once",
    ),
    "53400": (
        SETTING,
        "the server has no room for another slot. Next: raise max_replication_slots there, or drop a slot that nobody reads",
    ),
    "57014": (
        SETTING,
        "the slot {slot!r} was not made, since it waits for a transaction that has been open for long. Next: end that one "
        "(pg_stat_activity shows it); the next run tries again",
    ),
}


def status_of(slot: Slot, connection: sa.Connection, key: Sequence[str] = ()) -> Status:
    """What the server says now.

    Args:
        slot: The slot.
        connection: A transaction on its server.
        key: The columns that identify a row; empty: not asked about.

    Raises:
        SlotMissing: There is no slot, or no publication.
        NotConnected: Something else is missing, or is not as it must be. The message says what to do.
    """
    known = _facts(slot, connection)
    require_log(slot, known)
    require_published(slot, known)
    if key:
        require_key(slot, known, key)
    there = require_slot(slot, known)
    columns = [one for one in known["columns"] if one[0] in published(known)]
    return Status(
        oid=known["oid"],
        columns=tuple(Column(name, kind, modifier, identifies) for name, kind, modifier, identifies, _, _ in columns),
        casts=tuple(cast for *_, cast in columns),
        origin=origin_of(known),
        end=position(known["end"]),
        confirmed=position(there["confirmed_flush_lsn"] or "0/0"),
        restart=position(there["restart_lsn"] or "0/0"),
        active=there["active"],
        wal_status=there.get("wal_status") or "",
    )


def create(slot: Slot) -> None:
    """Make the publication and the slot, whichever is missing. Raises as `status_of`."""
    with connected_to(slot) as connection:
        known = _facts(slot, connection)
        require_log(slot, known)
        if known["slot"] is not None and known["publication"] is not None:
            return
        if known["publication"] is None:
            root = " WITH (publish_via_partition_root = true)" if known["kind"] == "p" else ""
            connection.execute(
                sa.text(f"CREATE PUBLICATION {quoted(slot.publication)} FOR TABLE {quoted(slot.table)}{root}")
            )
    if known["slot"] is None:
        with connected_to(slot) as connection:
            connection.execute(sa.text(f"SET LOCAL statement_timeout = '{_CREATING_SECONDS}s'"))
            made = "SELECT pg_create_logical_replication_slot(:slot, 'pgoutput')"
            connection.execute(sa.text(made), {"slot": slot.name})


def written_until(connection: sa.Connection, lsn: int) -> bool:
    """Whether the log is on disk up to a place, so that a peek shows all that was committed before it."""
    until = time.monotonic() + _WRITTEN_SECONDS
    asked = sa.text(
        "SELECT CAST(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END AS text)"
    )
    while position(connection.execute(asked).scalar_one()) < lsn:
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


@contextmanager
def peeked(slot: Slot, connection: sa.Connection, most: int) -> Iterator[Iterator[bytes]]:
    """The messages of the next transactions, whole ones, of `most` messages or of one transaction that has more."""
    given = {"slot": slot.name, "most": most, "publication": quoted(slot.publication)}
    for setting in (*TEXT_FORMS, "timezone = 'UTC'"):
        connection.execute(sa.text(f"SET LOCAL {setting}"))
    with connection.execute(sa.text(_PEEK), given, execution_options={"yield_per": _FETCHED}) as rows:
        yield (bytes(data) for (data,) in rows)


def advance(slot: Slot, lsn: int) -> None:
    """Let the slot forget what was committed before a place."""

    def do() -> None:
        with connected_to(slot) as connection:
            given = {"slot": slot.name, "lsn": as_text(lsn)}
            asked = "SELECT pg_replication_slot_advance(:slot, CAST(:lsn AS pg_lsn))"
            connection.execute(sa.text(asked), given)

    patiently(slot, do)


def patiently(slot: Slot, ask: Callable[[], _Answer]) -> _Answer:
    """What a question to the slot gives, asked again for a moment while another process uses the slot."""
    until = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return ask()
        except Busy:
            if time.monotonic() > until:
                raise NotConnected(
                    f"{slot.place}: another process reads the slot {slot.name!r} (pg_replication_slots shows its active_pid). "
                    "Next: end it, or give this source a slot of its own",
                    SETTING,
                ) from None
            time.sleep(0.1)


def _facts(slot: Slot, connection: sa.Connection) -> dict[str, Any]:
    if connection.dialect.name != "postgresql":
        raise NotConnected(
            f"{slot.place}: mode='changes' reads PostgreSQL only. Next: declare mode='snapshot'", SETTING
        )
    schema, _, name = slot.table.rpartition(".")
    given = {"slot": slot.name, "publication": slot.publication, "schema": schema, "name": name}
    found = connection.execute(sa.text(_STATUS), given).scalar()
    if found is None:
        raise NotConnected(f"{slot.place} does not exist; check the table's name and schema", SETTING)
    return found
