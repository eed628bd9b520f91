"""What readers find in the checkpoints that they would open: the files that the commits name.

The same question as in `reader_view`, at the cost of the answer: the folder of the log is not listed, and no table is opened.
Readers begin with the newest checkpoint up to the version that they open; it is looked for among the versions just before. It is
compared with the table's index as a whole, once (see `compared`); for the partitions in question the files must be in the commits
that are said to have added them, too. Files of other partitions that are not as they should be are said, and decide nothing. What
else is otherwise than expected raises `Unproven`: then readers are asked.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache, partial

import polars as pl

from assay.errors import AssayError
from assay.features.storage.parquet_files import PARTITION
from assay.features.storage.snapshot import Slice, Snapshot
from assay.features.tables.lake import Lake
from assay.lineage.tracing.trace import Trace
from assay.lineage.verification.checkpoint_file import FILES, checkpoint_path, read_checkpoint
from assay.lineage.verification.compared import Compared, same_files
from assay.lineage.verification.finding import Finding, summed
from assay.lineage.verification.log_walk import LogWalk, Unproven
from assay.lineage.verification.reader_view import READERS_SEE, elsewhere, hinted_checkpoint

NEAR = 128  # versions: checkpoints are made every 20, formerly every 100 commits


def check_checkpoints(lake: Lake, trace: Trace, logs: Mapping[str, LogWalk], compared: Compared) -> Iterator[Finding]:
    """At the versions that were read, and now, checkpoints name the files that the commits name. Raises Unproven."""
    count, notes = 0, list[Finding]()
    for table, log in logs.items():
        slices = {item for node in trace.nodes if node.table == table for item in node.slices}
        hint = hinted_checkpoint(lake, table)
        if hint is not None and not _is_there(lake, table, hint):
            raise Unproven(f"{table} has no checkpoint {hint}.")
        versions = {log.latest, *(item.snapshot.version for item in slices)}
        for checkpoint in sorted(set(_newest(lake, table, versions))):
            count += 1
            notes += _compare(lake, log, checkpoint, slices, compared)
    yield from summed(READERS_SEE, count, [])
    yield from notes


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
    content = lake.storage.get(checkpoint_path(log.table, checkpoint))
    commit = log.index.digests([checkpoint])[checkpoint]
    statement = same_files(content, Snapshot(log.table, log.table_id, checkpoint, commit))
    if statement in compared:
        return
    try:
        found = read_checkpoint(content)
    except AssayError as problem:
        raise Unproven(f"checkpoint {checkpoint} of {log.table} {problem}.") from None
    if found.table_ids != (log.table_id,) or found.hides:
        raise Unproven(f"checkpoint {checkpoint} of {log.table} is of another table, or hides rows.")
    differing = _differing(found.files, pl.DataFrame(log.index.named(checkpoint), FILES, orient="row"))
    if any(item.holds(partition) for partition in differing for item in slices):
        raise Unproven(f"checkpoint {checkpoint} of {log.table} names other files than the commits.")
    if differing:
        yield elsewhere(log.table, checkpoint, differing)
    else:
        compared.remember(statement)


def _differing(one: pl.DataFrame, other: pl.DataFrame) -> list[str | None]:
    """The partitions of which two lists of files are not the same; a file that is named twice is another one."""
    if one.height == other.height and one.sort("path").equals(other.sort("path")):
        return []
    counted = [frame.group_by(frame.columns).len() for frame in (one, other)]
    left, right = (a.join(b, on=a.columns, how="anti", nulls_equal=True) for a, b in (counted, counted[::-1]))
    return pl.concat([left, right])[PARTITION].unique().sort().to_list()


def _is_there(lake: Lake, table: str, version: int) -> bool:
    return lake.storage.size(checkpoint_path(table, version)) is not None
