"""Ranges: only from many batches, with room, and not where the last ones leave that of the first."""

import polars as pl
import pytest

from assay.checks.drafting.ranges import BATCHES, Range


def bounds(days: list[list[float]]) -> tuple[float, float] | None:
    found = Range()
    for number, values in enumerate(days):
        found.add(pl.Series(values), late=2 * number >= len(days))
    return found.bounds()


STEADY = [[10.0, 20.0 + number % 3] for number in range(20)]


def test_a_steady_range_has_room_to_both_sides() -> None:
    low, high = bounds(STEADY) or (0, 0)
    assert low <= 10 - 2 * 10
    assert high >= 22 + 2 * 10
    assert (low, high) == (-20, 50)


@pytest.mark.parametrize(
    "days",
    [
        STEADY[: BATCHES - 1],
        [[10.0 * number, 10.0 * number + 1] for number in range(20)],
        [[5.0, 5.0]] * 20,
    ],
    ids=["few batches", "it moves", "one value"],
)
def test_no_range(days: list[list[float]]) -> None:
    assert bounds(days) is None


def test_the_outliers_of_a_single_batch_do_not_widen_it() -> None:
    usual = [[*(float(value % 10) for value in range(1_000))] for _ in range(20)]
    wide = [list(values) for values in usual]
    wide[3][0] = 1e9
    assert bounds(wide) == bounds(usual)
