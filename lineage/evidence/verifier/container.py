"""The files of a bundle, with their sums."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from assay.lineage.evidence.verifier.findings import UNREADABLE, Files, Finding, Findings, sha256, summed

SUMS = "SHA256SUMS"
LARGEST = 1 << 29  # bytes of all files of a bundle together
_BLOCK = 1 << 16  # is unpacked at once, since an entry may hold more than it says
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others unpack without bounds; bundles are made with these
_DAMAGE = (*UNREADABLE, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)
_EVIDENCE = re.compile(r"(lake|events)/.+\.(nd)?json")  # what a bundle names like this is looked at
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")


class TooLarge(Exception):
    """There is more in it than bundles have."""


def read_bundle(path: Path) -> tuple[Files, list[Finding]]:
    """Every file by its name, and what is wrong with the container."""
    files: Files = {}
    problems: list[Finding] = []
    try:
        problems.extend(read_folder(path, files) if path.is_dir() else read_archive(path, files))
    except TooLarge:
        problems.append(Finding(path.name, False, f"holds more than {LARGEST >> 20} MiB: it is no bundle of Assay's"))
    except _DAMAGE as problem:
        problems.append(Finding(path.name, False, f"is not a readable bundle ({type(problem).__name__})"))
    return files, problems


def read_archive(path: Path, files: Files) -> Findings:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            name = info.filename
            if not is_safe(name.rstrip("/") if info.is_dir() else name):
                yield Finding(name, False, "is in the archive, and is no name of a file in a bundle")
            elif name in files:
                yield Finding(name, False, "is in the archive twice")
            elif info.compress_type not in _METHODS:
                yield Finding(name, False, "is packed as nothing in a bundle is")
            elif not (info.is_dir() and info.file_size == 0):
                try:
                    files[name] = unpacked(archive, info, LARGEST - sum(map(len, files.values())))
                except _DAMAGE as problem:
                    yield Finding(name, False, f"is damaged ({type(problem).__name__})")


def unpacked(archive: zipfile.ZipFile, info: zipfile.ZipInfo, most: int) -> bytes:
    """The content of an entry. Raises TooLarge for more than `most` bytes, and what a damaged one raises."""
    content = bytearray()
    with archive.open(info) as stream:
        for block in iter(lambda: stream.read(_BLOCK), b""):
            content += block
            if len(content) > most:
                raise TooLarge
    return bytes(content)


def read_folder(path: Path, files: Files) -> Findings:
    """What the sums list, and what lies where evidence does. Other files beside it, such as a file manager's, are no part."""
    left = LARGEST
    listed = {name for _, name in listed_in((path / SUMS).read_bytes() if (path / SUMS).is_file() else b"")}
    found = (item.relative_to(path).as_posix() for item in sorted(path.rglob("*")) if item.is_file())
    beside: list[str] = []
    for name in found:
        if name != SUMS and name not in listed and not _EVIDENCE.fullmatch(name):
            beside.append(name)
            continue
        left -= (path / name).stat().st_size
        if left < 0:
            raise TooLarge
        try:
            files[name] = (path / name).read_bytes()
        except OSError as problem:
            yield Finding(name, False, f"cannot be read ({type(problem).__name__})")
    if beside:
        more = f" and {len(beside) - 1} more" if len(beside) > 1 else ""
        detail = f"lies beside the bundle{more}, not listed in {SUMS}: no part of it, and not looked at"
        yield Finding(beside[0], None, detail, required=False)


def is_safe(name: str) -> bool:
    """Whether a name stays below the folder that a bundle is unpacked to, on any system."""
    parts = name.split("/")
    return name.isprintable() and not re.search(r"[\\:]", name) and not {"", ".", ".."} & set(parts)


def listed_in(sums: bytes) -> Iterator[tuple[str, str]]:
    """Digest and name of each line that has them."""
    for line in sums.decode("utf-8", "replace").split("\n"):
        match = _LINE.fullmatch(line)
        if match is not None:
            yield match.group(1), match.group(2)


def check_sums(files: Files) -> Findings:
    """Every file has the SHA-256 that is listed for it, and no file is unlisted."""
    lines = files.get(SUMS, b"").decode("utf-8", "replace").split("\n")
    problems = [] if lines[-1] == "" and len(lines) > 1 else [Finding(SUMS, False, "is missing or cut off")]
    for number, line in enumerate(lines[:-1], 1):
        if _LINE.fullmatch(line) is None:
            problems.append(Finding(SUMS, False, f"line {number} is no digest and name"))
    listed: set[str] = set()
    for expected, name in listed_in(files.get(SUMS, b"")):
        listed.add(name)
        if not is_safe(name):
            problems.append(Finding(name, False, f"is listed in {SUMS}, and is no name of a file in a bundle"))
        elif name not in files:
            problems.append(Finding(name, False, f"is listed in {SUMS} and not readable in the bundle"))
        elif sha256(files[name]) != expected:
            problems.append(Finding(name, False, f"has another SHA-256 than {SUMS} says"))
    unlisted = sorted(set(files) - listed - {SUMS})
    problems += [Finding(name, False, f"is in the bundle and not listed in {SUMS}") for name in unlisted]
    yield from summed(f"files have the sums in {SUMS}", len(listed), problems)
