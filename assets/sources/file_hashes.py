"""SHA-256 of files, remembered: a file that has not changed since (by size, time and inode) is not read again, nor is an object
of an object store (by size, time and ETag).

Runs and the sensor keep what they know under `ASSAY_HOME`, a row per file; a dry run only reads it. Losing the file costs time
only.
"""

import functools
import hashlib
import os
import sqlite3
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_Mark = tuple[int, int, int]  # size, modification time in ns, inode
# A file changed within the clock's resolution of being hashed could change again without a trace: not remembered.
_SETTLED_NS = 50_000_000
_COARSE_NS = 2_000_000_000  # where the file system keeps whole seconds, or every other one
_SCHEMA = "create table if not exists hashes (file blob primary key, size int, modified int, inode int, sha256 text)"
_OBJECTS = (
    "create table if not exists objects (address text primary key, size int, modified text, etag text, sha256 text)"
)
_WAIT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class ObjectMark:
    """By what an object of an object store is known: size, time of modification and ETag, as the store says them."""

    size: int
    modified: str
    etag: str


class FileHashes:
    """SHA-256 by path, size, modification time and inode. `computed` counts the files that were really hashed."""

    def __init__(self, kept: Path | None = None) -> None:
        self._kept = kept
        self._known: dict[str, tuple[_Mark, str] | None] = {}  # None: forgotten
        self._new: set[str] = set()
        self._objects: dict[str, tuple[ObjectMark, str]] = {}
        self._new_objects: set[str] = set()
        self._database: sqlite3.Connection | None = None
        self.computed = 0

    def of(self, file: Path) -> tuple[str, int]:
        """SHA-256 and size of a file. Raises OSError."""
        key = str(file.absolute())
        mark = _mark(file)
        if key not in self._known:
            self._known[key] = self._read(key)
        known = self._known[key]
        if known is not None and known[0] == mark:
            return known[1], mark[0]
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            size = stream.tell()
        self.computed += 1
        if _mark(file) == mark and has_settled(mark[1], time.time_ns()):
            self._known[key] = (mark, digest)
            self._new.add(key)
        return digest, size

    def of_object(self, address: str, mark: ObjectMark) -> str | None:
        """SHA-256 of an object, if it is known in this state. Another process may have read it meanwhile."""
        known = self._objects.get(address)
        if known is None or known[0] != mark:
            query = "select size, modified, etag, sha256 from objects where address = ?"
            row = self._row(query, address)
            known = row and (ObjectMark(*row[:3]), row[3])
        return known[1] if known and known[0] == mark else None

    def note_object(self, address: str, mark: ObjectMark, sha256: str) -> None:
        """Remember the SHA-256 of an object in this state."""
        self._objects[address] = mark, sha256
        self._new_objects.add(address)

    def forget(self, file: Path | None = None) -> None:
        """Hash this file (None: every file) anew when it is asked for."""
        if file is None:
            self._known.clear()
            self._new.clear()
            self._objects.clear()
            self._new_objects.clear()
            self._close()
            if self._kept is not None:
                with suppress(OSError):
                    self._kept.unlink()
            return
        key = str(file.absolute())
        self._known[key] = None
        self._new.add(key)

    def save(self) -> None:
        """Keep what is known for the next process. What cannot be written is hashed again there."""
        if self._kept is None or not (self._new or self._new_objects):
            return
        with suppress(OSError, sqlite3.Error):
            self._kept.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._write(self._kept)
            except sqlite3.OperationalError:
                raise  # locked, full, read-only
            except sqlite3.DatabaseError:  # damaged
                self._close()
                self._kept.unlink()
                self._write(self._kept)
            self._new.clear()
            self._new_objects.clear()

    def _write(self, kept: Path) -> None:
        known = {key: self._known[key] for key in self._new}
        rows = [(os.fsencode(key), *item[0], item[1]) for key, item in known.items() if item is not None]
        with closing(sqlite3.connect(kept, timeout=_WAIT_SECONDS)) as database, database:
            database.execute(_SCHEMA)
            database.execute(_OBJECTS)
            database.executemany("insert or replace into hashes values (?, ?, ?, ?, ?)", rows)
            gone = [(os.fsencode(key),) for key, item in known.items() if item is None]
            database.executemany("delete from hashes where file = ?", gone)
            objects = [(address, *self._objects[address]) for address in self._new_objects]
            rows = [(address, mark.size, mark.modified, mark.etag, sha256) for address, mark, sha256 in objects]
            database.executemany("insert or replace into objects values (?, ?, ?, ?, ?)", rows)

    def _read(self, key: str) -> tuple[_Mark, str] | None:
        row = self._row("select size, modified, inode, sha256 from hashes where file = ?", os.fsencode(key))
        return row and ((row[0], row[1], row[2]), row[3])

    def _row(self, query: str, key: bytes | str) -> Any:
        """What is kept of a file or an object. Reading makes no file and changes none."""
        with suppress(OSError, sqlite3.Error):
            if self._database is None:
                if self._kept is None or not self._kept.is_file():
                    return None
                address = f"{self._kept.resolve().as_uri()}?mode=ro"
                self._database = sqlite3.connect(address, uri=True, timeout=_WAIT_SECONDS, check_same_thread=False)
            return self._database.execute(query, (key,)).fetchone()
        return None

    def _close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None


@functools.cache
def hashes_in(home: Path) -> FileHashes:
    """The hashes kept in a home, one for the whole process."""
    return FileHashes(home / "file-hashes.db")


def has_settled(modified: int, now: int) -> bool:
    """Whether a file that was modified then, and is changed now, has another time of modification (ns since 1970)."""
    return now - modified > (_SETTLED_NS if modified % 1_000_000_000 else _COARSE_NS)


def _mark(file: Path) -> _Mark:
    found = file.stat()
    return found.st_size, found.st_mtime_ns, found.st_ino
