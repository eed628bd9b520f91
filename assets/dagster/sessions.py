"""Dagster's SQLite files, kept open while a command works.

For each event, Dagster makes an engine, which compiles its statements afresh, and closes the file, which folds its log into it;
and for each file it reads all migrations from disk to learn which is the newest. Of a small day that is a third of the CPU
time. Here both are remembered. What is stored is the same, and other processes may read and write at the same time.
"""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import alembic.script
from alembic.config import Config
from dagster._core.storage import sql
from dagster._core.storage.event_log.sqlite import sqlite_event_log
from dagster._core.storage.runs.sqlite import sqlite_run_storage
from dagster._core.storage.schedules.sqlite import sqlite_schedule_storage
from sqlalchemy import Engine, QueuePool, create_engine

KEPT = 6  # files: every run has its own; runs, assets and schedules have one each


@contextmanager
def kept_sessions(files: int = KEPT) -> Iterator[None]:
    """Until the block ends, the last `files` of Dagster's files stay open, and its migrations are read once."""
    engines = _Engines(files)
    replaced = {
        (sqlite_event_log, "create_engine"): engines.get,
        (sqlite_run_storage, "create_engine"): engines.get,
        (sqlite_schedule_storage, "create_engine"): engines.get,
        (sql, "ScriptDirectory"): _Scripts(),
    }
    before = {(module, name): getattr(module, name) for module, name in replaced}
    try:
        for (module, name), ours in replaced.items():
            setattr(module, name, ours)
        yield
    finally:
        for (module, name), theirs in before.items():
            setattr(module, name, theirs)
        engines.close()


class _Engines:
    """The engines that were used last, by URL."""

    def __init__(self, files: int) -> None:
        self._files = files
        self._kept: OrderedDict[str, Engine] = OrderedDict()

    def get(self, url: str, poolclass: Any = None, **options: Any) -> Engine:
        del poolclass  # Dagster's choice is to close the file after each use
        engine = self._kept.pop(url, None) or _open(url, options)
        self._kept[url] = engine
        if len(self._kept) > self._files:
            Engine.dispose(self._kept.popitem(last=False)[1])
        return engine

    def close(self) -> None:
        for engine in self._kept.values():
            Engine.dispose(engine)
        self._kept.clear()


def _open(url: str, options: dict[str, Any]) -> Engine:
    engine = create_engine(url, poolclass=QueuePool, pool_size=1, max_overflow=-1, **options)
    engine.dispose = lambda close=True: None  # Dagster says so after each use
    return engine


class _Scripts:
    """In place of the class that reads Dagster's folder of migrations."""

    def __init__(self) -> None:
        self._read: dict[str | None, alembic.script.ScriptDirectory] = {}

    def from_config(self, config: Config) -> alembic.script.ScriptDirectory:
        place = config.get_main_option("script_location")
        if place not in self._read:
            self._read[place] = alembic.script.ScriptDirectory.from_config(config)
        return self._read[place]
