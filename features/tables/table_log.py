"""All versions of a table: who wrote which rows when, and which files every version holds, as its index answers.

For trace, impact and the pages. The commits themselves, and whether a version is still the one that was read, come from the
files of the log. `assay.features.tables.log_replay` answers the same from these files alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from assay.errors import AssayError
from assay.features.storage.commit_metadata import Commit
from assay.features.storage.log_entry import DataFile, Entry
from assay.features.storage.snapshot import Slice, Snapshot
from assay.features.storage.table_index import TableIndex
from assay.features.tables.digest import digest_of
from assay.features.tables.lake import Lake, index_of, once


@dataclass(frozen=True)
class TableLog:
    """All versions of a table, up to the one that was the latest when it was opened."""

    lake: Lake
    table: str
    index: TableIndex

    @cached_property
    def table_id(self) -> str:
        """The table's id; where the commits that named it are no longer in the log, as its checkpoint names it."""
        if self.index.table_id:
            return self.index.table_id
        try:
            return self.lake.table(self.table).at().table_id
        except AssayError:  # nor is there a checkpoint that does
            return ""

    @property
    def latest(self) -> int:
        return self.index.latest

    @cached_property
    def damaged(self) -> tuple[int, ...]:
        """Versions whose commits cannot be read."""
        return tuple(self.index.damaged(self.latest))

    @cached_property
    def commits(self) -> tuple[Commit, ...]:
        """Commits that wrote rows through a transaction, oldest first. Reads all of them."""
        found = (self.commit(version) for version in self.index.written(self.latest))
        return tuple(commit for commit in found if commit is not None)

    def written(self, partition: str | None = None) -> list[int]:
        """The versions that wrote rows through a transaction (to a partition), oldest first."""
        return self.index.written(self.latest, partition)

    def commit(self, version: int) -> Commit | None:
        """What a version says about itself; None where it is not in the log (any more) or damaged. Raises FormatTooNew."""
        entry = self.entry(version)
        return entry.commit if entry else None

    def entry(self, version: int) -> Entry | None:
        """A version as its file in the log describes it now."""
        if version not in self._entries:
            self._entries[version] = self.index.entry(version)
        return self._entries[version]

    def columns(self, version: int) -> tuple[str, ...]:
        """The table's columns at a version; none where the log does not say (any more)."""
        return self.index.columns(version)

    def columns_since(self, version: int) -> int | None:
        """The version that set the columns which a version has."""
        return self.index.metadata_since(version)

    def has(self, snapshot: Snapshot) -> bool:
        """Whether this is still the table that was read, with the version that was read, unchanged."""
        entry = self.entry(snapshot.version)
        return entry is not None and self.table_id == snapshot.table_id and entry.sha256 == snapshot.commit_sha256

    def snapshot(self, version: int) -> Snapshot:
        entry = self.entry(version)
        sha256 = entry.sha256 if entry else ""
        return Snapshot(self.table, self.table_id, version, sha256, self.lake.storage.uri(self.table))

    def writers(self, version: int, partitions: Sequence[str] | None, excluded: Sequence[str] = ()) -> list[Commit]:
        """The commits whose rows a slice holds, oldest first: per partition the last replacement at or before the
        version, and what was appended after it. The same as `TableState.writers` at that version."""
        found = (self.commit(number) for number in self.writer_versions(version, partitions, excluded))
        return [commit for commit in found if commit is not None]

    def writer_versions(
        self, version: int, partitions: Sequence[str] | None, excluded: Sequence[str] = ()
    ) -> list[int]:
        """The versions of these commits: none of them is read."""
        return self.index.writers(version, partitions, excluded)

    def files(self, version: int, partitions: Sequence[str] | None, excluded: Sequence[str] = ()) -> list[DataFile]:
        """The data files of a slice, sorted by path."""
        return self.index.files(version, partitions, excluded)

    def digest(self, item: Slice) -> str:
        return digest_of(file.path for file in self.files(item.snapshot.version, item.partitions, item.excluded))

    @cached_property
    def _entries(self) -> dict[int, Entry | None]:
        return {}


def read_log(lake: Lake, table: str) -> TableLog | None:
    """The log of a table, or None when there is no such table (any more). Raises Denied."""
    lake.allow("read", table)
    return once(lake, ("log", table), lambda: _read_log(lake, table))


def _read_log(lake: Lake, table: str) -> TableLog | None:
    index = index_of(lake, table)
    return TableLog(lake, table, index) if index is not None else None
