"""What an upstream put into the landing folder: files by partition, and which of them correct an earlier one.

A correction of `name.ext` is the same path overwritten, or `name.r1.ext`, `name.r2.ext`… beside it: the highest revision
counts, the others are superseded.
"""

import errno
import hashlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

import polars as pl

from assay.assets.sources.file_hashes import FileHashes
from assay.assets.sources.file_names import has_suffix, may_be_delivery, original_of, revised, revision_of
from assay.errors import AssayError
from assay.features.storage.sections import Changes
from assay.features.tables.partitioning import KEY, Partitioning

_FEW = 3
PIECE = 1 << 23  # bytes of a file that are read at a time
MISSING = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)  # what a link to nowhere gives, too
_COMPONENT = re.compile(r"\{(?:day|partition)\}/")


class DeliveryError(AssayError):
    """A whole file that cannot be used: which one, where in it, what is wrong, and what to do about it.

    `line` counts physical lines from 1; `column` is a column's name or, where the name may be a value, its position.
    """

    def __init__(
        self, path: str, problem: str, action: str, *, line: int | None = None, column: str | None = None
    ) -> None:
        self.path, self.line, self.column, self.problem, self.action = path, line, column, problem, action
        place = [path, f"line {line}" if line else "", f"column {column}" if column else ""]
        super().__init__(f"{', '.join(part for part in place if part)}: {problem}; {action}")


class FolderError(DeliveryError):
    """A folder of a partition that cannot be read, so that nobody knows what has been delivered there."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One delivered file, identified by its bytes. `path` is relative to the landing folder, with forward slashes.

    What is no file has `fetch` for its bytes (see `Delivery.of_bytes`) or `lines` for them piece by piece, and may have its rows
    as a `frame` already, or as `frames`. `changes` counts them where they are changes of a table that is compared.
    `handed_over` is how it came, where it came without a landing folder. `remark` is what people should know of it though it can
    be used, without values.
    """

    path: str
    file: Path | None
    sha256: str
    size: int
    partition: str
    revision: int = 0
    superseded_by: str | None = None
    handed_over: str = ""
    fetch: Callable[[], bytes] | None = field(default=None, repr=False, compare=False)
    frame: pl.DataFrame | None = field(default=None, repr=False, compare=False)
    remark: str = field(default="", compare=False)
    lines: Callable[[], Iterator[bytes]] | None = field(default=None, repr=False, compare=False)
    frames: Callable[[], Iterator[pl.DataFrame]] | None = field(default=None, repr=False, compare=False)
    changes: Changes | None = field(default=None, repr=False, compare=False)

    @classmethod
    def of_bytes(
        cls, path: str, content: bytes, partition: str, *, frame: pl.DataFrame | None = None, remark: str = ""
    ) -> "Delivery":
        """A delivery that is no file: its bytes, and the path that names it in lineage and errors."""
        digest = hashlib.sha256(content).hexdigest()
        return cls(path, None, digest, len(content), partition, fetch=lambda: content, frame=frame, remark=remark)

    @property
    def next_revision(self) -> str:
        """The file name that a correction should have."""
        return revised(self.path, self.revision + 1)

    @property
    def how_to_correct(self) -> str:
        """What to do where the whole delivery cannot be used, as the end of a message."""
        if self.handed_over:
            return f"hand over the corrected data: {self.handed_over}"
        return f"ask the upstream to re-send it as {self.next_revision} in the same folder"

    def content(self) -> bytes:
        """The bytes of the file. Raises `DeliveryError` if they are not those that were scanned."""
        return b"".join(self.pieces())

    def pieces(self, size: int = PIECE) -> Iterator[bytes]:
        """The bytes, `size` at a time (of what is no file: at once). Raises `DeliveryError`, at the end, if they are not those
        that were scanned."""
        digest = hashlib.sha256()
        try:
            if self.fetch:
                digest.update(content := self.fetch())
                yield content
            elif self.lines:
                for piece in self.lines():
                    digest.update(piece)
                    yield piece
            else:
                with Path(self.file or self.path).open("rb", buffering=0) as stream:
                    while piece := stream.read(size):
                        digest.update(piece)
                        yield piece
        except OSError as error:
            raise DeliveryError(
                self.path, f"cannot be read ({error.strerror})", "restore the file and run again"
            ) from error
        if digest.hexdigest() != self.sha256:
            raise DeliveryError(
                self.path, "changed while it was being read", "run again once the upstream has finished"
            )


def delivered_partitions(landing: Path, pattern: str, partitioning: Partitioning) -> list[str]:
    """The partitions, in order, for which any file matching `pattern`, e.g. `tickets/{day}/*`, has been delivered, or whose
    folder cannot be read: reading it says so."""
    folder, _ = split_pattern(pattern)
    keys = (
        entry.name for entry in (landing / folder).glob("*") if partitioning.is_key(entry.name) and _is_folder(entry)
    )
    return partitioning.known([key for key in keys if _has_files(landing, pattern, key, or_unreadable=True)])


def unplaced_folders(
    landing: Path, pattern: str, partitioning: Partitioning, suffixes: Sequence[str] = ()
) -> list[str]:
    """Folders with files of the pattern whose names are no keys of the partitioning, so that nobody reads them."""
    folder, _ = split_pattern(pattern)
    found = (
        entry.name for entry in (landing / folder).glob("*") if _is_folder(entry) and not entry.name.startswith(".")
    )
    return sorted(
        f"{folder}{name}"
        for name in found
        if not partitioning.is_key(name) and _has_files(landing, pattern, name, suffixes)
    )


def folders_outside(landing: Path, pattern: str, partitioning: Partitioning) -> list[str]:
    """Folders with files whose names are keys of the partitioning, but of before its start or after its end, in order. Of many
    only the first and the last few are looked into."""
    folder, _ = split_pattern(pattern)
    found = sorted(
        entry.name
        for entry in (landing / folder).glob("*")
        if partitioning.is_key(entry.name) and not partitioning.contains(entry.name) and _is_folder(entry)
    )
    looked_into = {*found[:_FEW], *found[-_FEW:]}
    return [f"{folder}{name}" for name in found if name not in looked_into or _has_files(landing, pattern, name)]


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a link into a folder that cannot be read
        return True


def _has_files(
    landing: Path, pattern: str, key: str, suffixes: Sequence[str] = (), *, or_unreadable: bool = False
) -> bool:
    try:
        return any(has_suffix(file.name, suffixes) for file in files_of(landing, pattern, key))
    except FolderError:
        return or_unreadable


def scan_partition(
    landing: Path, pattern: str, key: str, suffixes: Sequence[str] = (), hashes: FileHashes | None = None
) -> tuple[Delivery, ...]:
    """The files of one partition, sorted by path; hidden and unfinished ones (`.tmp`, `.part`) are not deliveries.

    `pattern` is relative to the landing folder and has one component `{day}` or `{partition}`; `suffixes` (".csv", …), in
    whatever case, restrict the files. Files that `hashes` knows are not read.
    """
    hashes = hashes or FileHashes()
    if not KEY.fullmatch(key):
        raise AssayError(f"{key!r} cannot be a partition: it is no folder's name.")
    files = [
        _deliver(landing, file, key, hashes)
        for file in files_of(landing, pattern, key)
        if has_suffix(file.name, suffixes)
    ]
    latest: dict[str, Delivery] = {}
    for delivery in files:
        name = original_of(delivery.path)
        if name not in latest or latest[name].revision < delivery.revision:
            latest[name] = delivery
    return tuple(
        delivery
        if (last := latest[original_of(delivery.path)]) is delivery
        else replace(delivery, superseded_by=last.path)
        for delivery in sorted(files, key=lambda delivery: delivery.path)
    )


def _deliver(landing: Path, file: Path, key: str, hashes: FileHashes) -> Delivery:
    path = file.relative_to(landing).as_posix()
    if not _is_text(path):
        name = path.encode(errors="surrogateescape").decode(errors="backslashreplace")
        raise DeliveryError(name, "has a name that is not UTF-8", "ask the upstream to rename it")
    try:
        digest, size = hashes.of(file)
    except OSError as error:
        raise DeliveryError(path, f"cannot be read ({error.strerror})", "restore the file and run again") from error
    return Delivery(path, file, digest, size, key, revision_of(path))


def files_of(landing: Path, pattern: str, key: str) -> Iterator[Path]:
    """The files of a partition that may be deliveries. Raises FolderError for a folder that cannot be read."""
    folder, rest = split_pattern(pattern)
    top = landing / folder / key
    try:
        _require_readable(top)
        if is_nested(rest):
            for entry in folders_and_links(top, rest):
                _require_readable(entry.path)
        # Of a folder that may not be read, pathlib gives no files.
        for file in top.glob(rest):
            if may_be_delivery(file.name) and file.is_file():
                yield file
    except OSError as error:
        where = Path(os.fsdecode(error.filename)) if isinstance(error.filename, (str, bytes)) else top
        where = where if where.is_relative_to(top) else top
        name = os.fsencode(where.relative_to(landing)).decode(errors="backslashreplace")
        raise FolderError(
            name,
            f"cannot be read ({error.strerror})",
            "see to it that the user that runs Assay may read it, and run again",
        ) from error


def _require_readable(folder: Path | str) -> None:
    """Raise OSError for a folder that is there and may not be listed, or whose files may not be looked at."""
    try:
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        if error.errno in MISSING:
            return
        raise
    try:
        os.stat(".", dir_fd=opened)
    finally:
        os.close(opened)


def is_nested(rest: str) -> bool:
    """Whether the end of a pattern looks for files in folders of a partition's folder."""
    return "/" in rest or "**" in rest


def folders_and_links(top: Path, rest: str) -> Iterator["os.DirEntry[str]"]:
    """The folders below a partition's in which the end of a pattern may find files, each before it is listed; and the links
    that may lead to some, now or later. Behind a link nothing is listed. Raises OSError for a folder that cannot be read."""
    parts = rest.split("/")
    todo: list[tuple[str | Path, int]] = [(top, 0)]
    while todo:
        folder, depth = todo.pop()
        try:
            with os.scandir(folder) as found:
                entries = list(found)
        except OSError as error:
            if error.errno in MISSING:  # taken away at this moment
                continue
            raise
        anywhere = "**" in parts[: depth + 1]
        for entry in entries:
            if not anywhere and not fnmatchcase(entry.name, parts[depth]):
                continue
            if entry.is_symlink():
                if not os.path.isfile(entry.path):  # noqa: PTH113 - pathlib's raises for a link into a closed folder
                    yield entry
            elif entry.is_dir() and (anywhere or depth + 1 < len(parts)):
                yield entry
                todo.append((entry.path, depth + 1))


def split_pattern(pattern: str) -> tuple[str, str]:
    """The parts of a pattern before and after its component `{day}` or `{partition}`. Raises AssayError without one."""
    before, *after = _COMPONENT.split(pattern, maxsplit=1)
    if not after or not after[0] or (before and not before.endswith("/")) or "{" in before + after[0]:
        raise AssayError(f"{pattern!r} is not a landing pattern; write it like 'tickets/{{day}}/*'")
    if before.startswith("/") or ".." in PurePosixPath(before).parts:
        raise AssayError(f"{pattern!r} leaves the landing folder; write it like 'tickets/{{day}}/*'")
    return before, after[0]


def _is_text(path: str) -> bool:
    try:
        return bool(path.encode())
    except UnicodeEncodeError:
        return False
