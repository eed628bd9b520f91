"""Bytes under the lake's root: a local folder or an object store (`s3://…`), behind four functions.

Delta tables do their own reading and committing; this is for what we write ourselves: data files named by their content,
kept landing files, pins.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from assay.errors import AssayError
from assay.optional import require

# What a file system without hard links answers.
NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.EXDEV, errno.ENOSYS)


Options = Callable[[], dict[str, str]]
"""Gives the options of an object store from the settings of the process that calls it. Pickled by name."""

_Paths = list[str]  # `Storage` has a method of the name `list`


@dataclass(frozen=True)
class Storage:
    """The root of a lake. `root` is an absolute local path or an object-store URI; paths below are relative, with `/`."""

    root: str
    options: dict[str, str] = field(default_factory=dict, repr=False)  # may hold credentials
    options_here: Options | None = field(default=None, repr=False, compare=False)

    @cached_property
    def _remote(self) -> Any:
        # Not DeltaStorageHandler around it: what that returns cannot write with pyarrow ≥ 21 (a Buffer is not bytes).
        require("pyarrow", "A lake in an object store")
        from deltalake._internal import DeltaFileSystemHandler

        return DeltaFileSystemHandler(self.root, self.options or None)

    @property
    def is_local(self) -> bool:
        return "://" not in self.root

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled without its options, which may be secrets: they are asked for where it is unpickled (`options_here`)."""
        if self.options and (self.options_here is None or self.options_here() != self.options):
            raise AssayError(
                f"The lake at {self.root} cannot go to another process: its options may be secrets, which are not pickled. Set "
                "ASSAY_STORAGE_OPTIONS instead of passing them, and open it with assay.open()."
            )
        return _unpickled, (self.root, self.options_here if self.options else None)

    def uri(self, path: str) -> str:
        return f"{self.root}/{path}"

    def put(self, path: str, content: bytes) -> None:
        """Write a whole file. Atomic: a reader, or a process killed half-way, sees the old state or the new one."""
        if not self.is_local:
            self._send(path, [content])
            return
        target = Path(self.root, path)
        with _beside(target, [content]) as temporary:
            temporary.replace(target)

    def _send(self, path: str, pieces: Iterable[bytes]) -> None:
        stream = self._remote.open_output_stream(path, None)
        for piece in pieces:
            stream.write(piece)
        stream.close()  # only now the object appears

    def put_new(self, path: str, content: bytes) -> bool:
        """Write a local file that nobody has written yet, whole or not at all. False: it is there. Raises OSError where the
        file system has no hard links."""
        target = Path(self.root, path)
        with _beside(target, [content]) as temporary:
            return _link(temporary, target)

    def keep(self, path: str, pieces: Iterable[bytes], size: int) -> None:
        """Write a file of `size` bytes whose name is its content, which comes in pieces. One that is there stays as old as it
        is, so that its time is when it first came, whoever writes it at the same moment. One of another size is damaged:
        replaced."""
        if self.size(path) == size:
            return
        if not self.is_local:
            self._send(path, pieces)
            return
        target = Path(self.root, path)
        with _beside(target, pieces) as temporary:
            try:
                if _link(temporary, target) or self.size(path) == size:
                    return
            except OSError as problem:
                if problem.errno not in NO_LINKS:
                    raise
            temporary.replace(target)

    def put_once(self, path: str, content: bytes) -> None:
        """Write a file whose name is its content: there already means done. One of another size is damaged: replaced.

        A file that is there becomes as young as a new one, so that vacuum does not take it from under a writer that is
        about to commit it again.
        """
        if self.is_local and self.size(path) == len(content):
            with suppress(FileNotFoundError):
                os.utime(Path(self.root, path))
                return
        self.put(path, content)

    def get(self, path: str) -> bytes:
        """The whole file. Raises AssayError when it is gone."""
        try:
            if self.is_local:
                return Path(self.root, path).read_bytes()
            return bytes(self._remote.open_input_file(path).read())
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise AssayError(f"{self.uri(path)} is not there (deleted, or vacuumed).") from None

    def sha256(self, path: str) -> str:
        """The digest of a file's bytes, of which few are held at a time where it is local. Raises AssayError when it is gone."""
        if not self.is_local:
            return hashlib.sha256(self.get(path)).hexdigest()
        try:
            with Path(self.root, path).open("rb") as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest()
        except FileNotFoundError:
            raise AssayError(f"{self.uri(path)} is not there (deleted, or vacuumed).") from None

    def size(self, path: str) -> int | None:
        """Bytes of the file, or None when there is none."""
        if self.is_local:
            try:
                status = Path(self.root, path).stat()
            except (OSError, ValueError) as problem:
                if not _is_nothing(problem):
                    raise
                return None
            return status.st_size if stat.S_ISREG(status.st_mode) else None
        info = self._remote.get_file_info([path])[0]
        return info.size if info.is_file else None

    def list(self, folder: str, having: tuple[str, ...] = ("",)) -> _Paths:
        """Files directly in a folder, sorted, whose names have one of these texts in them; no folder is an empty one."""
        if self.is_local:
            try:
                with os.scandir(
                    Path(self.root, folder)
                ) as entries:  # it knows what is a file without asking again for each
                    names = [e.name for e in entries if any(text in e.name for text in having) and e.is_file()]
            except (OSError, ValueError) as problem:
                if not _is_nothing(problem):
                    raise
                return []
            return sorted(f"{folder}/{name}" for name in names if not name.startswith("_"))
        entries = self._remote.get_file_info_selector(folder, True, False)
        return sorted(item.path for item in entries if item.is_file and any(t in item.base_name for t in having))

    def walk(self, folder: str = "") -> _Paths:
        """All files below a folder, sorted."""
        if self.is_local:
            root = Path(self.root)
            return sorted(item.relative_to(root).as_posix() for item in (root / folder).rglob("*") if item.is_file())
        return sorted(item.path for item in self._remote.get_file_info_selector(folder, True, True) if item.is_file)

    def modified(self, path: str) -> datetime | None:
        """When the file was last written (UTC), or None when there is none."""
        if self.is_local:
            target = Path(self.root, path)
            return datetime.fromtimestamp(target.stat().st_mtime, UTC) if target.is_file() else None
        info = self._remote.get_file_info([path])[0]
        return info.mtime.astimezone(UTC) if info.is_file else None

    def delete(self, path: str) -> None:
        if self.is_local:
            Path(self.root, path).unlink(missing_ok=True)
        else:
            self._remote.delete_file(path)


@contextmanager
def _beside(target: Path, pieces: Iterable[bytes]) -> Iterator[Path]:
    """A file with this content in the target's folder, safe on disk, to be moved or linked there; then it is gone."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix="_", suffix=".tmp")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.writelines(pieces)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(0o644)
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _link(temporary: Path, target: Path) -> bool:
    """Give a file its name. False: another one has it."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        return False
    return True


def _is_nothing(problem: OSError | ValueError) -> bool:
    """Whether there is nothing by that name, or cannot be: it is too long, or has a zero byte."""
    return not isinstance(problem, OSError) or problem.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)


def _unpickled(root: str, options_here: Options | None) -> Storage:
    return Storage(root, options_here() if options_here is not None else {}, options_here)


def open_storage(
    uri: str | Path, options: dict[str, str] | None = None, options_here: Options | None = None
) -> Storage:
    """A lake's storage from a path or URI; a local root becomes absolute, so that a version's address means one place."""
    text = str(uri).rstrip("/")
    if text.startswith("file://"):
        text = text.removeprefix("file://")
    if "://" not in text:
        text = str(Path(text).expanduser().resolve())
    return Storage(text, options or {}, options_here)
