"""What a lake needs from time to time so that it stays quick and small. Nothing here loses anything.

Each piece of work says what there is to do, and does it if it is wanted. What only a person decides (freeing files of old
versions, events that a backend refused) is counted and left alone.
"""

import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from assay.assets.steps.step import Resources
from assay.errors import AssayError, plural
from assay.features.retention.checkpoints import MOST_COMMITS, checkpoint, commits_since_checkpoint
from assay.features.retention.vacuum import plan_vacuum
from assay.features.storage.scratch import free_scratch
from assay.lineage.delivery.recorder import SPOOL, EventRecorder
from assay.lineage.delivery.run_records import fold_records, unfolded_days

_WAIT_SECONDS = 2.0
_WORTH_IT = 1 / 4  # of a file that is free
_SMALL = 64 * 1024


@dataclass(frozen=True, slots=True)
class Upkeep:
    """One piece of work: how much there is to do, in a sentence, and whether it was done. `by`: the command that does it,
    where this one does not."""

    what: str
    count: int
    detail: str
    done: bool = False
    by: str = ""

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}

    def __str__(self) -> str:
        if self.by:
            return f"{self.what}: {self.detail}{f' ({self.by})' if self.count else ''}"
        return f"{self.what}: {self.detail}{' (done)' if self.done and self.count else ''}"


def keep_up(
    env: Resources, *, do: bool, files: Iterable[Path] = (), over: Callable[[str], bool] = lambda run_id: False
) -> list[Upkeep]:
    """All of it for one lake.

    Args:
        env: What steps use; its recorder takes up events that a killed process left.
        do: Do it; without, only say what there is to do.
        files: Further SQLite files to make small.
        over: Whether an orchestrator's run, by its id, has ended.
    """
    home = env.settings.home.resolve()
    own = [home / "plans.db", home / "file-hashes.db", home / "lineage.db"]
    if env.lake.storage.is_local:
        own.append(Path(env.lake.storage.root, "_index", "tables.db"))
    return [
        _checkpoints(env, do=do),
        _spooled(env, home, do=do),
        _scratch(home, do=do),
        _unended(env, over, do=do),
        _run_records(env, do=do),
        small([*own, *files], do=do),
        _old_versions(env),
    ]


def _checkpoints(env: Resources, *, do: bool) -> Upkeep:
    behind, problems = [], []
    for table in env.lake.tables():
        try:
            if commits_since_checkpoint(env.lake, table) > MOST_COMMITS:
                behind.append(table)
                if do:
                    checkpoint(env.lake, table)
        except AssayError as problem:
            problems.append(str(problem))
    found = f"{plural(len(behind), 'table')} with more than {MOST_COMMITS} commits since the last checkpoint"
    return Upkeep("checkpoints", len(behind), " ".join([f"{found}.", *problems]), do)


def _spooled(env: Resources, home: Path, *, do: bool) -> Upkeep:
    """Events that went to a file when the lineage store was away, and that no later event has taken along."""
    spool = home / SPOOL
    count = len([line for line in spool.read_bytes().splitlines() if line]) if spool.is_file() else 0
    broken = spool.with_name(f"{SPOOL}.broken")
    kept = f" {broken} holds lines that are no events; look at them and remove it." if broken.is_file() else ""
    done = False
    if do and count and isinstance(env.recorder, EventRecorder):
        try:
            env.recorder.empty_spool()
            done = True
        except Exception as problem:  # the store is still away; the file stays
            kept += f" The lineage store does not take them ({type(problem).__name__})."
    return Upkeep("lineage spool", count, f"{plural(count, 'event')} beside the lineage store.{kept}", done)


def _scratch(home: Path, *, do: bool) -> Upkeep:
    count, size = free_scratch(home, do=do)
    return Upkeep("scratch", count, f"{size:,} bytes in {plural(count, 'folder')} of killed processes.", do)


def _unended(env: Resources, over: Callable[[str], bool], *, do: bool) -> Upkeep:
    """Runs of killed processes, whose end nobody recorded: they would stand as in progress for ever."""
    if not do or not isinstance(env.recorder, EventRecorder):
        return Upkeep("lineage runs", 0, "which of them were killed is found when it is done.")
    try:
        count = len(env.recorder.recover(env.lake, over=over))
    except Exception as problem:  # the store is away, or a log cannot be read: the next time
        return Upkeep("lineage runs", 0, f"not looked at: {type(problem).__name__}.")
    return Upkeep("lineage runs", count, f"{plural(count, 'run')} of killed processes got an end.", do)


def _run_records(env: Resources, *, do: bool) -> Upkeep:
    """Runs that left no commit are a small file each at first: those of a day that is over become one."""
    storage, today = env.lake.storage, datetime.now(UTC).date()
    count = sum(map(len, unfolded_days(storage, today).values()))
    detail = f"{plural(count, 'file')} of runs without a commit, to be one for each day."
    try:
        done = do and fold_records(storage, today) == count
    except Exception as problem:  # the lake is full, or one of its files is damaged: they stay as they are
        return Upkeep("run records", count, f"{detail} Not done: {type(problem).__name__}.")
    return Upkeep("run records", count, detail, done)


def small(files: Iterable[Path], *, do: bool) -> Upkeep:
    """SQLite files of which much is free, made small; one that is in use is left for the next time."""
    freed, names = 0, []
    for file in files:
        with suppress(sqlite3.Error, OSError):
            free = _free(file)
            if free:
                if do:
                    with closing(sqlite3.connect(file, timeout=_WAIT_SECONDS)) as database:
                        database.execute("VACUUM")
                freed += free
                names.append(file.name)
    return Upkeep("databases", len(names), f"{freed:,} bytes free in {', '.join(names) or 'no file'}.", do)


def _free(file: Path) -> int:
    """The bytes that a file would lose, if that is worth it."""
    if not file.is_file():
        return 0
    with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True, timeout=_WAIT_SECONDS)) as database:
        size, pages, free = (
            database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_size", "page_count", "freelist_count")
        )
    return size * free if size * free >= _SMALL and free >= pages * _WORTH_IT else 0


def _old_versions(env: Resources) -> Upkeep:
    files, size, problems = 0, 0, []
    for table in env.lake.tables():
        try:
            plan = plan_vacuum(env.lake, table)
        except AssayError as problem:
            problems.append(str(problem))
            continue
        files, size = files + plan.files, size + plan.bytes
    text = f"{plural(files, 'file')}, {size:,} bytes, that no version of the last 30 days and no pin needs."
    return Upkeep("old versions", files, " ".join([text, *problems]), by="assay vacuum --yes")
