"""Keys are unique over the whole history, and a batch reads only the days that may hold one of its keys."""

import shutil
from datetime import time
from typing import Any, cast

import polars as pl
import pytest

from assay.assets.steps.published_rows import Published, With
from assay.checks.contract.rules import SetRule
from assay.checks.validation.duplicates import RANK
from assay.features.storage.parquet_files import storable
from assay.features.tables.key_index import FOLDER
from assay.features.tables.lake import TableState


def quarantined(shop: Any, number: int) -> list[str]:
    table = shop.env.lake.table("quarantine/orders")
    return sorted(table.at().scan([shop.day(number)]).collect()["order_id"])


def test_a_key_of_any_earlier_day_is_found_by_reading_that_day_alone(
    shop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    scanned: list[Any] = []
    scan = TableState.scan

    def counted(self: TableState, partitions: Any = None, *others: Any) -> Any:
        if self.table.name == "clean/orders":
            scanned.append(partitions)
        return scan(self, partitions, *others)

    shop.drop(4, shop.csv(4, 1.0) + shop.csv(1, 5.0).split(b"\n", 1)[1])
    with monkeypatch.context() as patch:
        patch.setattr(TableState, "scan", counted)
        assert not shop.run().failed
    assert [shop.day(1)] in scanned
    assert quarantined(shop, 4) == ["1-1"]

    # The same day again, corrected: its own rows are no duplicates of themselves; with the index lost, too.
    shutil.rmtree(shop.home / "lake" / FOLDER)
    shop.drop(4, shop.csv(4, 1.0, 2.0))
    assert not shop.run().failed
    assert quarantined(shop, 4) == []
    shop.drop(5, shop.csv(4, 3.0) + shop.csv(5, 9.0).split(b"\n", 1)[1])
    assert not shop.run().failed
    assert quarantined(shop, 5) == ["4-1"]


def test_rows_on_their_way_are_compared_in_the_form_that_published_ones_have(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a text and a time of day Polars would make texts without fractions of a second."""
    moment, number = time(14, 3, 0, 500), 2**64 - 1
    on_their_way = pl.LazyFrame({"at": [moment], "number": pl.Series([number], dtype=pl.UInt64)})
    published = storable(on_their_way.collect(), "clean/t").lazy()
    monkeypatch.setattr(Published, "accepted", lambda self, rule, prints: published)
    both = With(Published.__new__(Published), on_their_way).having(cast(SetRule, None), pl.Series()).collect()
    assert both.drop(RANK).rows() == published.collect().rows() * 2
