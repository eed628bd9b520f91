"""How far back features look, from what is recorded of their view."""

from datetime import timedelta

import polars as pl
import pytest

from assay.features.training.lookback import lookback_of
from assay.features.views.entity import Entity
from assay.features.views.feature_view import FeatureView
from assay.features.views.row_wise import Feature
from assay.features.views.windowed import windows

DAY = timedelta(days=1)
CUSTOMER = Entity("customer", ["customer_id"])


def activity(**options) -> FeatureView:
    counted = windows(["1d", "30d"], source="clean/tickets", time="created_at", tickets=pl.len())
    return FeatureView("activity", entity=CUSTOMER, event_time="event_time", features=counted, **options)


def looks_back(view: FeatureView, *features: str) -> timedelta | None:
    recorded = view.metadata()
    return lookback_of(view.name, view.entity.keys, recorded["view"], recorded["serving"], features).back


def test_windows_count_with_the_age_of_what_is_served() -> None:
    assert looks_back(activity(), "tickets_1d") == 2 * DAY, "a value holds for a step"
    assert looks_back(activity(), "tickets_1d", "tickets_30d") == 31 * DAY
    assert looks_back(activity(every="1h"), "tickets_1d") == DAY + timedelta(hours=1)
    assert looks_back(activity(max_age="7d"), "tickets_30d") == 37 * DAY


def test_a_value_of_one_moment_looks_nowhere() -> None:
    view = FeatureView("ticket", entity=CUSTOMER, event_time="created_at", source="clean/tickets",
                       features=[Feature("words", pl.col("text").str.len_chars())], max_age="7d")  # fmt: skip
    assert looks_back(view, "words") == timedelta(0)


@pytest.mark.parametrize(
    ("view", "why"),
    [
        ({}, "does not record"),
        ({"rows_read": []}, "does not record"),
        ({"rows_read": [{"table": "t", "time": None, "width_us": None}]}, "all rows of an entity"),
    ],
)
def test_what_is_not_known_is_not_guessed(view: dict, why: str) -> None:
    found = lookback_of("v", ["k"], view, {"event_time": "t"}, ["f"])
    assert found.back is None
    assert why in found.why


def test_an_engine_of_its_own_says_what_it_reads() -> None:
    view = {
        "rows_read": [
            {"table": "t", "time": "at", "width_us": 5_000_000},
            {"table": "u", "time": "at", "width_us": None},
        ]
    }
    assert lookback_of("v", ["k"], view, {"event_time": "t"}, ["f"]).back == timedelta(seconds=5)
