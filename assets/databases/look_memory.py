"""When a whole table was last looked at in vain: a look that found no change leaves no batch to say so.

A small file below `ASSAY_HOME`. Losing it costs one look.
"""

import hashlib
import json
import uuid
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

from assay.settings import Settings

FOLDER = "looks"


@dataclass(frozen=True, slots=True)
class LookMemory:
    """Of one source, as it is declared."""

    file: Path
    declared: str

    @classmethod
    def of(cls, settings: Settings, source: str, declared: str) -> Self:
        where = hashlib.sha256(f"{settings.lake_uri} {declared}".encode()).hexdigest()
        return cls(settings.home / FOLDER / f"{source}.json", where)

    def whole_at(self) -> datetime | None:
        """When that was, if it is known."""
        try:
            kept = json.loads(self.file.read_text(encoding="utf-8"))
            return datetime.fromisoformat(kept["whole_at"]) if kept["declared"] == self.declared else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def keep(self, moment: datetime) -> None:
        """Remember a look, if the file can be written."""
        with suppress(OSError):
            self.file.parent.mkdir(parents=True, exist_ok=True)
            temporary = self.file.with_name(f".{uuid.uuid4().hex}.json")
            temporary.write_text(
                json.dumps({"declared": self.declared, "whole_at": moment.isoformat()}), encoding="utf-8"
            )
            temporary.replace(self.file)
