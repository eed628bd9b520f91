"""The files that a project's declarations are in: whether they are still those that were loaded.

Looked at often, by the sensor and by `assay up`, so only what has another time or size is read again.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from assay.assets.project import Project, place_of
from assay.errors import AssayError
from assay.project_folder import PROJECT_FILE

_SKIPPED = {"__pycache__", "node_modules", "site-packages"}


@dataclass(slots=True)
class DeclaredFiles:
    """The Python files of a project's packages, and its `pyproject.toml`. Of an installed project only the domains: what is
    installed does not change while it runs."""

    project: Project
    _read: dict[Path, tuple[tuple[int, int, int], str]] = field(default_factory=dict)

    def contents(self) -> dict[str, str]:
        """The SHA-256 of each file's bytes, by its path."""
        found: dict[Path, tuple[tuple[int, int, int], str]] = {}
        for file in self._files():
            try:
                state = file.stat()
                sign = (state.st_mtime_ns, state.st_size, state.st_ino)
                known = self._read.get(file)
                same = known is not None and known[0] == sign
                found[file] = known if same and known else (sign, hashlib.sha256(file.read_bytes()).hexdigest())
            except OSError:  # gone at this moment
                continue
        self._read = found
        return {str(file): sha256 for file, (_, sha256) in sorted(found.items())}

    def _files(self) -> Iterator[Path]:
        root = self.project.root
        if root is not None:
            yield root / PROJECT_FILE
        names = self.project.domains if root is None else {domain.partition(".")[0] for domain in self.project.domains}
        for name in names:
            try:
                place = place_of(name, root)
            except AssayError:  # gone: that is a change, too
                continue
            yield from _python_files(place) if place.is_dir() else [place]


def _python_files(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in _SKIPPED and not name.startswith(".")]
        yield from (Path(place, name) for name in names if name.endswith(".py"))


def digest_of_files(contents: Mapping[str, str]) -> str:
    """One digest of all of them."""
    return hashlib.sha256(
        "\n".join(f"{path} {sha256}" for path, sha256 in sorted(contents.items())).encode()
    ).hexdigest()


def changed_files(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """The paths that are other ones, new or gone."""
    return sorted(path for path in {*before, *now} if before.get(path) != now.get(path))
