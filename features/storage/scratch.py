"""A folder for what a batch needs on disk while it is computed: gone afterwards, also after a process that was killed."""

import fcntl
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FOLDER = "scratch"
_LOCK = "lock"


@contextmanager
def scratch(home: Path) -> Iterator[Path]:
    """An empty folder below `home` that only this user can read. What dead processes have left there is deleted first."""
    place = home / FOLDER
    place.mkdir(parents=True, exist_ok=True)
    for old in place.iterdir():
        _delete_if_dead(old)
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


def _delete_if_dead(folder: Path) -> None:
    """The lock of a process ends with it. A folder without one is just being made, or deleted."""
    try:
        with (folder / _LOCK).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
    except OSError:
        return
