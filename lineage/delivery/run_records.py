"""Runs whose end no commit describes, kept in the lake: they failed, were refused, changed nothing or were killed.

A record is one small file, `_runs/<day it started>/<run id>.ndjson`: the START and the terminal event of the run, a line each,
as they are in the lineage store, which is thereby an index only; but without the address of the lake. Days that are over are
folded into one compressed file each (`fold_records`), so that a step that fails every minute costs the lake some kilobytes a
day.
"""

import gzip
import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any

from assay.errors import AssayError
from assay.features.storage.storage import Storage

FOLDER = "_runs"
SINGLE_DAYS = 2  # runs of the last days are single files: their records may still be written


@dataclass(frozen=True)
class RunRecord:
    """A run that has ended: its `start` (empty where there was none) and its `end`, as OpenLineage events without the
    addresses of tables."""

    run_id: str
    started_at: datetime
    start: bytes
    end: bytes

    def events(self, storage: Storage) -> list[bytes]:
        """As they are stored and sent, with the addresses of the lake that they are kept in."""
        from assay.lineage.events.places import with_places  # the event library takes a while to import

        return [body for body in (self.start, with_places(self.end, storage.uri)) if body]

    @cached_property
    def end_fields(self) -> dict[str, Any]:
        return json.loads(self.end)

    @property
    def presumed(self) -> bool:
        """Whether the end is an ABORT, which nobody reported: what the run itself reports later stands instead."""
        return self.end_fields["eventType"] == "ABORT"

    @property
    def content(self) -> bytes:
        return b"".join(body + b"\n" for body in (self.start, self.end) if body)


@dataclass(frozen=True, slots=True)
class Records:
    """All that were kept, by run id, and the paths of those that cannot be read any more."""

    records: dict[str, RunRecord]
    damaged: tuple[str, ...]


def keep_record(storage: Storage, record: RunRecord) -> None:
    """Keep how a run ended, once: what is there stays, unless it is a presumption. Raises what writing to the lake does."""
    path = _path(record.run_id, record.started_at.astimezone(UTC).date())
    if storage.size(path) is not None:
        there = _read(storage, path)
        if there and (record.presumed or not there[0].presumed):
            return
    storage.put(path, record.content)


def find_record(storage: Storage, run_id: str, started_at: datetime) -> RunRecord | None:
    """How a run ended, where that was kept."""
    day, found = started_at.astimezone(UTC).date(), dict[str, RunRecord]()
    for path in (_folded(day), _path(run_id, day)):
        if storage.size(path) is not None:
            _merge(found, _read(storage, path))
    return found.get(run_id)


def read_records(storage: Storage) -> Records:
    """All of them, whether or not they are folded."""
    found: dict[str, RunRecord] = {}
    damaged = []
    for path in storage.walk(FOLDER):
        if not path.endswith((".ndjson", ".ndjson.gz")):
            continue
        try:
            _merge(found, _parsed(path, storage.get(path)))
        except _DAMAGE:
            damaged.append(path)
    return Records(found, tuple(damaged))


def unfolded_days(storage: Storage, today: date) -> dict[date, list[str]]:
    """The single files of days that are over, by day."""
    days: dict[date, list[str]] = defaultdict(list)
    for path in storage.walk(FOLDER):
        day, slash, name = path.removeprefix(f"{FOLDER}/").partition("/")
        if slash and name.endswith(".ndjson") and (began := _day(day)) and began <= today - timedelta(days=SINGLE_DAYS):
            days[began].append(path)
    return dict(days)


def fold_records(storage: Storage, today: date) -> int:
    """Make one file of each day that is over. Returns how many single files went into them. Whoever is killed in between
    leaves a record twice, which counts once. A file that cannot be read stays where it is."""
    count = 0
    for day, paths in unfolded_days(storage, today).items():
        found: dict[str, RunRecord] = {}
        if storage.size(_folded(day)) is not None:
            _merge(found, _parsed(_folded(day), storage.get(_folded(day))))
        contents = {path: storage.get(path) for path in paths}
        folded = [path for path in paths if _merged(found, path, contents[path])]
        lines = b"".join(found[run_id].content for run_id in sorted(found))
        storage.put(_folded(day), gzip.compress(lines, mtime=0))
        for path in folded:
            if storage.get(path) == contents[path]:  # else the run has reported its end at this moment
                storage.delete(path)
        count += len(folded)
    return count


def record_of(start: bytes, end: bytes) -> RunRecord:
    """From the events of a run. Raises one of ValueError, KeyError, TypeError for what is not its terminal event."""
    from assay.lineage.events.places import without_places

    fields = json.loads(start or end)
    ended = json.loads(end)
    if ended["run"]["runId"] != fields["run"]["runId"]:
        raise ValueError("The events are of two runs.")
    return RunRecord(ended["run"]["runId"], datetime.fromisoformat(fields["eventTime"]), start, without_places(end))


_DAMAGE = (ValueError, KeyError, TypeError, OSError, EOFError)


def _merged(found: dict[str, RunRecord], path: str, content: bytes) -> bool:
    try:
        _merge(found, _parsed(path, content))
    except _DAMAGE:
        return False
    return True


def _merge(found: dict[str, RunRecord], records: Iterable[RunRecord]) -> None:
    """The first end of a run stands, unless it was presumed."""
    for record in records:
        if record.run_id not in found or (found[record.run_id].presumed and not record.presumed):
            found[record.run_id] = record


def _read(storage: Storage, path: str) -> list[RunRecord]:
    """None of them where the file is damaged, or is gone at this moment."""
    try:
        return _parsed(path, storage.get(path))
    except (*_DAMAGE, AssayError):
        return []


def _parsed(path: str, content: bytes) -> list[RunRecord]:
    lines = (gzip.decompress(content) if path.endswith(".gz") else content).splitlines()
    records, start = [], b""
    for line in lines:
        if json.loads(line)["eventType"] == "START":
            start = line
            continue
        records.append(record_of(start, line))
        start = b""
    if start or not records:
        raise ValueError("A run without an end.")
    return records


def _path(run_id: str, day: date) -> str:
    return f"{FOLDER}/{day.isoformat()}/{run_id}.ndjson"


def _folded(day: date) -> str:
    return f"{FOLDER}/{day.isoformat()}.ndjson.gz"


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
