"""The only deleter: frees data files that no recent and no pinned version needs. Nothing else in Assay deletes data.

It works on files that the log knows as removed, and on leftovers of killed writers that carry our own names; it never
lists a table and deletes what it does not know. The log itself stays, so that a version that is gone is known as vacuumed.
"""

import json
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from assay.errors import AssayError
from assay.features.retention.availability import require_readable
from assay.features.retention.pins import announcement, live_pins
from assay.features.retention.removals import record_removal
from assay.features.storage.parquet_files import file_sha256
from assay.features.storage.snapshot import Slice, Snapshot
from assay.features.tables.lake import Lake
from assay.features.tables.log_replay import FileLife, LogReplay, replay_log

# Younger files may belong to a commit that is being made (a file named by its content can come back to life).
GRACE = timedelta(hours=1)
LEFTOVER = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Vacuum:
    """What a vacuum frees, or would: `paths` relative to the table. `keeps` are the versions that stay readable."""

    table: str
    paths: tuple[str, ...]
    bytes: int
    keeps: tuple[int, ...]
    pins: tuple[str, ...]
    deleted: bool = False

    @property
    def files(self) -> int:
        return len(self.paths)

    def to_dict(self) -> dict[str, object]:
        return {
            "table": self.table,
            "files": self.files,
            "bytes": self.bytes,
            "keeps": list(self.keeps),
            "pins": list(self.pins),
            "deleted": self.deleted,
        }


def plan_vacuum(lake: Lake, table: str, *, keep_days: float = 30, grace: timedelta = GRACE) -> Vacuum:
    """What may be freed. Kept is what the latest version, the one whose features are served, every version that was the latest
    within `keep_days`, and every live pin (of a slice: its partitions) needs, and whatever was written within `grace`.

    Raises TableMissing, or AssayError for a table whose log is not complete.
    """
    now = datetime.now(UTC)
    state = lake.table(table).at()
    table_id = state.snapshot.table_id
    log = _complete_log(lake, table)
    times = {entry.version: entry.commit.timestamp for entry in log.entries if entry.commit is not None}
    lives: dict[str, list[FileLife]] = defaultdict(list)
    for life in log.lives():
        lives[life.file.path].append(life)
    cutoff = now - timedelta(days=keep_days)
    latest = max(times)
    recent = {version for version in times if version == latest or times[version + 1] > cutoff}
    # Also what readers of features get while a changed definition has not computed all partitions.
    needed: dict[int, list[Slice | None]] = {version: [None] for version in {*recent, state.defined.whole}}
    named = []
    for pin in live_pins(lake, now):
        for item in pin.snapshots:
            snapshot = _snapshot(item)
            if snapshot.table == table and snapshot.table_id == table_id:
                needed.setdefault(snapshot.version, []).append(item if isinstance(item, Slice) else None)
                named.append(pin.name)
    free = {
        path
        for path, spans in lives.items()
        if not any(
            life.holds(version) and (part is None or part.holds(life.file.partition))
            for version, parts in needed.items()
            for part in parts
            for life in spans
        )
    }
    free = _old_enough(lake, table, free, now - grace)
    free |= _old_enough(lake, table, _leftovers(lake, table, lives), now - LEFTOVER)
    size = sum(lake.storage.size(f"{table}/{path}") or 0 for path in free)
    return Vacuum(table, tuple(sorted(free)), size, tuple(sorted(needed)), tuple(sorted(set(named))))


def vacuum(
    lake: Lake,
    table: str,
    *,
    keep_days: float = 30,
    dry_run: bool = True,
    grace: timedelta = GRACE,
    reason: str = "",
) -> Vacuum:
    """Free what `plan_vacuum` lists, and check that the latest and every pinned version can be read afterwards. Who deleted what,
    when and why is recorded in the lake.

    Args:
        lake: Where the tables are.
        table: Its name.
        keep_days: Files that were live within so many days stay.
        dry_run: Delete nothing, only say what would be.
        grace: How young a file that no version names may be and still stay: a writer may be about to commit it.
        reason: Why, for those who look for a file later. Default: that no version of `keep_days` and no pin needs it.
    """
    plan = plan_vacuum(lake, table, keep_days=keep_days, grace=grace)
    if dry_run:
        return plan
    lake.allow("delete", table)
    # Announced before the pins are read again: a pin made meanwhile is seen here, or sees this and gives up.
    note = announcement(table)
    lake.storage.put(note, json.dumps({"files": plan.paths}).encode())
    again = plan_vacuum(lake, table, keep_days=keep_days, grace=grace)
    paths = sorted(set(plan.paths) & set(again.paths))
    if paths:
        why = reason or f"no version of the last {keep_days:g} days and no pin needed it"
        record_removal(lake.storage, table, paths, by=lake.actor, reason=why)
    size = 0
    for path in paths:
        size += lake.storage.size(f"{table}/{path}") or 0
        lake.storage.delete(f"{table}/{path}")
    lake.storage.delete(note)
    latest = lake.table(table).at().snapshot
    require_readable(lake, latest, f"{table}, after its vacuum,")
    for pin in live_pins(lake):
        for item in pin.snapshots:
            if _snapshot(item).table_id == latest.table_id:
                require_readable(lake, item, f"Pin {pin.name!r}")
    return replace(again, paths=tuple(paths), bytes=size, deleted=True)


def _snapshot(item: Snapshot | Slice) -> Snapshot:
    return item.snapshot if isinstance(item, Slice) else item


def _complete_log(lake: Lake, table: str) -> LogReplay:
    log = replay_log(lake, table)
    entries = log.entries if log else ()
    if log is None or log.damaged or [entry.version for entry in entries] != list(range(len(entries))):
        raise AssayError(
            f"{table} is not vacuumed: its log is damaged or has gaps, so that what its versions need is not known."
        )
    return log


def _old_enough(lake: Lake, table: str, paths: set[str], before: datetime) -> set[str]:
    """Those that are there and were last written before a time."""
    modified = ((path, lake.storage.modified(f"{table}/{path}")) for path in paths)
    return {path for path, at in modified if at is not None and at < before}


def _leftovers(lake: Lake, table: str, kept: Collection[str]) -> set[str]:
    """Files with names that only we give, which no commit knows: their writer was killed before it could commit."""
    paths = {path.removeprefix(f"{table}/") for path in lake.storage.walk(table)}
    data = (path for path in paths - set(kept) if not path.startswith("_delta_log/"))
    return {path for path in data if file_sha256(path) or (Path(path).name.startswith("_") and path.endswith(".tmp"))}
