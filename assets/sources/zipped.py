"""Zip: several files in one, read one after the other, in the order of their names."""

import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from pathlib import Path

import polars as pl

from assay.assets.sources.deliveries import PIECE, DeliveryError, Part
from assay.assets.sources.file_names import has_suffix
from assay.assets.sources.limits import Limits

_ENCRYPTED = 1  # a flag of a member
_MOST = 10_000  # members
_DAMAGES = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, ValueError, RuntimeError)

Members = Callable[[str, int, Callable[[], Iterator[bytes]]], Iterator[pl.DataFrame]]


def zip_parts(
    path: str, source: bytes | Path, limits: Limits, read: Members, suffixes: Sequence[str] = ()
) -> Iterator[Part]:
    """The files in it, in the order of their names. Their rows are numbered through, if each is read before the next.

    Raises DeliveryError for what is no zip, is damaged or encrypted, and for one whose content is far larger than it is.

    Args:
        path: The file's, for errors; a member's is `orders.zip!/a.csv`.
        source: The file.
        limits: What it may be at most.
        read: Gives the frames of a member by its path, its size and its bytes.
        suffixes: Of the members that are read; empty: of all.
    """
    size = source.stat().st_size if isinstance(source, Path) else len(source)
    resend = "ask the upstream to re-send it"
    try:
        archive = zipfile.ZipFile(source if isinstance(source, Path) else BytesIO(source))
    except _DAMAGES:
        raise DeliveryError(path, "is not zip, or is damaged", resend) from None
    with archive:
        members = sorted((one for one in archive.infolist() if _is_file(one)), key=lambda one: one.filename)
        if len(members) > _MOST:
            raise DeliveryError(path, f"holds more than {_MOST:,} files", "ask the upstream for fewer and larger ones")
        if any(one.flag_bits & _ENCRYPTED for one in members):
            raise DeliveryError(path, "is encrypted", "ask the upstream to send it without a password")
        if sum(one.file_size for one in members) > limits.content(size):
            problem = f"is compressed to less than a {limits.times}th of its content, as no usual file is"
            raise DeliveryError(path, problem, "ask the upstream to send it uncompressed")
        taken = [one for one in members if has_suffix(one.filename, suffixes)]
        if not taken:
            kinds = f" of the source's suffixes: {', '.join(suffixes)}" if members else ""
            raise DeliveryError(path, f"holds no files{kinds}", resend)
        rows = 0

        def frames(member: zipfile.ZipInfo, name: str) -> Iterator[pl.DataFrame]:
            nonlocal rows
            before = rows
            for frame in read(name, member.file_size, lambda: _pieces(archive, member, name, resend)):
                rows += frame.height
                yield frame.with_columns(pl.col("_row_number") + before)
                del frame

        for member in members:
            name = f"{path}!/{_shown(member.filename)}"
            if has_suffix(member.filename, suffixes):
                yield Part(name, frames(member, name))
            else:
                yield Part(name, None, f"its suffix is not among the source's: {', '.join(suffixes)}")


def united(path: str, parts: Callable[[], Iterator[Part]]) -> Iterator[pl.DataFrame]:
    """The records of all parts that are read, frame by frame, with the columns that any of them has. Raises DeliveryError."""
    like = _columns(path, parts())
    for part in parts():
        for frame in part.frames or ():
            yield pl.concat([like, frame], how="diagonal")
            del frame


def _is_file(member: zipfile.ZipInfo) -> bool:
    """Whether it is one that somebody has put there: not a folder, or what macOS adds."""
    parts = member.filename.split("/")
    return not member.is_dir() and parts[0] != "__MACOSX" and not parts[-1].startswith(".")


def _shown(name: str) -> str:
    return name.encode(errors="backslashreplace").decode()


def _columns(path: str, parts: Iterator[Part]) -> pl.DataFrame:
    """A frame without rows, with the columns of all parts."""
    like = pl.DataFrame()
    for part in parts:
        if part.frames is None:
            continue
        first = next(part.frames).clear()
        for name, dtype in first.schema.items():
            if like.schema.get(name, dtype) != dtype:
                problem = f"is {dtype} in {part.path} and {like.schema[name]} in a file before it"
                raise DeliveryError(path, problem, "ask the upstream for files of one kind", column=name)
        like = pl.concat([like, first], how="diagonal") if like.width else first
    return like


def _pieces(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str, resend: str) -> Iterator[bytes]:
    try:
        with archive.open(member) as stream:
            while piece := stream.read(PIECE):
                yield piece
    except _DAMAGES as error:
        raise DeliveryError(name, f"is damaged in its zip file ({type(error).__name__})", resend) from None
