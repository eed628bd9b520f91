"""The last state of each row that some transactions changed. What memory does not hold waits on disk."""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from assay.assets.databases.replication.pgoutput import Value, Values

Key = tuple[str | None, ...]
IN_MEMORY = 1 << 24  # characters of values
_ROW = 64  # what a row costs besides
_AT_ONCE = 1000
_SCHEMA = """
create table states (number integer primary key, key text unique, line text, origin text);
create table texts (name blob primary key, texts text);
"""


@dataclass(frozen=True, slots=True)
class State:
    """The row of a key: its `values`, or None where it is gone. `origin`: the key that its unchanged values have in the lake."""

    key: Key
    values: Values | None
    origin: Key | None = None

    @property
    def characters(self) -> int:
        """How many characters its key and values have."""
        return sum(len(value) for value in (*self.key, *(self.values or ())) if isinstance(value, str))


class LastStates:
    """States by key, and texts by name. To be closed.

    Args:
        folder: An empty folder for what memory does not hold.
        in_memory: How much of the values stays in memory.
    """

    def __init__(self, folder: Path, in_memory: int = IN_MEMORY) -> None:
        self._pending: dict[Key, State] = {}
        self._size, self._most = 0, in_memory
        self._folder = folder
        self._database: sqlite3.Connection | None = None
        #: All rows of before that have no state here are gone.
        self.truncated = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._database is not None:
            self._database.close()

    def put(self, state: State) -> None:
        """The state of a key, in place of the one before."""
        self._pending.pop(state.key, None)  # the order is that of the last change
        self._pending[state.key] = state
        self._size += _ROW + state.characters
        if self._size > self._most:
            self._flush()

    def get(self, key: Key) -> State | None:
        """The state of a key; None where nothing has changed it."""
        if (pending := self._pending.get(key)) is not None or self._database is None:
            return pending
        row = self._database.execute("select key, line, origin from states where key = ?", (_text(key),)).fetchone()
        return None if row is None else _state(*row)

    def truncate(self) -> None:
        """All rows are gone."""
        self.truncated, self._size = True, 0
        self._pending.clear()
        if self._database is not None:
            self._database.execute("delete from states")

    def __iter__(self) -> Iterator[State]:
        """All states, in the order of the last change of each."""
        if self._database is None:
            yield from self._pending.values()
            return
        self._flush()
        rows = self._database.execute("select key, line, origin from states order by number")
        while some := rows.fetchmany(_AT_ONCE):
            yield from (_state(*row) for row in some)

    def remember(self, name: bytes, texts: Mapping[str, str | None]) -> None:
        """Keep some texts under a name."""
        self._opened().execute("insert or replace into texts values (?, ?)", (name, json.dumps(texts)))

    def recall(self, name: bytes) -> dict[str, str | None]:
        """The texts of a name."""
        (texts,) = self._opened().execute("select texts from texts where name = ?", (name,)).fetchone()
        return json.loads(texts)

    def _opened(self) -> sqlite3.Connection:
        if self._database is None:
            self._database = sqlite3.connect(self._folder / "states.db", isolation_level=None)
            for pragma in ("journal_mode = off", "synchronous = off", "cache_size = -32000"):
                self._database.execute(f"pragma {pragma}")
            self._database.executescript(_SCHEMA)
        return self._database

    def _flush(self) -> None:
        database = self._opened()
        database.execute("begin")
        database.executemany(
            "insert or replace into states (key, line, origin) values (?, ?, ?)",
            (
                (
                    _text(one.key),
                    None if one.values is None else json.dumps(one.values, ensure_ascii=False),
                    None if one.origin is None else _text(one.origin),
                )
                for one in self._pending.values()
            ),
        )
        database.execute("commit")
        self._pending.clear()
        self._size = 0


def _text(key: Key) -> str:
    return json.dumps(key, ensure_ascii=False)


def _state(key: str, line: str | None, origin: str | None) -> State:
    values: list[Value] | None = None if line is None else json.loads(line)
    return State(
        tuple(json.loads(key)),
        None if values is None else tuple(values),
        None if origin is None else tuple(json.loads(origin)),
    )
