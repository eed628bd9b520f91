"""Where the planner keeps what it knows between processes: a small SQLite file under `ASSAY_HOME`.

It is a memory only: without it, or where it cannot be read or written, everything is looked at once more. What one process
keeps of a step is true by itself. Where another one has kept something in between, what is true of both is kept.
"""

import json
import sqlite3
from collections.abc import Collection, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from assay.features.storage.delta_log import Mark

_SCHEMA = """
create table if not exists steps (step text primary key, identity text, written int, tables text, open text) without rowid;
create table if not exists deliveries (step text primary key, seen blob);
create table if not exists partitions (
    step text, partition text, since int, until int, latest int, waits int, primary key (step, partition)
) without rowid;
create index if not exists not_before on partitions (step, since) where since is not null;
create index if not exists not_after on partitions (step, until) where until is not null;
create table if not exists files (step text, sha256 text, partition text, primary key (step, sha256, partition))
    without rowid;
create index if not exists files_of_partitions on files (step, partition);
"""
_WAIT_SECONDS = 2.0


class Forgotten(Exception):
    """The memory cannot be read."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of one partition of a step: from when until when it holds and up to which moment its rows go
    (microseconds since 1970), which files were delivered for it, and whether it waits for something."""

    since: int | None = None
    until: int | None = None
    latest: int | None = None
    files: frozenset[str] = frozenset()
    waits: bool = False


@dataclass(frozen=True, slots=True)
class Latest:
    """The last partitions of a step by their keys ("" for a step without partitions), maybe more.

    Attributes:
        partitions: those that were looked at, and those that have to be.
        done: those among them that were looked at and wait for nothing.
    """

    partitions: frozenset[str]
    done: frozenset[str]


@dataclass(slots=True)
class Known:
    """What is known of a step.

    Attributes:
        tables: up to which version each table was taken into account (None: it was not there).
        open: the partitions that have to be looked at. The others have nothing to do for as long as nothing changes.
        delivered: what a look at its deliveries showed. Partitions that are not open were looked at since, or are the same.
        seen: the partitions that were looked at since it was loaded.
        written: how often it was kept; 0: nothing that is kept of the step is true.
    """

    identity: str
    tables: dict[str, Mark | None] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)
    delivered: bytes = b""
    seen: dict[str, Seen] = field(default_factory=dict)
    written: int = 0


class PlanStore:
    """The memory in a file. Without a file it is always empty; unless it is `kept` it is only read."""

    def __init__(self, file: Path | None = None, *, kept: bool = True) -> None:
        self._file, self._kept = file, kept

    def load(self, identities: Mapping[str, str], now: int) -> dict[str, Known]:
        """What is known of the steps whose identity is still the same. What does not hold now is open."""
        if self._file is None or not self._file.is_file():
            return {}
        with suppress(OSError, sqlite3.Error, ValueError, TypeError), closing(self._connect()) as database:
            database.execute("begin")  # one picture of all
            return {
                step: item for step, identity in identities.items() if (item := _known(database, step, identity, now))
            }
        return {}

    def later_than(self, step: str, moment: int) -> set[str]:
        """The partitions whose rows go up to a moment or beyond. Raises Forgotten."""
        return self._partitions("select partition from partitions where step = ? and latest >= ?", step, moment)

    def with_file(self, step: str, sha256: str) -> set[str]:
        """The partitions for which this file was delivered. Raises Forgotten."""
        return self._partitions("select partition from files where step = ? and sha256 = ?", step, sha256)

    def latest(self, steps: Collection[str], count: int) -> dict[str, Latest]:
        """The last partitions of these steps. Without those steps whose last plan was not kept."""
        found: dict[str, Latest] = {}
        if self._file is None or not self._kept or not self._file.is_file():
            return found
        with suppress(OSError, sqlite3.Error, ValueError, TypeError), closing(self._connect()) as database:
            database.execute("begin")  # one picture of all
            for step in steps:
                row = database.execute("select open from steps where step = ?", (step,)).fetchone()
                if row is None:
                    continue
                query = "select partition, waits from partitions where step = ? order by partition desc limit ?"
                seen = dict(database.execute(query, (step, count)).fetchall())
                to_see = set(json.loads(row[0]))
                done = frozenset(key for key, waits in seen.items() if waits == 0 and key not in to_see)
                found[step] = Latest(frozenset(seen) | to_see, done)
        return found

    def waits(self, step: str) -> set[str]:
        """The partitions of a step that waited for something when they were looked at last."""
        with suppress(Forgotten):
            return self._partitions("select partition from partitions where step = ? and waits = 1", step)
        return set()

    def delivered(self, step: str) -> bytes:
        """What the last look at a step's deliveries showed; nothing where none was kept."""
        if self._file is None or not self._file.is_file():
            return b""
        with suppress(OSError, sqlite3.Error), closing(self._connect()) as database:
            row = database.execute("select seen from deliveries where step = ?", (step,)).fetchone()
            return row[0] if row else b""
        return b""

    def _partitions(self, query: str, *values: object) -> set[str]:
        if self._file is None or not self._file.is_file():
            return set()
        try:
            with closing(self._connect()) as database:
                return {key for (key,) in database.execute(query, values)}
        except (OSError, sqlite3.Error):
            raise Forgotten from None

    def _connect(self) -> sqlite3.Connection:
        """For reading: the file stays as it is, and nothing is made beside it."""
        return sqlite3.connect(f"{Path(self._file or '').resolve().as_uri()}?mode=ro", uri=True, timeout=_WAIT_SECONDS)

    def keep(self, known: Mapping[str, Known]) -> None:
        """Keep what is known of these steps. What cannot be written is found out again."""
        if self._file is None or not self._kept or not known:
            return
        with suppress(OSError, sqlite3.Error):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._write(known)
            except sqlite3.OperationalError:
                raise  # locked, full, read-only
            except sqlite3.DatabaseError:  # damaged
                self._file.unlink()
                self._write({step: item for step, item in known.items() if not item.written})

    def _write(self, known: Mapping[str, Known]) -> None:
        with closing(sqlite3.connect(self._file or "", timeout=_WAIT_SECONDS)) as database:
            database.executescript(_SCHEMA)
            if "waits" not in {
                row[1] for row in database.execute("pragma table_info(partitions)")
            }:  # an earlier version's
                database.execute("alter table partitions add column waits int")
            with database:
                database.execute("begin immediate")
                for step, item in known.items():
                    _replace(database, step, item)


def _known(database: sqlite3.Connection, step: str, identity: str, now: int) -> Known | None:
    query = "select tables, open, written from steps where step = ? and identity = ?"
    row = database.execute(query, (step, identity)).fetchone()
    if row is None:
        return None
    query = """select partition from partitions where step = :step and since is not null and since > :now
        union all select partition from partitions where step = :step and until is not null and until <= :now"""
    over = {key for (key,) in database.execute(query, {"step": step, "now": now})}
    seen = database.execute("select seen from deliveries where step = ?", (step,)).fetchone()
    return Known(identity, _tables(row[0]), {*json.loads(row[1]), *over}, seen[0] if seen else b"", written=row[2])


def _tables(text: str) -> dict[str, Mark | None]:
    return {name: mark and Mark(*mark) for name, mark in json.loads(text).items()}


def _replace(database: sqlite3.Connection, step: str, item: Known) -> None:
    query = "select identity, tables, open, written from steps where step = ?"
    identity, tables, still_open, written = database.execute(query, (step,)).fetchone() or ("", "{}", "[]", 0)
    known, open_ = dict(item.tables), set(item.open)
    if not item.written:
        database.execute("delete from partitions where step = ?", (step,))
        database.execute("delete from files where step = ?", (step,))
    elif identity != item.identity:
        return  # what it was learned in addition to is gone
    elif written != item.written:
        open_ |= set(json.loads(still_open))
        known = {name: _earlier(known.get(name), mark) for name, mark in _tables(tables).items()}
    text = json.dumps({name: mark and [mark.version, mark.sign] for name, mark in known.items()})
    row = (step, item.identity, written + 1, text, json.dumps(sorted(open_)))
    database.execute("insert or replace into steps values (?, ?, ?, ?, ?)", row)
    database.execute("insert or replace into deliveries values (?, ?)", (step, item.delivered))
    rows = [(step, key, one.since, one.until, one.latest, one.waits) for key, one in item.seen.items()]
    columns = "step, partition, since, until, latest, waits"  # a file of an earlier version has one more
    database.executemany(f"insert or replace into partitions ({columns}) values (?, ?, ?, ?, ?, ?)", rows)
    database.executemany("delete from files where step = ? and partition = ?", [row[:2] for row in rows])
    files = [(step, sha256, key) for key, one in item.seen.items() for sha256 in sorted(one.files)]
    database.executemany("insert into files values (?, ?, ?)", files)


def _earlier(one: Mark | None, other: Mark | None) -> Mark | None:
    return None if one is None or other is None else min(one, other, key=lambda mark: mark.version)
