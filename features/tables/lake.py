"""The lake: Delta tables by name, opened at one integer version. Everything that reads data goes through here."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from assay.errors import AssayError
from assay.features.tables.commit_metadata import Commit, parse_commit
from assay.features.tables.delta_log import commit_info, commit_path, read_commit, read_commits, versions
from assay.features.tables.digest import digest_of
from assay.features.tables.guard import ALLOW_ALL, Action, Guard
from assay.features.tables.parquet_files import PARTITION
from assay.features.tables.sections import SectionDamaged
from assay.features.tables.snapshot import Slice, Snapshot
from assay.features.tables.storage import Storage, open_storage


class TableMissing(AssayError):
    """The table does not exist (yet). `table` is its name."""

    def __init__(self, message: str, table: str = "") -> None:
        super().__init__(message)
        self.table = table


@dataclass(frozen=True, slots=True)
class DataFile:
    """A live data file of one version: `path` relative to the table, content digest in its name."""

    path: str
    size: int
    rows: int
    partition: str | None


@dataclass(frozen=True)
class Lake:
    """All tables under one root. Holds no state, unless it is `remembering`: every call looks at the log."""

    storage: Storage
    actor: str = field(default="", compare=False)
    guard: Guard = field(default=ALLOW_ALL, repr=False, compare=False)
    _latest: "dict[str, tuple[TableState, tuple[int, int]]] | None" = field(default=None, repr=False, compare=False)

    def remembering(self) -> "Lake":
        """The same lake for someone who asks the same tables often: the latest state of each is kept for as long as no
        newer commit is beside it. Log files that are changed by hand, against the protocol, are not noticed."""
        return replace(self, _latest={}) if self.storage.is_local else self

    def allow(self, action: Action, table: str, actor: str = "") -> None:
        """Ask the guard whether the actor (by default who opened the lake) may do this. Raises Denied."""
        self.guard.check(actor or self.actor, action, table)

    def table(self, name: str) -> "Table":
        if not name or name.startswith(("_", "/")) or ".." in name:
            raise AssayError(f"{name!r} is not a table name. Names look like 'clean/tickets'.")
        return Table(self, name)

    def tables(self, folder: str = "") -> list[str]:
        """Names of all tables (below a folder), sorted. Folders whose name starts with `_` are the lake's own."""
        found = _local_tables if self.storage.is_local else _remote_tables
        return sorted(name for name in found(self.storage, folder) if not name.startswith("_"))


def _local_tables(storage: Storage, folder: str) -> Iterator[str]:
    """A table's own folders are not looked into: there may be thousands."""
    for path, below, _ in os.walk(Path(storage.root, folder)):
        if path == storage.root:
            below[:] = [name for name in below if not name.startswith("_")]
        elif "_delta_log" in below:
            yield Path(path).relative_to(storage.root).as_posix()
            below.clear()


def _remote_tables(storage: Storage, folder: str) -> Iterator[str]:
    first = "/" + commit_path("", 0).lstrip("/")
    return (path.removesuffix(first) for path in storage.walk(folder) if path.endswith(first))


def open_lake(
    uri: str | Path, options: dict[str, str] | None = None, *, actor: str = "", guard: Guard = ALLOW_ALL
) -> Lake:
    """The lake at a folder or in an object store. Nothing is read or made.

    Args:
        uri: A folder, or such as `s3://bucket/lake`.
        options: Of the object store, such as `AWS_REGION`; they are never printed.
        actor: Who works with it.
        guard: What is asked at every read and write.

    Raises:
        AssayError: The actor's name is not one line of text.
    """
    if actor and not (actor.strip() and actor.isprintable()):
        raise AssayError(f"The actor {actor!r} is blank or holds control characters: give a name in one line.")
    return Lake(open_storage(uri, options), actor, guard)


@dataclass(frozen=True)
class Table:
    """A table's name in a lake. Cheap; nothing is read until it is asked for."""

    lake: Lake
    name: str

    @property
    def uri(self) -> str:
        return self.lake.storage.uri(self.name)

    def exists(self) -> bool:
        return DeltaTable.is_deltatable(self.uri, self.lake.storage.options or None)

    def at(self, version: int | None = None) -> "TableState":
        """The table at a version, resolved once (None: the latest now). Raises TableMissing, or AssayError for a version
        that the table does not have, or Denied."""
        self.lake.allow("read", self.name)
        return self.open_unasked(version)

    def open_unasked(self, version: int | None = None) -> "TableState":
        """As `at`, without asking the guard: for writers, which have asked whether they may write."""
        if version is not None and version < 0:
            raise AssayError(f"{self.name} has no version {version}: versions count from 0.")
        if version is None and self.lake._latest is not None:
            return self._remembered(self.lake._latest)
        return self._open(version)

    def _remembered(self, latest: "dict[str, tuple[TableState, tuple[int, int]]]") -> "TableState":
        known = latest.get(self.name)
        if known is not None and self._mark(known[0].version) == known[1] and self._mark(known[0].version + 1) is None:
            return known[0]
        state = self._open(None)
        mark = self._mark(state.version)
        if mark is not None:
            latest[self.name] = (state, mark)
        return state

    def _mark(self, version: int) -> tuple[int, int] | None:
        """What tells a commit's file from another of the same name: a table may be deleted and made anew."""
        try:
            found = Path(self.lake.storage.root, commit_path(self.name, version)).stat()
        except FileNotFoundError:
            return None
        return found.st_mtime_ns, found.st_ino

    def _open(self, version: int | None) -> "TableState":
        try:
            delta = DeltaTable(self.uri, version=version, storage_options=self.lake.storage.options or None)
        except (TableNotFoundError, DeltaError) as problem:
            if not self.exists():
                raise TableMissing(f"There is no table {self.name} in {self.lake.storage.root}.", self.name) from None
            if version is not None and version not in versions(self.lake.storage, self.name):
                raise AssayError(f"{self.name} has no version {version} (see: assay tables {self.name}).") from None
            raise AssayError(f"{self.name} cannot be opened: its log is damaged ({type(problem).__name__}).") from None
        except OSError as problem:
            raise AssayError(f"{self.name} cannot be opened at version {version}: {type(problem).__name__}.") from None
        return TableState(self, delta, delta.version())

    def scan(self, version: int | None = None) -> pl.LazyFrame:
        return self.at(version).scan()

    def history(self, until: int | None = None) -> list[Commit]:
        """Every commit up to a version, oldest first."""
        return self.at(until).commits


@dataclass(frozen=True)
class TableState:
    """A table at one integer version. All reads of it see exactly that version."""

    table: Table
    delta: DeltaTable
    version: int

    @cached_property
    def snapshot(self) -> Snapshot:
        return self.table_snapshot(self.version)

    def table_snapshot(self, version: int) -> Snapshot:
        """The identity of this or an earlier version of the same table."""
        digest = hashlib.sha256(self.table.lake.storage.get(commit_path(self.table.name, version))).hexdigest()
        return Snapshot(self.table.name, str(self.delta.metadata().id), version, digest, self.table.uri)

    @cached_property
    def add_actions(self) -> pl.DataFrame:
        """What the log says of each live data file: `path`, `partition.…`, statistics as `min.…` and `max.…`."""
        return pl.DataFrame(self.delta.get_add_actions(flatten=True))

    @cached_property
    def files(self) -> tuple[DataFile, ...]:
        """Live data files, sorted by path."""
        actions = self.add_actions
        if actions.is_empty():
            return ()
        column = f"partition.{PARTITION}"
        partitions = actions[column] if column in actions.columns else pl.Series([None] * actions.height)
        rows = zip(actions["path"], actions["size_bytes"], actions["num_records"], partitions, strict=True)
        return tuple(sorted((DataFile(*row) for row in rows), key=lambda file: file.path))

    @cached_property
    def commits(self) -> list[Commit]:
        """Every commit up to this version, oldest first."""
        log = read_commits(self.table.lake.storage, self.table.name, self.version)
        return [_parsed(self.table.name, version, actions) for version, actions in log]

    def _commits_newest_first(self) -> Iterator[Commit]:
        storage, name = self.table.lake.storage, self.table.name
        if self.table.lake._latest is not None:  # asked again and again: read once
            yield from reversed(self.commits)
            return
        for version in reversed(versions(storage, name, self.version)):
            yield _parsed(name, version, read_commit(storage, name, version))

    @cached_property
    def partitioned(self) -> bool:
        return PARTITION in self.delta.metadata().partition_columns

    @cached_property
    def schema(self) -> pl.Schema:
        return pl.scan_delta(self.delta).collect_schema()

    def partitions(self) -> list[str]:
        return sorted({file.partition for file in self.files if file.partition is not None})

    def files_of(self, partitions: Sequence[str] | None, excluded: Sequence[str] = ()) -> tuple[DataFile, ...]:
        if partitions is None:
            return tuple(file for file in self.files if file.partition not in excluded) if excluded else self.files
        wanted = set(partitions)
        return tuple(file for file in self.files if file.partition in wanted)

    def rows(self, partitions: Sequence[str] | None = None) -> int:
        return sum(file.rows for file in self.files_of(partitions))

    def slice(
        self, partitions: Sequence[str] | None = None, *, lookup: bool = False, excluded: Sequence[str] = ()
    ) -> Slice:
        """What reading these partitions (None: everything, but for the `excluded` ones) of this version reads."""
        kept = tuple(sorted(partitions)) if partitions is not None else None
        left_out = tuple(sorted(excluded))
        if lookup and kept is None:  # the snapshot's identity stands for its files
            return Slice(self.snapshot, None, "", True, left_out)
        names = (file.path for file in self.files_of(kept, left_out))
        return Slice(self.snapshot, kept, digest_of(names), lookup, left_out)

    def scan(self, partitions: Sequence[str] | None = None, excluded: Sequence[str] = ()) -> pl.LazyFrame:
        """A lazy frame over this version; with `partitions`, only their files are opened, else all but the `excluded` ones."""
        # Polars does not find the files below an address that Delta escapes (spaces, ü).
        if "%" in self.delta.table_uri:
            return self._scan_files(partitions, excluded)
        frame = pl.scan_delta(self.delta)
        if partitions is not None:
            return frame.filter(pl.col(PARTITION).is_in(list(partitions)))
        if not excluded or not self.partitioned:
            return frame
        return frame.filter(~pl.col(PARTITION).is_in(list(excluded), nulls_equal=True))

    def _scan_files(self, partitions: Sequence[str] | None, excluded: Sequence[str]) -> pl.LazyFrame:
        files = self.files_of(partitions, excluded)
        if not files:
            return pl.LazyFrame(schema=self.schema)
        return pl.scan_parquet(
            [f"{self.table.uri}/{file.path}" for file in files],
            glob=False,
            schema={name: dtype for name, dtype in self.schema.items() if name != PARTITION},
            hive_partitioning=self.partitioned,
            hive_schema={PARTITION: pl.String} if self.partitioned else None,
            missing_columns="insert",
            storage_options=self.table.lake.storage.options or None,
        ).select(self.schema.names())

    def writer_of(self, partition: str | None) -> Commit | None:
        """The commit that last wrote this partition's rows, at or before this version."""
        ours = (commit for commit in self._commits_newest_first() if commit.run_id and commit.rows is not None)
        return next((commit for commit in ours if commit.partition == partition), None)

    def writers(self, partitions: Sequence[str] | None, excluded: Sequence[str] = ()) -> list[Commit]:
        """The commits whose rows a slice holds, oldest first: per partition the last replacement and what was appended
        after it."""
        wanted = set(partitions) if partitions is not None else None
        live: dict[str | None, list[Commit]] = {}
        for commit in self.commits:
            if commit.run_id is None or commit.rows is None or (wanted is not None and commit.partition not in wanted):
                continue
            if commit.partition in excluded:
                continue
            if commit.mode == "replace":
                live[commit.partition] = [commit]
            else:
                live.setdefault(commit.partition, []).append(commit)
        return sorted((commit for group in live.values() for commit in group), key=lambda commit: commit.version)


def _parsed(table: str, version: int, actions: list[dict[str, Any]]) -> Commit:
    """What a commit says about itself. Raises AssayError where that is damaged."""
    try:
        return parse_commit(table, commit_info(version, actions))
    except SectionDamaged as damage:
        raise AssayError(
            f"{table}@{version}: section {damage.section!r} of its commit is damaged: {damage.problem}. Restore "
            f"{commit_path(table, version)} from a backup."
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise AssayError(
            f"{table}@{version}: what its commit says about itself is damaged ({type(problem).__name__}). Restore "
            f"{commit_path(table, version)} from a backup."
        ) from None
