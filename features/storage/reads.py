"""Who read which rows: the inputs of commits the other way round, so that a reader is found without reading every commit.

One row per partition that a commit read, or one for all of a table (or for all of it but some partitions). Rows that somebody
wrote to a partition are seen by whoever read it at that version or a later one, until the partition is replaced: a `Span`.
"""

import json
import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from assay.features.storage.commit_metadata import Commit

READ_TABLES = """
CREATE TABLE reads (
    t INTEGER NOT NULL, version INTEGER NOT NULL, /* of the reader */
    table_id TEXT NOT NULL, at INTEGER NOT NULL, partition TEXT, /* NULL: all of the table */
    excluded TEXT, /* JSON, of all of it: the partitions left out */
    lookup INTEGER NOT NULL, sourced INTEGER NOT NULL /* whether it declares columns that come from the table */);
CREATE INDEX reads_of ON reads (table_id, lookup, partition, at, t, version, excluded);
CREATE INDEX reads_sourced ON reads (table_id, partition, at) WHERE lookup AND sourced;
CREATE INDEX reads_by ON reads (t, version);
CREATE TABLE inputs (t INTEGER NOT NULL, name TEXT NOT NULL, table_id TEXT NOT NULL, PRIMARY KEY (t, name, table_id))
    WITHOUT ROWID;
"""
_ALL = 2**62


@dataclass(frozen=True, slots=True)
class Span:
    """The versions of a table at which the rows that one of its commits wrote to a partition are seen: from `since` to before
    `until` (None: to this day)."""

    table_id: str
    partition: str | None
    since: int
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Reader:
    """A version of a table whose commit read some rows; or only looked something up in them."""

    table: str
    version: int
    lookup: bool


def add_reads(connection: sqlite3.Connection, t: int, commit: Commit) -> None:
    """Index the inputs of a commit that wrote rows."""
    sources = json.dumps(commit.column_lineage or {})
    rows = []
    for item in commit.inputs:
        excluded = json.dumps(item.excluded) if item.excluded else None
        sourced = int(json.dumps(item.snapshot.table) in sources)
        for partition in (None,) if item.partitions is None else item.partitions:
            read = (item.snapshot.table_id, item.snapshot.version, partition, excluded)
            rows.append((t, commit.version, *read, int(item.lookup), sourced))
    connection.executemany("INSERT INTO reads VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
    named = {(t, item.snapshot.table, item.snapshot.table_id) for item in commit.inputs}
    connection.executemany("INSERT OR IGNORE INTO inputs VALUES (?, ?, ?)", sorted(named))


# A partition whose text is not in that of the excluded ones is not among them: nearly always that is all there is to look at.
_SEES = """{read}.table_id = s.table_id AND {read}.at >= s.since AND {read}.at < s.until
    AND ({read}.excluded IS NULL OR s.partition IS NULL OR instr({read}.excluded, s.text) = 0
        OR s.partition NOT IN (SELECT value FROM json_each({read}.excluded)))"""
_SEEN = _SEES.format(read="r")
_TAKEN = f"NOT d.lookup AND (d.partition IS NULL OR d.partition IS s.partition) AND {_SEES.format(read='d')}"
_SPANS = """spans AS MATERIALIZED (
    SELECT key AS number, json_extract(value, '$[0]') AS table_id, json_extract(value, '$[1]') AS partition,
        json_extract(value, '$[2]') AS since, json_extract(value, '$[3]') AS until,
        json_extract(value, '$[4]') AS text FROM json_each(:spans))"""
_READ = """SELECT s.number, r.t, r.version, r.lookup FROM spans AS s CROSS JOIN reads AS r
    WHERE r.lookup IN ({{lookups}}) {{only}} AND {part} AND {sees}"""
# One branch for each range of the index: the partition itself, and all of the table.
_READERS = " UNION ".join(
    _READ.format(part=part, sees=_SEEN) for part in ("r.partition = s.partition", "r.partition IS NULL")
)


def readers(connection: sqlite3.Connection, spans: Sequence[Span], *, lookups: bool = False) -> list[Reader]:
    """Who read the rows of these spans; with `lookups` also who only looked something up in them."""
    return _named(connection, _READERS.format(lookups="0, 1" if lookups else "0", only=""), spans)


def sourced_lookups(connection: sqlite3.Connection, spans: Sequence[Span]) -> list[Reader]:
    """Who only looked something up in the rows, and declares columns that come from their table."""
    return _named(connection, _READERS.format(lookups="1", only="AND r.sourced"), spans)


def count_lookups(
    connection: sqlite3.Connection, spans: Sequence[Span], but: Collection[tuple[str, int]]
) -> dict[str, int]:
    """By table, how many commits (`but` these) only looked something up in the rows of one of the spans. None is listed."""
    # All of a table is looked up in by nearly every commit: that one span is seen is enough, the pairs are not listed.
    sees = _SEEN
    if {(reader.table, reader.version) for reader in readers(connection, spans)} - set(
        but
    ):  # data of the same rows, too
        sees += f" AND NOT EXISTS (SELECT 1 FROM reads AS d WHERE d.t = r.t AND d.version = r.version AND {_TAKEN})"
    sql = f"""WITH {_SPANS}, found AS (
            SELECT r.t, r.version FROM spans AS s CROSS JOIN reads AS r
                WHERE r.lookup = 1 AND r.partition = s.partition AND {sees}
            UNION SELECT r.t, r.version FROM (
                    SELECT table_id, min(since) AS since, max(until) AS until FROM spans GROUP BY table_id) AS f
                CROSS JOIN reads AS r WHERE r.table_id = f.table_id AND r.lookup = 1 AND r.partition IS NULL
                AND r.at >= f.since AND r.at < f.until AND EXISTS (SELECT 1 FROM spans AS s WHERE {sees}))
        SELECT n.name, COUNT(*) FROM found AS f JOIN tables AS n ON n.id = f.t
        WHERE (n.name, f.version) NOT IN (SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(:but))
        GROUP BY n.name ORDER BY n.name"""
    return dict(connection.execute(sql, {"spans": _json(spans), "but": json.dumps(list(but))}))


def inputs(connection: sqlite3.Connection) -> list[tuple[str, str, str]]:
    """Every table that commits of another one read: the name of the other, its own name and id."""
    sql = "SELECT n.name, i.name, i.table_id FROM inputs AS i JOIN tables AS n ON n.id = i.t ORDER BY 1, 2, 3"
    return connection.execute(sql).fetchall()


def _named(connection: sqlite3.Connection, found: str, spans: Sequence[Span]) -> list[Reader]:
    sql = f"""WITH {_SPANS}, found AS ({found})
        SELECT n.name, f.version, min(f.lookup) FROM found AS f JOIN tables AS n ON n.id = f.t
        GROUP BY n.name, f.version ORDER BY n.name, f.version"""
    rows = connection.execute(sql, {"spans": _json(spans)}).fetchall()
    return [Reader(name, version, bool(lookup)) for name, version, lookup in rows]


def _json(spans: Sequence[Span]) -> str:
    return json.dumps(
        [
            [s.table_id, s.partition, s.since, _ALL if s.until is None else s.until, json.dumps(s.partition)]
            for s in spans
        ]
    )
