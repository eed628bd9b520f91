"""Approximate functional dependencies, against all pairs of rows."""

from itertools import combinations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.checks.suggesting import dependencies as module
from assay.checks.suggesting.dependencies import dependencies, grouped, kappa
from assay.checks.suggesting.text_column import text_columns


def brute(group: list[int], value: list[int]) -> float:
    """Per row the share of the other rows of its group with the same value, against the chance for two rows to be equal."""
    rows = [(g, v) for g, v in zip(group, value, strict=True) if g >= 0 and v >= 0]
    shares = []
    for i, (g, v) in enumerate(rows):
        others = [w for j, (h, w) in enumerate(rows) if j != i and h == g]
        if others:
            shares.append(sum(w == v for w in others) / len(others))
    values = [v for _, v in rows]
    chance = sum((values.count(v) / len(values)) ** 2 for v in set(values))
    return (sum(shares) / len(shares) - chance) / (1 - chance)


@given(st.lists(st.tuples(st.integers(-1, 8), st.integers(-1, 3)), min_size=60, max_size=120))
def test_kappa_is_that_of_all_pairs(rows: list[tuple[int, int]]) -> None:
    group, value = [row[0] for row in rows], [row[1] for row in rows]
    found = kappa(np.array(group, dtype=np.int64), np.array(value, dtype=np.int64))
    if found != -1.0:
        assert found == pytest.approx(brute(group, value))


@given(st.lists(st.tuples(st.integers(-1, 3), st.integers(-1, 3)), max_size=30))
def test_groups_of_two_columns_are_their_pairs(rows: list[tuple[int, int]]) -> None:
    made = grouped([np.array([row[i] for row in rows], dtype=np.int64) for i in range(2)])
    for (i, one), (j, other) in combinations(enumerate(rows), 2):
        if -1 in one or -1 in other:
            assert made[i] == -1 or -1 not in one
        else:
            assert (made[i] == made[j]) == (one == other)


def table(rows: int = 400) -> pl.DataFrame:
    random = np.random.default_rng(1)
    zips = random.integers(0, 40, rows)
    first, second = random.integers(0, 8, rows), random.integers(0, 8, rows)
    return pl.DataFrame(
        {
            "zip": [f"z{code}" for code in zips],
            "town": [f"t{code // 2}" for code in zips],
            "noise": [f"n{code}" for code in random.integers(0, 10, rows)],
            "x": [f"x{code}" for code in first],
            "y": [f"y{code}" for code in second],
            "sum": [f"s{a * 3 + b * 5}" for a, b in zip(first, second, strict=True)],
            "kilos": [f"{code / 7:.3f}" for code in zips],
        }
    )


def test_those_that_hold_are_found_and_no_others() -> None:
    columns = text_columns(table())
    names = {
        (tuple(columns[i].name for i in found.determinants), columns[found.dependent].name)
        for found in dependencies(columns)
    }
    # What is measured determines nothing, and y depends on x and their sum only by this table's arithmetic.
    assert {(("zip",), "town"), (("zip",), "kilos"), (("x", "y"), "sum")} <= names
    assert not any("noise" in names_ or dependent == "noise" for names_, dependent in names)
    assert not any("kilos" in determinants for determinants, _ in names)
    assert (("town",), "zip") not in names


def test_few_groups_prove_nothing() -> None:
    frame = pl.DataFrame(
        {"day": ["Thu", "Fri", "Sat", "Sun"] * 20, "meal": ["lunch", "dinner", "dinner", "dinner"] * 20}
    )
    assert module.FEW_GROUPS > 4
    assert dependencies(text_columns(frame)) == []
