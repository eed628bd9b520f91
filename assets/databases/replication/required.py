"""What must be there for a slot to be read, and what to do where it is not. Nothing here asks a server."""

from collections.abc import Mapping, Sequence
from typing import Any

from assay.assets.databases.replication.declared import Slot, SlotMissing, quoted
from assay.assets.lacking import SETTING, NotConnected

Facts = Mapping[str, Any]


def require_log(slot: Slot, known: Facts) -> None:
    """Changes are written, and this is a table, which has them."""
    if known["wal_level"] != "logical":
        raise NotConnected(
            f"{slot.place}: the server's wal_level is {known['wal_level']!r}, and changes are only written with 'logical'. Next: "
            "ALTER SYSTEM SET wal_level = 'logical', and restart the server",
            SETTING,
        )
    if known["kind"] not in ("r", "p"):
        raise NotConnected(
            f"{slot.place} is no table, and only tables have changes. Next: name the table, or declare mode='snapshot'",
            SETTING,
        )


def require_published(slot: Slot, known: Facts) -> None:
    """The publication has all changes of all rows of the table."""
    publication, table = quoted(slot.publication), quoted(slot.table)
    there = known["publication"]
    if there is None:
        raise SlotMissing(
            f"{slot.place}: there is no publication {slot.publication!r}. Next: CREATE PUBLICATION {publication} FOR TABLE "
            f"{table}, then create the slot, or declare create_slot=True",
            SETTING,
        )
    if known["kind"] == "p" and not there["pubviaroot"]:
        raise NotConnected(
            f"{slot.place} has partitions, and the publication {slot.publication!r} has the changes of each apart. Next: ALTER "
            f"PUBLICATION {publication} SET (publish_via_partition_root = true)",
            SETTING,
        )
    if known["published"] is None:
        raise NotConnected(
            f"{slot.place} is not in the publication {slot.publication!r}. Next: ALTER PUBLICATION {publication} ADD TABLE "
            f"{table}",
            SETTING,
        )
    lacking = [kind for kind in ("insert", "update", "delete", "truncate") if not there[f"pub{kind}"]]
    if lacking:
        raise NotConnected(
            f"{slot.place}: the publication {slot.publication!r} leaves out {', '.join(lacking)}. Next: ALTER PUBLICATION "
            f"{publication} SET (publish = 'insert, update, delete, truncate')",
            SETTING,
        )
    if known["published"].get("rowfilter"):
        raise NotConnected(
            f"{slot.place}: the publication {slot.publication!r} leaves out rows (WHERE). Next: make one without",
            SETTING,
        )


def require_key(slot: Slot, known: Facts, key: Sequence[str]) -> None:
    """A change says which row it is of."""
    table, names = quoted(slot.table), {name for name, *_ in known["columns"]}
    if lacking := [name for name in key if name not in published(known)]:
        why = f"has no column {lacking[0]!r}" if lacking[0] not in names else f"does not publish its {lacking[0]!r}"
        raise NotConnected(f"{slot.place} {why}; it has {', '.join(published(known))}", SETTING)
    sent = {name for name, _, _, identifies, *_ in known["columns"] if identifies}
    if known["identity"] != "f" and not set(key) <= sent:
        raise NotConnected(
            f"{slot.place}: of deleted rows {', '.join(sorted(sent)) or 'nothing'} is sent, and not {', '.join(key)}. Next: name "
            f"the primary key in Source(key=…), or ALTER TABLE {table} REPLICA IDENTITY FULL",
            SETTING,
        )
    if not any(set(columns) <= set(key) for columns in known["unique"] or () if columns):
        raise NotConnected(
            f"{slot.place} may hold several rows with the same {', '.join(key)}, so that nobody can say which one a change is "
            f"of. Next: name the primary key in Source(key=…), or CREATE UNIQUE INDEX ON {table} ({', '.join(map(quoted, key))})",
            SETTING,
        )


def require_slot(slot: Slot, known: Facts) -> Facts:
    """The slot: one that has the changes of this database."""
    there = known["slot"]
    if there is None:
        raise SlotMissing(
            f"{slot.place}: there is no replication slot {slot.name!r}. Next: SELECT "
            f"pg_create_logical_replication_slot('{slot.name}', 'pgoutput'), or declare create_slot=True",
            SETTING,
        )
    if there["plugin"] != "pgoutput" or there["slot_type"] != "logical":
        raise NotConnected(
            f"{slot.place}: the slot {slot.name!r} is {there['slot_type']} and writes with {there['plugin'] or 'no plugin'}. "
            "Next: name another slot, made with pg_create_logical_replication_slot(…, 'pgoutput')",
            SETTING,
        )
    if there["database"] != known["database"]:
        raise NotConnected(
            f"{slot.place}: the slot {slot.name!r} belongs to the database {there['database']!r}. Next: name another slot",
            SETTING,
        )
    if there.get("wal_status") == "lost" or there.get("invalidation_reason") or there.get("conflicting"):
        raise NotConnected(
            f"{slot.place}: the server has given up the slot {slot.name!r}, and with it changes that nobody had read. Next: "
            f"SELECT pg_drop_replication_slot('{slot.name}'), and create it anew; then the table is compared as a whole once. "
            "Look at max_slot_wal_keep_size there",
            SETTING,
        )
    return there


def published(known: Facts) -> list[str]:
    """The columns whose changes are published: before version 15 all but generated ones."""
    listed = (known["published"] or {}).get("attnames")
    return [
        name
        for name, _, _, _, generated, _ in known["columns"]
        if (name in listed if listed is not None else not generated)
    ]


def origin_of(known: Facts) -> str:
    """The log and the table: changes of another origin say nothing about this one. Of partitions the files count: no change says
    that one was attached, detached or emptied for itself."""
    publication = known["publication"]["oid"]
    return f"{known['log']} {known['oid']} {known['parts']} {publication} {known['member'] or ''}"
