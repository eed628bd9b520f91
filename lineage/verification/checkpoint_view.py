"""What readers find in the checkpoints that they would open: the files that the commits name.

The same question as in `reader_view`, at the cost of the answer: the folder of the log is not listed, and no table is opened.
Readers begin with the newest checkpoint up to the version that they open; it is looked for among the versions just before. It is
compared with the table's index as a whole, once (see `compared`); for the partitions in question the files must be in the commits
that are said to have added them, too. Wrong files of other partitions are reported, and decide nothing. What
else is otherwise than expected raises `Unproven`: then readers are asked.
"""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path

import polars as pl

from assay.errors import AssayError
from assay.features.storage.parquet_files import PARTITION
from assay.features.storage.snapshot import Slice, Snapshot
from assay.features.storage.storage import Storage
from assay.features.tables.digest import digest_of
from assay.features.tables.lake import Lake
from assay.lineage.tracing.trace import Trace
from assay.lineage.verification.checkpoint_file import (
    FILES,
    checkpoint_path,
    differing_statistics,
    read_checkpoint,
    read_statistics,
)
from assay.lineage.verification.compared import Compared, same_files
from assay.lineage.verification.finding import Finding, summed
from assay.lineage.verification.log_walk import LogWalk, Unproven
from assay.lineage.verification.reader_view import READERS_SEE, elsewhere, hinted_checkpoint, strange_summaries

_TICK = 0.02  # seconds: more than what file systems round times to
_listed: dict[str, str] = {}  # by log: how its folder was when it had nothing unusual in it
NEAR = 128  # versions: checkpoints are made every 20, formerly every 100 commits


def check_checkpoints(lake: Lake, trace: Trace, logs: Mapping[str, LogWalk], compared: Compared) -> Iterator[Finding]:
    """At the versions that were read, and now, checkpoints name the files that the commits name. Raises Unproven."""
    count, notes = 0, list[Finding]()
    for table, log in logs.items():
        slices = {item for node in trace.nodes if node.table == table for item in node.slices}
        if not _only_usual(lake, table):
            raise Unproven(f"{table} has checkpoints in several files, or logs summed up otherwise.")
        hint = hinted_checkpoint(lake, table)
        if hint is not None and not _is_there(lake, table, hint):
            raise Unproven(f"{table} has no checkpoint {hint}.")
        versions = {log.latest, *(item.snapshot.version for item in slices)}
        for checkpoint in sorted(set(_newest(lake, table, versions))):
            count += 1
            notes += _compare(lake, log, checkpoint, slices, compared)
    yield from summed(READERS_SEE, count, [])
    yield from notes


def _only_usual(lake: Lake, table: str) -> bool:
    """Whether all checkpoints are in a single file under the usual name. A long log is listed once in a process, until something
    new is in it."""
    folder, state = f"{lake.storage.root}/{table}/_delta_log", ""
    if lake.storage.is_local:
        found = Path(folder).stat()
        if time.time() - found.st_ctime > _TICK:  # else what comes at the same moment may leave these times as they are
            state = f"{found.st_ino} {found.st_mtime_ns} {found.st_ctime_ns}"
        if state and _listed.get(folder) == state:
            return True
    usual = not strange_summaries(lake, table)
    if usual and state:
        _listed[folder] = state
    return usual


def _newest(lake: Lake, table: str, versions: Iterable[int]) -> Iterator[int]:
    """The checkpoints that readers of these versions begin with, as far as there are some."""
    is_there = cache(partial(_is_there, lake, table))
    for version in versions:
        near = range(version, max(-1, version - NEAR), -1)
        found = next((number for number in near if is_there(number)), None)
        if found is not None:
            yield found
        elif version >= NEAR:
            raise Unproven(f"{table} has no checkpoint near version {version}.")


def _compare(
    lake: Lake, log: LogWalk, checkpoint: int, slices: Iterable[Slice], compared: Compared
) -> Iterator[Finding]:
    for partitions in {item.partitions for item in slices if item.partitions is not None}:
        log.files(checkpoint, partitions)  # each in the commit that added it
    path = checkpoint_path(log.table, checkpoint)
    version = Snapshot(log.table, log.table_id, checkpoint, log.index.digests([checkpoint])[checkpoint])
    sha256, content = _sha256(lake.storage, path), cache(partial(lake.storage.get, path))
    if same_files(sha256, version) not in compared:
        notes = list(_compare_files(log, checkpoint, content(), slices))
        if not notes:
            compared.remember(same_files(hashlib.sha256(content()).hexdigest(), version))
        yield from notes
    _compare_statistics(log, version, sha256, content, slices, compared)


def _compare_files(log: LogWalk, checkpoint: int, content: bytes, slices: Iterable[Slice]) -> Iterator[Finding]:
    try:
        found = read_checkpoint(content)
    except AssayError as problem:
        raise Unproven(f"checkpoint {checkpoint} of {log.table} {problem}.") from None
    if found.hides or not found.is_of(log.metadata(checkpoint)):
        raise Unproven(f"checkpoint {checkpoint} of {log.table} is of another table, or hides rows.")
    differing = _differing(found.files, pl.DataFrame(log.index.named(checkpoint), FILES, orient="row"))
    if any(item.holds(partition) for partition in differing for item in slices):
        raise Unproven(f"checkpoint {checkpoint} of {log.table} names other files than the commits.")
    if differing:
        yield elsewhere(log.table, checkpoint, differing)


def _sha256(storage: Storage, path: str) -> str:
    """Of a file, which is not held in memory where it is a local one."""
    if not storage.is_local:
        return hashlib.sha256(storage.get(path)).hexdigest()
    with Path(storage.root, path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _compare_statistics(
    log: LogWalk,
    version: Snapshot,
    sha256: str,
    content: Callable[[], bytes],
    slices: Iterable[Slice],
    compared: Compared,
) -> None:
    """By the statistics of files readers pass files over: of those in question they are as the commits have them. Once shown,
    that is remembered of these files. Raises Unproven."""
    read = {
        (item.partitions, item.excluded)
        for item in slices
        if item.partitions is not None or (item.names_its_files and item.snapshot.version >= version.version)
    }
    checkpoint = version.version
    paths = sorted({file.path for partitions, excluded in read for file in log.files(checkpoint, partitions, excluded)})
    what = f"statistics of {digest_of(paths)}"
    if not paths or same_files(sha256, version, what) in compared:
        return
    try:
        found = read_statistics(content(), paths)
    except AssayError as problem:
        raise Unproven(f"checkpoint {checkpoint} of {log.table} {problem}.") from None
    if differing_statistics(found, log.statistics(checkpoint, paths)):
        raise Unproven(f"checkpoint {checkpoint} of {log.table} has other statistics than the commits.")
    compared.remember(same_files(hashlib.sha256(content()).hexdigest(), version, what))


def _differing(one: pl.DataFrame, other: pl.DataFrame) -> list[str | None]:
    """The partitions of which two lists of files are not the same; a file that is named twice is another one."""
    if one.height == other.height and one.sort("path").equals(other.sort("path")):
        return []
    counted = [frame.group_by(frame.columns).len() for frame in (one, other)]
    left, right = (a.join(b, on=a.columns, how="anti", nulls_equal=True) for a, b in (counted, counted[::-1]))
    return pl.concat([left, right])[PARTITION].unique().sort().to_list()


def _is_there(lake: Lake, table: str, version: int) -> bool:
    return lake.storage.size(checkpoint_path(table, version)) is not None
