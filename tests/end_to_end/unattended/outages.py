"""What a machine does to a lake: a disk without space, a lineage database that is down."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[bool]:
    """A file system of its own for a folder, so that it can be filled; whether there is one. Only root can have it."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", str(folder)]
    if os.getuid() != 0 or shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        yield False
        return
    try:
        yield True
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


@contextmanager
def full_disk(folder: Path, left: int) -> Iterator[None]:
    """Nothing of a file system is free, but for some bytes."""
    ballast = folder / "ballast"
    with ballast.open("wb") as file, suppress(OSError):
        while True:
            state = os.statvfs(folder)
            size = max(state.f_bavail * state.f_frsize - left, 0)
            if size < state.f_frsize:
                break
            os.posix_fallocate(file.fileno(), file.tell(), size)
            file.seek(0, os.SEEK_END)
    try:
        yield
    finally:
        ballast.unlink()
