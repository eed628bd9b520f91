"""Holding back: rows after a moment, never some of the same moment on both sides; measures that are right."""

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.assets.steps.held_back import default_metrics, first_held_back

START = datetime(2026, 3, 1, tzinfo=UTC)


def times(hours: list[int]) -> pl.Series:
    return pl.Series([START + timedelta(hours=hour) for hour in hours], dtype=pl.Datetime("us", "UTC"))


@given(st.lists(st.integers(0, 20), max_size=30), st.floats(0, 0.99))
def test_about_the_wanted_share_comes_after_the_cut_and_both_sides_have_rows(hours: list[int], share: float) -> None:
    cut = first_held_back(times(hours), share)
    if cut is None:
        # Nothing was wanted, there are too few rows, or the wanted share begins at the first moment.
        assert (
            share == 0 or not hours or sorted(hours)[min(int(len(hours) * (1 - share)), len(hours) - 1)] == min(hours)
        )
        return
    later = [hour for hour in hours if START + timedelta(hours=hour) >= cut]
    assert 0 < len(later) < len(hours)
    ties = hours.count(min(later))
    assert len(hours) * share - 1 <= len(later) <= max(len(hours) * share, 1) + ties


def test_a_day_begins_at_midnight_utc() -> None:
    series = times([1, 23, 24, 30])
    assert first_held_back(series, date(2026, 3, 2)) == datetime(2026, 3, 2, tzinfo=UTC)
    assert first_held_back(series, date(2026, 3, 1)) is None
    assert first_held_back(series, date(2026, 3, 9)) is None


def test_classes_are_right_or_wrong_and_no_answer_is_wrong() -> None:
    rows = pl.DataFrame({"label": ["a", "b", "c", "d"]})
    assert default_metrics("label", rows, pl.DataFrame({"said": ["a", "b", "x", "d"]})) == {"accuracy": 0.75}
    some = default_metrics("label", rows, pl.DataFrame({"said": ["a", None, "x", "d"]}))
    assert some == {"accuracy": 0.5, "answered": 0.75}
    truth = pl.DataFrame({"label": [True, False]})
    assert default_metrics("label", truth, pl.DataFrame({"said": [True, True]})) == {"accuracy": 0.5}
    assert default_metrics("label", pl.DataFrame({"label": [1, 2]}), pl.DataFrame({"said": [1, 3]})) == {
        "accuracy": 0.5
    }


def test_numbers_have_errors() -> None:
    rows = pl.DataFrame({"label": [1.0, 2.0, 3.0]})
    assert default_metrics("label", rows, pl.DataFrame({"said": [1.0, 5.0, 3.0]})) == {
        "rmse": pytest.approx(3**0.5),
        "mae": pytest.approx(1.0),
    }
    whole = default_metrics("label", pl.DataFrame({"label": [1, 2, 3]}), pl.DataFrame({"said": [1.0, 5.0, None]}))
    assert whole == {"rmse": pytest.approx(4.5**0.5), "mae": pytest.approx(1.5), "answered": pytest.approx(2 / 3)}
    assert default_metrics("label", rows, pl.DataFrame({"said": [None] * 3}, {"said": pl.Float64})) == {"answered": 0.0}
