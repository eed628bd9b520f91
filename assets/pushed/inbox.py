"""What was received and is not in a file yet: one SQLite database in `ASSAY_HOME`.

A request's records and the key that makes it repeatable are one transaction, on disk before it is acknowledged. A file is
cut in three steps: which requests it has is written down; it is written beside its place and renamed; the records are
forgotten. Whoever comes after a crash does the same again: the file has the same name and the same bytes.
"""

import fcntl
import hashlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from assay.errors import AssayError

REMEMBERED = timedelta(days=7)
_WAIT_SECONDS = 10.0
_SCHEMA = """
create table if not exists received (
  number integer primary key autoincrement,
  source text not null,
  folder text not null,
  partition text not null,
  at text not null,
  key text,
  digest text not null,
  rows integer not null,
  content blob,
  cut integer
);
create unique index if not exists received_key on received (source, key) where key is not null;
create index if not exists received_cut on received (cut);
create index if not exists received_kept on received (at) where content is null;
create index if not exists received_waiting on received (source, partition, number) where content is not null;
create table if not exists cuts (
  number integer primary key autoincrement,
  source text not null,
  folder text not null,
  partition text not null,
  at text not null,
  done integer not null default 0
);
"""


class OtherContent(AssayError):
    """A key that came before, with other content."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What has become of a request. `repeated`: it had come before, and is kept once."""

    partition: str
    rows: int
    repeated: bool


@dataclass(frozen=True, slots=True)
class Waiting:
    """Records of a partition that are not in a file yet."""

    source: str
    partition: str
    rows: int
    since: datetime


class Inbox:
    """The records received. Several threads and processes may use the same one.

    Args:
        file: The database. It is made with the first record.
    """

    def __init__(self, file: Path) -> None:
        self.file = file

    def put(
        self, source: str, folder: str, partition: str, lines: Sequence[bytes], at: datetime, key: str | None = None
    ) -> Receipt:
        """Keep the records of a request: when this returns they are on disk.

        Args:
            source: Whose they are.
            folder: Its folder in the landing folder.
            partition: Where they belong.
            lines: One JSON object each.
            at: The time of receipt.
            key: Names the request: the same key with the same content is kept once, for `REMEMBERED`.

        Raises:
            OtherContent: The key came before with other content.
            OSError: The disk is full, or cannot be written.
        """
        content = b"\n".join(lines) + b"\n"
        digest = hashlib.sha256(content).hexdigest()
        with self._writing() as database:
            if key is not None:
                query = "select partition, rows, digest from received where source = ? and key = ?"
                if before := database.execute(query, (source, key)).fetchone():
                    if before[2] != digest:
                        raise OtherContent("This Idempotency-Key came before with other records. Send a new key.")
                    return Receipt(before[0], before[1], repeated=True)
            database.execute(
                "insert into received (source, folder, partition, at, key, digest, rows, content) "
                "values (?, ?, ?, ?, ?, ?, ?, ?)",
                (source, folder, partition, at.astimezone(UTC).isoformat(), key, digest, len(lines), content),
            )
        return Receipt(partition, len(lines), repeated=False)

    def waiting(self) -> list[Waiting]:
        """What is in no file yet, by source and partition."""
        if not self.file.exists():
            return []
        query = (
            "select source, partition, sum(rows), min(at) from received where content is not null "
            "group by source, partition order by source, partition"
        )
        with self._opened() as database:
            rows = database.execute(query).fetchall()
        return [Waiting(source, key, count, datetime.fromisoformat(since)) for source, key, count, since in rows]

    def cut(self, source: str, partition: str, at: datetime) -> None:
        """What waits for a partition becomes one file for each of its folders, which `finish` writes."""
        with self._writing() as database:
            query = (
                "select distinct folder from received "
                "where source = ? and partition = ? and content is not null and cut is null"
            )
            for found in database.execute(query, (source, partition)).fetchall():
                number = database.execute(
                    "insert into cuts (source, folder, partition, at) values (?, ?, ?, ?)",
                    (source, found[0], partition, at.astimezone(UTC).isoformat()),
                ).lastrowid
                database.execute(
                    "update received set cut = ? "
                    "where source = ? and partition = ? and folder = ? and content is not null and cut is null",
                    (number, source, partition, found[0]),
                )

    def finish(self, landing: Path) -> tuple[list[Path], list[OSError]]:
        """Write the files of all cuts that have begun, those of before a crash too.

        Returns:
            The files, and why others could not be written: they stay begun.
        """
        files: list[Path] = []
        problems: list[OSError] = []
        if not self.file.exists():
            return files, problems
        with self._alone(), self._opened() as database:
            query = "select number, folder, partition, at from cuts where not done order by number"
            for number, folder, partition, at in database.execute(query).fetchall():
                try:
                    files.append(_write(database, landing / folder / partition, number, at))
                except OSError as problem:
                    problems.append(problem)
                    continue
                with database:
                    database.execute("update received set content = null where cut = ?", (number,))
                    database.execute("update cuts set done = 1 where number = ?", (number,))
        return files, problems

    def forget(self, before: datetime) -> None:
        """Forget the keys of requests, received before then, that are in files."""
        if not self.file.exists():
            return
        moment = before.astimezone(UTC).isoformat()
        with self._writing() as database:
            database.execute("delete from received where content is null and at < ?", (moment,))
            database.execute("delete from cuts where done and at < ?", (moment,))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One at a time writes files: two would write the same one."""
        with self.file.with_suffix(".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._opened() as database:
            database.execute("begin immediate")
            with database:
                yield database

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        try:
            with closing(sqlite3.connect(self.file, timeout=_WAIT_SECONDS)) as database:
                database.execute("pragma journal_mode = wal")
                database.execute("pragma synchronous = full")
                database.executescript(_SCHEMA)
                yield database
        except sqlite3.OperationalError as problem:
            raise OSError(f"{self.file} cannot be used: {problem}") from problem


def _write(database: sqlite3.Connection, folder: Path, number: int, at: str) -> Path:
    moment = datetime.fromisoformat(at).strftime("%Y%m%dT%H%M%SZ")
    file = folder / f"pushed-{moment}-{number:09}.jsonl"
    unfinished = folder / f".{file.name}.part"
    folder.mkdir(parents=True, exist_ok=True)
    with unfinished.open("wb") as stream:
        query = "select number, at, content from received where cut = ? order by number"
        for request, received, content in database.execute(query, (number,)):
            for line in content.removesuffix(b"\n").split(b"\n"):  # JSON may hold a carriage return between tokens
                stream.write(_stamped(line, received, request))
        stream.flush()
        os.fsync(stream.fileno())
    unfinished.rename(file)
    _sync(folder)
    return file


def _stamped(line: bytes, received: str, request: int) -> bytes:
    """The record with the time and the number of its request before its own values: the same record sent twice is two."""
    stamp = b'{"_received_at": "%s", "_request": %d' % (received.encode(), request)
    rest = line[1:].lstrip()
    return stamp + (b"" if rest.startswith(b"}") else b", ") + rest + b"\n"


def _sync(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def inbox_of(home: Path) -> Inbox:
    """The inbox in a home."""
    return Inbox(home / "received.db")
