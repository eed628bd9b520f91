"""Settings that sources lack, as they were found lacking by whoever looked at the pipeline last.

The console loads no project, so it cannot find out by itself. One small document in the lake for each table, written when it
changes, and once an hour meanwhile; there is none where nothing is missing. Of a table the last look counts, whatever the project
is called that looked. What nobody has found lacking for a day does not count: the table, or the project, may be gone.
"""

import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from assay.errors import AssayError
from assay.features.storage.storage import Storage

FOLDER = "_lacking"
AGAIN = timedelta(hours=1)
FORGOTTEN = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class MissingSetting:
    """What a step needs to run, and is not set.

    Attributes:
        table: the first that the step would write.
        sentence: what is missing, with the next step; never with a setting's value.
        since: when it was found first.
        seen: when somebody looked last, to the hour.
    """

    table: str
    sentence: str
    since: datetime
    seen: datetime

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "since": self.since.isoformat(), "seen": self.seen.isoformat()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        times: dict[str, Any] = {name: datetime.fromisoformat(data[name]) for name in ("since", "seen")}
        return cls(**(dict(data) | times))


def keep_missing_settings(
    storage: Storage, sentences: Mapping[str, str], looked: Collection[str], now: datetime
) -> None:
    """Keep what was found lacking, for those who do not look themselves. Where it cannot be kept, they go without.

    Args:
        storage: Of the lake.
        sentences: What is missing, by table.
        looked: The tables that were looked at: those of which nothing is missing, too.
        now: When somebody looked.
    """
    with suppress(OSError, AssayError):
        there = set(storage.walk(FOLDER))
        for table, sentence in sorted(sentences.items()):
            path = _path(table)
            before = _read(storage, path) if path in there else None
            found = MissingSetting(table, sentence, before.since if before else now, now)
            if before is None or before.sentence != sentence or now - before.seen >= AGAIN:
                storage.put(path, json.dumps(found.to_dict(), ensure_ascii=False).encode())
        settled = {_path(table) for table in looked if table not in sentences}
        for path in sorted(there - {_path(table) for table in sentences}):
            if path in settled or (kept := _read(storage, path)) is None or now - kept.seen >= FORGOTTEN:
                storage.delete(path)


def missing_settings(storage: Storage, now: datetime | None = None) -> dict[str, MissingSetting]:
    """What is missing now, by table, of all projects over this lake. `now` is the time; default: that of the clock."""
    now = now or datetime.now(UTC)
    found = [_read(storage, path) for path in storage.walk(FOLDER)]
    return {kept.table: kept for kept in found if kept is not None and now - kept.seen < FORGOTTEN}


def _path(table: str) -> str:
    return f"{FOLDER}/{table}.json"


def _read(storage: Storage, path: str) -> MissingSetting | None:
    """None where it was written by another version, or is gone at this moment."""
    with suppress(AssayError, ValueError, KeyError, TypeError, AttributeError):
        kept = MissingSetting.from_dict(json.loads(storage.get(path)))
        return kept if _path(kept.table) == path else None
    return None
