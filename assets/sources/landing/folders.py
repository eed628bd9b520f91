"""What the folders hold in which the files of one partition may lie."""

import os
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from assay.assets.sources.deliveries import MISSING, FolderError
from assay.assets.sources.file_names import may_be_delivery
from assay.assets.sources.landing.folder_times import tells_changes
from assay.assets.sources.landing.places import Places, finished

_REMEMBERED = 8  # folders with the files of many partitions
_placed: dict[tuple[Places, Path], tuple[tuple[int, int, int], Mapping[str | None, list[str]]]] = {}


def files_of(landing: Path, places: Places, key: str) -> Iterator[Path]:
    """The files of a partition that may be deliveries. Raises FolderError for a folder that cannot be read."""
    for path, is_folder in entries_of(landing, places, key):
        if not is_folder and may_be_delivery(path.rpartition("/")[2]):
            yield landing / places.top / path


def entries_of(landing: Path, places: Places, key: str) -> Iterator[tuple[str, bool]]:
    """What lies in the places of a partition's files, unfinished and hidden ones too: paths relative to `places.top`, and
    whether each is a folder. Raises FolderError for a folder that cannot be read."""
    base, near = landing / places.top, places.near(key)
    todo = [("", near.start)]
    while todo:
        folder, states = todo.pop()
        try:
            _require_readable(base / folder)
            names = _names(landing, places, near, key, folder, states)
        except OSError as error:
            raise unreadable(landing, base / folder, error) from error
        for name in names:
            path = folder + name
            deeper = near.entered(states, name, is_link=near.is_deep and (base / path).is_symlink())
            deeper = deeper if deeper and near.leads(path) else ()
            here = near.takes(states, finished(name)) and near.key_of(folder + finished(name)) == key
            mode = _mode(landing, base / path) if deeper or here else 0
            if deeper and stat.S_ISDIR(mode):
                todo.append((f"{path}/", deeper))
            elif here and (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
                yield path, stat.S_ISDIR(mode)


def _names(landing: Path, places: Places, near: Places, key: str, folder: str, states: Sequence[int]) -> Sequence[str]:
    """The names in a folder that may be of the partition. Where the pattern gives them all, the folder is not listed."""
    components = [near.components[at] for at in states]
    known = [one.names for one in components]
    if None not in known:
        return sorted(frozenset().union(*(names for names in known if names is not None)))
    if all(at == len(near.components) - 1 and one.is_placed for at, one in zip(states, components, strict=True)):
        return placed_names(landing, places, folder).get(key, [])
    return _listed(landing / places.top / folder)


def placed_names(landing: Path, places: Places, folder: str) -> Mapping[str | None, list[str]]:
    """The names in a folder that holds files of many partitions, by the partition that each says; None: it says none. They are
    remembered, so that a folder of n partitions is not listed n times. Raises OSError."""
    path = landing / places.top / folder
    try:
        found, now = path.stat(), time.time_ns()
    except OSError as error:
        if error.errno in MISSING:
            return {}
        raise
    mark, at = (found.st_ctime_ns, found.st_ino, found.st_dev), (places, path)
    known = _placed.get(at)
    if known is not None and known[0] == mark:
        return known[1]
    names: dict[str | None, list[str]] = {}
    last = len(places.components) - 1
    for name in _listed(path):
        key = places.key_of(folder + finished(name)) if places.takes([last], finished(name)) else None
        names.setdefault(key, []).append(name)
    if tells_changes(found, landing, now):
        while len(_placed) >= _REMEMBERED:
            _placed.pop(next(iter(_placed)), None)
        _placed[at] = mark, names
    return names


def unreadable(landing: Path, folder: Path, error: OSError) -> FolderError:
    """The error of a folder in which nobody can look."""
    name = os.fsencode(folder.relative_to(landing)).decode(errors="backslashreplace")
    action = "see to it that the user that runs Assay may read it, and run again"
    return FolderError(name, f"cannot be read ({error.strerror})", action)


def _listed(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries)
    except OSError as error:
        if error.errno in MISSING:  # or taken away at this moment
            return []
        raise


def _mode(landing: Path, path: Path) -> int:
    try:
        return path.stat().st_mode
    except OSError as error:
        if error.errno in MISSING:
            return 0
        raise unreadable(landing, path, error) from error


def _require_readable(folder: Path) -> None:
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
