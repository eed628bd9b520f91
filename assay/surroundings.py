"""What a machine can do to a lake: a full disk, a folder that cannot be written, a clock that is wrong."""

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from heapq import nlargest, nsmallest
from pathlib import Path

from assay.errors import AssayError
from assay.features.tables.lake import Lake

_LEAST = 1 << 30  # bytes
_SHARE, _PLENTY = 0.05, 20 << 30
_AHEAD = timedelta(minutes=5)
_LAST = 5  # folders of each level that are looked into, by name: a long history is not walked
_FILES = 1_000
_PAGE = 4096  # bytes: an empty file can be made on a full disk, too


def space(folders: Iterable[Path], usage: Callable[[Path], tuple[int, int, int]] = shutil.disk_usage) -> str:
    """How much is free where a lake and its home are.

    Args:
        folders: Which may not be there yet.
        usage: What tells it of an existing folder.

    Raises:
        AssayError: Less than 1 GiB is free, or less than 5 % and 20 GiB.
    """
    texts = []
    for folder in dict.fromkeys(map(_existing, folders)):
        total, _, free = usage(folder)
        text = f"{free / (1 << 30):,.1f} GiB of {total / (1 << 30):,.1f} free at {folder}"
        if free < _LEAST or (free < _PLENTY and free < total * _SHARE):
            raise AssayError(
                f"Only {text}. Next: free some space (`assay maintain`, `assay vacuum`), or set ASSAY_HOME or ASSAY_LAKE to "
                "another disk."
            )
        texts.append(text)
    return ", ".join(texts)


def writable(folder: Path) -> str:
    """Whether a file can be made there; none is left.

    Raises:
        AssayError: It cannot.
    """
    place = _existing(folder)
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(bytes(_PAGE))
            file.flush()
            return f"{place} can be written"
    except OSError as problem:
        full = problem.errno in (errno.ENOSPC, errno.EDQUOT)
        then = "free some space" if full else "mount it for writing, or give this user the permission"
        raise AssayError(
            f"Nothing can be written to {place} ({os.strerror(problem.errno or 0)}). Next: {then}."
        ) from None


def clock(lake: Lake, landing: Path, now: datetime | None = None) -> str:
    """Whether files or commits come from the future: then some machine's clock is wrong, and what is newest cannot be told.

    Args:
        lake: The latest commit of each of its tables is looked at.
        landing: The newest deliveries are looked at.
        now: The time now.

    Raises:
        AssayError: One is more than five minutes ahead.
    """
    now = now or datetime.now(UTC)
    moments = [
        (f"{table}, by its last commit,", lake.table(table).at().last_commit.timestamp) for table in lake.tables()
    ]
    moments += [(str(file), datetime.fromtimestamp(file.stat().st_mtime, UTC)) for file in _newest(landing)]
    ahead = sorted(((at, what) for what, at in moments if at > now + _AHEAD), reverse=True)
    if ahead:
        at, what = ahead[0]
        raise AssayError(
            f"{what} is from the future ({at:%Y-%m-%d %H:%M} UTC; it is {now:%Y-%m-%d %H:%M} here)"
            f"{f', and {len(ahead) - 1} more' if ahead[1:] else ''}. Next: set the clocks of this machine and of those that "
            "write there (NTP)."
        )
    return f"{now:%Y-%m-%d %H:%M} UTC; {len(moments):,} files and commits looked at"


def _newest(landing: Path) -> Iterator[Path]:
    """Files of every folder of a landing place, of each only those in its last sub-folders."""
    left, todo = _FILES, [landing]
    while todo and left:
        folder = todo.pop()
        if not folder.is_dir():
            continue
        below, names = list[str](), list[str]()
        with os.scandir(folder) as entries:
            for entry in entries:
                (below if entry.is_dir() else names).append(entry.name)
        todo += [folder / name for name in (sorted(below) if folder == landing else nlargest(_LAST, below)[::-1])]
        files = [file for name in nsmallest(left, names) if (file := folder / name).is_file()]
        left -= len(files)
        yield from files


def _existing(folder: Path) -> Path:
    """The folder, or the nearest above it that is there."""
    folder = folder.absolute()
    return next(place for place in (folder, *folder.parents) if place.exists())
