"""The keys of objects as folders with names in them, so that a bucket is read by the rules of a folder."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from assay.assets.sources.landing.leftovers import Leftover
from assay.assets.sources.objects.s3 import Found


@dataclass(frozen=True, slots=True)
class _Name:
    name: str
    folder: bool

    def is_dir(self) -> bool:
        return self.folder

    def is_symlink(self) -> bool:
        return False


@dataclass(slots=True)
class KeyTree:
    """What lies below a prefix. A key may be a name and the folder of others; then it is both.

    Attributes:
        objects: by their paths below the prefix.
        odd: paths that no file of a folder can have, so that no pattern names them.
    """

    objects: dict[str, Found] = field(default_factory=dict)
    odd: list[str] = field(default_factory=list)
    _names: dict[str, list[_Name]] = field(default_factory=lambda: {"": []})

    @classmethod
    def of(cls, prefix: str, found: Iterable[Found]) -> "KeyTree":
        """Of objects whose keys begin with a prefix, which is empty or ends in a slash."""
        tree = cls()
        for one in found:
            path = one.key[len(prefix) :]
            if not path or (path.endswith("/") and one.size == 0):
                continue  # what consoles make to show an empty folder
            parts = path.split("/")
            if "" in parts or "." in parts or ".." in parts:
                tree.odd.append(path)
            else:
                tree._add(path, one)
        return tree

    def entries(self, folder: str) -> Sequence[_Name]:
        return self._names.get(folder, ())

    def _add(self, path: str, found: Found) -> None:
        self.objects[path] = found
        folder, slash, name = path.rpartition("/")
        self._inside(folder + slash).append(_Name(name, folder=False))

    def _inside(self, folder: str) -> list[_Name]:
        """The names in a folder, which is one itself from now on."""
        names = self._names.get(folder)
        if names is None:
            names = self._names[folder] = []
            above, slash, name = folder[:-1].rpartition("/")
            self._inside(above + slash).append(_Name(name, folder=True))
        return names

    def left(self, top: str) -> list[Leftover]:
        """What no pattern can name, below the folder `top` of the landing place."""
        why = "its key has an empty part, or one of dots, which no pattern names: have it written without"
        return [Leftover(top + path, why) for path in self.odd]
