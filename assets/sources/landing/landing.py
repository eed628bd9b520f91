"""Where upstreams drop the files of a source: a folder, or something that can be asked the same."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from assay.assets.sources.deliveries import Delivery
from assay.assets.sources.landing.delivered import Delivered
from assay.assets.sources.landing.leftovers import (
    Leftover,
    left_among,
    left_in,
    misnamed_files,
    outside_of,
    unplaced_folders,
)
from assay.assets.sources.landing.listing import delivered_since, names_in, partitions_in
from assay.assets.sources.landing.places import Places
from assay.assets.sources.landing.scan import scan_partition
from assay.assets.sources.landing.tree import folder_tree
from assay.assets.sources.limits import Limits
from assay.assets.sources.reader import Reading


class Landing(Protocol):
    """Where files are dropped.

    Attributes:
        root: what the address of each file begins with; empty for the landing folder.
    """

    @property
    def root(self) -> str: ...

    def partitions(self, places: Places) -> list[str]:
        """The partitions, in order, for which any file has been delivered."""
        ...

    def delivered(self, places: Places, before: bytes) -> Delivered:
        """What has changed since the look that gave `before`."""
        ...

    def unplaced(self, places: Places) -> list[str]:
        """Folders with files of the pattern whose names say no partition."""
        ...

    def outside(self, places: Places) -> list[str]:
        """Folders with files, or files, whose names say partitions before the start or after the end, in order."""
        ...

    def left(self, places: Places, suffixes: Sequence[str], partition: str | None, seen: bytes) -> list[Leftover]:
        """What lies there and is not read: of one partition, or of all (None), whose last look gave `seen`."""
        ...

    def scan(self, places: Places, reading: Reading, suffixes: Sequence[str], limits: Limits) -> Sequence[Delivery]:
        """The files of one partition, sorted by path. Raises DeliveryError, and AssayError for a key that there is none of."""
        ...


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of this machine. `root` is empty for the landing folder."""

    path: Path
    root: str = ""

    def partitions(self, places: Places) -> list[str]:
        return partitions_in(self.path, places)

    def delivered(self, places: Places, before: bytes) -> Delivered:
        return delivered_since(self.path, places, before)

    def unplaced(self, places: Places) -> list[str]:
        return unplaced_folders(folder_tree(self.path, places), places)

    def outside(self, places: Places) -> list[str]:
        return outside_of(folder_tree(self.path, places), places)

    def left(self, places: Places, suffixes: Sequence[str], partition: str | None, seen: bytes) -> list[Leftover]:
        if partition is not None:
            left = left_in(self.path, places, partition, suffixes)
        else:
            names = names_in(seen or delivered_since(self.path, places).seen)
            left = [*left_among(places, suffixes, names), *misnamed_files(folder_tree(self.path, places), places)]
        return [replace(one, root=self.root) for one in left] if self.root else left

    def scan(self, places: Places, reading: Reading, suffixes: Sequence[str], limits: Limits) -> Sequence[Delivery]:
        del limits  # what a file holds is read block by block
        return scan_partition(self.path, places, reading.partition, suffixes, reading.hashes, self.root)
