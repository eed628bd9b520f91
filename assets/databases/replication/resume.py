"""Where reading by a slot goes on: what the commit of a batch holds, so that rows and place cannot part."""

import hashlib
import json
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from assay.settings import Settings

FOLDER = "slots"


@dataclass(frozen=True, slots=True)
class Resume:
    """What a lake holds of a table's changes.

    Attributes:
        lsn: It holds everything that was committed before this place of the write-ahead log.
        origin: Which log that is, and which table: server, timeline, database, table, publication.
        columns: The columns of the table, with their types.
        snapshot: `xmin:xmax:xip,…`: it holds the transactions that this snapshot sees, too. Empty: none beyond `lsn`.
        until: The place before which all of those were committed.
    """

    lsn: int
    origin: str
    columns: str
    snapshot: str = ""
    until: int = 0

    def holds(self, lsn: int, xid: int) -> bool:
        """Whether the lake has a transaction that was committed by the record at `lsn`."""
        return lsn < self.lsn or (bool(self.snapshot) and lsn < self.until and _sees(self.snapshot, xid))

    def at(self, lsn: int) -> "Resume":
        """The same, further on."""
        if lsn <= self.lsn:
            return self
        done = lsn >= self.until
        return Resume(lsn, self.origin, self.columns, "" if done else self.snapshot, 0 if done else self.until)

    def to_text(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def of_text(cls, text: object) -> Self | None:
        """What `to_text` gave; None for anything else: then the table is compared as a whole."""
        try:
            given = cls(**json.loads(str(text))) if text else None
        except (ValueError, TypeError):
            return None
        sound = given is not None and all(type(getattr(given, one.name)) is one.type for one in fields(cls))
        return given if sound else None


def _sees(snapshot: str, xid: int) -> bool:
    """Whether a snapshot sees a transaction. Of its id there are 32 bits, of those in the snapshot 64: no two that matter here
    are 2³¹ apart, since PostgreSQL keeps no older ones."""
    low, high, running = snapshot.split(":")

    def before(other: str) -> bool:
        return (xid - int(other)) & 0xFFFFFFFF >= 0x80000000

    if before(low):
        return True
    return before(high) and xid not in {int(one) & 0xFFFFFFFF for one in running.split(",") if one}


@dataclass(frozen=True, slots=True)
class ResumeMemory:
    """How far reading came since the last commit without finding a change, which no batch says. A small file below `ASSAY_HOME`.
    Losing it costs one look at the whole table at most."""

    file: Path
    lake: str

    @classmethod
    def of(cls, settings: Settings, source: str) -> Self:
        return cls(settings.home / FOLDER / f"{source}.json", settings.lake_uri)

    def resume(self, committed: Resume | None) -> Resume | None:
        """Where reading goes on after a commit."""
        kept = self._kept(committed)
        return Resume.of_text(kept.get("resume")) or committed

    def advanced(self, committed: Resume | None) -> int:
        """How far the slot was advanced after that commit, as far as it is known."""
        return int(self._kept(committed).get("advanced", 0))

    def keep(self, committed: Resume | None, resume: Resume | None, advanced: int | None = None) -> None:
        """Remember both, if the file can be written. None: as they were."""
        kept = self._kept(committed)
        resume = resume or Resume.of_text(kept.get("resume"))
        new = {
            "after": self._after(committed),
            "resume": resume.to_text() if resume is not None else "",
            "advanced": kept.get("advanced", 0) if advanced is None else advanced,
        }
        if new == kept:
            return
        with suppress(OSError):
            self.file.parent.mkdir(parents=True, exist_ok=True)
            temporary = self.file.with_name(f".{uuid.uuid4().hex}.json")
            temporary.write_text(json.dumps(new), encoding="utf-8")
            temporary.replace(self.file)

    def _kept(self, committed: Resume | None) -> dict[str, Any]:
        try:
            kept = json.loads(self.file.read_text(encoding="utf-8"))
            return kept if kept["after"] == self._after(committed) else {}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def _after(self, committed: Resume | None) -> str:
        text = f"{self.lake} {committed.to_text() if committed is not None else ''}"
        return hashlib.sha256(text.encode()).hexdigest()
