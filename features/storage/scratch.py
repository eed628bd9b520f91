"""A folder for what a batch needs on disk while it is computed: gone afterwards. What a killed process left, the next batch
deletes, and so does whoever calls `free_scratch`."""

import fcntl
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FOLDER = "scratch"
_LOCK = "lock"
_LONG = 3600  # seconds: no process takes as long from making a folder to locking it


@contextmanager
def scratch(home: Path) -> Iterator[Path]:
    """An empty folder below `home` that only this user can read. What dead processes have left there is deleted first."""
    place = home / FOLDER
    place.mkdir(parents=True, exist_ok=True)
    free_scratch(home)
    folder = place / uuid.uuid4().hex
    folder.mkdir(mode=0o700)
    try:
        with (folder / "new").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            (folder / "new").rename(folder / _LOCK)  # from here on others look at it, and find it locked
            rows = folder / "rows"
            rows.mkdir(mode=0o700)
            yield rows
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def free_scratch(home: Path, *, do: bool = True) -> tuple[int, int]:
    """Delete what processes have left below `home` that are gone. How many folders that were, and how many bytes.

    Args:
        home: Where `scratch` makes its folders.
        do: Really; without, only say.
    """
    place, count, size = home / FOLDER, 0, 0
    for folder in place.iterdir() if place.is_dir() else ():
        bytes_there = _if_dead(folder, do=do)
        if bytes_there is not None:
            count, size = count + 1, size + bytes_there
    return count, size


def _if_dead(folder: Path, *, do: bool) -> int | None:
    """The bytes of a folder whose process is gone; None for others. The lock of a process ends with it. A folder without one is
    just being made, or deleted, or its process was killed just then."""
    try:
        with (folder / _LOCK).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return _deleted(folder, do=do)
    except FileNotFoundError:
        try:
            return _deleted(folder, do=do) if time.time() - folder.stat().st_mtime > _LONG else None
        except OSError:
            return None
    except OSError:
        return None


def _deleted(folder: Path, *, do: bool) -> int:
    size = sum(file.lstat().st_size for file in folder.rglob("*") if not file.is_dir())
    if do:
        shutil.rmtree(folder, ignore_errors=True)
    return size
