"""Which checkpoints were compared with the commits already, and named the same files: of old tables that is worth remembering.

A checkpoint never changes, and names every file of its table. What is remembered is a statement about its bytes, by their
SHA-256: any other byte, and it is compared again. The memory is believed. It therefore does not lie in the lake, whose writers
are to be found out, but beside the lineage store: who can change it there can change that witness, too.
"""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

from assay.features.storage.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Compared:
    """The memory: an empty file for each checkpoint, named by what is remembered. Without a `folder`, or where it cannot be
    written, it is forgotten with this object. It may be lost at any time."""

    folder: Path | None = None
    _known: set[str] = field(default_factory=set, repr=False)

    def __contains__(self, statement: str) -> bool:
        return statement in self._known or (self.folder is not None and self._file(statement).is_file())

    def remember(self, statement: str) -> None:
        self._known.add(statement)
        if self.folder is None:
            return
        try:
            self._file(statement).parent.mkdir(parents=True, exist_ok=True)
            self._file(statement).touch()
        except OSError:
            return

    def _file(self, statement: str) -> Path:
        return Path(self.folder or "", statement[:2], statement)


def same_files(sha256: str, version: Snapshot, what: str = "files and columns") -> str:
    """The statement that a checkpoint, by its SHA-256, names the files of a version, no more and no fewer, and its columns; or
    that something else of it is the same (`what`). The digest of the version's commit stands for the log up to it."""
    identity = [f"same {what}/3", sha256, version.table_id, version.version, version.commit_sha256]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()
