"""Records of what was deleted: which data files of a table, by whom, when and why.

They stay in the lake, so that years later "deleted by X on that day, for this reason" is not taken for "missing, and nobody
recorded why".
"""

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from assay.features.storage.storage import Storage

FOLDER = "_removed"


@dataclass(frozen=True, slots=True)
class Removal:
    """Files of a table (`paths` relative to it) that were deleted at one time."""

    table: str
    at: datetime
    by: str
    reason: str
    paths: tuple[str, ...]

    def __str__(self) -> str:
        who = f" by {self.by}" if self.by else ""
        return f"vacuumed{who} on {self.at:%Y-%m-%d %H:%M} UTC: {self.reason}"

    def to_dict(self) -> dict[str, Any]:
        return {
            "table": self.table,
            "at": self.at.isoformat(),
            "by": self.by,
            "reason": self.reason,
            "paths": list(self.paths),
        }


def record_removal(storage: Storage, table: str, paths: Sequence[str], *, by: str, reason: str) -> None:
    """Record what is about to be deleted. Written before the first file goes: who is killed half-way has recorded too much,
    never too little."""
    made = Removal(table, datetime.now(UTC), by, reason, tuple(paths))
    name = f"{made.at:%Y%m%dT%H%M%S%fZ}-{uuid.uuid4().hex[:8]}"
    storage.put(f"{FOLDER}/{table}/{name}.json", json.dumps(made.to_dict(), sort_keys=True).encode())


def removals(storage: Storage, table: str) -> list[Removal]:
    """What was deleted of a table, oldest first. A record that cannot be read says nothing."""
    found: list[Removal] = []
    for path in storage.list(f"{FOLDER}/{table}"):
        try:
            data = json.loads(storage.get(path))
            at = datetime.fromisoformat(data["at"])
            found.append(Removal(data["table"], at, data["by"], data["reason"], tuple(data["paths"])))
        except (ValueError, KeyError, TypeError):
            continue
    return [item for item in found if item.table == table]
