"""Settings that sources of a project lack, as they were found lacking by whoever looked at its pipeline last.

The console loads no project, so it cannot find out by itself. One small document in the lake for each project, written when it
changes, and once an hour meanwhile; there is none where nothing is missing.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Self

from assay.errors import AssayError
from assay.features.storage.storage import Storage

FOLDER = "_lacking"
AGAIN = timedelta(hours=1)
_UNNAMED = "+unnamed"  # no project is called so


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
        times = {name: datetime.fromisoformat(data[name]) for name in ("since", "seen")}
        return cls(**{**data, **times})


def keep_missing_settings(storage: Storage, project: str, sentences: Mapping[str, str], now: datetime) -> None:
    """Keep what was found lacking, for those who do not look themselves. Where it cannot be kept, they go without.

    Args:
        storage: Of the lake.
        project: Its name.
        sentences: What is missing, by table; empty: nothing is.
        now: When somebody looked.
    """
    path = f"{FOLDER}/{project or _UNNAMED}.json"
    with suppress(OSError, AssayError):
        if storage.size(path) is None and not sentences:
            return
        before = {kept.table: kept for kept in _read(storage, path)}
        found = {
            table: MissingSetting(table, sentence, before[table].since if table in before else now, now)
            for table, sentence in sorted(sentences.items())
        }
        if not found:
            storage.delete(path)
        elif _news(before, found):
            content = [kept.to_dict() for kept in found.values()]
            storage.put(path, json.dumps(content, ensure_ascii=False).encode())


def missing_settings(storage: Storage) -> dict[str, MissingSetting]:
    """What is missing now, by table, of all projects over this lake."""
    paths = [path for path in storage.walk(FOLDER) if path.endswith(".json")]
    return {kept.table: kept for path in paths for kept in _read(storage, path)}


def _news(before: Mapping[str, MissingSetting], found: Mapping[str, MissingSetting]) -> bool:
    if before.keys() != found.keys():
        return True
    return any(
        replace(before[table], seen=kept.seen) != kept or kept.seen - before[table].seen >= AGAIN
        for table, kept in found.items()
    )


def _read(storage: Storage, path: str) -> list[MissingSetting]:
    """Nothing where it was written by another version, or is gone at this moment: then it is kept anew."""
    with suppress(AssayError, ValueError, KeyError, TypeError, AttributeError):
        return [MissingSetting.from_dict(kept) for kept in json.loads(storage.get(path))]
    return []
