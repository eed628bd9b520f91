"""What a reader of the Delta table sees: the newest checkpoint and the commits after it, not every commit.

A checkpoint that was changed shows readers other files than the commits name, and no commit differs.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import polars as pl
from deltalake import DeltaTable, Schema
from deltalake.exceptions import DeltaError

from assay.errors import AssayError
from assay.features.storage.parquet_files import PARTITION
from assay.features.storage.snapshot import Slice
from assay.features.tables.lake import Lake
from assay.features.tables.log_replay import LogReplay
from assay.lineage.tracing.trace import Trace
from assay.lineage.verification.checkpoint_file import (
    Statistics,
    checkpoint_path,
    differing_statistics,
    read_checkpoint,
    read_statistics,
)
from assay.lineage.verification.finding import NOTHING_DEPENDS, Finding, summed

READERS_SEE = "what readers see: the files that the commits name"


def check_readers(
    lake: Lake, trace: Trace, logs: Mapping[str, LogReplay | None], changed: Collection[str] = ()
) -> Iterator[Finding]:
    """At the versions that were read, a reader sees the files that the commits name. Asked is about one version between two
    checkpoints, the first that was read. Wrong files of partitions that were not read are reported, and decide nothing. Tables of
    which commits are known to be `changed` are left out."""
    problems, notes = list[Finding](), list[Finding]()
    count = 0
    for table, log in logs.items():
        if log is None or table in changed:
            continue
        if log.missing or log.damaged:
            detail = "what readers see was not compared: commits are missing or damaged"
            notes.append(Finding(f"{table}: readers", None, detail, required=False))
            continue
        nodes = [node for node in trace.nodes if node.table == table]
        slices = {item for node in nodes for item in node.slices}
        read = {
            item.snapshot.version
            for item in slices
            if item.snapshot.table_id == log.table_id and log.has(item.snapshot)
        }
        renamed = next((e.version for e in log.entries if e.table_id not in (None, log.table_id)), None)
        if renamed is not None:
            detail = "gives the table another id: readers take it for another table since"
            problems.append(Finding(f"{table}@{renamed}", False, detail))
            continue
        checkpoints = _checkpoints(lake, table)
        hint = hinted_checkpoint(lake, table)
        if hint is not None and hint not in checkpoints:
            problems.append(
                Finding(
                    _hint_path(table),
                    False,
                    f"names checkpoint {hint}, which is not there: readers cannot open {table}",
                )
            )
        for checkpoint, version in _first_after_each(sorted(read | {log.latest}), checkpoints):
            count += 1
            try:
                opened = _open(lake, table, version)
                seen, table_id = _files(opened), str(opened.metadata().id)
                same_columns = _same_columns(opened, log.metadata(version))
            except (AssayError, DeltaError, OSError, ValueError) as problem:
                where = f"checkpoint {checkpoint}" if checkpoint is not None else "the log"
                detail = f"readers cannot open it: {where} of {table} is damaged ({type(problem).__name__})"
                problems.append(Finding(f"{table}@{version}", False, detail))
                continue
            if checkpoint is not None and _hides(lake, table, checkpoint):
                detail = f"readers do not see all rows: its checkpoint at version {checkpoint} hides some"
                problems.append(Finding(f"{table}@{version}", False, detail))
                continue
            where = f"its checkpoint at version {checkpoint}" if checkpoint is not None else "its log"
            if table_id == log.table_id and not same_columns:
                detail = f"readers see other columns or settings than the commits name: {where} was changed"
                problems.append(Finding(f"{table}@{version}", False, detail))
                continue
            if checkpoint is not None and (of := _other_statistics(lake, log, checkpoint)):
                if any(item.holds(key) for key in of for item in slices):
                    detail = f"readers may pass rows over: {where} has other statistics of files than the commits"
                    problems.append(Finding(f"{table}@{version}", False, detail))
                    continue
                notes.append(elsewhere(table, checkpoint, of, "has other statistics of files"))
            differing = _differing(seen, log, version)
            of_others = table_id == log.table_id and not any(item.holds(key) for key in differing for item in slices)
            if of_others and differing:
                notes.append(elsewhere(table, checkpoint, differing))
            elif not of_others:
                what = "other files than the commits name" if table_id == log.table_id else "another table"
                detail = f"readers see {what}: {where} was changed"
                problems.append(Finding(f"{table}@{version}", False, detail))
    yield from summed(READERS_SEE, count, problems)
    yield from notes


def elsewhere(
    table: str, checkpoint: int | None, partitions: Sequence[str | None], what: str = "names other files"
) -> Finding:
    """That readers see other files than the commits name, of partitions on which nothing in question depends."""
    where = f"checkpoint {checkpoint}" if checkpoint is not None else "the log"
    some = ", ".join("(none)" if key is None else key for key in partitions[:3])
    more = f" and {len(partitions) - 3} more" if len(partitions) > 3 else ""
    detail = f"{where} {what} than the commits, of partition {some}{more}: {NOTHING_DEPENDS}"
    return Finding(f"{table}: readers", False, detail, required=False)


def _differing(seen: pl.DataFrame, log: LogReplay, version: int) -> list[str | None]:
    """The partitions of which a reader sees other files than the commits name, or one twice."""
    named = Counter((file.path, file.partition) for file in log.files(version, None))
    found = Counter(seen.select("path", PARTITION).iter_rows())
    return sorted({key for _, key in (named - found) + (found - named)}, key=lambda key: key or "")


def _same_columns(opened: DeltaTable, metadata: Mapping[str, Any] | None) -> bool:
    """Whether a reader sees the columns, partitions and settings that the commits name, where these say."""
    if metadata is None:
        return True
    found = opened.metadata()
    settings = {key: value for key, value in (metadata.get("configuration") or {}).items() if value is not None}
    return (
        opened.schema() == Schema.from_json(metadata["schemaString"])
        and list(found.partition_columns) == list(metadata.get("partitionColumns") or ())
        and {key: value for key, value in found.configuration.items() if value is not None} == settings
    )


def _other_statistics(lake: Lake, log: LogReplay, checkpoint: int) -> list[str | None]:
    """The partitions of which a checkpoint, in whatever files, has other statistics than the commits."""
    partitions = {file.path: file.partition for file in log.files(checkpoint, None)}
    names = [path for path in _summaries(lake, log.table) if path.rpartition("/")[2].startswith(f"{checkpoint:020d}.")]
    found: dict[str, Statistics] = {}
    for path in (path for path in names if path.endswith(".parquet")):
        try:
            found |= read_statistics(lake.storage.get(path), partitions)
        except AssayError:  # it is opened by delta-rs, which says whether readers can
            continue
    differing = differing_statistics(found, log.statistics(checkpoint, found))
    return sorted({partitions[path] for path in differing}, key=lambda key: key or "")


def _hides(lake: Lake, table: str, checkpoint: int) -> bool:
    """Whether deletion vectors take rows away. delta-rs opens one that cannot be read here, such as one in several files."""
    try:
        return read_checkpoint(lake.storage.get(checkpoint_path(table, checkpoint))).hides
    except AssayError:
        return False


def files_of_slice(lake: Lake, item: Slice) -> list[str]:
    """The data files of a slice as a reader of the table sees them. Raises AssayError where it cannot be opened."""
    try:
        files = _files(_open(lake, item.snapshot.table, item.snapshot.version))
    except (DeltaError, OSError, ValueError) as problem:
        raise AssayError(f"version {item.snapshot.version} cannot be opened ({type(problem).__name__})") from None
    return _chosen(files, item.partitions, item.excluded)


def _chosen(files: pl.DataFrame, partitions: Sequence[str] | None, excluded: Sequence[str]) -> list[str]:
    """The paths of a slice's files."""
    if partitions is not None:
        files = files.filter(pl.col(PARTITION).is_in(list(partitions)))
    return files.filter(~pl.col(PARTITION).fill_null("").is_in(list(excluded)))["path"].to_list()


def _open(lake: Lake, table: str, version: int) -> DeltaTable:
    lake.allow("read", table)
    return DeltaTable(lake.storage.uri(table), version=version, storage_options=lake.storage.options or None)


def _files(opened: DeltaTable) -> pl.DataFrame:
    """Path and partition of every file that a reader sees."""
    actions = pl.DataFrame(opened.get_add_actions(flatten=True))
    schema = {"path": pl.String, PARTITION: pl.String}
    if actions.is_empty():
        return pl.DataFrame(schema=schema)
    column = f"partition.{PARTITION}"
    keys = actions[column].cast(pl.String) if column in actions.columns else pl.Series([None] * actions.height)
    return pl.DataFrame({"path": actions["path"], PARTITION: keys}, schema=schema)


def _hint_path(table: str) -> str:
    return f"{table}/_delta_log/_last_checkpoint"


def hinted_checkpoint(lake: Lake, table: str) -> int | None:
    """The checkpoint that readers are told is the last one. They look for themselves where this cannot be read."""
    try:
        return int(json.loads(lake.storage.get(_hint_path(table)))["version"])
    except (AssayError, ValueError, KeyError, TypeError):
        return None


def _checkpoints(lake: Lake, table: str) -> list[int]:
    names = (path.rpartition("/")[2] for path in _summaries(lake, table))
    return sorted({int(name[:20]) for name in names if ".checkpoint." in name and name[:20].isdecimal()})


def _summaries(lake: Lake, table: str) -> list[str]:
    """The files in a log that sum commits up, in every form."""
    return lake.storage.list(f"{table}/_delta_log", (".checkpoint.", ".compacted."))


_USUAL = re.compile(r"\d{20}\.checkpoint\.parquet")


def strange_summaries(lake: Lake, table: str) -> list[str]:
    """Those of them that are no checkpoint in a single file under its usual name."""
    return [path for path in _summaries(lake, table) if not _USUAL.fullmatch(path.rpartition("/")[2])]


def _first_after_each(versions: list[int], checkpoints: list[int]) -> Iterator[tuple[int | None, int]]:
    """The first of the versions that rests on each checkpoint (None: on none)."""
    first: dict[int | None, int] = defaultdict(int)
    for version in sorted(versions, reverse=True):
        first[max((one for one in checkpoints if one <= version), default=None)] = version
    return iter(sorted(first.items(), key=lambda item: item[1]))
