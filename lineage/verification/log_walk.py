"""A table's own log, as far as a verification needs it: the commits that wrote, changed and read what is in question, and a few
that lead from the newest one to them.

Which commits these are is asked of the table's index, which is believed in nothing: each is read from the log, its bytes are
vouched for along the way (see `way_back`), it must have added the files that are said to be its own, and the files together must
have the digest that their reader recorded. Whatever is otherwise raises `Unproven`: then the whole log is read, which can say
what is wrong (see `assay.features.tables.log_replay`).
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from assay.errors import AssayError
from assay.features.storage.commit_metadata import Commit
from assay.features.storage.log_entry import DataFile, Entry
from assay.features.storage.set_digest import set_digest
from assay.features.storage.snapshot import Slice, Snapshot
from assay.features.storage.table_index import TableIndex, open_index
from assay.features.tables.digest import digest_of, writers_digest
from assay.features.tables.kinds import Kind
from assay.features.tables.lake import Lake
from assay.features.tables.log_replay import LogReplay, replay_log
from assay.lineage.verification.way_back import way_back


class Unproven(AssayError):
    """The few commits that were looked at do not prove it: the whole log must be read."""


@dataclass(frozen=True)
class LogWalk:
    """A log without gaps and damage, as its index says; of its commits only those are read that are asked for."""

    lake: Lake
    table: str
    index: TableIndex
    _read: dict[int, Entry] = field(default_factory=dict, repr=False)

    first = 0
    missing: tuple[int, ...] = ()
    damaged: tuple[Entry, ...] = ()

    @property
    def latest(self) -> int:
        return self.index.latest

    @property
    def read(self) -> int:
        """How many commits were read so far."""
        return len(self._read)

    @cached_property
    def table_id(self) -> str:
        found = self._entry(self._named(self.latest)).table_id
        if not found or found != self.index.table_id:
            raise Unproven(f"{self.table}: no commit names it, or two name it otherwise.")
        return found

    def is_whole(self, version: int) -> bool:
        return version <= self.latest

    def entry(self, version: int) -> Entry | None:
        """A version as its file in the log describes it; None for one that the log has not reached."""
        return self._entry(version) if 0 <= version <= self.latest else None

    def has(self, snapshot: Snapshot) -> bool:
        """As `LogReplay.has`."""
        entry = self.entry(snapshot.version)
        return entry is not None and self.table_id == snapshot.table_id and entry.sha256 == snapshot.commit_sha256

    @property
    def commits(self) -> tuple[Commit, ...]:
        """Those that were read so far and wrote rows through a transaction."""
        commits = (self._read[version].commit for version in sorted(self._read))
        return tuple(commit for commit in commits if commit and _wrote(commit))

    def walk(self, wanted: Iterable[int]) -> list[int]:
        """Versions from the latest back to all that are wanted or were read before, each vouched for by one before it, as far
        as any is."""
        return self.way(self.latest, {*wanted, *self._read})

    def way(self, start: int, wanted: Iterable[int]) -> list[int]:
        """Versions from one back to all that are wanted, each vouched for by one before it, as far as any is."""
        return way_back(start, wanted, self._vouched)

    def behind(self, slices: Iterable[Slice]) -> set[int]:
        """The versions that what was read follows from: who added its files, who named the table's columns, and, where its reader
        did not record who wrote its rows, all since the first that did."""
        found: set[int] = set()
        for item in slices:
            version = item.snapshot.version
            found |= {self._named(version), *self.added_by(version, item.partitions, item.excluded)}
            found |= set(self._since_written(item))
        return found

    def is_written_by(self, item: Slice) -> bool:
        """Whether the commits that wrote the rows of a slice are those that its reader recorded; where it did not, whether no
        other one did since the first of them, other than what they replaced."""
        if item.writers:
            return writers_digest(self._writers(item)) == item.writers
        commits = self.writers(item.snapshot.version, item.partitions, item.excluded)
        known = {commit.version for commit in commits}
        replaced = {commit.partition: commit.version for commit in commits if commit.mode == "replace"}
        others = (self._entry(number).commit for number in self._since_written(item) if number not in known)
        wrote = (commit for commit in others if commit and _wrote(commit) and item.holds(commit.partition))
        return not any(commit.version > replaced.get(commit.partition, -1) for commit in wrote)

    def _writers(self, item: Slice) -> Iterator[tuple[int, str]]:
        for commit in self.writers(item.snapshot.version, item.partitions, item.excluded):
            yield commit.version, self._entry(commit.version).sha256

    def _since_written(self, item: Slice) -> range:
        """The versions among which an unknown writer of a slice would be: none where its reader recorded the writers, or where it
        was only looked something up in a whole table. Of predictions the commit of their own run counts, whoever else wrote."""
        if item.writers or not item.digest or Kind.PREDICTIONS.holds(self.table):
            return range(0)
        version = item.snapshot.version
        commits = self.writers(version, item.partitions, item.excluded)
        replaced = {commit.partition for commit in commits if commit.mode == "replace"}
        whole = all(commit.partition in replaced for commit in commits)  # else rows were appended from the beginning
        return range(min((commit.version for commit in commits), default=0) if whole else 0, version + 1)

    def files(self, version: int, partitions: Sequence[str] | None, excluded: Sequence[str] = ()) -> list[DataFile]:
        """The data files of a slice, sorted by path; each is in the commit that added it."""
        return list(self._held(version, partitions, excluded))

    def added_by(self, version: int, partitions: Sequence[str] | None, excluded: Sequence[str] = ()) -> list[int]:
        """The versions that added the data files of a slice, sorted."""
        return sorted(set(self._held(version, partitions, excluded).values()))

    def metadata(self, version: int) -> Mapping[str, Any] | None:
        """As `LogReplay.metadata`."""
        return self._entry(self._named(version)).metadata

    def statistics(self, version: int, paths: Sequence[str]) -> dict[str, str]:
        """As `LogReplay.statistics`."""
        adders = self.index.adders(version, paths)
        return {path: self._entry(number).statistics.get(path, "") for path, number in adders.items()}

    def digest(self, item: Slice) -> str:
        """As `LogReplay.digest`."""
        files = (file.path for file in self.files(item.snapshot.version, item.partitions, item.excluded))
        return set_digest(files, self._writers(item)) if item.set_digest else digest_of(files)

    def writers(self, version: int, partitions: Sequence[str] | None, excluded: Sequence[str] = ()) -> list[Commit]:
        """The commits whose rows a slice holds, oldest first: those that added its files, or confirm who did."""
        commits = [self._written(number) for number in self.index.writers(version, partitions, excluded)]
        added = set(self.added_by(version, partitions, excluded))
        for commit in commits:
            inside = commit.partition not in excluded if partitions is None else commit.partition in partitions
            if not inside or (commit.rows and not added & {commit.version, commit.confirms}):
                raise Unproven(f"{self.table}@{commit.version} is named as a writer of what it does not name.")
        if added - {commit.version for commit in commits} - {commit.confirms for commit in commits}:
            raise Unproven(f"{self.table}@{version} holds files of others than the commits that wrote it.")
        return commits

    def replayed(self) -> LogReplay:
        """The whole log."""
        found = replay_log(self.lake, self.table)
        if found is None:
            raise Unproven(f"{self.table} was deleted.")
        return found

    # -- reading -------------------------------------------------------------------------------------------------------

    def _entry(self, version: int) -> Entry:
        if version not in self._read:
            found = self.index.entry(version)
            if found is None or found.commit is None:
                raise Unproven(f"{self.table}@{version} is not there, or damaged.")
            self._read[version] = found
        return self._read[version]

    def _written(self, version: int) -> Commit:
        commit = self._entry(version).commit
        if commit is None or not _wrote(commit):
            raise Unproven(f"{self.table}@{version} is named as a writer, and wrote no rows.")
        return commit

    def _vouched(self, version: int) -> Mapping[int, str]:
        commit = self._entry(version).commit
        return {int(before): sha256 for before, sha256 in commit.previous.items()} if commit else {}

    def _named(self, version: int) -> int:
        """The version that set the table's columns."""
        found = self.index.metadata_since(version)
        if found is None:
            raise Unproven(f"{self.table}: no commit names its columns.")
        return found

    def _held(self, version: int, partitions: Sequence[str] | None, excluded: Sequence[str]) -> dict[DataFile, int]:
        """The files of a slice, each with the version that added it."""
        key = (version, None if partitions is None else tuple(partitions), tuple(excluded))
        if key not in self._slices:
            files = self.index.files(version, partitions, excluded)
            adders = self.index.adders(version, [file.path for file in files])
            by_adder: dict[int, list[DataFile]] = defaultdict(list)
            for file in files:
                by_adder[adders.get(file.path, -1)].append(file)
            for number, own in by_adder.items():
                named = {file.path: file for file in self._entry(number).added}
                if any(named.get(file.path) != file for file in own):
                    raise Unproven(f"{self.table}@{number} does not add the file that the index has it add.")
            self._slices[key] = {file: adders[file.path] for file in files}
        return self._slices[key]

    @cached_property
    def _slices(self) -> dict[object, dict[DataFile, int]]:
        return {}


def _wrote(commit: Commit) -> bool:
    return bool(commit.run_id) and commit.rows is not None


def walk_log(lake: Lake, table: str) -> LogWalk:
    """The log of a table. Raises Unproven where it has gaps or damage, or is not there, and Denied."""
    lake.allow("read", table)
    index = open_index(lake.storage, table)
    if index is None or not index.complete or index.first != 0 or index.damaged(index.latest):
        raise Unproven(f"{table} is not whole.")
    return LogWalk(lake, table, index)
