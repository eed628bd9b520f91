"""A file that takes what the database could not: one JSON document a line, appended by any number of processes."""

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Spool:
    path: Path

    def append(self, document: bytes) -> None:
        """Add a document (JSON without line breaks). On disk when this returns. Raises OSError."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._locked(os.O_CREAT | os.O_RDWR | os.O_APPEND) as handle:
            # A process killed in the middle of a line must not spoil the next one.
            torn = (size := os.fstat(handle).st_size) and os.pread(handle, 1, size - 1) != b"\n"
            os.write(handle, (b"\n" if torn else b"") + document + b"\n")
            os.fsync(handle)

    def empty(self, take: Callable[[Sequence[bytes]], object]) -> None:
        """Hand everything to `take`; when it returns, the file is emptied. Lines that are not whole go to `<file>.broken`.

        If the process dies in between, the documents are handed over again: `take` must not mind.
        """
        if not self.path.exists() or self.path.stat().st_size == 0:
            return
        with self._locked(os.O_RDWR) as handle:
            lines = [line for line in _read(handle).split(b"\n") if line]
            whole = [line for line in lines if _is_json(line)]
            take(whole)
            if broken := [line for line in lines if not _is_json(line)]:
                with self.path.with_name(f"{self.path.name}.broken").open("ab") as kept:
                    kept.write(b"\n".join(broken) + b"\n")
            os.ftruncate(handle, 0)

    @contextmanager
    def _locked(self, flags: int) -> Iterator[int]:
        handle = os.open(self.path, flags, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)  # released when the file is closed, by whatever end
            yield handle
        finally:
            os.close(handle)


def _read(handle: int) -> bytes:
    return os.pread(handle, os.fstat(handle).st_size, 0)


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True
