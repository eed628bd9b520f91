"""A table's own log, replayed from its files: who wrote which rows when, and which files every version holds.

For what must be proved or may delete: verification, evidence, rebuild and vacuum read every commit, and believe no index
(see `assay.features.storage.table_index`, which answers the same questions at the cost of their answers).
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from assay.errors import AssayError
from assay.features.storage.commit_metadata import Commit
from assay.features.storage.delta_log import read_files
from assay.features.storage.log_entry import DataFile, Entry, read_entry
from assay.features.storage.set_digest import set_digest
from assay.features.storage.snapshot import Slice, Snapshot
from assay.features.tables.digest import digest_of, writers_digest
from assay.features.tables.lake import Lake


@dataclass(slots=True)
class FileLife:
    """The versions in which a data file is live: from `start` to before `end` (None: in the latest, too)."""

    file: DataFile
    start: int
    end: int | None = None

    def holds(self, version: int) -> bool:
        return self.start <= version and (self.end is None or version < self.end)


@dataclass(frozen=True)
class LogReplay:
    """All versions of a table whose commits are in the log, oldest first."""

    lake: Lake
    table: str
    entries: tuple[Entry, ...]

    @cached_property
    def table_id(self) -> str:
        """The table's id, as its first commit names it; where that is no longer in the log, as its checkpoint does."""
        named = next((entry.table_id for entry in self.entries if entry.table_id), "")
        if named or not self.missing:
            return named
        try:
            return self.lake.table(self.table).at().table_id
        except AssayError:  # nor is there a checkpoint that does
            return ""

    @property
    def first(self) -> int:
        return self.entries[0].version

    @property
    def latest(self) -> int:
        return self.entries[-1].version

    @property
    def damaged(self) -> tuple[Entry, ...]:
        return tuple(entry for entry in self.entries if entry.commit is None)

    @cached_property
    def commits(self) -> tuple[Commit, ...]:
        """Commits that wrote rows through a transaction."""
        commits = (entry.commit for entry in self.entries)
        return tuple(commit for commit in commits if commit and commit.run_id and commit.rows is not None)

    @cached_property
    def missing(self) -> tuple[int, ...]:
        """The versions up to the latest whose commits are not in the log."""
        return tuple(version for version in range(self.latest + 1) if version not in self._by_version)

    def is_whole(self, version: int) -> bool:
        """Whether all commits up to a version are there, so that its files follow from them."""
        return not self.missing or self.missing[0] > version

    def entry(self, version: int) -> Entry | None:
        return self._by_version.get(version)

    @cached_property
    def _by_version(self) -> dict[int, Entry]:
        return {entry.version: entry for entry in self.entries}

    def columns(self, version: int) -> tuple[str, ...]:
        """The table's columns at a version; none where the log does not say (any more)."""
        found = bisect_right(self._columns, version, key=lambda item: item[0])
        return self._columns[found - 1][1] if found else ()

    def has(self, snapshot: Snapshot) -> bool:
        """Whether this is still the table that was read, with the version that was read, unchanged."""
        entry = self.entry(snapshot.version)
        return entry is not None and self.table_id == snapshot.table_id and entry.sha256 == snapshot.commit_sha256

    def snapshot(self, version: int) -> Snapshot:
        entry = self.entry(version)
        sha256 = entry.sha256 if entry else ""
        return Snapshot(self.table, self.table_id, version, sha256, self.lake.storage.uri(self.table))

    def walk(self, wanted: Iterable[int]) -> Sequence[int]:
        """All versions that may be in the log, the newest first."""
        return range(self.latest, self.first - 1, -1)

    def replayed(self) -> "LogReplay":
        return self

    def writers(self, version: int, partitions: Sequence[str] | None, excluded: Sequence[str] = ()) -> list[Commit]:
        """The commits whose rows a slice holds, oldest first: per partition the last replacement at or before the
        version, and what was appended after it. The same as `TableState.writers` at that version."""
        wanted = self._written if partitions is None else {key: self._written.get(key, []) for key in partitions}
        found: list[Commit] = []
        for partition, commits in wanted.items():
            if partition in excluded:
                continue
            for commit in reversed(commits[: bisect_right(commits, version, key=lambda commit: commit.version)]):
                found.append(commit)
                if commit.mode == "replace":
                    break
        return sorted(found, key=lambda commit: commit.version)

    def is_written_by(self, item: Slice) -> bool:
        """Whether the commits that wrote the rows of a slice are those that its reader recorded, if it did."""
        return not item.writers or writers_digest(self._writers(item)) == item.writers

    def _writers(self, item: Slice) -> Iterator[tuple[int, str]]:
        for commit in self.writers(item.snapshot.version, item.partitions, item.excluded):
            yield commit.version, self._by_version[commit.version].sha256

    def files(self, version: int, partitions: Sequence[str] | None, excluded: Sequence[str] = ()) -> list[DataFile]:
        """The data files of a slice, sorted by path."""
        lives = self._lives
        keys = (key for key in lives if key not in excluded) if partitions is None else partitions
        groups = (lives.get(key, []) for key in keys)
        return sorted(
            (life.file for group in groups for life in group if life.holds(version)), key=lambda file: file.path
        )

    def added_by(self, version: int, partitions: Sequence[str] | None, excluded: Sequence[str] = ()) -> list[int]:
        """The versions that added the data files of a slice, sorted."""
        lives = self._lives
        keys = (key for key in lives if key not in excluded) if partitions is None else partitions
        return sorted({life.start for key in keys for life in lives.get(key, []) if life.holds(version)})

    def behind(self, slices: Iterable[Slice]) -> set[int]:
        """The versions that what was read follows from: who added its files, and who named the table's columns."""
        found: set[int] = set()
        for item in slices:
            version = item.snapshot.version
            found |= {
                number
                for number, _ in self._columns[: bisect_right(self._columns, version, key=lambda one: one[0])][-1:]
            }
            found.update(self.added_by(version, item.partitions, item.excluded))
        return found

    def digest(self, item: Slice) -> str:
        """Over its files; of a lookup of a whole table, over its files and who wrote their rows."""
        files = (file.path for file in self.files(item.snapshot.version, item.partitions, item.excluded))
        return set_digest(files, self._writers(item)) if item.set_digest else digest_of(files)

    def lives(self) -> Iterator[FileLife]:
        """Every stretch of versions in which a data file was live; a file that came back has several."""
        return (life for group in self._lives.values() for life in group)

    def metadata(self, version: int) -> Mapping[str, Any] | None:
        """The table's `metaData` at a version; None where the log does not say (any more)."""
        return next((e.metadata for e in reversed(self.entries) if e.version <= version and e.metadata), None)

    def statistics(self, version: int, paths: Iterable[str]) -> dict[str, str]:
        """The statistics of data files that a version holds, as the commits that added them last have them."""
        wanted, found = set(paths), dict[str, str]()
        for entry in self.entries:
            if entry.version <= version:
                found |= {path: text for path, text in entry.statistics.items() if path in wanted}
        return found

    @cached_property
    def _columns(self) -> list[tuple[int, tuple[str, ...]]]:
        return [(entry.version, entry.columns) for entry in self.entries if entry.columns is not None]

    @cached_property
    def _written(self) -> dict[str | None, list[Commit]]:
        written: dict[str | None, list[Commit]] = defaultdict(list)
        for commit in self.commits:
            written[commit.partition].append(commit)
        return written

    @cached_property
    def _lives(self) -> dict[str | None, list[FileLife]]:
        live: dict[str, FileLife] = {}
        lives: dict[str | None, list[FileLife]] = defaultdict(list)
        for entry in self.entries:
            for path in entry.removed:
                if path in live:
                    live.pop(path).end = entry.version
            for file in entry.added:
                if file.path in live:  # added again: the later entry counts
                    live.pop(file.path).end = entry.version
                live[file.path] = FileLife(file, entry.version)
                lives[file.partition].append(live[file.path])
        return lives


def replay_log(lake: Lake, table: str) -> LogReplay | None:
    """The log of a table, or None when there is no such table (any more). Raises Denied."""
    lake.allow("read", table)
    entries = tuple(read_entry(table, version, content) for version, content in read_files(lake.storage, table))
    return LogReplay(lake, table, entries) if entries else None
