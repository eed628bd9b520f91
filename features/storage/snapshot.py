"""Which data, exactly: a snapshot is one version of one table; a slice is the part of it that somebody read."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from assay.notebook_html import facts_html


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One version of one table.

    Identity is `(table_id, version, commit_sha256)`: a table deleted and made anew at the same address starts again at
    version 0 under another id. `table` is only the address, relative to the lake; `uri` is where it lies in the lake as it
    was opened, "" where that is not known. It is no part of the identity, nor written down: lakes are moved and copied.
    """

    table: str
    table_id: str
    version: int
    commit_sha256: str
    uri: str = field(default="", compare=False)

    @property
    def digest(self) -> str:
        """A short name for the identity, for places with room for one string (data versions, cache keys)."""
        return hashlib.sha256(f"{self.table_id}@{self.version}:{self.commit_sha256}".encode()).hexdigest()[:32]

    def __str__(self) -> str:
        return f"{self.table}@{self.version}"

    def _repr_html_(self) -> str:
        """For notebooks."""
        return facts_html(f"Snapshot {self}", {"table id": self.table_id, "commit": self.commit_sha256, "at": self.uri})

    def to_dict(self) -> dict[str, Any]:
        return {
            "table": self.table,
            "table_id": self.table_id,
            "version": self.version,
            "commit_sha256": self.commit_sha256,
            "uri": self.table,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Snapshot":
        return cls(data["table"], data["table_id"], data["version"], data["commit_sha256"])


@dataclass(frozen=True, slots=True)
class Slice:
    """What was read of a snapshot: all of it (`partitions` is None), all but the `excluded` partitions, or some partitions.

    `digest` hashes the names of the data files read. Data files are named by the SHA-256 of their bytes, so equal digests
    mean equal bytes, whatever version they were read at: a new day in the table leaves the slices of older days alone.
    A `lookup` (of known keys, say) is recorded for lineage but does not make its reader stale. In JSON it is called
    `reference`, as in commits from before; both words are read.

    `writers` hashes the commits whose rows these are (see `writers_digest`), as whoever read them knew them: a later commit may
    say something else of the same files. It is "" where no `digest` was taken, and in commits from before.

    A lookup of a whole table, or of all but some partitions, has neither, so that it costs the same whatever the table holds. It
    has a `set_digest` over files and commits (see `assay.features.storage.set_digest`), which is "" in commits from before.
    """

    snapshot: Snapshot
    partitions: tuple[str, ...] | None
    digest: str
    lookup: bool = False
    excluded: tuple[str, ...] = ()
    writers: str = ""
    set_digest: str = ""

    @property
    def names_its_files(self) -> bool:
        """Whether its reader recorded which files they were. A lookup of a whole table from before did not."""
        return bool(self.digest or self.set_digest)

    @property
    def names_its_writers(self) -> bool:
        """Whether its reader recorded who wrote the rows."""
        return bool(self.writers or self.set_digest)

    def holds(self, partition: str | None) -> bool:
        """Whether rows of a partition are part of it."""
        return partition not in self.excluded if self.partitions is None else partition in self.partitions

    def to_dict(self) -> dict[str, Any]:
        read = {
            "partitions": list(self.partitions) if self.partitions is not None else None,
            "digest": self.digest,
            "reference": self.lookup,
        }
        rest = {"except": list(self.excluded), "writers": self.writers, "set_digest": self.set_digest}
        return self.snapshot.to_dict() | read | {name: value for name, value in rest.items() if value}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Slice":
        partitions = data.get("partitions")
        return cls(
            Snapshot.from_dict(data),
            tuple(partitions) if partitions is not None else None,
            data["digest"],
            data.get("reference", data.get("lookup", False)),
            tuple(data.get("except", ())),
            data.get("writers", ""),
            data.get("set_digest", ""),
        )
