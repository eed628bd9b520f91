"""Which files can hold a value: the smallest and largest value of each column in each file, indexed so that a value finds the
ranges around it, however many others there are.

A range is filed under what its two ends begin with in common (a trie): whatever lies between them begins with that, too. So
the ranges around a value are filed under its own beginnings, and few others are. All ranges that meet `low … high` either
end in it, or lie around `high`.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

Value = str | int

RANGE_TABLES = """
CREATE TABLE ranges (
    t INTEGER NOT NULL, name TEXT NOT NULL, high, low, file INTEGER NOT NULL, common TEXT NOT NULL,
    PRIMARY KEY (t, name, high, file)) WITHOUT ROWID;
CREATE INDEX ranges_of ON ranges (file, name);
CREATE INDEX ranges_around ON ranges (t, name, common, high);
CREATE TABLE ranged ( /* the columns whose ranges are kept, from which version on */
    t INTEGER NOT NULL, name TEXT NOT NULL, kind TEXT NOT NULL, version INTEGER NOT NULL,
    PRIMARY KEY (t, name)) WITHOUT ROWID;
CREATE TABLE unranged ( /* files whose statistics do not name the range of such a column */
    t INTEGER NOT NULL, name TEXT NOT NULL, file INTEGER NOT NULL, PRIMARY KEY (t, name, file)) WITHOUT ROWID;
"""
OF_A_TABLE = ("ranges", "ranged", "unranged")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_KINDS = ("timestamp", "timestamp_ntz", "date", "string")
_LONGEST = 64  # characters of what two texts have in common


def keep_columns(connection: sqlite3.Connection, t: int, version: int, schema: str) -> None:
    """From this version on, keep the ranges of the columns that a schema has: times and texts."""
    kinds = _kinds(schema)
    for name, kind in connection.execute("SELECT name, kind FROM ranged WHERE t = ?", (t,)).fetchall():
        if kinds.get(name) != kind:
            connection.execute("DELETE FROM ranged WHERE t = ? AND name = ?", (t, name))
    rows = [(t, name, kind, version) for name, kind in kinds.items()]
    connection.executemany("INSERT OR IGNORE INTO ranged VALUES (?, ?, ?, ?)", rows)


def kept_columns(connection: sqlite3.Connection, t: int) -> dict[str, str]:
    """The columns whose ranges are kept, with their types."""
    return dict(connection.execute("SELECT name, kind FROM ranged WHERE t = ?", (t,)).fetchall())


def add_ranges(
    connection: sqlite3.Connection, t: int, file: int, statistics: Mapping[str, Any], columns: Mapping[str, str]
) -> None:
    """Keep the ranges that the statistics of a file name."""
    found = dict(_ranges(statistics, columns))
    rows = [(t, name, high, low, file, _common(low, high)) for name, (low, high) in found.items()]
    connection.executemany("INSERT INTO ranges VALUES (?, ?, ?, ?, ?, ?)", rows)
    others = [(t, name, file) for name in columns if name not in found]
    connection.executemany("INSERT INTO unranged VALUES (?, ?, ?)", others)


def files_between(
    connection: sqlite3.Connection, t: int, version: int, column: str, low: Value | None, high: Value | None
) -> list[tuple[str, int, int, str | None, Value | None, Value | None]]:
    """The files of a version that have rows and can hold a value from `low` to `high` (None: no bound).

    Returns:
        Path, size, rows and partition of each, with the smallest and largest value that are known of it (None where none are).
    """
    kept = connection.execute("SELECT version FROM ranged WHERE t = ? AND name = ?", (t, column)).fetchone()
    given = {"t": t, "version": version, "column": column, "low": low, "high": high}
    given |= {"kept": kept[0] if kept else version + 1, "around": json.dumps(_beginnings(high))}
    live = "f.since <= :version AND f.until > :version AND f.rows <> 0"
    named = f"r.t = :t AND r.name = :column AND f.since >= :kept AND {live}"
    ends = [bound for bound, value in (("r.high >= :low", low), ("r.high <= :high", high)) if value is not None]
    parts = [_of_ranges("ranges", " AND ".join([*ends, named]))]
    if high is not None:
        around = "r.common IN (SELECT value FROM json_each(:around)) AND r.high > :high AND r.low <= :high"
        parts.append(_of_ranges("ranges INDEXED BY ranges_around", f"{around} AND {named}"))
    file = "f.path, f.size, MAX(f.rows, 0), f.partition, NULL, NULL"
    parts.append(f"SELECT {file} FROM unranged AS r CROSS JOIN files AS f ON f.id = r.file WHERE {named}")
    before = f"f.t = :t AND f.since < :kept AND {live}"  # the column was not there yet
    parts.append(f"SELECT {file} FROM files AS f INDEXED BY files_since WHERE {before}")
    return connection.execute(" UNION ALL ".join(parts), given).fetchall()


def partition_ranges(
    connection: sqlite3.Connection, t: int, version: int, column: str, partitions: Sequence[str]
) -> list[tuple[str, Value | None, Value | None]]:
    """The smallest and largest value of a column in each of the partitions that has rows; None where a file does not name one."""
    sql = """SELECT f.partition, iif(COUNT(r.file) = COUNT(*), MIN(r.low), NULL), iif(COUNT(r.file) = COUNT(*), MAX(r.high), NULL)
        FROM files AS f INDEXED BY files_of LEFT JOIN ranges AS r INDEXED BY ranges_of ON r.file = f.id AND r.name = :column
        WHERE f.t = :t AND f.partition IN (SELECT value FROM json_each(:partitions))
        AND f.since <= :version AND f.until > :version AND f.rows <> 0 GROUP BY f.partition"""
    given = {"t": t, "version": version, "column": column, "partitions": json.dumps(list(partitions))}
    return connection.execute(sql, given).fetchall()


def _of_ranges(ranges: str, condition: str) -> str:
    table, _, index = ranges.partition(" ")
    return f"""SELECT f.path, f.size, MAX(f.rows, 0), f.partition, r.low, r.high
        FROM {table} AS r {index} CROSS JOIN files AS f ON f.id = r.file WHERE {condition}"""


def _common(low: Value, high: Value) -> str:
    first, last = _text(low)[:_LONGEST], _text(high)[:_LONGEST]
    return first[
        : next((n for n, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    ]


def _beginnings(value: Value | None) -> Sequence[str]:
    """What a range around a value may be filed under."""
    text = _text(value)[:_LONGEST] if value is not None else ""
    return [text[:length] for length in range(len(text) + 1)]


def _text(value: Value) -> str:
    """In the same order as the values."""
    return value if isinstance(value, str) else f"{value + 2**63:016x}"


@lru_cache(256)
def _kinds(schema: str) -> Mapping[str, str]:
    return {item["name"]: item["type"] for item in json.loads(schema)["fields"] if item["type"] in _KINDS}


def _ranges(statistics: Mapping[str, Any], kinds: Mapping[str, str]) -> Iterator[tuple[str, tuple[Value, Value]]]:
    """Column, smallest and largest value, as far as a file's statistics name both."""
    low, high = statistics.get("minValues") or {}, statistics.get("maxValues") or {}
    for column, kind in kinds.items():
        values = [value for value in (low.get(column), high.get(column)) if isinstance(value, str)]
        with suppress(ValueError):
            if len(values) == 2:
                smallest, largest = values if kind == "string" else map(_microseconds, values)
                yield column, (smallest, largest)


def _microseconds(text: str) -> int:
    at = datetime.fromisoformat(text)
    return ((at if at.tzinfo else at.replace(tzinfo=UTC)) - _EPOCH) // timedelta(microseconds=1)
