"""What lies where a source looks for its files and is not read: each thing, and why.

Whatever matches a source's pattern is a delivery, or is named here. Hidden files are neither.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from assay.assets.sources.deliveries import FolderError
from assay.assets.sources.file_names import UNFINISHED, has_suffix, may_be_delivery
from assay.assets.sources.landing.folders import entries_of
from assay.assets.sources.landing.places import Places, finished
from assay.assets.sources.landing.tree import Tree, has_files, is_folder, names_of
from assay.errors import AssayError, plural

_ENDS = 3
FEW = 5  # that a message names
ALL = 10_000  # that a program is given


@dataclass(frozen=True, slots=True)
class Leftover:
    """A file or folder that is not read: its path below the landing folder, and why, as the end of a sentence. `root` is what
    its address begins with, where it lies elsewhere."""

    path: str
    why: str
    root: str = ""

    @property
    def address(self) -> str:
        return self.root + self.path

    def __str__(self) -> str:
        return f"{self.address} ({self.why})"


def left_in(landing: Path, places: Places, key: str, suffixes: Sequence[str]) -> list[Leftover]:
    """What lies in the places of a partition's files and is not read, sorted by path. A folder that cannot be read has nothing:
    reading the partition says so."""
    try:
        names = list(entries_of(landing, places, key))
    except FolderError:
        return []
    return sorted(left_among(places, suffixes, names), key=lambda one: one.path)


def left_among(places: Places, suffixes: Sequence[str], names: Iterable[tuple[str, bool]]) -> list[Leftover]:
    """Those of the names in the places of a source's files (each with whether it is a folder's) that are not read.

    Args:
        places: The source's.
        suffixes: What the source takes; empty: everything.
        names: Paths relative to `places.top`.
    """
    found: list[Leftover] = []
    for name, is_a_folder in names:
        shown = _shown(places, name)
        base = name.rpartition("/")[2]
        if base.startswith("."):
            continue
        if is_a_folder:
            advice = f"to read what is in it, end the pattern {places.pattern!r} with /**/*"
            found.append(Leftover(f"{shown}/", f"a folder: {advice}"))
        elif base.lower().endswith(UNFINISHED):
            found.append(Leftover(shown, "not finished, as its suffix says"))
        elif not has_suffix(base, suffixes):
            found.append(Leftover(shown, f"its suffix is not among the source's: {', '.join(suffixes)}"))
    return found


def misnamed_files(tree: Tree, places: Places) -> list[Leftover]:
    """The files beside those of partitions of which nobody knows the partition: their names do not say it as the pattern does,
    or they lie beside the folders that say it. Their suffixes do not matter."""
    return [
        Leftover(_shown(places, path), f"it says no partition: write it like {_example(places)}")
        for path, is_a_folder in _misplaced(tree, places)
        if not is_a_folder
    ]


def unplaced_folders(tree: Tree, places: Places) -> list[str]:
    """Folders with files of the pattern whose names say no partition, so that nobody reads them."""
    return [f"{places.top}{path}" for path, is_a_folder in _misplaced(tree, places) if is_a_folder]


def why_unplaced(places: Places, folder: str) -> str:
    """Why such a folder is not read, and how its name is to be written."""
    name, at = folder.rpartition("/")[2], folder.count("/") - places.top.count("/")
    if places.depth is not None and places.components[at].is_key:
        try:
            places.partitioning.require(name)
        except AssayError as problem:
            return str(problem)
    return f"{name!r} says no partition of the {places.partitioning}: write it like {_example(places)}."


def outside_of(tree: Tree, places: Places) -> list[str]:
    """Folders with files, or files, whose names say partitions before the start or after the end, in order. Of many folders only
    the first and the last few are looked into."""
    placed = [
        (key, path, states)
        for path, states in _placed(tree, places)
        if (key := places.key_of(path)) is not None and not places.partitioning.contains(key)
    ]
    placed.sort(key=lambda one: one[:2])
    few = {path for _, path, _ in [*placed[:_ENDS], *placed[-_ENDS:]]}
    return [
        f"{places.top}{path}"
        for _, path, states in placed
        if not states or path not in few or has_files(tree, places, path, states)
    ]


def _placed(tree: Tree, places: Places) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The folders that are of one partition each, with what may come next in them, or the files, with nothing."""
    if places.depth is None:
        yield from ((name, ()) for name, is_a_folder in names_of(tree, places) if not is_a_folder)
        return
    todo = [("", places.start)]
    while todo:
        folder, states = todo.pop()
        is_last = folder.count("/") == places.depth - 1
        for entry in tree.entries(folder):
            name = entry.name
            if is_last and places.by_file:
                if may_be_delivery(name):
                    yield folder + name, ()
                continue
            deeper = places.entered(states, name)
            if deeper and places.leads(folder + name) and is_folder(entry):
                if is_last:
                    yield folder + name, deeper
                else:
                    todo.append((f"{folder}{name}/", deeper))


def _misplaced(tree: Tree, places: Places) -> list[tuple[str, bool]]:
    """What lies where a name should say the partition, and says none; and whether it is a folder."""
    last = len(places.components) - 1
    found = list[tuple[str, bool]]()
    todo = [("", places.start)]
    while todo:
        folder, states = todo.pop()
        folders = [at + 1 for at in states if at < last and places.components[at].is_placed]
        says = last in states and places.components[last].is_placed
        for entry in tree.entries(folder):
            path, name = folder + entry.name, entry.name
            if name.startswith("."):
                continue
            if is_folder(entry):
                deeper = places.entered(states, name, is_link=entry.is_symlink())
                if deeper and places.leads(path):
                    todo += [(f"{path}/", deeper)] if places.depth is None or path.count("/") < places.depth - 1 else []
                elif folders and has_files(tree, places, path, folders):
                    found.append((path, True))
            elif says:
                will_be = finished(name)
                placed = places.takes(states, will_be) and places.key_of(folder + will_be) is not None
                found += [] if placed else [(path, False)]
            elif last not in states:  # only folders belong there
                found.append((path, False))
    return sorted(found)


def _shown(places: Places, path: str) -> str:
    return os.fsencode(places.top + path).decode(errors="backslashreplace")


def _example(places: Places) -> str:
    return places.example(places.partitioning.start or places.partitioning.keys[0])


def described(left: Sequence[Leftover], most: int = FEW) -> str:
    """One sentence with each reason once, which names so many at most and counts the rest; empty where nothing is left."""
    if not left:
        return ""
    shown = sorted(left, key=lambda one: one.path)[:most]
    reasons: dict[str, list[str]] = {}
    for one in shown:
        reasons.setdefault(one.why, []).append(one.address)
    texts = [f"{', '.join(paths)} ({why})" for why, paths in reasons.items()]
    more = [f"and {len(left) - len(shown):,} more"] if len(left) > len(shown) else []
    is_one = len(left) == 1
    head = (
        f"{plural(len(left), 'thing')} {'lies' if is_one else 'lie'} there and {'is' if is_one else 'are'} not read: "
    )
    return f"{head}{'; '.join([*texts, *more])}."
