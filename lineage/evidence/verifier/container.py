"""The files of a bundle, with their sums."""

from __future__ import annotations

import re
import zipfile
import zlib
from pathlib import Path

from assay.lineage.evidence.verifier.findings import Files, Finding, Findings, sha256, summed

SUMS = "SHA256SUMS"


def read_bundle(path: Path) -> tuple[Files, list[Finding]]:
    """Every file by its name, and what is wrong with the container."""
    if path.is_dir():
        paths = (item for item in path.rglob("*") if item.is_file())
        return {item.relative_to(path).as_posix(): item.read_bytes() for item in paths}, []
    files: Files = {}
    problems: list[Finding] = []
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if info.filename in files:
                    problems.append(Finding(info.filename, False, "is in the archive twice"))
                try:
                    files[info.filename] = archive.read(info)
                except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as problem:
                    problems.append(Finding(info.filename, False, f"is damaged ({type(problem).__name__})"))
    except (zipfile.BadZipFile, OSError) as problem:
        problems.append(Finding(path.name, False, f"is not a readable bundle ({type(problem).__name__})"))
    return files, problems


def check_sums(files: Files) -> Findings:
    """Every file has the SHA-256 that is listed for it, and no file is unlisted."""
    lines = files.get(SUMS, b"").decode("utf-8", "replace").split("\n")
    problems = [] if lines[-1] == "" and len(lines) > 1 else [Finding(SUMS, False, "is missing or cut off")]
    listed: set[str] = set()
    for number, line in enumerate(lines[:-1], 1):
        match = re.fullmatch(r"([0-9a-f]{64})  (.+)", line)
        if match is None:
            problems.append(Finding(SUMS, False, f"line {number} is no digest and name"))
            continue
        expected, name = match.groups()
        listed.add(name)
        if name not in files:
            problems.append(Finding(name, False, f"is listed in {SUMS} and not readable in the bundle"))
        elif sha256(files[name]) != expected:
            problems.append(Finding(name, False, f"has another SHA-256 than {SUMS} says"))
    unlisted = sorted(set(files) - listed - {SUMS})
    problems += [Finding(name, False, f"is in the bundle and not listed in {SUMS}") for name in unlisted]
    yield from summed(f"files have the sums in {SUMS}", len(listed), problems)
