"""Objects on this machine: each is copied once, while its SHA-256 is computed, and is gone when nobody needs it any more."""

import atexit
import functools
import hashlib
import shutil
import threading
import uuid
import weakref
from collections import OrderedDict
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from assay.assets.lacking import FULL, NotConnected
from assay.assets.sources.objects.s3 import Bucket, Found
from assay.assets.sources.objects.s3_errors import Unserved, served, unserved
from assay.features.storage.scratch import scratch

_KEPT = 1 << 32  # bytes of the last copies: a run needs each up to three times
_FREE = 1 << 26  # bytes of the disk that are left to others
_TRIES = 3  # of one object whose bytes end before its end


class Copy:
    """An object in a file of this machine, which is deleted when nobody has this value any more."""

    def __init__(self, path: Path, sha256: str, size: int, version_id: str) -> None:
        self.path, self.sha256, self.size, self.version_id = path, sha256, size, version_id
        weakref.finalize(self, path.unlink, missing_ok=True)


@dataclass(frozen=True, slots=True)
class _Name:
    bucket: Bucket
    found: Found


class Copies:
    """The copies of a process, below `scratch` of a home: what a killed process left there is deleted by the next one."""

    def __init__(self, home: Path) -> None:
        self._home, self._stack = home, ExitStack()
        self._folder: Path | None = None
        self._last: OrderedDict[_Name, Copy] = OrderedDict()
        self._lock = threading.RLock()
        self.made = 0  # how many objects were really copied
        atexit.register(self._stack.close)

    def of(self, bucket: Bucket, found: Found) -> Copy:
        """A copy of an object in the state that was listed. Raises Changed where it is in another one; DeliveryError where it
        does not come, though the store can be listed; NotConnected."""
        name = _Name(bucket, found)
        with self._lock:
            if (known := self._last.get(name)) is not None:
                self._last.move_to_end(name)
                return known
        copy = self._copied(bucket, found)  # several threads at the same time
        with self._lock:
            self.made += 1
            while self._last and sum(one.size for one in self._last.values()) + found.size > _KEPT:
                self._last.popitem(last=False)  # whoever reads it still has it
            self._last[name] = copy
        return copy

    def _copied(self, bucket: Bucket, found: Found) -> Copy:
        folder = self._place(bucket, found)
        for left in reversed(range(_TRIES)):
            file = folder / uuid.uuid4().hex
            try:
                return _copied(bucket, found, file)
            except Unserved as problem:
                file.unlink(missing_ok=True)
                if not problem.again or not left:
                    bucket.require_open()  # or else it is the store that does not answer
                    raise unserved(bucket.address, problem) from None
            except BaseException:
                file.unlink(missing_ok=True)
                raise
        raise AssertionError("unreachable")

    def _place(self, bucket: Bucket, found: Found) -> Path:
        with self._lock:
            if self._folder is None:
                self._folder = self._stack.enter_context(scratch(self._home))
            while shutil.disk_usage(self._folder).free < found.size + _FREE and self._last:
                self._last.popitem(last=False)
            if shutil.disk_usage(self._folder).free < found.size + _FREE:
                raise NotConnected(
                    f"{bucket.address.store}/{found.key} has {found.size >> 20:,} MB, and the disk of {self._home} has no room "
                    "to copy it. Next: free some space, or set ASSAY_HOME to another disk.",
                    FULL,
                )
            return self._folder


def _copied(bucket: Bucket, found: Found, file: Path) -> Copy:
    digest, size = hashlib.sha256(), 0
    with bucket.opened(found) as opened, file.open("xb", buffering=0) as stream:
        for piece in opened.pieces:
            digest.update(piece)
            stream.write(piece)
            size += len(piece)
        version_id = opened.version_id
    if size != found.size:
        raise Unserved(found.key, f"{size:,} of {found.size:,} bytes come", again=True)
    served(bucket.address)
    return Copy(file, digest.hexdigest(), size, version_id)


@functools.cache
def copies_in(home: Path) -> Copies:
    """The copies below a home, one value for the whole process."""
    return Copies(home)
