"""A store with two feature sets that are materialised."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

import assay

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SALES = assay.FeatureSet("sales", ["shop:*"], version="1.2")
TOWNS = assay.FeatureSet("towns", ["town:*"])


def put(store: assay.Store, sold: int) -> None:
    with store.transaction("features/shop") as tx:
        rows = pl.DataFrame(
            {
                "shop": ["a", "b"],
                "at": [NOON, NOON - timedelta(days=9)],
                "sold": [sold, 2],
                "share": [float("nan"), 0.5],
                "open": [True, None],
                "since": [NOON.date(), None],
                "logo": [b"\xff", None],
                "vector": [[1.0, 2.0], None],
            }
        )
        tx.write_view("shop", rows, keys=["shop"], event_time="at", max_age="2d")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[assay.Store]:
    made = assay.open(home=tmp_path, lake=tmp_path / "lake")
    put(made, 1)
    with made.transaction("features/town") as tx:
        tx.write_view(
            "town", pl.DataFrame({"town": [1, 2], "at": [NOON] * 2, "people": [10, 20]}), keys=["town"], event_time="at"
        )
    made.materialize_online(SALES, at=NOON)
    made.materialize_online(TOWNS, at=NOON)
    yield made
    made.recorder.close()
