"""Profiles of clean tables, kept beside them: `profiles/<source>` has one row per column of each partition.

Whoever watches a table reads these few rows and never the data. The table is versioned with the one that it describes.
"""

import json
from collections.abc import Sequence
from typing import Any

import polars as pl

from assay.checks.profiles.profile_state import ProfileState, merge
from assay.errors import AssayError
from assay.features.storage.commit_metadata import Commit
from assay.features.storage.parquet_files import PARTITION
from assay.features.tables.kinds import Kind, own_name
from assay.features.tables.lake import Lake, TableMissing

_ROWS = {
    "column": pl.String,
    "dtype": pl.String,
    "rows": pl.Int64,
    "null": pl.Int64,
    "nan": pl.Int64,
    "distinct": pl.Int64,
    "min": pl.String,
    "max": pl.String,
    "mean": pl.Float64,
    "state": pl.String,
}


def profile_rows(profile: ProfileState) -> pl.DataFrame:
    """A profile as a table: the figures that people look at, and the whole state of the column as JSON."""
    rows = []
    for name, column in profile.columns.items():
        summary = column.summary()
        rows.append(
            {
                "column": name,
                "dtype": column.dtype,
                "rows": profile.rows,
                "null": column.null,
                "nan": column.nan,
                "distinct": summary.get("distinct"),
                **{bound: None if summary.get(bound) is None else str(summary[bound]) for bound in ("min", "max")},
                "mean": float(summary["mean"]) if summary.get("mean") is not None else None,
                "state": json.dumps(column.to_dict(), sort_keys=True, allow_nan=False),
            }
        )
    return pl.DataFrame(rows, schema=_ROWS)


def profile_of(
    lake: Lake, table: str, version: int | None = None, partitions: Sequence[str] | None = None
) -> ProfileState:
    """The profile of `clean/<source>` at a version (None: the latest), of some partitions (None: of all) together.

    Reads profiles only. Raises AssayError for another table, and for a partition that has no profile: it was written before
    there were any, and gets one when it is materialised again.
    """
    if not Kind.CLEAN.holds(table):
        raise AssayError(f"{table} has no profile: tables named clean/<source> have one.")
    state = lake.table(table).at(version)
    try:
        profiles = lake.table(Kind.PROFILES.table(own_name(table))).at()
    except TableMissing:
        raise _without(table, "any partition") from None
    wanted = state.partitions() if partitions is None else list(partitions)
    writers = {commit.partition: commit for commit in state.writers(wanted)}
    index = profiles.index
    made = {key: [index.commit(version) for version in index.written(profiles.version, key)] for key in wanted}
    by_partition = {key: _made_with(writers[key], made[key]) for key in wanted if key in writers}
    lacking = [key for key in wanted if by_partition.get(key) is None]
    if lacking:
        raise _without(table, lacking[0])
    latest = {commit.partition: commit for commit in profiles.writers(wanted)}
    # Most are what the latest version holds, so one scan has them.
    older = [key for key in wanted if by_partition[key] != latest.get(key)]
    frames = [profiles.scan([key for key in wanted if key not in older])]
    frames += [profiles.table.at(commit.version).scan([key]) for key in older if (commit := by_partition[key])]
    rows = pl.concat(frame.select(PARTITION, "column", "state") for frame in frames).collect()
    states: dict[str, dict[str, Any]] = {key: {} for key in wanted}
    for key, column, text in rows.iter_rows():
        states[key][column] = json.loads(text)
    return merge(ProfileState.from_dict({"rows": writers[key].rows, "columns": states[key]}) for key in wanted)


def _made_with(written: Commit, profiles: Sequence[Commit]) -> Commit | None:
    """The profile made by the same work; one that stayed as it was has no commit of that work, but an earlier one."""
    same = [commit for commit in profiles if commit.fingerprint == written.fingerprint]
    earlier = [commit for commit in profiles if commit.timestamp <= written.timestamp]
    return (same or earlier or [None])[-1]


def _without(table: str, partition: str) -> AssayError:
    return AssayError(
        f"There is no profile of {table} ({partition}) at this version: it was written before there were any. Materialise it "
        f"to make one: assay materialize {table}"
    )
