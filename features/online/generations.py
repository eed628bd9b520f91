"""Generations of feature sets in a folder: built apart, published by one rename, read by whoever opens the current one.

    online/router@1/g000007/        manifest.json, and a folder for each part of each stream
    online/router@1/CURRENT         the name of the generation that is read
    online/router@1/building-…/     one that is being built, or that a killed process left

A reader keeps the files that it has open, whatever becomes of them; the generation before the current one stays.
"""

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from assay.errors import AssayError, nearest
from assay.features.online.found import Found, find
from assay.features.online.manifest import Manifest, Stream
from assay.features.online.part import Part, rows_of_part, write_part

CURRENT, MANIFEST, _LOCK, _BUILDING = "CURRENT", "manifest.json", "lock", "building-"
_TRIES = 10
_NEXT = "Next: assay online materialize NAME."
_KEPT = 2  # generations: the current one, and the one before


@dataclass(frozen=True, slots=True, eq=False)
class Generation:
    """A generation that is open: rows by stream, readable also when its files are deleted."""

    manifest: Manifest
    parts: dict[str, tuple[Part, ...]]
    schemas: dict[str, dict[str, pl.DataType]]

    def find(self, stream: str, keys: Sequence[bytes | None], hashes: npt.NDArray[np.uint64], at: int) -> Found:
        """The rows of keys as of a moment (µs since 1970)."""
        return find(self.parts[stream], keys, hashes, at)


@dataclass(frozen=True, slots=True)
class Generations:
    """All feature sets that are kept below a folder."""

    root: Path

    def sets(self) -> list[str]:
        """What is kept, such as `router@1`, sorted."""
        found = (path.name for path in self.root.iterdir() if (path / CURRENT).is_file()) if self.root.is_dir() else ()
        return sorted(found)

    def find(self, name: str) -> str:
        """The set of a name, with its version; without one where there is only one.

        Raises:
            AssayError: There is none, or there are several versions.
        """
        known = self.sets()
        versions = [one for one in known if one.rpartition("@")[0] == name]
        if name in known or len(versions) == 1:
            return name if name in known else versions[0]
        if versions:
            raise AssayError(f"Feature set {name} has several versions: name one of {', '.join(versions)}.")
        there = f"there are: {', '.join(known)}" if known else "none is"
        raise AssayError(f"Feature set {name} is not materialised ({there}).{nearest(name, known)} {_NEXT}")

    def mark(self, name: str) -> tuple[int, int] | None:
        """Changes when another generation is published; None: there is none."""
        try:
            status = _pointer(self.root, name).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return status.st_mtime_ns, status.st_ino

    def manifest(self, name: str) -> Manifest | None:
        """Of the current generation; None where there is none."""
        folder = self._current(name)
        return None if folder is None else _read(folder)

    def open(self, name: str) -> Generation:
        """The current generation.

        Raises:
            AssayError: There is none; or its files are damaged.
        """
        for _ in range(_TRIES):
            folder = self._current(name)
            if folder is None:
                raise AssayError(f"Feature set {name} is not materialised. {_NEXT}")
            with suppress(FileNotFoundError):  # two generations came since its name was read
                return _open(folder)
        raise AssayError(
            f"The online store of {name} misses files in {self.root / name}. Next: assay online materialize."
        )

    def former_rows(self, name: str, stream: Stream, part: int) -> pl.DataFrame:
        """The rows of a part of the current generation's stream, as columns."""
        folder = self._current(name)
        if folder is None:
            raise AssayError(f"Feature set {name} is not materialised.")
        return rows_of_part(folder / stream.id / str(part))

    @contextmanager
    def building(self, name: str) -> Iterator["Building"]:
        """A new generation, which is published or leaves no trace. One process at a time builds a set.

        Raises:
            AssayError: Another process does.
        """
        home = self.root / name
        home.mkdir(parents=True, exist_ok=True)
        with (home / _LOCK).open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise AssayError(f"Feature set {name} is being materialised by another process: wait for it.") from None
            for left in home.glob(f"{_BUILDING}*"):  # of a process that was killed
                shutil.rmtree(left, ignore_errors=True)
            folder = Path(tempfile.mkdtemp(prefix=_BUILDING, dir=home))
            try:
                yield Building(folder, home)
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    def remove(self, name: str) -> bool:
        """Delete a set's generations. Whether there were any."""
        if self.mark(name) is None:
            return False
        (self.root / name / CURRENT).unlink()
        shutil.rmtree(self.root / name, ignore_errors=True)
        return True

    def _current(self, name: str) -> Path | None:
        if not name or "/" in name or name.startswith("."):
            return None
        try:
            return self.root / name / (self.root / name / CURRENT).read_text()
        except (FileNotFoundError, NotADirectoryError):
            return None


@dataclass(slots=True)
class Building:
    """A generation that is being built."""

    folder: Path
    home: Path
    bytes: int = 0

    def write(self, stream: Stream, part: int, rows: pl.DataFrame) -> None:
        """Write the rows of one part of a stream."""
        self.bytes += write_part(self.folder / stream.id / str(part), rows, stream.key_columns, stream.features)

    def keep(self, stream: Stream) -> None:
        """Take a stream of the current generation as it is: the same files under another name."""
        source = self.home / (self.home / CURRENT).read_text() / stream.id
        for file in source.rglob("*"):
            target = self.folder / stream.id / file.relative_to(source)
            if file.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                try:
                    os.link(file, target)
                except OSError:  # a file system without hard links
                    shutil.copyfile(file, target)
                self.bytes += target.stat().st_size

    def publish(self, manifest: Manifest, built_at: datetime) -> Manifest:
        """Make it the current generation: from here on it is read. Returns its manifest, which has its number."""
        numbers = [int(path.name[1:]) for path in self.home.glob("g[0-9]*")]
        made = replace(manifest, number=max(numbers, default=0) + 1, built_at=built_at, bytes=self.bytes)
        (self.folder / MANIFEST).write_text(json.dumps(made.to_dict()))
        for file in self.folder.rglob("*"):
            _to_disk(file)
        _to_disk(self.folder)
        name = f"g{made.number:06}"
        self.folder.rename(self.home / name)
        _to_disk(self.home)
        pointer = self.home / f"{_BUILDING}{CURRENT}"
        pointer.write_text(name)
        _to_disk(pointer)
        pointer.replace(self.home / CURRENT)
        _to_disk(self.home)
        for path in sorted(self.home.glob("g[0-9]*"), key=lambda path: int(path.name[1:]))[:-_KEPT]:
            shutil.rmtree(path, ignore_errors=True)
        return made


@lru_cache(1024)
def _pointer(root: Path, name: str) -> Path:
    """Asked for at each read, and dear to put together."""
    return root / name / CURRENT


def _read(folder: Path) -> Manifest:
    return Manifest.from_dict(json.loads((folder / MANIFEST).read_text()))


def _open(folder: Path) -> Generation:
    manifest = _read(folder)
    parts = {
        stream.id: tuple(Part.open(folder / stream.id / str(part)) for part in range(stream.parts))
        for stream in manifest.streams
    }
    schemas = {
        stream.id: dict(pl.read_ipc_schema(folder / stream.id / "0" / "rows.arrow")) for stream in manifest.streams
    }
    return Generation(manifest, parts, schemas)


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
