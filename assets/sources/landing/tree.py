"""Folders with names in them, on a disk or made of the keys of objects: as far as it takes to find files and what is no file."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from assay.assets.sources.file_names import has_suffix, may_be_delivery
from assay.assets.sources.landing.places import Places, finished


class Entry(Protocol):
    """A name in a folder, like `os.DirEntry`."""

    @property
    def name(self) -> str: ...

    def is_dir(self) -> bool: ...

    def is_symlink(self) -> bool: ...


class Tree(Protocol):
    """What lies below the folder `top` of the places of a source."""

    def entries(self, folder: str) -> Sequence[Entry]:
        """What is in a folder (`""`, or a path that ends in a slash); nothing if it is not there, or cannot be read: reading its
        partitions says so."""
        ...


@dataclass(frozen=True, slots=True)
class FolderTree:
    """A folder of this machine."""

    root: Path

    def entries(self, folder: str) -> Sequence[Entry]:
        try:
            with os.scandir(self.root / folder) as entries:
                return list(entries)
        except OSError:
            return []


def folder_tree(landing: Path, places: Places) -> FolderTree:
    """What lies in the landing folder in the places of a source."""
    return FolderTree(landing / places.top)


def is_folder(entry: Entry) -> bool:
    """Whether something may be looked into."""
    try:
        return entry.is_dir()
    except OSError:  # a link into a folder that cannot be read
        return True


def names_of(tree: Tree, places: Places) -> Iterator[tuple[str, bool]]:
    """What lies in the places of a source's files and may be a delivery: paths relative to `places.top`, and whether each is a
    folder, into which nobody looks."""
    todo = [("", places.start)]
    while todo:
        folder, states = todo.pop()
        for entry in tree.entries(folder):
            name = entry.name
            path = folder + name
            deeper = places.entered(states, name, is_link=entry.is_symlink())
            deeper = deeper if deeper and places.leads(path) else ()
            here = places.takes(states, name) and may_be_delivery(name)
            if is_folder(entry):
                todo += [(f"{path}/", deeper)] if deeper else []
                if here and not deeper:
                    yield path, True
            elif here and places.key_of(path) is not None:
                yield path, False


def names_of_partition(tree: Tree, places: Places, key: str) -> Iterator[tuple[str, bool]]:
    """The same of one partition, with unfinished and hidden files."""
    near = places.near(key)
    todo = [("", near.start)]
    while todo:
        folder, states = todo.pop()
        for entry in tree.entries(folder):
            name = entry.name
            path = folder + name
            deeper = near.entered(states, name, is_link=near.is_deep and entry.is_symlink())
            deeper = deeper if deeper and near.leads(path) else ()
            if deeper and is_folder(entry):
                todo.append((f"{path}/", deeper))
            elif near.takes(states, finished(name)) and near.key_of(folder + finished(name)) == key:
                yield path, is_folder(entry)


def has_files(tree: Tree, places: Places, folder: str, states: Sequence[int], suffixes: Sequence[str] = ()) -> bool:
    """Whether any file lies in a folder or below it that would be taken, whatever its path says of the partition."""
    todo = [(f"{folder}/" if folder else "", tuple(states))]
    while todo:
        path, states = todo.pop()
        for entry in tree.entries(path):
            name, may_enter = entry.name, is_folder(entry)
            deeper = places.entered(states, name, is_link=entry.is_symlink(), loosely=True) if may_enter else ()
            if deeper:
                todo.append((f"{path}{name}/", deeper))
            is_file = not may_enter and may_be_delivery(name) and has_suffix(name, suffixes)
            if is_file and places.takes(states, name, loosely=True):
                return True
    return False
