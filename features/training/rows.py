"""What the modules here need of a training set; `TrainingSetVersion` is one."""

from collections.abc import Mapping
from typing import Any, Protocol

import polars as pl

from assay.features.storage.snapshot import Snapshot

EVENT_TIME = "event_time"


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


def time_of(rows: TrainingRows) -> str:
    """The column with the time of each row."""
    return rows.manifest.get("event_time", EVENT_TIME)


def columns_of_keys(item: Mapping[str, Any]) -> list[str]:
    """The columns of the rows that were compared with the keys of a view, in the role that a manifest describes."""
    named = item.get("keys") or {}
    return [named.get(key, key) for key in item["serving"]["keys"]]
