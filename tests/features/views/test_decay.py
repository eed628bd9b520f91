"""Decayed sums over windows, beside plain Python."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from assay.errors import AssayError
from assay.features.views.decay import decayed
from assay.features.views.entity import Entity
from assay.features.views.feature_view import FeatureView
from assay.features.views.windowed import windows

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOURS = [0, 1, 5, 23, 25]


def view(half_life: str = "6h") -> FeatureView:
    recent = decayed(pl.col("amount"), half_life)
    return FeatureView("v", Entity("k", ["k"]), "at", windows(["1d", "2d"], source="t", time="time", recent=recent))


def test_an_event_counts_half_as_much_for_each_half_life() -> None:
    events = pl.LazyFrame(
        {
            "k": ["a"] * len(HOURS) + ["b"],
            "time": pl.Series([NOON - timedelta(hours=hour) for hour in [*HOURS, 30]], dtype=pl.Datetime("us", "UTC")),
            "amount": [8, 4, None, 2, 1, 16],
        }
    )
    rows = view().compute({"t": events}, NOON).sort("k")
    amounts = dict(zip(HOURS, [8, 4, 0, 2, 1], strict=True))

    def total(width: int) -> float:  # an event exactly at t is not yet in the window
        return sum(amount * 0.5 ** (hour / 6) for hour, amount in amounts.items() if 0 < hour <= width)

    assert rows["recent_1d"].to_list() == [pytest.approx(total(24)), 0.0]
    assert rows["recent_2d"].to_list() == [pytest.approx(total(48)), pytest.approx(16 * 0.5**5)]


def test_its_lineage_names_columns_of_the_table_alone() -> None:
    lineage = view().column_lineage()["recent_1d"]
    assert lineage == {"direct": [("t", "amount")], "indirect": [("t", "k"), ("t", "time")]}


def test_what_cannot_be_decayed_is_refused() -> None:
    with pytest.raises(AssayError, match="half_life"):
        view("soon")
    with pytest.raises(AssayError, match="expression"):
        decayed(3, "1d")  # pyright: ignore[reportArgumentType]
