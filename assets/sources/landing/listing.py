"""What lies in the landing folder, compared with what lay there at an earlier look.

A look asks the file system once for each known folder and once for each known file; it lists only folders whose time of change
is another one. So files that come, go, change places or are overwritten are all found, and what is the same costs a comparison
of numbers. Only file systems of this machine keep the times of folders as this needs it: elsewhere, and where a folder has
changed so lately that it could change again without a trace, the folder is listed at each look.

What is not there (the target of a link, a file that was renamed at this moment) is remembered like a folder of no time, so
that its partition is listed once it is there. A partition that cannot be read has changed at each look: reading it says so.
"""

import array
import json
import os
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from assay.assets.sources.file_hashes import has_settled
from assay.assets.sources.file_names import may_be_delivery
from assay.assets.sources.landing.delivered import Delivered
from assay.assets.sources.landing.folder_times import tells_changes
from assay.assets.sources.landing.folders import MISSING, unreadable
from assay.assets.sources.landing.places import Places

_FORMAT = f"3 {sys.byteorder}"
_TOP = b"."
_UNKNOWN = 0  # the time of what has to be looked at again in any case
_NOTHING = (_UNKNOWN, 0)  # what is remembered of a folder or a link that is not there, or cannot be read


def delivered_since(landing: Path, places: Places, before: bytes = b"") -> Delivered:
    """What has been delivered in some places since the look that gave `before`. Raises FolderError for a folder that cannot be
    read and may hold several partitions."""
    try:
        top = os.open(landing / places.top, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return Delivered(b"", frozenset())
    except OSError as error:
        raise unreadable(landing, landing / places.top, error) from error
    try:
        known = _unpacked(before)
        folders, files = _folder_times(known.folders, top), _file_marks(known.files, top)
        if known.folders and folders == known.folder_times and files == known.file_marks:
            return Delivered(before, frozenset())
        return _Look(landing, places, top, time.time_ns()).compared(known, folders, files)
    finally:
        os.close(top)


def partitions_in(landing: Path, places: Places) -> list[str]:
    """The partitions, in order, for which any file has been delivered, or whose folder cannot be read: reading it says so.
    Raises FolderError as `delivered_since` does."""
    return places.partitioning.known(sorted(delivered_since(landing, places).changed))


def names_in(seen: bytes) -> Iterator[tuple[str, bool]]:
    """The files that a look saw, relative to the folder `top` of the places; and folders where it looked for files, which are
    marked with True."""
    listing = _unpacked(seen)
    yield from ((os.fsdecode(name), False) for name in listing.files)
    yield from ((os.fsdecode(name[:-1]), True) for name in listing.folders if name.endswith(b"/"))


# -- a listing, and how it is kept -------------------------------------------------------------------------------------


def _numbers(values: Iterable[int] = ()) -> "array.array[int]":
    return array.array("Q", values)


@dataclass(slots=True)
class _Listing:
    """Folders with two numbers each (time of change, inode) and files with three (time, size, inode); names are relative to
    the folder that holds all of them, which comes first. A folder in the place of a file, into which nobody looks, ends in a
    slash."""

    folders: list[bytes] = field(default_factory=list)
    files: list[bytes] = field(default_factory=list)
    folder_times: "array.array[int]" = field(default_factory=_numbers)
    file_marks: "array.array[int]" = field(default_factory=_numbers)

    def by_folder(self) -> dict[bytes, "_Inside"]:
        found: dict[bytes, _Inside] = {}
        for at, name in enumerate(self.folders):
            found.setdefault(name, _Inside()).at = at
            if name != _TOP:
                found.setdefault(_parent(name), _Inside()).folders.append(name)
        for at, name in enumerate(self.files):
            found.setdefault(_parent(name), _Inside()).files.append(at)
        return found

    def time_of(self, at: int) -> tuple[int, int]:
        return self.folder_times[2 * at], self.folder_times[2 * at + 1]

    def mark_of(self, at: int) -> "array.array[int]":
        return self.file_marks[3 * at : 3 * at + 3]

    def add_folder(self, name: bytes, time_and_inode: tuple[int, int]) -> None:
        self.folders.append(name)
        self.folder_times.extend(time_and_inode)

    def add_file(self, name: bytes, mark: Iterable[int]) -> None:
        self.files.append(name)
        self.file_marks.extend(mark)


@dataclass(slots=True)
class _Inside:
    """What a listing has of a folder: its number, the folders in it, and the numbers of its files."""

    at: int | None = None
    folders: list[bytes] = field(default_factory=list)
    files: list[int] = field(default_factory=list)


def _parent(name: bytes) -> bytes:
    return name.rstrip(b"/").rpartition(b"/")[0] or _TOP


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


@dataclass(slots=True)
class _Look:
    """A look that found something else than before. Folders that are the same are not listed again."""

    landing: Path
    places: Places
    top: int  # the folder that holds all that is looked at, open
    now: int
    seen: _Listing = field(default_factory=_Listing)
    listed: set[bytes] = field(default_factory=set)
    unsettled: set[str] = field(default_factory=set)
    unreadable: set[str] = field(default_factory=set)

    def compared(self, known: _Listing, folders: "array.array[int]", files: "array.array[int]") -> Delivered:
        before = known.by_folder()
        self._walk(known, before, _stale(known, before, folders, files))
        touched = self._differences(known, before)
        keys = {key for name in touched if (key := self._key(name)) is not None} | self.unsettled
        left = {self._key(name) for name in self.seen.files} if keys else set[str | None]()
        unsettled = self.unsettled | self.unreadable
        return Delivered(_packed(self.seen), frozenset((keys & left) | self.unreadable), frozenset(unsettled))

    def _key(self, name: bytes) -> str | None:
        return self.places.key_of(os.fsdecode(name))

    def _walk(self, known: _Listing, before: Mapping[bytes, "_Inside"], stale: set[bytes]) -> None:
        todo = [(_TOP, self.places.start)]
        while todo:
            folder, states = todo.pop()
            inside = before.get(folder)
            if inside is None or inside.at is None or folder in stale:
                self.listed.add(folder)
                todo += self._listed(folder, states)
                continue
            self.seen.add_folder(folder, known.time_of(inside.at))
            for at in inside.files:
                self.seen.add_file(known.files[at], known.mark_of(at))
            for name in inside.folders:
                at = before[name].at or 0
                if name.endswith(b"/") or (known.time_of(at) == _NOTHING and name not in stale):
                    self.seen.add_folder(name, known.time_of(at))
                else:
                    is_link = known.time_of(at)[0] == _UNKNOWN and self._is_link(name)
                    todo.append((name, self.places.entered(states, _base(name), is_link=is_link)))

    def _listed(self, folder: bytes, states: Sequence[int]) -> Iterator[tuple[bytes, tuple[int, ...]]]:
        """Takes up what is in a folder; gives the folders in it that are to be walked through."""
        places, prefix = self.places, b"" if folder == _TOP else folder + b"/"
        handle = None
        try:
            time_and_inode = self._time(folder)  # before it is listed
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY, dir_fd=self.top)
            os.stat(".", dir_fd=handle)
            with os.scandir(handle) as found:
                entries = sorted(found, key=lambda entry: entry.name)
            self.seen.add_folder(folder, time_and_inode)
            for entry in entries:
                name = prefix + os.fsencode(entry.name)
                deeper = places.entered(states, entry.name, is_link=entry.is_symlink())
                deeper = deeper if deeper and places.leads(os.fsdecode(name)) else ()
                here = places.takes(states, entry.name) and may_be_delivery(entry.name)
                if (here or deeper) and self._taken_up(entry, name, is_file=here, is_folder=bool(deeper)):
                    yield name, deeper
        except OSError as error:
            if error.errno not in MISSING:
                self._refuse(folder, error)
            else:
                self.seen.add_folder(folder, _NOTHING)
        finally:
            if handle is not None:
                os.close(handle)

    def _taken_up(self, entry: "os.DirEntry[str]", name: bytes, *, is_file: bool, is_folder: bool) -> bool:
        """Takes up a file, or what may become one; whether it is a folder that is to be walked through."""
        try:
            kind = _kind(entry)
            if kind == "folder":
                if not is_folder:  # nobody reads what is in it
                    self.seen.add_folder(name + b"/", self._time(name))
                return is_folder
            if kind == "file" and not is_file:
                return False
            found = entry.stat() if kind == "file" else None
        except OSError as error:
            if error.errno not in MISSING:  # a link into a folder that cannot be read
                self._refuse(name, error)
                return False
            found = None  # taken away since the folder was listed, as by an upload that gives it its final name
        key = self._key(name) if is_file else None
        if found is None:
            self.seen.add_folder(name, _NOTHING)
            self.unsettled |= {key} if key is not None else set()
        elif key is not None:
            mark = _mark(found)
            if not has_settled(found.st_mtime_ns, self.now):
                self.unsettled.add(key)
                mark = (_UNKNOWN, *mark[1:])
            self.seen.add_file(name, mark)
        return False

    def _refuse(self, folder: bytes, error: OSError) -> None:
        """Nobody knows what is in the folder. Raises FolderError where it is not of one partition."""
        key = self._key(folder)
        if key is None:
            raise unreadable(self.landing, self.landing / self.places.top / os.fsdecode(folder), error) from error
        self.seen.add_folder(folder, _NOTHING)
        self.unreadable.add(key)

    def _time(self, name: bytes) -> tuple[int, int]:
        """What is kept of a folder. Its time only where a later change would have another one; never of a link, behind which
        another file system may be."""
        found = os.stat(name, dir_fd=self.top)
        trusted = tells_changes(found, self.landing, self.now, os.fstat(self.top).st_dev) and not self._is_link(name)
        return found.st_ctime_ns if trusted else _UNKNOWN, _unsigned(found.st_ino)

    def _is_link(self, name: bytes) -> bool:
        return stat.S_ISLNK(os.stat(name, dir_fd=self.top, follow_symlinks=False).st_mode)

    def _differences(self, known: _Listing, before: Mapping[bytes, "_Inside"]) -> set[bytes]:
        """The files of the folders that were listed now which came, went or changed, and those of folders that are gone."""
        there = {name for name in self.seen.folders if name not in self.listed}
        old = {
            known.files[at]: known.mark_of(at) for name, one in before.items() if name not in there for at in one.files
        }
        differing = set[bytes]()
        for at, name in enumerate(self.seen.files):
            if _parent(name) in self.listed and old.pop(name, None) != self.seen.mark_of(at):
                differing.add(name)
        return differing | old.keys()


def _stale(
    known: _Listing, before: Mapping[bytes, _Inside], folders: "array.array[int]", files: "array.array[int]"
) -> set[bytes]:
    """The folders to be listed again. Where something has come to a place of which nothing was there, or has gone from it,
    it is the folder that holds it."""
    stale = {_parent(name) for name in _differing(known.files, known.file_marks, files, 3)}
    for name in _differing(known.folders, known.folder_times, folders, 2):
        at = before[name].at or 0
        stale.add(name)
        if name.endswith(b"/") or _NOTHING in (known.time_of(at), (folders[2 * at], folders[2 * at + 1])):
            stale.add(_parent(name))
    return stale


def _base(name: bytes) -> str:
    return os.fsdecode(name.rpartition(b"/")[2])


def _kind(entry: "os.DirEntry[str]") -> str:
    """Nothing for what is neither a file nor a folder, such as a link to nothing, which may be one to something later."""
    if entry.is_dir():
        return "folder"
    return "file" if entry.is_file() else ""


def _differing(names: list[bytes], before: "array.array[int]", now: "array.array[int]", width: int) -> Iterator[bytes]:
    if before == now:
        return
    for at, name in enumerate(names):
        if before[width * at : width * (at + 1)] != now[width * at : width * (at + 1)]:
            yield name
