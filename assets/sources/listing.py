"""What lies in the landing folder, compared with what lay there at an earlier look.

A look asks the file system once for each known folder and once for each known file; it lists only folders whose time of change
is another one. So files that come, go, change places or are overwritten are all found, and what is the same costs a comparison
of numbers. Only file systems of this machine keep the times of folders as this needs it: elsewhere, and where a folder has
changed so lately that it could change again without a trace, the folder is listed at each look.

What is not there (the target of a link, a file that was renamed at this moment) is remembered like a folder of no time, so
that its partition is listed once it is there. A partition that cannot be read has changed at each look: reading it says so.
"""

import array
import functools
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from assay.assets.sources.deliveries import (
    MISSING,
    FolderError,
    files_of,
    folders_and_links,
    is_nested,
    split_pattern,
)
from assay.assets.sources.file_hashes import has_settled
from assay.assets.sources.file_names import may_be_delivery
from assay.features.tables.partitioning import Partitioning

# With ext3 and HFS+ the time of a folder is one of whole seconds, with FAT of two.
_FOLDER_SETTLED_NS = 3_000_000_000
_KEEPS_TIMES = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "bcachefs", "tmpfs", "overlay"})
_FORMAT = f"2 {sys.byteorder}"
_TOP = b"."
_UNKNOWN = 0  # the time of what has to be looked at again in any case
_NOTHING = (
    _UNKNOWN,
    0,
)  # what is remembered of a folder or link that is not there, and of one that is listed each time


@dataclass(frozen=True, slots=True)
class Delivered:
    """What a look at the deliveries of a source showed, compared with an earlier one.

    Attributes:
        seen: to be given to the next look; text or packed numbers, as the reader likes it.
        changed: the partitions with deliveries of which any came, went or changed since, or is unsettled.
        unsettled: those of them whose deliveries may still change without a trace.
    """

    seen: bytes
    changed: frozenset[str]
    unsettled: frozenset[str] = frozenset()


def by_marks(marks: Mapping[str, str], before: bytes) -> Delivered:
    """The same from texts that change with the deliveries of each partition ("": they may change without a trace)."""
    try:
        known = json.loads(before or "{}")
    except ValueError:
        known = {}
    changed = frozenset(key for key, mark in marks.items() if not mark or known.get(key) != mark)
    return Delivered(json.dumps(dict(marks)).encode(), changed, frozenset(key for key in changed if not marks[key]))


def delivered_since(landing: Path, pattern: str, partitioning: Partitioning, before: bytes = b"") -> Delivered:
    """What has been delivered under a pattern, e.g. `tickets/{day}/*`, since the look that gave `before`."""
    try:
        top = os.open(landing / split_pattern(pattern)[0], os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return Delivered(b"", frozenset())
    try:
        known = _unpacked(before)
        folders, files = _folder_times(known.folders, top), _file_marks(known.files, top)
        if known.folders and folders == known.folder_times and files == known.file_marks:
            return Delivered(before, frozenset())
        return _Look(landing, pattern, top, partitioning, time.time_ns()).compared(known, folders, files)
    finally:
        os.close(top)


def names_in(seen: bytes) -> Iterator[tuple[str, bool]]:
    """The files that a look saw, relative to the folder that holds the partitions; and the folders in partitions that were
    there, which are told by True."""
    listing = _unpacked(seen)
    yield from ((os.fsdecode(name), False) for name in listing.files)
    for at, name in enumerate(listing.folders):
        if b"/" in name and listing.folder_times[2 * at + 1]:
            yield os.fsdecode(name), True


# -- a listing, and how it is kept -------------------------------------------------------------------------------------


def _numbers(values: Iterable[int] = ()) -> "array.array[int]":
    return array.array("Q", values)


@dataclass(slots=True)
class _Listing:
    """Folders with two numbers each (time of change, inode) and files with three (time, size, inode); names are relative to
    the folder that holds the partitions, which comes first."""

    folders: list[bytes] = field(default_factory=list)
    files: list[bytes] = field(default_factory=list)
    folder_times: "array.array[int]" = field(default_factory=_numbers)
    file_marks: "array.array[int]" = field(default_factory=_numbers)

    def by_partition(self) -> "dict[bytes, _Listing]":
        found: dict[bytes, _Listing] = {}
        for at, name in enumerate(self.folders):
            part = found.setdefault(_partition(name), _Listing())
            part.folders.append(name)
            part.folder_times.extend(self.folder_times[2 * at : 2 * at + 2])
        for at, name in enumerate(self.files):
            part = found.setdefault(_partition(name), _Listing())
            part.files.append(name)
            part.file_marks.extend(self.file_marks[3 * at : 3 * at + 3])
        return found

    def add_folder(self, name: bytes, time_and_inode: tuple[int, int]) -> None:
        self.folders.append(name)
        self.folder_times.extend(time_and_inode)

    def add(self, other: "_Listing") -> None:
        for name in self.__slots__:
            getattr(self, name).extend(getattr(other, name))


def _partition(name: bytes) -> bytes:
    return name.partition(b"/")[0]


def _packed(listing: _Listing) -> bytes:
    head = json.dumps([_FORMAT, len(listing.folders), len(listing.files)]).encode()
    numbers = listing.folder_times.tobytes() + listing.file_marks.tobytes()
    return b"\n".join([head, numbers + b"\0".join([*listing.folders, *listing.files])])


def _unpacked(packed: bytes) -> _Listing:
    """An empty one for what is not one of these."""
    head, _, body = packed.partition(b"\n")
    try:
        written, folders, files = json.loads(head)
        if written != _FORMAT:
            return _Listing()
    except (ValueError, TypeError):
        return _Listing()
    ends = [16 * folders, 16 * folders + 24 * files]
    names = body[ends[1] :].split(b"\0")
    if len(names) != folders + files:
        return _Listing()
    found = _Listing(names[:folders], names[folders:])
    found.folder_times.frombytes(body[: ends[0]])
    found.file_marks.frombytes(body[ends[0] : ends[1]])
    return found


# -- what the file system says -----------------------------------------------------------------------------------------

# The inner loops: with years of deliveries they are what a look costs.


def _folder_times(names: Iterable[bytes], top: int) -> "array.array[int]":
    """The time at which each folder was changed. Not when it was modified, which whoever copies folders sets as he likes."""
    stat = os.stat

    def plainly() -> Iterator[int]:
        for name in names:
            found = stat(name, dir_fd=top)
            yield found.st_ctime_ns
            yield found.st_ino

    def carefully() -> Iterator[int]:
        for name in names:
            found = _stat(name, top)
            yield from _NOTHING if found is None else (_unsigned(found.st_ctime_ns), _unsigned(found.st_ino))

    return _first_that_works(plainly, carefully)


def _file_marks(names: Iterable[bytes], top: int) -> "array.array[int]":
    """Time of modification, size and inode of each file, by which `FileHashes` knows it too."""
    stat = os.stat

    def plainly() -> Iterator[int]:
        for name in names:
            found = stat(name, dir_fd=top)
            yield found.st_mtime_ns
            yield found.st_size
            yield found.st_ino

    def carefully() -> Iterator[int]:
        for name in names:
            found = _stat(name, top)
            yield from (0, 0, 0) if found is None else _mark(found)

    return _first_that_works(plainly, carefully)


def _first_that_works(
    plainly: Callable[[], Iterator[int]], carefully: Callable[[], Iterator[int]]
) -> "array.array[int]":
    try:
        return _numbers(plainly())
    except (OSError, OverflowError):  # something is gone, or has a time before 1970
        return _numbers(carefully())


def _stat(name: bytes, top: int) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=top)
    except OSError:
        return None


def _mark(found: os.stat_result) -> tuple[int, int, int]:
    return _unsigned(found.st_mtime_ns), found.st_size, _unsigned(found.st_ino)


def _unsigned(number: int) -> int:
    return number & (2**64 - 1)


@dataclass(frozen=True, slots=True)
class _Look:
    """A look that found something else than before."""

    landing: Path
    pattern: str
    top: int  # the folder that holds the partitions, open
    partitioning: Partitioning
    now: int

    @property
    def base(self) -> Path:
        return self.landing / split_pattern(self.pattern)[0]

    @property
    def rest(self) -> str:
        return split_pattern(self.pattern)[1]

    def compared(self, known: _Listing, folders: "array.array[int]", files: "array.array[int]") -> Delivered:
        before = known.by_partition()
        stale = {_partition(name) for name in _differing(known.folders, known.folder_times, folders, 2)}
        stale |= {_partition(name) for name in _differing(known.files, known.file_marks, files, 3)}
        if known.folders and _TOP not in stale:
            whole, keys = before[_TOP], [key for key in before if key != _TOP]
        else:
            whole = _Listing()
            whole.add_folder(_TOP, self._time(_TOP))  # before it is listed, like each folder
            keys = self._partitions()
        changed, unsettled = set[str](), set[str]()
        for key in keys:
            part = before.get(key)
            if part is None or key in stale:
                listed, settled = self._listed(key)
                if listed is None:
                    listed = _Listing()
                    listed.add_folder(key, _NOTHING)
                    changed.add(os.fsdecode(key))
                elif listed.files and (part is None or not settled or not _same_files(part, listed)):
                    changed.add(os.fsdecode(key))
                if not settled:
                    unsettled.add(os.fsdecode(key))
                part = listed
            whole.add(part)
        return Delivered(_packed(whole), frozenset(changed), frozenset(unsettled))

    def _partitions(self) -> list[bytes]:
        with os.scandir(self.top) as entries:
            found = [
                entry.name
                for entry in entries
                if self.partitioning.is_key(entry.name) and (entry.is_symlink() or entry.is_dir())
            ]
        return sorted(os.fsencode(name) for name in found)

    def _time(self, name: bytes) -> tuple[int, int]:
        """What is kept of a folder. Its time only where a later change would have another one."""
        found = os.stat(name, dir_fd=self.top)
        trusted = (
            found.st_ctime_ns < self.now - _FOLDER_SETTLED_NS
            and found.st_dev == os.fstat(self.top).st_dev
            and _keeps_times(self.landing, found.st_dev)
        )
        return found.st_ctime_ns if trusted else _UNKNOWN, _unsigned(found.st_ino)

    def _listed(self, key: bytes) -> tuple[_Listing | None, bool]:
        """The deliveries of a partition (None: they cannot be read), and whether all of them are settled."""
        part, settled = _Listing(), True
        try:
            for folder, is_link in self._folders(key):
                part.add_folder(folder, _NOTHING if is_link else self._time_if_there(folder))
            for name, found in sorted(self._files(key)):
                if name.endswith(b"/"):
                    part.add_folder(name[:-1], self._time_if_there(name[:-1]))
                elif found is None:
                    settled = False
                    part.add_folder(name, _NOTHING)
                else:
                    mark = _mark(found)
                    part.files.append(name)
                    if not has_settled(found.st_mtime_ns, self.now):
                        settled, mark = False, (_UNKNOWN, *mark[1:])
                    part.file_marks.extend(mark)
        except (OSError, FolderError):
            return None, False
        return part, settled

    def _time_if_there(self, name: bytes) -> tuple[int, int]:
        try:
            return self._time(name)
        except OSError as error:
            if error.errno in MISSING:
                return _NOTHING
            raise

    def _folders(self, key: bytes) -> Iterator[tuple[bytes, bool]]:
        """Those in which deliveries may be; and whether one is a link, behind which more may be than is walked through."""
        yield key, False
        if is_nested(self.rest):
            for entry in folders_and_links(self.base / os.fsdecode(key), self.rest):
                yield os.fsencode(Path(entry.path).relative_to(self.base)), entry.is_symlink()

    def _files(self, key: bytes) -> Iterator[tuple[bytes, os.stat_result | None]]:
        """The files that may be deliveries; None for one that is not there: any more, or yet, behind its link. Where no folders
        are walked through, those of them that match the pattern, too, with a slash at the end: nobody reads what is in them."""
        if is_nested(self.rest):
            for file in files_of(self.landing, self.pattern, os.fsdecode(key)):
                name = os.fsencode(file.relative_to(self.base))
                yield name, _stat(name, self.top)
            return
        try:
            handle = os.open(key, os.O_RDONLY | os.O_DIRECTORY, dir_fd=self.top)
        except OSError as error:
            if error.errno in MISSING:
                return
            raise
        try:
            with os.scandir(handle) as entries:
                for entry in entries:
                    name = entry.name
                    if may_be_delivery(name) and fnmatchcase(name, self.rest):
                        is_file, path = _is_file(entry), key + b"/" + os.fsencode(name)
                        yield path + b"/" * (is_file is False), _stat_of(entry) if is_file else None
        finally:
            os.close(handle)


def _is_file(entry: "os.DirEntry[str]") -> bool | None:
    """None for a link to nothing, or to something else, which may be one to a file later."""
    try:
        return True if entry.is_file() else None if entry.is_symlink() else False
    except OSError as error:
        if error.errno in MISSING:
            return None
        raise


def _stat_of(entry: "os.DirEntry[str]") -> os.stat_result | None:
    """None for a file that was taken away since its folder was listed, as by an upload that gives it its final name."""
    try:
        return entry.stat()
    except OSError as error:
        if error.errno in MISSING:
            return None
        raise


def _differing(names: list[bytes], before: "array.array[int]", now: "array.array[int]", width: int) -> Iterator[bytes]:
    if before == now:
        return
    for at, name in enumerate(names):
        if before[width * at : width * (at + 1)] != now[width * at : width * (at + 1)]:
            yield name


def _same_files(one: _Listing, other: _Listing) -> bool:
    return one.files == other.files and one.file_marks == other.file_marks


@functools.lru_cache(256)
def _keeps_times(folder: Path, device: int) -> bool:
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
    return bool(above) and kinds[max(above, key=len)] in _KEEPS_TIMES
