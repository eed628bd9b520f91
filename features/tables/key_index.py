"""Which partitions of a table may hold a key, without reading the table: fingerprints of all keys ever written, sorted.

A filter, not an answer. It covers every data file that was ever added, also those that a later version removed, so it holds
for every version up to the one that it has reached; a fingerprint that it knows names partitions, and whoever asks reads
the keys there. It is kept below `_index/keys` in the lake as a few sorted runs, each at least twice as long as the next
(a log-structured merge: O'Neil et al., 1996), so that a key is written log₂(n) times and found by a binary search in each.
Losing it costs one read of the table's keys.
"""

import fcntl
import hashlib
import json
import os
import uuid
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import polars as pl

from assay.features.storage.delta_log import commit_path, read_commit
from assay.features.storage.parquet_files import PARTITION
from assay.features.tables.lake import TableState

FOLDER = "_index/keys"
# Rows of a table → one column `key` of 64-bit fingerprints, null where a row has no key.
Prints = Callable[[pl.LazyFrame], pl.LazyFrame]


def key_print(key: Iterable[pl.Expr]) -> pl.Expr:
    """64 bits of a key, null if one of its values is: equal keys have equal ones, different keys hardly ever."""
    values = list(key)
    present = pl.all_horizontal(value.is_not_null() for value in values)
    return pl.when(present).then(pl.struct(value.alias(f"{index}") for index, value in enumerate(values)).hash())


@dataclass(frozen=True, slots=True)
class _Run:
    """Sorted fingerprints, and for each the number of a partition whose files hold it.

    `checksum` is the CRC-32 of both. `marks` say what its files looked like (time of modification and of change, size, inode)
    when their content was last known to have it: as long as they look so, nothing is read to be sure.
    """

    name: str
    length: int
    checksum: int
    marks: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class _Kept:
    """What an index has reached: the table's version, and the SHA-256 of its commit. `unread` are the numbers of partitions
    whose files were vacuumed before their keys were read."""

    identity: str
    table_id: str
    version: int
    commit_sha256: str
    partitions: tuple[str | None, ...]
    unread: tuple[int, ...]
    runs: tuple[_Run, ...]


@dataclass(frozen=True, slots=True)
class KeyIndex:
    """The index of one kind of key of one table. `identity` stands for what `prints` computes: another one is another
    index. `name` tells the keys of a table apart."""

    name: str
    identity: str
    prints: Prints

    def partitions(self, state: TableState, wanted: pl.Series) -> list[str | None] | None:
        """The partitions that may hold one of these fingerprints at the version of `state`.

        Args:
            state: The table.
            wanted: Fingerprints (UInt64) without nulls.

        Returns:
            Every partition that holds one, and hardly any other but those that once had a file which nobody can read any
            more. None where the index cannot be kept (an object store, a
            folder that may not be written): then any partition may.
        """
        found = self.holders(state, wanted)
        if found is None:
            return None
        return found.sort("number")["partition"].unique(maintain_order=True).to_list()

    def holders(self, state: TableState, wanted: pl.Series) -> pl.DataFrame | None:
        """The same for each fingerprint.

        Returns:
            Pairs of a `key` and a `partition` that may hold it, with the partition's `number`: the higher, the later it came
            into the table. A partition of which nobody can say what it once held is there with the key null.
        """
        storage = state.table.lake.storage
        if not storage.is_local:
            return None
        folder = Path(storage.root, FOLDER, state.table.name, hashlib.sha256(self.name.encode()).hexdigest()[:16])
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with _locked(folder):
                kept = self._reach(folder, state)
                keys, numbers = _owners(folder, kept.runs, wanted)
        except OSError:
            return None
        pairs = pl.DataFrame({"key": keys, "number": numbers}, schema={"key": pl.UInt64, "number": pl.UInt32})
        unread = pl.DataFrame({"number": kept.unread}, schema={"number": pl.UInt32})
        found = pl.concat([pairs, unread], how="diagonal").unique(maintain_order=True)
        names = pl.Series("partition", [kept.partitions[number] for number in found["number"]], dtype=pl.String)
        return found.with_columns(names)

    def _reach(self, folder: Path, state: TableState) -> _Kept:
        """The index at the state's version or a later one."""
        kept = _load(folder, self.identity, state)
        if kept is None:
            kept = _Kept(self.identity, state.snapshot.table_id, -1, "", (), (), ())
        if kept.version >= state.version:
            return kept
        numbers = {partition: number for number, partition in enumerate(kept.partitions)}
        prints, owners, unread = [], [], {*kept.unread}
        for partition, path in _added(state, kept.version):
            number, keys = numbers.setdefault(partition, len(numbers)), self._keys(state, path)
            if keys is None:
                unread.add(number)
                continue
            prints.append(keys)
            owners.append(np.full(len(keys), number, np.uint32))
        runs = kept.runs
        if sum(map(len, prints)):
            runs = _merged(folder, [*runs, _write(folder, np.concatenate(prints), np.concatenate(owners))])
        kept = replace(
            kept,
            version=state.version,
            commit_sha256=state.snapshot.commit_sha256,
            partitions=tuple(numbers),
            unread=tuple(sorted(unread)),
            runs=tuple(run if run.marks else _on_disk(folder, run) for run in runs),
        )
        _save(folder, kept)
        return kept

    def _keys(self, state: TableState, path: str) -> np.ndarray | None:
        """The fingerprints of a data file; None for one that was vacuumed."""
        if (
            state.table.lake.storage.size(f"{state.table.name}/{path}") is None
        ):  # of many, cheaper than to try to read them
            return None
        try:
            rows = pl.scan_parquet(f"{state.table.uri}/{path}", glob=False, hive_partitioning=False)
            present = rows.collect_schema().names()
        except FileNotFoundError:
            return None
        later = [
            pl.lit(None, dtype).alias(name)  # a column that was added after this file
            for name, dtype in state.schema.items()
            if name not in present and name != PARTITION
        ]
        keys = self.prints(rows.with_columns(later)).collect(engine="streaming").to_series()
        return keys.drop_nulls().unique().to_numpy()


def _added(state: TableState, since: int) -> Iterator[tuple[str | None, str]]:
    """Partition and path of the data files that were added after a version."""
    for version in range(since + 1, state.version + 1):
        for action in read_commit(state.table.lake.storage, state.table.name, version):
            if "add" in action:
                yield (action["add"].get("partitionValues") or {}).get(PARTITION), unquote(action["add"]["path"])


def _owners(folder: Path, runs: Sequence[_Run], wanted: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of one of these fingerprints and the number of a partition that has it in a run."""
    asked = np.sort(wanted.unique().to_numpy())
    keys, numbers = [np.empty(0, np.uint64)], [np.empty(0, np.uint32)]
    for run in runs:
        prints, owners = _open(folder, run)
        starts = np.searchsorted(prints, asked, "left")
        ends = np.searchsorted(prints, asked, "right")
        lengths = ends - starts
        before = np.cumsum(lengths) - lengths  # of the places: start … end of each key, one after the other
        places = np.repeat(starts - before, lengths) + np.arange(lengths.sum())
        keys.append(np.repeat(asked, lengths))
        numbers.append(owners[places])
    return np.concatenate(keys), np.concatenate(numbers)


def _merged(folder: Path, runs: list[_Run]) -> list[_Run]:
    """The runs, longest first, each at least twice as long as the next."""
    while len(runs) > 1 and runs[-2].length < 2 * runs[-1].length:
        opened = [_open(folder, runs.pop()), _open(folder, runs.pop())]
        runs.append(_write(folder, *(np.concatenate(parts) for parts in zip(*opened, strict=True))))
    return runs


def _write(folder: Path, prints: np.ndarray, owners: np.ndarray) -> _Run:
    order = np.lexsort((owners, prints))
    prints, owners = prints[order], owners[order]
    fresh = np.ones(len(prints), bool)  # a partition that was written again has most of its keys twice
    fresh[1:] = (prints[1:] != prints[:-1]) | (owners[1:] != owners[:-1])
    prints, owners = prints[fresh], owners[fresh]
    run = _Run(uuid.uuid4().hex, len(prints), _checksum(prints, owners))
    for file, values in zip(_files(folder, run), (prints, owners), strict=True):
        np.save(file, values)
    return run


def _on_disk(folder: Path, run: _Run) -> _Run:
    """A run that a power cut leaves whole, before an index names it."""
    for file in _files(folder, run):
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
    return replace(run, marks=_marks(folder, run))


def _checksum(prints: np.ndarray, owners: np.ndarray) -> int:
    return zlib.crc32(owners.data, zlib.crc32(prints.data))


def _marks(folder: Path, run: _Run) -> tuple[int, ...]:
    stats = [file.stat() for file in _files(folder, run)]
    return tuple(number for s in stats for number in (s.st_mtime_ns, s.st_ctime_ns, s.st_size, s.st_ino))


def _verified(folder: Path, run: _Run) -> _Run:
    """The run, if it is as it was written. Its content is read only where its files look otherwise than when it was last
    known, as in a lake that was copied. Raises what numpy does for a damaged file, and ValueError."""
    marks, (prints, owners) = _marks(folder, run), _open(folder, run)
    if (prints.dtype, owners.dtype) != (np.uint64, np.uint32) or not len(prints) == len(owners) == run.length:
        raise ValueError("another run")
    if run.marks == marks:
        return run
    if _checksum(prints, owners) != run.checksum:
        raise ValueError("damaged")
    return replace(run, marks=marks)


def _open(folder: Path, run: _Run) -> tuple[np.ndarray, np.ndarray]:
    prints, owners = (np.load(file, mmap_mode="r") for file in _files(folder, run))
    return prints, owners


def _files(folder: Path, run: _Run) -> tuple[Path, Path]:
    return folder / f"{run.name}-keys.npy", folder / f"{run.name}-partitions.npy"


def _load(folder: Path, identity: str, state: TableState) -> _Kept | None:
    """The index as it was saved, if it is of this table, of these keys and whole."""
    try:
        found = (folder / "index.json").stat()
        kept = _parsed(folder / "index.json", (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino))
        saved = kept.runs
        if kept.identity != identity or kept.table_id != state.snapshot.table_id:
            return None
        runs = tuple(_verified(folder, run) for run in saved)
    except (OSError, EOFError, ValueError, OverflowError, KeyError, TypeError, AttributeError):
        return None
    if _commit_sha256(state, kept.version) != kept.commit_sha256:
        return None
    if runs != saved:
        kept = replace(kept, runs=runs)
        _save(folder, kept)
    return kept


@lru_cache(16)
def _parsed(path: Path, mark: tuple[int, ...]) -> _Kept:
    """An index as it was saved, read again where its file looks otherwise: it names every partition of its table."""
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    runs = tuple(_Run(name, length, checksum, tuple(marks)) for name, length, checksum, marks in data.pop("runs"))
    data |= {"partitions": tuple(data["partitions"]), "unread": tuple(data["unread"]), "runs": runs}
    return _Kept(**data)


def _commit_sha256(state: TableState, version: int) -> str | None:
    """Another one than was saved, or none: the lake was restored from a backup, and other commits may follow."""
    path = commit_path(state.table.name, version)
    storage = state.table.lake.storage
    return hashlib.sha256(storage.get(path)).hexdigest() if storage.size(path) is not None else None


def _save(folder: Path, kept: _Kept) -> None:
    data = {
        "identity": kept.identity,
        "table_id": kept.table_id,
        "version": kept.version,
        "commit_sha256": kept.commit_sha256,
        "partitions": kept.partitions,
        "unread": kept.unread,
        "runs": [(run.name, run.length, run.checksum, run.marks) for run in kept.runs],
    }
    temporary = folder / f".{uuid.uuid4().hex}.json"
    temporary.write_text(json.dumps(data), encoding="utf-8")
    temporary.replace(folder / "index.json")
    used = {file for run in kept.runs for file in _files(folder, run)}
    for file in folder.glob("*.npy"):  # merged away, or left by a process that was killed
        if file not in used:
            file.unlink(missing_ok=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process at a time: a run that another one merges away is not to be opened."""
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
