"""Zip: several files in one, read one after the other, in the order of their names, as one file with all their columns."""

import zipfile
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import polars as pl

from assay.assets.sources.deliveries import PIECE, DeliveryError
from assay.assets.sources.limits import Limits

_ENCRYPTED = 1  # a flag of a member
_MOST = 10_000  # members
_DAMAGES = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, ValueError, RuntimeError)

Members = Callable[[str, int, Callable[[], Iterator[bytes]]], Iterator[pl.DataFrame]]


def zip_blocks(path: str, source: bytes | Path, limits: Limits, read: Members) -> Iterator[pl.DataFrame]:
    """The records of all files in it, frame by frame, numbered through, with the columns that any of them has.

    Raises DeliveryError for what is no zip, is damaged or encrypted, and for one whose content is far larger than it is.

    Args:
        path: The file's, for errors; a member's is `orders.zip!/a.csv`.
        source: The file.
        limits: What it may be at most.
        read: Gives the frames of a member by its path, its size and its bytes.
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

        def frames(member: zipfile.ZipInfo) -> Iterator[pl.DataFrame]:
            name = f"{path}!/{_shown(member.filename)}"
            return read(name, member.file_size, lambda: _pieces(archive, member, name, resend))

        like = _columns(path, members, frames)
        before = 0
        for member in members:
            rows = 0
            for frame in frames(member):
                rows += frame.height
                whole = pl.concat([like, frame], how="diagonal")
                yield whole.with_columns(pl.col("_row_number") + before)
                del frame, whole
            before += rows


def _is_file(member: zipfile.ZipInfo) -> bool:
    """Whether it is one that somebody has put there: not a folder, or what macOS adds."""
    parts = member.filename.split("/")
    return not member.is_dir() and parts[0] != "__MACOSX" and not parts[-1].startswith(".")


def _shown(name: str) -> str:
    return name.encode(errors="backslashreplace").decode()


def _columns(
    path: str, members: list[zipfile.ZipInfo], frames: Callable[[zipfile.ZipInfo], Iterator[pl.DataFrame]]
) -> pl.DataFrame:
    """A frame without rows, with the columns of all members."""
    like = pl.DataFrame()
    for member in members:
        first = next(frames(member)).clear()
        for name, dtype in first.schema.items():
            if like.schema.get(name, dtype) != dtype:
                problem = f"is {dtype} in {_shown(member.filename)} and {like.schema[name]} in a file before it"
                raise DeliveryError(path, problem, "ask the upstream for files of one kind", column=name)
        like = pl.concat([like, first], how="diagonal") if like.width else first
    if not like.width:
        raise DeliveryError(path, "holds no files", "ask the upstream to re-send it")
    return like


def _pieces(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str, resend: str) -> Iterator[bytes]:
    try:
        with archive.open(member) as stream:
            while piece := stream.read(PIECE):
                yield piece
    except _DAMAGES as error:
        raise DeliveryError(name, f"is damaged in its zip file ({type(error).__name__})", resend) from None
