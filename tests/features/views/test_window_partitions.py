"""What is remembered of the times in a file; which partitions windows read is tested in tests/assets/steps/test_windows.py."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from assay.features.views.window_partitions import _MOST_SPANS, _runs


@given(st.sets(st.integers(-2_000, 2_000)))
def test_runs_hold_exactly_the_hours_that_there_are(given_hours: set[int]) -> None:
    hours = sorted(given_hours)
    runs = list(_runs(hours))
    held = [hour for first, last in runs for hour in range(first, last + 1)]
    assert len(runs) <= _MOST_SPANS
    assert held == sorted(set(held))
    assert set(hours) <= set(held)
    if 1 + sum(after - before > 1 for before, after in pairwise(hours)) <= _MOST_SPANS:
        assert held == hours


def test_of_too_many_runs_the_nearest_are_taken_together() -> None:
    hours = [*range(0, 2 * _MOST_SPANS, 2), 10_000, 20_000]
    runs = list(_runs(hours))
    assert len(runs) <= _MOST_SPANS
    assert runs[-2:] == [(10_000, 10_000), (20_000, 20_000)]
