"""The lake: Delta tables by name, opened at one integer version. Everything that reads data goes through here."""

import contextlib
import hashlib
import os
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, TypeVar

import polars as pl
from deltalake import DeltaTable, Schema
from deltalake.exceptions import DeltaError, TableNotFoundError

from assay.errors import AssayError
from assay.features.definitions.indexed import Defined
from assay.features.storage.commit_metadata import Commit
from assay.features.storage.delta_log import commit_path, versions
from assay.features.storage.log_entry import DataFile
from assay.features.storage.parquet_files import PARTITION
from assay.features.storage.sections import Changes
from assay.features.storage.snapshot import Slice, Snapshot
from assay.features.storage.storage import Options, Storage, open_storage
from assay.features.storage.table_index import TableIndex, open_index
from assay.features.tables.changes import current_rows
from assay.features.tables.digest import digest_of, writers_digest
from assay.features.tables.guard import ALLOW_ALL, Action, Guard

T = TypeVar("T")


class TableMissing(AssayError):
    """The table does not exist (yet). `table` is its name."""

    def __init__(self, message: str, table: str = "") -> None:
        super().__init__(message)
        self.table = table


@dataclass(frozen=True)
class Lake:
    """All tables under one root. Holds no state, unless it is `remembering` or `at_one_moment`: every call looks at the log."""

    storage: Storage
    actor: str = field(default="", compare=False)
    guard: Guard = field(default=ALLOW_ALL, repr=False, compare=False)
    _latest: "dict[str, tuple[TableState, tuple[int, int]]] | None" = field(default=None, repr=False, compare=False)
    _opened: dict[Any, Any] | None = field(default=None, repr=False, compare=False)

    def remembering(self) -> "Lake":
        """The same lake for someone who asks the same tables often: the latest state of each is kept for as long as no
        newer commit is beside it. Log files that are changed by hand, against the protocol, are not noticed."""
        return replace(self, _latest={}) if self.storage.is_local else self

    def at_one_moment(self) -> "Lake":
        """The same lake for whoever makes one answer of many questions: each version of a table is opened once, and its latest
        is the one that was found first. Not to be kept any longer."""
        return self if self._opened is not None else replace(self, _opened={})

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled without what it remembers, and without the options of an object store (see `Storage`)."""
        return _unpickled, (self.storage, self.actor, self.guard, self._latest is not None)

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


def once(lake: Lake, what: Hashable, make: Callable[[], T]) -> T:
    """What `make` gives; where the lake is `at_one_moment`, what it gave the first time."""
    known = lake._opened
    if known is None:
        return make()
    if what not in known:
        known[what] = make()
    return known[what]


def index_of(lake: Lake, table: str) -> TableIndex | None:
    """The index of a table, up to the newest commit in its log; None where there is no log."""
    return once(lake, ("index", table), lambda: open_index(lake.storage, table))


def _unpickled(storage: Storage, actor: str, guard: Guard, remembering: bool) -> Lake:
    lake = Lake(storage, actor, guard)
    return lake.remembering() if remembering else lake


def _local_tables(storage: Storage, folder: str) -> Iterator[str]:
    """A table's own folder is not listed: there may be thousands in it."""
    root = Path(storage.root)
    todo = [root / folder]
    while todo:
        path = todo.pop()
        if path != root and (path / "_delta_log").is_dir():
            if _has_commits(path / "_delta_log"):
                yield path.relative_to(root).as_posix()
            continue
        with contextlib.suppress(OSError), os.scandir(path) as entries:
            below = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
            todo += [path / name for name in below if path != root or not name.startswith("_")]


_FIRST_COMMIT = commit_path("", 0).rpartition("/")[2]
_AT_ONCE = 20  # versions that are looked up together


def _has_commits(log: Path) -> bool:
    """Not so where whoever was making the table was killed before its first commit: then there is no table."""
    if (log / _FIRST_COMMIT).is_file():  # nearly always: a long log is not listed
        return True
    with os.scandir(log) as entries:
        return any(entry.name.endswith((".json", ".parquet")) and not entry.name.startswith("_") for entry in entries)


def _remote_tables(storage: Storage, folder: str) -> Iterator[str]:
    first = "/" + commit_path("", 0).lstrip("/")
    return (path.removesuffix(first) for path in storage.walk(folder) if path.endswith(first))


def open_lake(
    uri: str | Path,
    options: dict[str, str] | None = None,
    *,
    actor: str = "",
    guard: Guard = ALLOW_ALL,
    options_here: Options | None = None,
) -> Lake:
    """The lake at a folder or in an object store. Nothing is read or made.

    Args:
        uri: A folder, or such as `s3://bucket/lake`.
        options: Of the object store, such as `AWS_REGION`; they are never printed.
        actor: Who works with it.
        guard: What is asked at every read and write.
        options_here: Gives the options in another process that the lake is sent to: they are not pickled.

    Raises:
        AssayError: The actor's name is not one line of text.
    """
    if actor and not (actor.strip() and actor.isprintable()):
        raise AssayError(f"The actor {actor!r} is blank or holds control characters: give a name in one line.")
    return Lake(open_storage(uri, options, options_here), actor, guard)


@dataclass(frozen=True)
class Table:
    """A table's name in a lake. Cheap; nothing is read until it is asked for."""

    lake: Lake
    name: str

    @property
    def uri(self) -> str:
        return self.lake.storage.uri(self.name)

    def exists(self) -> bool:
        if self.lake.storage.is_local:
            log = Path(self.lake.storage.root, self.name, "_delta_log")
            return log.is_dir() and _has_commits(log)
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
        return once(self.lake, ("version", self.name, version), lambda: self._of_version(version))

    def _of_version(self, version: int | None) -> "TableState":
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
            index = index_of(self.lake, self.name)
            if index is None and self.exists():  # made at this moment
                index = open_index(self.lake.storage, self.name)
        except OSError as problem:
            raise AssayError(f"{self.name} cannot be opened: {type(problem).__name__}.") from None
        if index is None:
            raise TableMissing(f"There is no table {self.name} in {self.lake.storage.root}.", self.name)
        if not index.complete:
            return self._by_checkpoint(version, index)
        if version is not None and version > index.latest:
            raise AssayError(f"{self.name} has no version {version} (see: assay tables {self.name}).")
        return TableState(self, index.latest if version is None else version, index)

    def _by_checkpoint(self, version: int | None, index: TableIndex) -> "TableState":
        """A version of a table whose log is not all there: opened, which a checkpoint may make possible."""
        try:
            delta = self.opened(version)
        except (TableNotFoundError, DeltaError) as problem:
            if version is not None and version not in versions(self.lake.storage, self.name):
                raise AssayError(f"{self.name} has no version {version} (see: assay tables {self.name}).") from None
            damaged = index.damaged(index.latest)
            where = f"at version {damaged[-1]}" if damaged else f"({type(problem).__name__})"
            raise AssayError(f"{self.name} cannot be opened: its log is damaged {where}.") from None
        except OSError as problem:
            raise AssayError(f"{self.name} cannot be opened at version {version}: {type(problem).__name__}.") from None
        return TableState(self, delta.version(), index, delta)

    def opened(self, version: int | None = None) -> DeltaTable:
        """The table opened by delta-rs, which reads the last checkpoint, with every live file, and all commits after it."""
        return DeltaTable(self.uri, version=version, storage_options=self.lake.storage.options or None)

    def scan(self, version: int | None = None) -> pl.LazyFrame:
        return self.at(version).scan()

    def current(self, version: int | None = None) -> pl.LazyFrame:
        """The rows that a table which holds changes says are there: of each key the last one, unless it was deleted.

        Args:
            version: Of the table; None: the latest now.

        Raises:
            AssayError: The table holds no changes (`Rows(…, mode="snapshot")` and `mode="upsert"` make such tables).
        """
        return self.at(version).current()

    def served(self) -> "TableState":
        """The newest version whose rows were all computed by one definition of their view: what readers of features get while
        a changed definition is computed beside it. Of other tables the latest one."""
        state = self.at()
        return state if state.is_whole else self.at(state.defined.whole)

    def history(self, until: int | None = None) -> list[Commit]:
        """Every commit up to a version, oldest first."""
        return self.at(until).commits


@dataclass(frozen=True)
class TableState:
    """A table at one integer version. All reads of it see exactly that version.

    What its log says comes from the index. Where the log has gaps, `checkpointed` is the table as delta-rs opened it.
    """

    table: Table
    version: int
    index: TableIndex
    checkpointed: DeltaTable | None = None

    @cached_property
    def delta(self) -> DeltaTable:
        return self.checkpointed or self.table.opened(self.version)

    @property
    def table_id(self) -> str:
        return self.index.table_id if self.checkpointed is None else str(self.checkpointed.metadata().id)

    @cached_property
    def snapshot(self) -> Snapshot:
        return self.table_snapshot(self.version)

    def table_snapshot(self, version: int) -> Snapshot:
        """The identity of this or an earlier version of the same table."""
        digest = hashlib.sha256(self.table.lake.storage.get(commit_path(self.table.name, version))).hexdigest()
        return Snapshot(self.table.name, self.table_id, version, digest, self.table.uri)

    # -- definitions -----------------------------------------------------------------------------------------------

    @cached_property
    def defined(self) -> Defined:
        """The definitions of the table's view that computed rows up to this version. Where the log has gaps, none is known."""
        return Defined((), self.version, "") if self.checkpointed is not None else self.index.defined(self.version)

    @property
    def is_whole(self) -> bool:
        """Whether all rows that it holds were computed by one definition, as far as that is recorded."""
        return self.defined.whole == self.version

    @property
    def last_definition(self) -> str:
        """The definition of the rows that were written last; "" where none was ever recorded."""
        known = self.defined.known
        written = {digest: self.index.newest_of(digest, self.version) or 0 for digest in known}
        return max(written, key=lambda digest: written[digest], default="")

    def partitions_by_definition(self, partitions: Sequence[str] | None = None) -> dict[int, list[str]]:
        """The partitions (among these) by the number of the definition that computed their rows; 0: none is recorded. A table
        without partitions is called ""."""
        if self.checkpointed is not None:
            return {}
        numbers = {digest: number for number, digest in enumerate(self.defined.known, 1)}
        found = self.index.partitions_by_definition(self.version, partitions)
        return {numbers.get(digest, 0): keys for digest, keys in found.items()}

    # -- columns and settings --------------------------------------------------------------------------------------

    @cached_property
    def partitioned(self) -> bool:
        if self.checkpointed is not None:
            return PARTITION in self.checkpointed.metadata().partition_columns
        return PARTITION in self.index.metadata(self.version)["partitionColumns"]

    @cached_property
    def schema(self) -> pl.Schema:
        if self.checkpointed is not None:
            return pl.Schema(self.checkpointed.schema())
        metadata = self.index.metadata(self.version)
        try:
            return schema_of(metadata["schemaString"])
        except (KeyError, ValueError):
            where = f"{self.table.name} cannot be opened: its log is damaged"
            raise AssayError(f"{where} (no commit names its columns, as a reader of Delta understands them).") from None

    @cached_property
    def configuration(self) -> Mapping[str, str]:
        """The table's settings, such as its constraints."""
        if self.checkpointed is not None:
            found: Mapping[str, str | None] = self.checkpointed.metadata().configuration
        else:
            found = self.index.metadata(self.version).get("configuration") or {}
        return {key: value or "" for key, value in found.items()}

    @property
    def protocol(self) -> Mapping[str, Any]:
        """What the table asks of those who read and write it."""
        return self.index.protocol(self.version)

    @property
    def changes(self) -> Changes | None:
        """What the newest commit with changes says of them; None for a table that holds none."""
        (version,) = self.index.with_section("changes", self.version, newest=True) or (None,)
        return None if version is None else self.index.commit(version).changes

    def current(self) -> pl.LazyFrame:
        """As `Table.current`."""
        if self.changes is None:
            raise AssayError(
                f"{self.table.name} does not hold the changes of a table, so that there is no current state of it: declare its "
                "reader as Rows(…, mode='snapshot'), Rows(…, mode='upsert') or Files(…, mode='snapshot')."
            )
        if self.changes.states:
            return self.scan([last] if (last := self.last_partition()) is not None else [])
        return current_rows(self.scan(), self.changes.keys)

    # -- files -----------------------------------------------------------------------------------------------------

    @cached_property
    def files(self) -> tuple[DataFile, ...]:
        """Live data files, sorted by path."""
        if self.checkpointed is None:
            return tuple(self.index.files(self.version))
        actions = pl.DataFrame(self.checkpointed.get_add_actions(flatten=True))
        if actions.is_empty():
            return ()
        column = f"partition.{PARTITION}"
        partitions = actions[column] if column in actions.columns else pl.Series([None] * actions.height)
        rows = zip(actions["path"], actions["size_bytes"], actions["num_records"], partitions, strict=True)
        return tuple(sorted((DataFile(*row) for row in rows), key=lambda file: file.path))

    def files_of(self, partitions: Sequence[str] | None, excluded: Sequence[str] = ()) -> tuple[DataFile, ...]:
        if partitions is None and not excluded:
            return self.files
        if self.checkpointed is None:
            return tuple(self.index.files(self.version, partitions, excluded))
        if partitions is None:
            return tuple(file for file in self.files if file.partition not in excluded)
        wanted = set(partitions)
        return tuple(file for file in self.files if file.partition in wanted)

    def files_between(self, column: str, low: str | int | None, high: str | int | None) -> list[DataFile]:
        """The files that can hold a value of a column from `low` to `high` (None: no bound), sorted by path: times in µs
        since 1970 UTC, or texts whose statistics are kept. Files without such statistics are among them, files without
        rows are not."""
        return [file for file, _, _ in self.ranges_between(column, low, high)]

    def ranges_between(
        self, column: str, low: str | int | None, high: str | int | None
    ) -> list[tuple[DataFile, Any, Any]]:
        """The same files, each with the smallest and largest value that is known of it (None: none is)."""
        if self.checkpointed is not None:
            return [(file, None, None) for file in self.files]
        return self.index.between(self.version, column, low, high)

    def ranges_of(self, column: str, partitions: Sequence[str]) -> dict[str, tuple[Any, Any]]:
        """The smallest and largest value of a column (times: µs since 1970 UTC) in each of the partitions that has rows, as the
        statistics of its files say: (None, None) where they do not."""
        if self.checkpointed is not None:
            return {file.partition: (None, None) for file in self.files_of(partitions) if file.rows and file.partition}
        return self.index.ranges_of(self.version, column, partitions)

    def partitions(self, among: Sequence[str] | None = None) -> list[str]:
        """The partitions (`among` these) that hold anything, sorted."""
        if self.checkpointed is None:
            return self.index.partitions(self.version, among)
        there = {file.partition for file in self.files if file.partition is not None}
        return sorted(there if among is None else there & set(among))

    def partitions_without_rows(self) -> list[str]:
        """The partitions that were written and hold no row, sorted."""
        if self.checkpointed is None:
            return self.index.partitions_without_rows(self.version)
        return sorted({*self.partitions()} - {file.partition for file in self.files if file.rows and file.partition})

    def count_partitions(self) -> int:
        """How many partitions hold anything; costs the same however many there are."""
        return self.index.count_partitions(self.version) if self.checkpointed is None else len(self.partitions())

    def last_partition(self) -> str | None:
        """The last of the partitions by their keys."""
        if self.checkpointed is None:
            return self.index.last_partition(self.version)
        return next(iter(self.partitions()[-1:]), None)

    def rows(self, partitions: Sequence[str] | None = None) -> int:
        if self.checkpointed is None:
            return self.index.rows(self.version, partitions)
        return sum(file.rows for file in self.files_of(partitions))

    def slice(
        self, partitions: Sequence[str] | None = None, *, lookup: bool = False, excluded: Sequence[str] = ()
    ) -> Slice:
        """What reading these partitions (None: everything, but for the `excluded` ones) of this version reads."""
        kept = tuple(sorted(partitions)) if partitions is not None else None
        left_out = tuple(sorted(excluded))
        self.refuse_hidden_rows()
        known = self.checkpointed is None  # else not all of the commits are there that wrote rows
        if lookup and kept is None:
            held = self.index.set_digest(self.version, left_out) if known else ""
            return Slice(self.snapshot, None, "", True, left_out, set_digest=held)
        files = digest_of(file.path for file in self.files_of(kept, left_out))
        writers = writers_digest(self.index.writer_digests(self.version, kept, left_out)) if known else ""
        return Slice(self.snapshot, kept, files, lookup, left_out, writers)

    def scan(self, partitions: Sequence[str] | None = None, excluded: Sequence[str] = ()) -> pl.LazyFrame:
        """A lazy frame over this version; with `partitions`, only their files are looked at, else all but the `excluded`
        ones. Raises AssayError for a table with deletion vectors.

        The files are those of which `slice` records the digest: a checkpoint, which may name others, is not asked."""
        self.refuse_hidden_rows()
        if self.checkpointed is None and self.protocol.get("minReaderVersion", 1) == 1:
            return self.scan_files(self.index.files(self.version, partitions, excluded, scanned=True))
        # Polars does not find the files below an address that Delta escapes (spaces, ü).
        if _is_escaped(self.table.lake.storage.root):
            return self.scan_files(self.files_of(partitions, excluded))
        frame = pl.scan_delta(self.delta)
        if partitions is not None:
            return frame.filter(pl.col(PARTITION).is_in(list(partitions)))
        if not excluded or not self.partitioned:
            return frame
        return frame.filter(~pl.col(PARTITION).is_in(list(excluded), nulls_equal=True))

    def refuse_hidden_rows(self) -> None:
        """Raise AssayError for a table whose files may hold rows that are deleted: the digests of files would not say which."""
        if self.checkpointed is not None:
            features = self.checkpointed.protocol().reader_features or []
        else:
            features = self.protocol.get("readerFeatures") or []
        if "deletionVectors" in features:
            raise AssayError(
                f"{self.table.name} has deletion vectors since another tool wrote to it, which Assay does not read. Go back to a "
                "version before, or have that tool write the rows anew without them (in Spark: REORG TABLE … APPLY (PURGE), "
                "then DROP FEATURE deletionVectors)."
            )

    def newest_files(self) -> tuple[DataFile, ...]:
        """Live data files, the last added first; in any order where the log has gaps."""
        return self.files if self.checkpointed is not None else tuple(self.index.files(self.version, scanned=True))

    def scan_files(self, files: Sequence[DataFile]) -> pl.LazyFrame:
        """A lazy frame over some of this version's data files."""
        if not files:
            return pl.LazyFrame(schema=self.schema)
        return pl.scan_parquet(
            [f"{self.table.uri}/{file.path}" for file in files],
            glob=False,
            schema={name: dtype for name, dtype in self.schema.items() if name != PARTITION or not self.partitioned},
            hive_partitioning=self.partitioned,
            hive_schema={PARTITION: pl.String} if self.partitioned else None,
            cast_options=pl.ScanCastOptions._default_iceberg(),  # as `scan_delta` reads
            missing_columns="insert",
            extra_columns="ignore",
            storage_options=self.table.lake.storage.options or None,
        ).select(self.schema.names())

    # -- commits ---------------------------------------------------------------------------------------------------

    @cached_property
    def commits(self) -> list[Commit]:
        """Every commit up to this version, oldest first. Reads all of them: who wants to know one thing asks the index."""
        return [
            self.index.commit(version) for version in versions(self.table.lake.storage, self.table.name, self.version)
        ]

    def versions(self, until: datetime | None = None) -> list[int]:
        """The versions up to this one, committed at or before a time, newest first."""
        return list(self.newest_versions(until))

    def newest_versions(self, until: datetime | None = None) -> Iterator[int]:
        """The same one after the other: as many are looked up as are taken."""
        last, limit = self.version, None if until is None else int(until.timestamp() * 1000)
        while found := self.index.committed(last, limit, _AT_ONCE):
            yield from found
            last = found[-1] - 1

    def changed_since(self, version: int, partitions: Sequence[str] | None, excluded: Sequence[str] = ()) -> list[int]:
        """The versions after an earlier one, and up to this, that added or removed files of a slice, oldest first. Where the log
        has gaps that is not known: this version, if it is later."""
        if self.checkpointed is not None:
            return [self.version] if self.version > version else []
        return sorted({changed for changed, _ in self.index.changes(version, self.version, partitions, excluded)})

    @property
    def last_commit(self) -> Commit:
        """The commit of this version."""
        return self.index.commit(self.version)

    def writer_of(self, partition: str | None) -> Commit | None:
        """The commit that last wrote this partition's rows, at or before this version."""
        version = self.index.writer_of(partition, self.version)
        return self.index.commit(version) if version is not None else None

    def writers(self, partitions: Sequence[str] | None, excluded: Sequence[str] = ()) -> list[Commit]:
        """The commits whose rows a slice holds, oldest first: per partition the last replacement and what was appended
        after it. Reads each of them."""
        return [self.index.commit(version) for version in self.index.writers(self.version, partitions, excluded)]


@lru_cache(256)
def schema_of(text: str) -> pl.Schema:
    """A Delta schema, as it stands in the log, in types of Polars."""
    return pl.Schema(Schema.from_json(text))


def column_types(schema: pl.Schema) -> dict[str, str]:
    """The columns of a table by name, with the names of their types, without the one that names the partition."""
    return {name: str(dtype) for name, dtype in schema.items() if name != PARTITION}


@lru_cache(64)
def _is_escaped(root: str) -> bool:
    return "://" not in root and "%" in Path(root).as_uri()
