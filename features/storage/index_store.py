"""Where table indexes are kept: a SQLite file beside the tables, which may be lost at any time.

A local lake has it in its own folder `_index`. A lake in an object store, or one that cannot be written, has it in the
user's cache folder, and where that cannot be written either, it is kept in memory for as long as the process lives.
Nothing here is ever believed without a look at the log (see `assay.features.storage.table_index`).
"""

import atexit
import contextlib
import fcntl
import hashlib
import os
import sqlite3
import threading
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import TypeVar

from assay.features.storage.ranges import OF_A_TABLE, RANGE_TABLES
from assay.features.storage.reads import READ_TABLES
from assay.features.storage.set_digest import SET_TABLES
from assay.features.storage.storage import Storage

T = TypeVar("T")

FOLDER = "_index"
FILE = "tables.db"
MEMORY = ":memory:"
LIVE = 2**62  # until which version something holds that the latest one holds
_FORMAT = 11  # of the tables below: an index of another format is made anew
_OPEN = 8  # at most so many indexes are open at once
_WAIT_SECONDS = 30.0

_TABLES = f"""
CREATE TABLE tables (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, table_id TEXT NOT NULL, first INTEGER NOT NULL,
    version INTEGER NOT NULL, sha256 TEXT NOT NULL, mark TEXT NOT NULL, complete INTEGER NOT NULL);
CREATE TABLE commits (
    t INTEGER NOT NULL, version INTEGER NOT NULL, sha256 TEXT NOT NULL, damaged INTEGER NOT NULL, at INTEGER NOT NULL,
    run_id TEXT, rows INTEGER, mode TEXT NOT NULL, partition TEXT, asset TEXT NOT NULL, fingerprint TEXT NOT NULL,
    written INTEGER NOT NULL, until INTEGER NOT NULL, /* the version that replaced its partition */
    seen INTEGER NOT NULL, /* the version that replaced its rows: to confirm them is to keep them */ verdict INTEGER,
    all_rows INTEGER NOT NULL, all_partitions INTEGER NOT NULL, all_files INTEGER NOT NULL, /* that this version holds */
    all_written INTEGER NOT NULL, all_writers INTEGER NOT NULL, /* partitions and commits that its rows come from */
    writes INTEGER NOT NULL, /* how many commits up to this one wrote rows */
    definition TEXT, /* of the view that its rows were computed by (null: none is recorded) */
    definitions INTEGER NOT NULL, /* how many different ones the rows have that this version holds */
    PRIMARY KEY (t, version)) WITHOUT ROWID;
CREATE INDEX written ON commits (t, partition, version) WHERE written;
CREATE INDEX held ON commits (t, until, version, verdict) WHERE written;
CREATE INDEX damage ON commits (t, version) WHERE damaged;
CREATE INDEX whole ON commits (t, version) WHERE definitions < 2;
CREATE INDEX defined ON commits (t, definition, version) WHERE definition IS NOT NULL;
CREATE TABLE verdicts (id INTEGER PRIMARY KEY, t INTEGER NOT NULL, checks TEXT NOT NULL, UNIQUE (t, checks));
CREATE TABLE live ( /* how many commits say so whose rows the latest version holds (0: nothing) */
    t INTEGER NOT NULL, verdict INTEGER NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (t, verdict)) WITHOUT ROWID;
CREATE TABLE definitions ( /* how many commits have it whose rows the latest version holds */
    t INTEGER NOT NULL, definition TEXT NOT NULL, number INTEGER NOT NULL, first INTEGER NOT NULL, /* its first version */
    PRIMARY KEY (t, definition)) WITHOUT ROWID;
CREATE TABLE sections (t INTEGER NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL,
    PRIMARY KEY (t, name, version)) WITHOUT ROWID;
CREATE TABLE metadata (t INTEGER NOT NULL, version INTEGER NOT NULL, metadata TEXT, protocol TEXT,
    PRIMARY KEY (t, version)) WITHOUT ROWID;
CREATE TABLE files (
    id INTEGER PRIMARY KEY, t INTEGER NOT NULL, path TEXT NOT NULL, partition TEXT, size INTEGER NOT NULL,
    rows INTEGER NOT NULL, /* -1: not known */ since INTEGER NOT NULL, until INTEGER NOT NULL, place INTEGER NOT NULL);
CREATE INDEX files_of ON files (t, partition, since);
CREATE INDEX files_at ON files (t, path);
CREATE INDEX files_since ON files (t, since);
CREATE INDEX files_until ON files (t, until);
CREATE TABLE sources (
    t INTEGER NOT NULL, sha256 TEXT NOT NULL, version INTEGER NOT NULL, partition TEXT, path TEXT NOT NULL,
    PRIMARY KEY (t, sha256, version, path)) WITHOUT ROWID;
CREATE TABLE displaced ( /* a commit says that a partition of its table must be judged again */
    t INTEGER NOT NULL, partition TEXT NOT NULL, version INTEGER NOT NULL,
    PRIMARY KEY (t, partition, version)) WITHOUT ROWID;
CREATE TABLE own (format INTEGER NOT NULL, inode TEXT NOT NULL);
{RANGE_TABLES}{READ_TABLES}{SET_TABLES}"""
_OF_A_TABLE = (
    "commits",
    "verdicts",
    "live",
    "definitions",
    "sections",
    "metadata",
    "files",
    "sources",
    "displaced",
    "reads",
    "inputs",
    "sets",
    *OF_A_TABLE,
)


class IndexStore:
    """One index file, open. Calls from several threads take turns; other processes are waited for."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._inode = ""

    def read(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """Ask in one read transaction: everything in it is of one moment."""
        return self._do("BEGIN", question)

    def write(self, change: Callable[[sqlite3.Connection], T]) -> T:
        """Change in one transaction, alone. What cannot be written to disk is kept in memory from then on."""
        return self._do("BEGIN IMMEDIATE", change)

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def _do(self, begin: str, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._lock:
            for attempt in (1, 2, 3):
                try:
                    return self._once(begin, work)
                except sqlite3.Error as problem:
                    if attempt == 3:
                        raise
                    damaged = self._inode
                    self.close()
                    if isinstance(problem, sqlite3.OperationalError):
                        self.path = MEMORY  # locked for too long, full, not writable: this process goes on by itself
                    elif self.path != MEMORY:
                        _without(self.path, partial(_is_file, self.path, damaged))
            raise AssertionError("unreachable: the last attempt returns or raises")

    def _once(self, begin: str, work: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._opened()
        connection.execute(begin)
        try:
            found = work(connection)
            connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise
        return found

    def _opened(self) -> sqlite3.Connection:
        if self._connection is not None and self._inode == _inode(self.path):
            return self._connection
        self.close()
        if self.path == MEMORY:
            self._connection = _connect(MEMORY)
        else:
            try:
                _without(self.path, lambda: not _is_own(self.path))
            except OSError as problem:
                raise sqlite3.OperationalError(f"{self.path} cannot be opened") from problem
            self._connection = _connect(self.path)
        self._inode = _inode(self.path)
        return self._connection


def _connect(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("BEGIN IMMEDIATE")
        if not connection.execute("SELECT 1 FROM sqlite_master").fetchone():
            for statement in _TABLES.split(";"):
                connection.execute(statement)
            connection.execute("INSERT INTO own VALUES (?, ?)", (_FORMAT, _inode(path)))
        connection.execute("COMMIT")
    except BaseException:
        connection.close()
        raise
    return connection


def forget(connection: sqlite3.Connection, t: int) -> None:
    """Take a table out of an index."""
    for name in _OF_A_TABLE:
        connection.execute(f"DELETE FROM {name} WHERE t = ?", (t,))
    connection.execute("DELETE FROM tables WHERE id = ?", (t,))


def _is_own(path: str) -> bool:
    """Whether an index file was made here by this release. A copy may have been taken in the middle of a change, so it is
    not believed."""
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=_WAIT_SECONDS)) as found:
            if not found.execute("SELECT 1 FROM sqlite_master").fetchone():
                return True  # new
            if not found.execute("SELECT 1 FROM sqlite_master WHERE name = 'own'").fetchone():
                return False
            return found.execute("SELECT format, inode FROM own").fetchone() == (_FORMAT, _inode(path))
    except sqlite3.OperationalError:
        return True  # cannot be read now
    except sqlite3.DatabaseError:
        return False


def _is_file(path: str, inode: str) -> bool:
    return _inode(path) == inode


def _without(path: str, unwanted: Callable[[], bool]) -> None:
    """Remove an index file that is not wanted, while no other process does the same."""
    with Path(f"{path}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not unwanted():
            return
        for name in (path, f"{path}-wal", f"{path}-shm"):
            with contextlib.suppress(FileNotFoundError):
                Path(name).unlink()


def _inode(path: str) -> str:
    if path == MEMORY:
        return MEMORY
    try:
        return str(_file(path).stat().st_ino)
    except OSError:
        return ""


_file = lru_cache(Path)  # asked before each question


# -- those of this process ---------------------------------------------------------------------------------------------

_open: dict[tuple[int, str], IndexStore] = {}
_guard = threading.Lock()


def index_store(storage: Storage) -> IndexStore:
    """The index of a lake; within a process always the same one."""
    key = (os.getpid(), storage.root)  # a connection must not be used on both sides of a fork
    with _guard:
        found = _open.pop(key, None) or IndexStore(_place(storage))
        _open[key] = found  # the last one used is the last one closed
        for old in [item for item in _open if item[0] == key[0]][:-_OPEN]:
            _open[old].close()
    return found


def _place(storage: Storage) -> str:
    """Where the index of a lake can be written."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "assay", "index")
    own = cache / f"{hashlib.sha256(storage.root.encode()).hexdigest()[:32]}.db"
    for path in ([Path(storage.root, FOLDER, FILE)] if storage.is_local else []) + [own]:
        if path.parent.parent.is_dir() or path is own:
            try:
                path.parent.mkdir(mode=0o755 if path is not own else 0o700, parents=path is own, exist_ok=True)
            except OSError:
                continue
            if os.access(path.parent, os.W_OK) and (not path.exists() or os.access(path, os.W_OK)):
                return str(path)
    return MEMORY


@atexit.register
def _close_all() -> None:
    for (process, _), store in list(_open.items()):
        if process == os.getpid():
            store.close()
