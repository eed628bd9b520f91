"""Whether the time of a folder tells that nothing has come into it, or gone, since it was listed.

Only file systems of this machine keep the times of folders as this needs it, and not where a folder has changed so lately that
it could change again without another time.
"""

import functools
import os
from pathlib import Path

# With ext3 and HFS+ the time of a folder is one of whole seconds, with FAT of two.
SETTLED_NS = 3_000_000_000
KEEPS_TIMES = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "bcachefs", "tmpfs", "overlay"})


def tells_changes(found: os.stat_result, landing: Path, now: int, device: int | None = None) -> bool:
    """Whether a folder that changes after `now` has another time than this one.

    Args:
        found: What the file system says of the folder.
        landing: The folder of all deliveries.
        now: The time (ns since 1970), from before the folder is listed.
        device: The one that it must be on, if another is not known to be the same file system.
    """
    settled = found.st_ctime_ns < now - SETTLED_NS and (device is None or found.st_dev == device)
    return settled and keeps_times(landing, found.st_dev)


@functools.lru_cache(256)
def keeps_times(folder: Path, device: int) -> bool:
    """Whether the file system of a folder changes the time of a folder whenever something comes into it or goes."""
    del device  # another one may be mounted later
    try:
        mounts = Path("/proc/self/mounts").read_text(errors="surrogateescape").splitlines()
    except OSError:
        return False
    place, kinds = os.path.realpath(folder), dict[str, str]()
    for line in mounts:
        _, where, kind, *_ = line.split(" ")
        kinds[where.encode("latin-1", "backslashreplace").decode("unicode_escape")] = kind  # the last one lies on top
    above = [where for where in kinds if where == "/" or place == where or place.startswith(f"{where}/")]
    return bool(above) and kinds[max(above, key=len)] in KEEPS_TIMES
