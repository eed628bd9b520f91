"""Rows that lie in other files than those that a run wrote: put together by another tool, or taken away by deletion vectors.

A commit that calls itself OPTIMIZE proves nothing by that. What it removed is named by its bytes; what it added must have the
same rows, in any order. That also shows that the added files, whose names promise nothing, have not been changed since.
"""

import io
from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from assay.errors import AssayError
from assay.features.storage.log_entry import Entry
from assay.features.storage.parquet_files import file_sha256
from assay.features.storage.snapshot import Slice
from assay.features.tables.digest import content_digest
from assay.features.tables.lake import Lake
from assay.features.tables.log_replay import LogReplay
from assay.lineage.predictions.find_prediction import UNREADABLE, file_problem
from assay.lineage.tracing.trace import Trace
from assay.lineage.verification.finding import Finding
from assay.lineage.verification.log_walk import LogWalk

Log = LogReplay | LogWalk


def check_moved_rows(lake: Lake, trace: Trace, logs: Mapping[str, Log | None]) -> Iterator[Finding]:
    """For every commit of another tool that put rows which were read into other files: whether they are the same."""
    looked_at: dict[tuple[str, int], None] = {}
    for node in trace.nodes:
        log = logs[node.table]
        if log is None or log.missing or log.damaged or node.lookup or node.kind == "prediction":
            continue
        for item in (item for item in node.slices if item.snapshot.table_id == log.table_id):
            for version in log.added_by(item.snapshot.version, item.partitions, item.excluded):
                entry = log.entry(version)
                if entry is not None and (log.table, version) not in looked_at:
                    found = list(_entry(lake, log, entry, item))
                    looked_at |= {(log.table, version): None} if found else {}
                    yield from found


def moves(entry: Entry) -> bool:
    """Whether a commit says that it only put rows into other files."""
    return entry.commit is not None and not entry.commit.run_id and entry.commit.operation == "OPTIMIZE"


def _entry(lake: Lake, log: Log, entry: Entry, item: Slice) -> Iterator[Finding]:
    what = f"{log.table}@{entry.version}"
    read = {file.path for file in log.files(item.snapshot.version, item.partitions, item.excluded)}
    if read & entry.hidden:
        detail = "its deletion vectors take away rows of files that were read: which rows were read is not known"
        yield Finding(what, None, detail)
    elif moves(entry) and log.commits:
        same = _same_rows(lake, log, entry)
        by = "OPTIMIZE by another tool put rows that were read into other files"
        if same:
            yield Finding(what, True, f"{by}: they are the same", required=False)
        else:
            gone, other = "files that it replaced are gone", "they are other rows than before, or were changed since"
            yield Finding(what, None, f"{by}, and what they come from is not known: {gone if same is None else other}")


def _same_rows(lake: Lake, log: Log, entry: Entry) -> bool | None:
    """Whether a commit added the rows that it removed, partition by partition; None where that cannot be told any more."""
    gone = set(entry.removed)
    for partition in dict.fromkeys(file.partition for file in entry.added):
        added = [file.path for file in entry.added if file.partition == partition]
        before = log.files(entry.version - 1, None if partition is None else [partition])
        removed = [file.path for file in before if file.path in gone]
        if entry.hidden & set(added):
            return False
        if not all(_promised(lake, log, entry.version - 1, path) for path in removed):
            return None
        if any(file_problem(lake.storage, f"{log.table}/{path}") for path in removed):
            return None
        try:
            one, other = (_rows(lake, log.table, paths) for paths in (added, removed))
        except (AssayError, *UNREADABLE):
            return None
        if _digest(one, other) != _digest(other, one):
            return False
    return True


def _promised(lake: Lake, log: Log, version: int, path: str) -> bool:
    """Whether the bytes of a file are known: its name promises them, or it was put together of such itself."""
    if file_sha256(path) is not None:
        return True
    entry = next(
        (entry for number in range(version, -1, -1) if (entry := log.entry(number)) and _adds(entry, path)), None
    )
    return entry is not None and moves(entry) and bool(_same_rows(lake, log, entry))


def _adds(entry: Entry, path: str) -> bool:
    return any(file.path == path for file in entry.added)


def _rows(lake: Lake, table: str, paths: Sequence[str]) -> pl.DataFrame:
    files = [
        pl.read_parquet(io.BytesIO(lake.storage.get(f"{table}/{path}")), hive_partitioning=False) for path in paths
    ]
    return pl.concat(files, how="diagonal_relaxed") if files else pl.DataFrame()


def _digest(rows: pl.DataFrame, other: pl.DataFrame) -> str:
    """A column that only the other rows have is null here: it came later."""
    return content_digest(
        rows.with_columns(
            pl.lit(None, other[name].dtype).alias(name) for name in other.columns if name not in rows.columns
        )
    )
