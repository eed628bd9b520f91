"""Pins: leases that keep snapshots readable. One JSON file each, in the lake, so that every user of the lake sees them."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from assay.errors import AssayError
from assay.features.retention.availability import require_readable
from assay.features.storage.snapshot import Slice, Snapshot
from assay.features.tables.lake import Lake

FOLDER = "_pins"
VACUUMS = "_vacuum"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9@._-]{0,127}")


@dataclass(frozen=True, slots=True)
class Pin:
    """Who keeps which snapshots, why, and until when (None: until it is removed). A slice keeps its partitions only."""

    name: str
    owner: str
    reason: str
    created_at: datetime
    expires_at: datetime | None
    snapshots: tuple[Snapshot | Slice, ...]

    def is_live(self, at: datetime) -> bool:
        return self.expires_at is None or at < self.expires_at

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "owner": self.owner,
            "reason": self.reason,
            "created_at": self.created_at.isoformat(),
            "expires_at": self.expires_at.isoformat() if self.expires_at else None,
            "snapshots": [item.to_dict() for item in self.snapshots],
        }

    def __str__(self) -> str:
        until = f"until {self.expires_at:%Y-%m-%d %H:%M}" if self.expires_at else "until it is removed"
        return f"{self.name} ({self.owner}, {until}): {', '.join(map(str, self.snapshots))}"

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Pin":
        return cls(
            data["name"],
            data["owner"],
            data["reason"],
            datetime.fromisoformat(data["created_at"]),
            datetime.fromisoformat(data["expires_at"]) if data["expires_at"] else None,
            tuple(
                Slice.from_dict(item) if "digest" in item else Snapshot.from_dict(item) for item in data["snapshots"]
            ),
        )


def pin(
    lake: Lake,
    name: str,
    snapshots: Sequence[Snapshot | Slice],
    *,
    owner: str,
    reason: str,
    expires_at: datetime | None = None,
) -> Pin:
    """Keep snapshots readable. The same name with the same snapshots renews a lease.

    Args:
        lake: Where the tables are.
        name: Of the pin.
        snapshots: Versions of tables, or parts of them.
        owner: Who needs them.
        reason: Why.
        expires_at: When the lease ends. Default: never.

    Raises:
        AssayError: The name is taken by other snapshots, the expiry is past, or a snapshot cannot be read any more (or is
            being vacuumed at this moment); then nothing is pinned.
    """
    path, now = _path(name), datetime.now(UTC)
    if not snapshots:
        raise AssayError(f"Pin {name!r} names no snapshot.")
    if expires_at is not None and (expires_at.tzinfo is None or expires_at <= now):
        raise AssayError(f"Pin {name!r} must expire in the future, at a time with a zone.")
    for item in snapshots:
        lake.allow("read", (item.snapshot if isinstance(item, Slice) else item).table)
    old = Pin.from_dict(json.loads(lake.storage.get(path))) if lake.storage.size(path) is not None else None
    if old is not None and old.is_live(now) and set(old.snapshots) != set(snapshots):
        raise AssayError(f"Pin {name!r} already keeps other snapshots: choose another name, or remove it first.")
    made = Pin(name, owner, reason, old.created_at if old else now, expires_at, tuple(snapshots))
    lake.storage.put(path, json.dumps(made.to_dict(), indent=2).encode())
    try:
        # After the pin is there, not before: a vacuum announces itself and then looks at the pins, so that one of the
        # two always sees the other.
        for item in snapshots:
            require_readable(lake, item, f"Pin {name!r}")
            _refuse_vacuumed_now(lake, item, name)
    except AssayError:
        if old is None:
            lake.storage.delete(path)
        else:
            lake.storage.put(path, json.dumps(old.to_dict(), indent=2).encode())
        raise
    return made


def unpin(lake: Lake, name: str) -> None:
    """Remove a pin. Its snapshots stay until a vacuum.

    Args:
        lake: Where the tables are.
        name: Of the pin.

    Raises:
        AssayError: There is no such pin.
    """
    if lake.storage.size(_path(name)) is None:
        raise AssayError(f"There is no pin {name!r} (see: assay pin list).")
    for item in Pin.from_dict(json.loads(lake.storage.get(_path(name)))).snapshots:  # what it kept may go
        lake.allow("delete", (item.snapshot if isinstance(item, Slice) else item).table)
    lake.storage.delete(_path(name))


def pins(lake: Lake) -> list[Pin]:
    """All pins, expired ones too, by name."""
    paths = [path for path in lake.storage.list(FOLDER) if path.endswith(".json")]
    return [Pin.from_dict(json.loads(lake.storage.get(path))) for path in paths]


def live_pins(lake: Lake, at: datetime | None = None) -> list[Pin]:
    moment = at or datetime.now(UTC)
    return [item for item in pins(lake) if item.is_live(moment)]


def announcement(table: str) -> str:
    """Where a vacuum says which files of a table it is about to delete."""
    return f"{VACUUMS}/{table}.json"


def _refuse_vacuumed_now(lake: Lake, item: Snapshot | Slice, name: str) -> None:
    snapshot, part = (
        (item.snapshot, (item.partitions, item.excluded)) if isinstance(item, Slice) else (item, (None, ()))
    )
    path = announcement(snapshot.table)
    if lake.storage.size(path) is None:
        return
    doomed = set(json.loads(lake.storage.get(path))["files"])
    if any(file.path in doomed for file in lake.table(snapshot.table).at(snapshot.version).files_of(*part)):
        raise AssayError(
            f"Pin {name!r}: {snapshot} is being vacuumed. Pin a newer version; if no vacuum is running, the last one was "
            f"killed: run `assay vacuum {snapshot.table} --delete` again."
        )


def _path(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise AssayError(f"{name!r} is not a pin name: use letters, digits and @ . _ - (at most 128).")
    return f"{FOLDER}/{name}.json"
