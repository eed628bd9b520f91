"""What readers find in the checkpoints that they would open: the files of what was read, as the commits name them.

The same question as in `reader_view`, at the cost of the answer: the folder of the log is not listed, no table is opened, and of
a checkpoint only the partitions in question are compared, and the number of all files. Readers begin with the newest checkpoint
up to the version that they open; it is looked for among the versions just before. What is otherwise than expected raises
`Unproven`: then readers are asked.
"""

import io
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, partial
from urllib.parse import unquote

import polars as pl

from assay.errors import AssayError
from assay.features.storage.parquet_files import PARTITION
from assay.features.storage.snapshot import Slice
from assay.features.tables.lake import Lake
from assay.lineage.predictions.find_prediction import UNREADABLE
from assay.lineage.tracing.trace import Trace
from assay.lineage.verification.finding import Finding, summed
from assay.lineage.verification.log_walk import LogWalk, Unproven
from assay.lineage.verification.reader_view import READERS_SEE, hinted_checkpoint

NEAR = 128  # versions: checkpoints are made every 20, formerly every 100 commits


def check_checkpoints(lake: Lake, trace: Trace, logs: Mapping[str, LogWalk]) -> Iterator[Finding]:
    """At the versions that were read, and now, checkpoints name the files of what was read as the commits do. Raises Unproven."""
    count = 0
    for table, log in logs.items():
        slices = {item for node in trace.nodes if node.table == table for item in node.slices}
        hint = hinted_checkpoint(lake, table)
        if hint is not None and not _is_there(lake, table, hint):
            raise Unproven(f"{table} has no checkpoint {hint}.")
        versions = {log.latest, *(item.snapshot.version for item in slices)}
        for checkpoint in sorted(set(_newest(lake, table, versions))):
            count += 1
            _compare(lake, log, checkpoint, slices)
    yield from summed(READERS_SEE, count, [])


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


def _compare(lake: Lake, log: LogWalk, checkpoint: int, slices: Iterable[Slice]) -> None:
    path = _path(log.table, checkpoint)
    try:
        whole = lake.storage.uri(path) if lake.storage.is_local else io.BytesIO(lake.storage.get(path))
        lazy = pl.scan_parquet(whole, glob=False)
        file, about = pl.col("add").struct, pl.col("metaData").struct.field("id")
        key = file.field("partitionValues").map.get(PARTITION)  # type: ignore[attr-defined]
        files = lazy.select(file.field("path"), key.alias(PARTITION)).filter(pl.col("path").is_not_null())
        found, ids = pl.collect_all([files, lazy.select(about).drop_nulls()])
    except (AssayError, AttributeError, *UNREADABLE) as problem:
        raise Unproven(f"{path} cannot be read ({type(problem).__name__}).") from None
    if ids.to_series().to_list() != [log.table_id] or found.height != log.index.count_files(checkpoint):
        raise Unproven(f"{path} is of another table, or has more or fewer files.")
    for partitions, excluded in {(item.partitions, item.excluded) for item in slices}:
        chosen = found if partitions is None else found.filter(pl.col(PARTITION).is_in(list(partitions)))
        chosen = chosen.filter(~pl.col(PARTITION).fill_null("").is_in(list(excluded))) if excluded else chosen
        named = {(file.path, file.partition) for file in log.files(checkpoint, partitions, excluded)}
        if named != {(unquote(name), partition) for name, partition in chosen.iter_rows()}:
            raise Unproven(f"{path} names other files than the commits.")


def _is_there(lake: Lake, table: str, version: int) -> bool:
    return lake.storage.size(_path(table, version)) is not None


def _path(table: str, version: int) -> str:
    return f"{table}/_delta_log/{version:020d}.checkpoint.parquet"
