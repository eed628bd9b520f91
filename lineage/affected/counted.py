"""How many affected rows each table on the way has: each row once, however often its partition was written again."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from assay.features.storage.table_index import Write
from assay.features.tables.kinds import Kind, own_name
from assay.lineage.affected.selection import DIGEST, Gone, Selection
from assay.lineage.affected.walk import Walk
from assay.lineage.commits.graph import CommitGraph, Version
from assay.lineage.predictions.find_prediction import UNREADABLE
from assay.lineage.tracing.impact import replaced


def rows_once(commits: CommitGraph, versions: Iterable[Version]) -> int:
    """How many rows some versions wrote, without those that a later one of them wrote again."""
    tables: dict[str, list[int]] = {}
    for table, version in versions:
        tables.setdefault(table, []).append(version)
    total = 0
    for table, numbers in tables.items():
        writes = dict(zip(numbers, commits.writes(table, numbers), strict=True))
        again = replaced(writes)
        total += sum(write.rows or 0 for version, write in writes.items() if version not in again)
    return total


def tables_on_the_way(walk: Walk, *, of_files: bool) -> list[dict[str, Any]]:
    """By table: how many versions have affected rows, how many of these are still in use, and how many rows that are: `rows`
    counts each one once, `written` once for each version. `of_files`: the origin are whole delivered files."""
    tables: dict[str, list[Selection]] = {}
    for version, selection in sorted(walk.selections.items()):
        tables.setdefault(version[0], []).append(selection)
    return [_counted(walk, table, selections, of_files) for table, selections in tables.items()]


def _counted(walk: Walk, table: str, selections: Sequence[Selection], of_files: bool) -> dict[str, Any]:
    numbers = [item.version[1] for item in selections]
    writes = dict(zip(numbers, walk.commits.writes(table, numbers), strict=True))
    frames = [item.by for item in selections if item.by is not None]
    if of_files and Kind.RAW.holds(table):
        written, once = _of_files(walk.commits, selections)
    else:
        rows = {item.version[1]: _rows(walk, item, writes) for item in selections}
        again = replaced(writes)
        written = sum(rows.values())
        once = sum(count for version, count in rows.items() if version not in again)
        if (
            frames
            and len(frames) == len(selections)
            and frames[0].columns != [DIGEST]
            and len({tuple(frame.columns) for frame in frames}) == 1
        ):
            once = pl.concat(frames, how="vertical_relaxed").unique().height
    return {
        "table": table,
        "versions": len(numbers),
        "in_use": sum(write.until is None for write in writes.values()),
        "rows": once,
        "written": written,
        "exact": not any(item.notes for item in selections),
    }


def _rows(walk: Walk, selection: Selection, writes: Mapping[int, Write]) -> int:
    whole = writes[selection.version[1]].rows or 0
    if selection.by is None:
        return whole
    if selection.by.columns != [DIGEST]:
        return selection.by.height
    try:  # of a file in another table than the raw one
        return walk.rows.scan(selection).select(pl.len()).collect().item()
    except (Gone, *UNREADABLE):
        return whole


def _of_files(commits: CommitGraph, selections: Sequence[Selection]) -> tuple[int, int]:
    """Rows of delivered files, as the commits that took them counted them: of all versions, and each file once."""
    written, files = 0, dict[str, int]()
    for selection in selections:
        commit = commits.commit(selection.version)
        asked = set(selection.by[DIGEST]) if selection.by is not None else set[str]()
        for source in commit.sources if commit is not None else ():
            if source.sha256 in asked:
                written += source.rows
                files[source.sha256] = source.rows
    return written, sum(files.values())


def only_set_aside(walk: Walk) -> tuple[str, ...]:
    """The tables of quarantined rows that have all affected rows of their source: its clean table took none."""
    tables = {version[0] for version in walk.selections}
    aside = sorted(table for table in tables if Kind.QUARANTINE.holds(table))
    return tuple(table for table in aside if Kind.CLEAN.table(own_name(table)) not in tables)
