"""What an upstream has delivered: the bytes of a file, and how to ask for a correction of it.

A correction of `name.ext` is the same path overwritten, or `name.r1.ext`, `name.r2.ext`… beside it: the highest revision
counts, the others are superseded.
"""

import errno
import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import polars as pl

from assay.assets.sources.csv_dialect import USUAL, Csv
from assay.assets.sources.file_names import revised
from assay.errors import AssayError
from assay.features.storage.sections import Changes

PIECE = 1 << 23  # bytes of a file that are read at a time
MISSING = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)  # what a link to nowhere gives, too


class DeliveryError(AssayError):
    """A whole file that cannot be used: which one, where in it, what is wrong, and what to do about it.

    `line` counts physical lines from 1; `column` is a column's name or, where the name may be a value, its position.
    `declares`: which fields of `Csv` or `Excel` another declaration could set, each with an example of a value, or "".
    """

    def __init__(
        self,
        path: str,
        problem: str,
        action: str,
        *,
        line: int | None = None,
        column: str | None = None,
        declares: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.path, self.line, self.column, self.problem, self.action = path, line, column, problem, action
        self.declares = declares
        place = [path, f"line {line}" if line else "", f"column {column}" if column else ""]
        super().__init__(f"{', '.join(part for part in place if part)}: {problem}; {action}")


class FolderError(DeliveryError):
    """A folder of a partition that cannot be read, so that nobody knows what has been delivered there."""


class LocalCopy(Protocol):
    """A file of this machine, which is there as long as somebody has this value."""

    @property
    def path(self) -> Path: ...


class Elsewhere(Protocol):
    """The bytes of a delivery in an object store. They are copied to this machine when they are needed.

    Attributes:
        etag: what the store calls this state of the object; no other one is ever read.
        version_id: the same in a store that keeps versions, once it was copied.
    """

    @property
    def etag(self) -> str: ...

    @property
    def version_id(self) -> str: ...

    def copy(self) -> LocalCopy:
        """Raises DeliveryError where the object is another one by now, or is gone."""
        ...


@dataclass(frozen=True, slots=True)
class RecordsBeside:
    """What records have to fit beside, each for itself: one that does not is a defect, and no other one.

    Attributes:
        columns: that the table and the contract have, and the deliveries before.
        one_column: names of one column each, of which a record has a value under one at most.
        unfit: filled while a delivery is read: the lines of those that do not fit.
    """

    columns: Collection[str] = ()
    one_column: Sequence[Collection[str]] = ()
    unfit: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One delivered file, identified by its bytes. `path` is relative to the landing folder, with forward slashes.

    What lies in an object store is `elsewhere`, and has its address for a path. What is no file has `fetch` for its bytes (see
    `Delivery.of_bytes`) or `lines` for them piece by piece, and may have its rows as a `frame` already, or as `frames`. `changes`
    counts them where they are changes of a table that is compared. `kept` is the lake's own copy of the bytes, where that is a
    file: nobody changes it while it is read. One that was `kept_now` is known to have the bytes that were scanned: their digest
    was taken while they were written. `beside` is for records that came one by one: what they have to fit beside. `handed_over`
    is how it came, where it came without a landing folder. `remark` is what people should know of it though it can be used,
    without values. `resume` is what its reader needs to go on from there: the commit keeps it, as `extra["resume"]`.
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
    resume: str = field(default="", repr=False, compare=False)
    elsewhere: Elsewhere | None = field(default=None, repr=False, compare=False)
    held: LocalCopy | None = field(default=None, repr=False, compare=False)  # what `file` is, as long as it is needed
    kept: Path | None = field(default=None, repr=False, compare=False)
    kept_now: bool = field(default=False, repr=False, compare=False)
    beside: RecordsBeside | None = field(default=None, repr=False, compare=False)

    @classmethod
    def of_bytes(
        cls, path: str, content: bytes, partition: str, *, frame: pl.DataFrame | None = None, remark: str = ""
    ) -> "Delivery":
        """A delivery that is no file: its bytes, and the path that names it in lineage and errors."""
        digest = hashlib.sha256(content).hexdigest()
        return cls(path, None, digest, len(content), partition, fetch=lambda: content, frame=frame, remark=remark)

    def at_hand(self) -> "Delivery":
        """The same with its bytes in a file of this machine. Raises DeliveryError."""
        if self.elsewhere is None or self.file is not None:
            return self
        copy = self.elsewhere.copy()
        return replace(self, file=copy.path, held=copy)

    def member(self, path: str) -> "Delivery":
        """A file that is in this one, which has the bytes and the revision of the whole."""
        return replace(self, path=path)

    @property
    def next_revision(self) -> str:
        """The file name that a correction should have."""
        return revised(self.path.partition("!/")[0], self.revision + 1)  # of a zip file, not of what is in it

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
        digest, here = hashlib.sha256(), self if self.kept_now else self.at_hand()
        try:
            if self.kept is not None and self.kept_now:
                yield from _read(self.kept, size)
                return
            if self.fetch:
                digest.update(content := self.fetch())
                yield content
            elif self.lines:
                for piece in self.lines():
                    digest.update(piece)
                    yield piece
            else:
                for piece in _read(Path(here.file or self.path), size):
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


def _read(file: Path, size: int) -> Iterator[bytes]:
    with file.open("rb", buffering=0) as stream:
        while piece := stream.read(size):
            yield piece


@dataclass(frozen=True, slots=True)
class Part:
    """What a delivery holds: the whole of it, or one of the files in it. Each part is judged by its own columns.

    `frames` are its rows, with the same columns in each frame; None: it is not read, `why` as the end of a sentence. `csv` is how
    it should be written, if it is CSV.
    """

    path: str
    frames: Iterator[pl.DataFrame] | None
    why: str = ""
    csv: Csv = USUAL
