"""Names of delivered files: the suffix that says how a file is read, and which file corrects which."""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

UNFINISHED = (".tmp", ".part")
ZSTD = ".zst"
COMPRESSED = (".gz", ZSTD)
_REVISION = re.compile(r"(?P<stem>.+)\.r(?P<number>[1-9]\d*)", re.DOTALL)


def suffix_of(name: str) -> str:
    """The suffix of a file's name or path, in lower case, that of a compressed one with what it had before: `.csv` of
    `A.CSV`, `.csv.gz` of `a.csv.gz`. Empty without one."""
    path = PurePosixPath(name)
    last = path.suffix.lower()
    return PurePosixPath(path.stem).suffix.lower() + last if last in COMPRESSED else last


def uncompressed(suffix: str) -> str:
    """The suffix of what a compressed file was made from; the suffix itself of another file."""
    for end in COMPRESSED:
        suffix = suffix.removesuffix(end)
    return suffix


def may_be_delivery(name: str) -> bool:
    """Whether a file of this name can be a delivery: hidden and unfinished ones are none."""
    return not name.startswith(".") and not name.lower().endswith(UNFINISHED)


def has_suffix(name: str, suffixes: Sequence[str]) -> bool:
    """Whether the name has one of the suffixes, in whatever case. Every name has one of none."""
    return not suffixes or suffix_of(name) in {suffix.lower() for suffix in suffixes}


def original_of(path: str) -> str:
    """The path that a revision corrects; the path itself where it is no revision."""
    name, (stem, suffix) = PurePosixPath(path), _parts(path)
    match = _REVISION.fullmatch(stem)
    return str(name.with_name(match["stem"] + suffix)) if match else path


def revision_of(path: str) -> int:
    """Which revision of its original the file is; 0: none."""
    match = _REVISION.fullmatch(_parts(path)[0])
    return int(match["number"]) if match else 0


def revised(path: str, revision: int) -> str:
    """The file name of a revision."""
    stem, suffix = _parts(original_of(path))
    return f"{stem}.r{revision}{suffix}"


def _parts(path: str) -> tuple[str, str]:
    """A file's name before its suffix, and the suffix as it is written."""
    name = PurePosixPath(path).name
    cut = len(name) - len(suffix_of(name))
    return name[:cut], name[cut:]
