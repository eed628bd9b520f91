"""SHA-256 of files, remembered: a file that has not changed since (by size, time and inode) is not read again.

Runs and the sensor keep what they know under `ASSAY_HOME`; a dry run only reads it. Losing the file costs time only.
"""

import functools
import hashlib
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

_Mark = tuple[int, int, int]  # size, modification time in ns, inode
# A file changed within the clock's resolution of being hashed could change again without a trace: not remembered.
_SETTLED_NS = 50_000_000


class FileHashes:
    """SHA-256 by path, size, modification time and inode. `computed` counts the files that were really hashed."""

    def __init__(self, kept: Path | None = None) -> None:
        self._kept, self._changed = kept, False
        self._known: dict[str, tuple[_Mark, str]] = _load(kept) if kept else {}
        self.computed = 0

    def of(self, file: Path) -> tuple[str, int]:
        """SHA-256 and size of a file. Raises OSError."""
        key = str(file.absolute())
        mark = _mark(file)
        remembered = self._known.get(key)
        if remembered is not None and remembered[0] == mark:
            return remembered[1], mark[0]
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            size = stream.tell()
        self.computed += 1
        if _mark(file) == mark and time.time_ns() - mark[1] > _SETTLED_NS:
            self._known[key] = (mark, digest)
            self._changed = True
        return digest, size

    def forget(self, file: Path | None = None) -> None:
        """Hash this file (None: every file) anew when it is asked for."""
        gone = list(self._known) if file is None else [str(file.absolute())]
        for key in gone:
            self._changed |= self._known.pop(key, None) is not None

    def save(self) -> None:
        """Keep what is known for the next process. What cannot be written is hashed again there."""
        if self._kept is None or not self._changed:
            return
        content = json.dumps({key: [*mark, digest] for key, (mark, digest) in sorted(self._known.items())})
        try:
            self._kept.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=self._kept.parent, prefix=".hashes-")
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(content)
            Path(temporary).replace(self._kept)
        except OSError:
            return
        self._changed = False


@functools.cache
def hashes_in(home: Path) -> FileHashes:
    """The hashes kept in a home, one for the whole process."""
    return FileHashes(home / "file-hashes.json")


def _mark(file: Path) -> _Mark:
    stat = file.stat()
    return stat.st_size, stat.st_mtime_ns, stat.st_ino


def _load(kept: Path) -> dict[str, tuple[_Mark, str]]:
    try:
        content: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
        return {key: ((size, modified, inode), digest) for key, (size, modified, inode, digest) in content.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
