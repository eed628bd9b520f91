"""A training set without a lake: what the modules here need of one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from assay.features.storage.snapshot import Snapshot
from assay.features.tables.digest import content_digest
from assay.features.training.rows import RowFile

START = datetime(2026, 1, 1, tzinfo=UTC)
SNAPSHOT = Snapshot("training/router", "an-id", 1, "00")
INSTANT = pl.Datetime("us", "UTC")


@dataclass(frozen=True)
class Rows:
    frame: pl.DataFrame
    id: str = "router@1"
    snapshot: Snapshot = SNAPSHOT
    manifest: Mapping[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "manifest", {"content_digest": content_digest(self.frame)})

    @property
    def feature_columns(self) -> list[str]:
        return []

    def row_files(self) -> list[RowFile]:
        return [RowFile("one", self.frame.height, self.frame.lazy(), lambda: None)]

    def scan(self) -> pl.LazyFrame:
        return self.frame.lazy()

    def scan_unchecked(self) -> pl.LazyFrame:
        return self.frame.lazy()


def at(days: float) -> datetime:
    return START + timedelta(days=days)


def rows(
    days: Sequence[float], customers: Sequence[str | None] | None = None, known: Sequence[float] | None = None
) -> Rows:
    """Rows of some days, by default each of a customer of its own, with a label that is known at once, or on the day `known`."""
    data = {
        "customer_id": pl.Series([f"c{number}" for number in range(len(days))] if customers is None else customers),
        "event_time": pl.Series([at(day) for day in days], dtype=INSTANT),
        "row": pl.Series(range(len(days)), dtype=pl.Int64),
    }
    frame = pl.DataFrame(data)
    return Rows(
        frame if known is None else frame.with_columns(label_known=pl.Series([at(day) for day in known], dtype=INSTANT))
    )
