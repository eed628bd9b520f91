"""Bytes that wait to be stored: a few in memory, more in a file without a name, which is gone when its process is."""

import tempfile
import weakref
from pathlib import Path
from typing import IO

IN_MEMORY = 1 << 26


class Spool:
    """Keeps contents until they are asked for. `folder` is where the file is, if one is needed (None: the system's place)."""

    def __init__(self, folder: str | None = None, in_memory: int = IN_MEMORY) -> None:
        self._folder, self._free = folder, in_memory
        self._file: IO[bytes] | None = None
        self._end = 0

    def add(self, content: bytes) -> "bytes | Spooled":
        """The content, or where it is."""
        if len(content) <= self._free:
            self._free -= len(content)
            return content
        if self._file is None:
            if self._folder is not None:
                Path(self._folder).mkdir(parents=True, exist_ok=True)
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 (closed by `close`)
            weakref.finalize(self, self._file.close)  # or when nobody has it any more
        self._file.seek(self._end)
        self._file.write(content)
        start, self._end = self._end, self._end + len(content)
        return Spooled(self, start, len(content))

    def read(self, start: int, size: int) -> bytes:
        """Some of what went to the file."""
        if self._file is None:
            raise ValueError("the spool is closed")
        self._file.seek(start)
        return self._file.read(size)

    def close(self) -> None:
        """Forget what went to the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


class Spooled:
    """A content in the file of a spool."""

    __slots__ = ("_size", "_spool", "_start")

    def __init__(self, spool: Spool, start: int, size: int) -> None:
        self._spool, self._start, self._size = spool, start, size

    def read(self) -> bytes:
        """The content."""
        return self._spool.read(self._start, self._size)
