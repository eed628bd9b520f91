"""Distributions: what is shown of a column, and how far two are apart."""

from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.features.training.distribution import distribution, shift


def test_numbers_are_summarised() -> None:
    found = distribution(pl.Series("n", [1.0, 2.0, 3.0, None, float("nan"), float("inf")]), summarised=True, named=True)
    assert found.to_dict() == {
        "rows": 6, "nulls": 1, "distinct": 5, "mean": 2.0, "min": 1.0, "max": 3.0,
        "q0.05": 1.0, "q0.25": 2.0, "q0.5": 2.0, "q0.75": 3.0, "q0.95": 3.0,
    }  # fmt: skip


def test_what_may_not_be_shown_is_only_counted() -> None:
    counted = {"rows", "nulls", "distinct"}
    for column in (pl.Series("n", [1, 2]), pl.Series("t", ["anna", "bert"]), pl.Series("d", [date(1980, 1, 1)])):
        assert distribution(column, summarised=False, named=False).to_dict().keys() == counted
    assert distribution(pl.Series("t", ["anna"]), summarised=True, named=False).to_dict().keys() == counted
    many = pl.Series("t", [str(number) for number in range(30)])
    assert distribution(many, summarised=True, named=True).shares == {}, "these are no categories"
    assert distribution(pl.Series("t", ["b", "a", "b", None]), summarised=True, named=True).shares == {
        "b": 0.5,
        "a": 0.25,
    }
    vectors = pl.Series("v", [[1.0], None])
    assert distribution(vectors, summarised=True, named=True).to_dict() == {"rows": 2, "nulls": 1, "distinct": None}
    assert (
        distribution(pl.Series("d", [date(2026, 1, 2), None]), summarised=True, named=True).summary["min"]
        == "2026-01-02"
    )


@given(
    a=st.lists(st.none() | st.integers(0, 5), min_size=1, max_size=12),
    b=st.lists(st.none() | st.integers(0, 5), min_size=1, max_size=12),
)
@settings(deadline=None, max_examples=100)
def test_shifts_against_brute_force(a: list[int | None], b: list[int | None]) -> None:
    ours, theirs = pl.Series("x", a, dtype=pl.Int64), pl.Series("x", b, dtype=pl.Int64)
    nulls = abs(a.count(None) / len(a) - b.count(None) / len(b))
    sides = [[value for value in side if value is not None] for side in (a, b)]
    steps = [
        abs(np.mean([v <= x for v in sides[0]]) - np.mean([v <= x for v in sides[1]])) for x in range(6) if all(sides)
    ]
    expected = max(steps) if steps else float(bool(sides[0]) != bool(sides[1]))
    assert shift(ours, theirs) == pytest.approx(max(nulls, expected))
    shares = [abs(a.count(value) / len(a) - b.count(value) / len(b)) for value in {*a, *b}]
    assert shift(ours.cast(pl.String), theirs.cast(pl.String)) == pytest.approx(sum(shares) / 2)


def test_vectors_and_empty_columns_have_no_shift() -> None:
    assert shift(pl.Series([[1.0]]), pl.Series([[2.0]])) is None
    assert shift(pl.Series("x", [], dtype=pl.Int64), pl.Series([1])) is None
