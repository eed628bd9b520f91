"""Questions to an index about definitions: which ones the rows of a table's version were computed by."""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

_HELD = "t = :t AND written AND version <= :version AND until > :version"


@dataclass(frozen=True, slots=True)
class Defined:
    """The definitions of a table, as of one version of it.

    Attributes:
        known: Each one's digest, in the order in which they first computed rows.
        since: The version with which each one did.
        whole: The newest version, up to this one, whose rows all have one definition (rows without a recorded one aside).
        definition: That one; "" where none is recorded.
    """

    known: tuple[str, ...]
    whole: int
    definition: str
    since: tuple[int, ...] = ()


def defined_at(connection: sqlite3.Connection, t: int, version: int) -> Defined:
    """The definitions of a table up to a version. Costs the same however many commits there are."""
    given = {"t": t, "version": version}
    sql = "SELECT definition, first FROM definitions WHERE t = :t AND first <= :version ORDER BY first, definition"
    found = connection.execute(sql, given).fetchall()
    known = tuple(digest for digest, _ in found)
    sql = "SELECT MAX(version) FROM commits INDEXED BY whole WHERE t = :t AND definitions < 2 AND version <= :version"
    (whole,) = connection.execute(sql, given).fetchone()
    whole = version if whole is None else whole
    last = {digest: _last(connection, t, digest, whole) for digest in known}
    newest = max(last, key=lambda digest: last[digest], default="")
    return Defined(known, whole, newest, tuple(first for _, first in found))


def _last(connection: sqlite3.Connection, t: int, definition: str, version: int) -> int:
    sql = "SELECT MAX(version) FROM commits INDEXED BY defined WHERE t = ? AND definition = ? AND version <= ?"
    (found,) = connection.execute(sql, (t, definition, version)).fetchone()
    return -1 if found is None else found


def last_whole(connection: sqlite3.Connection, t: int, definition: str, version: int) -> int | None:
    """The newest version, up to this one, that wrote rows of a definition and after which all rows had it."""
    sql = """SELECT MAX(version) FROM commits INDEXED BY defined
        WHERE t = ? AND definition = ? AND definitions < 2 AND version <= ?"""
    return connection.execute(sql, (t, definition, version)).fetchone()[0]


def newest_of(connection: sqlite3.Connection, t: int, definition: str, version: int) -> int | None:
    """The newest version, up to this one, that wrote rows of a definition."""
    found = _last(connection, t, definition, version)
    return None if found < 0 else found


def partitions_by_definition(
    connection: sqlite3.Connection, t: int, version: int, partitions: Sequence[str] | None
) -> dict[str, list[str]]:
    """The partitions that a version holds (among these) by the definition of their rows ("": none is recorded), sorted; a
    partition with rows of several is named under each. In a table without partitions it is called ""."""
    among = "" if partitions is None else "AND partition IN (SELECT value FROM json_each(:partitions))"
    sql = f"""SELECT DISTINCT COALESCE(definition, ''), COALESCE(partition, '') FROM commits INDEXED BY written
        WHERE {_HELD} {among} ORDER BY 2"""
    given = {"t": t, "version": version, "partitions": json.dumps(list(partitions or ()))}
    found: dict[str, list[str]] = {}
    for definition, partition in connection.execute(sql, given):
        found.setdefault(definition, []).append(partition)
    return found
