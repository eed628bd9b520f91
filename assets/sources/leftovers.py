"""What lies where a source looks for its files and is not read: each thing, and why.

Whatever matches a source's pattern is a delivery, or is named here. Hidden files are neither.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from assay.assets.sources.deliveries import MISSING, FolderError, files_of, is_nested, split_pattern
from assay.assets.sources.file_names import UNFINISHED, has_suffix
from assay.errors import plural

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Leftover:
    """A file or folder that is not read: its path below the landing folder, and why, as the end of a sentence."""

    path: str
    why: str

    def __str__(self) -> str:
        return f"{self.path} ({self.why})"


def left_in(landing: Path, pattern: str, key: str, suffixes: Sequence[str]) -> list[Leftover]:
    """What lies in a partition's folder, matches the pattern and is not read, sorted by path. A folder that cannot be read has
    nothing: reading the partition says so."""
    folder, rest = split_pattern(pattern)
    found = left_among(pattern, suffixes, _entries(landing / folder / key, rest), prefix=f"{folder}{key}/")
    if is_nested(rest):
        try:
            names = [(file.relative_to(landing).as_posix(), False) for file in files_of(landing, pattern, key)]
        except FolderError:
            names = []
        found = [*left_among(pattern, suffixes, names), *(one for one in found if one.path.endswith(UNFINISHED))]
    return sorted(found, key=lambda one: one.path)


def _entries(folder: Path, rest: str) -> Iterator[tuple[str, bool]]:
    """The names in a folder that match the end of a pattern, and whether each is a folder."""
    try:
        with os.scandir(folder) as entries:
            yield from ((entry.name, entry.is_dir()) for entry in entries if fnmatchcase(entry.name, rest))
    except OSError as error:
        if error.errno not in MISSING and not isinstance(error, PermissionError):
            raise


def left_among(
    pattern: str, suffixes: Sequence[str], names: Iterable[tuple[str, bool]], *, prefix: str = ""
) -> list[Leftover]:
    """Those of the names (each with whether it is a folder's) that are not read, with `prefix` before them.

    Args:
        pattern: The source's, for the advice.
        suffixes: What the source takes; empty: everything.
        names: Names that match the pattern.
        prefix: What stands before each name in the paths that are given.
    """
    found: list[Leftover] = []
    for name, is_folder in names:
        shown = os.fsencode(prefix + name).decode(errors="backslashreplace")
        base = name.rpartition("/")[2]
        if base.startswith("."):
            continue
        if is_folder:
            found.append(
                Leftover(f"{shown}/", f"a folder: to read what is in it, end the pattern {pattern!r} with /**/*")
            )
        elif base.lower().endswith(UNFINISHED):
            found.append(Leftover(shown, "not finished, as its suffix says"))
        elif not has_suffix(base, suffixes):
            found.append(Leftover(shown, f"its suffix is not among the source's: {', '.join(suffixes)}"))
    return found


def described(left: Sequence[Leftover]) -> str:
    """One sentence, with each reason once; empty where nothing is left."""
    if not left:
        return ""
    shown = sorted(left, key=lambda one: one.path)[:_SHOWN]
    reasons: dict[str, list[str]] = {}
    for one in shown:
        reasons.setdefault(one.why, []).append(one.path)
    texts = [f"{', '.join(paths)} ({why})" for why, paths in reasons.items()]
    more = [f"and {len(left) - len(shown):,} more"] if len(left) > len(shown) else []
    is_one = len(left) == 1
    head = (
        f"{plural(len(left), 'thing')} {'lies' if is_one else 'lie'} there and {'is' if is_one else 'are'} not read: "
    )
    return f"{head}{'; '.join([*texts, *more])}."
