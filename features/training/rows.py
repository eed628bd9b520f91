"""What the modules here need of a training set; `TrainingSetVersion` is one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import polars as pl

from assay.features.storage.snapshot import Snapshot

EVENT_TIME = "event_time"


@dataclass(frozen=True, slots=True, eq=False)
class RowFile:
    """A data file of a training set. `check` raises AssayError unless it has the SHA-256 that the log says."""

    path: str
    rows: int
    frame: pl.LazyFrame
    check: Callable[[], None]


class TrainingRows(Protocol):
    """Rows that never change, and what they were made from."""

    @property
    def id(self) -> str: ...
    @property
    def snapshot(self) -> Snapshot: ...
    @property
    def manifest(self) -> Mapping[str, Any]: ...

    def scan(self) -> pl.LazyFrame:
        """The rows in their order, once the files have the digests that the log says."""
        ...


class LoadedRows(TrainingRows, Protocol):
    """What a loader reads."""

    @property
    def feature_columns(self) -> list[str]:
        """The columns that the features gave."""
        ...

    def row_files(self) -> list[RowFile]:
        """The data files, in the order of the rows."""
        ...

    def scan_unchecked(self) -> pl.LazyFrame:
        """The rows, of files that may have been changed: their schema is that of the table."""
        ...


def time_of(rows: TrainingRows) -> str:
    """The column with the time of each row."""
    return rows.manifest.get("event_time", EVENT_TIME)


def columns_of_keys(item: Mapping[str, Any]) -> list[str]:
    """The columns of the rows that were compared with the keys of a view, in the role that a manifest describes."""
    named = item.get("keys") or {}
    return [named.get(key, key) for key in item["serving"]["keys"]]
