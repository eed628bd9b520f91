"""Numbers far from all others."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.checks.suggesting.outliers import outliers
from tests.checks.suggesting.columns import doubted_cells

RANDOM = random.Random(4)
AMOUNTS: list[str | None] = [f"{RANDOM.gauss(100, 10):.1f}" for _ in range(200)]


@pytest.mark.parametrize("value", ["1000.5", "-40", "0.98", "1e6"])
def test_a_number_far_out_is_doubted(value: str) -> None:
    assert list(doubted_cells(outliers, {"c": [*AMOUNTS, value]})) == [(200, "c")]


def test_heavy_tails_and_codes_are_not() -> None:
    tails = [f"{RANDOM.lognormvariate(3, 1.2):.2f}" for _ in range(1000)]
    assert doubted_cells(outliers, {"c": list(tails)}) == {}
    codes = [*(str(35000 + number) for number in range(100)), "99999"]
    assert doubted_cells(outliers, {"c": list(codes)}) == {}


def test_a_number_is_judged_within_its_group() -> None:
    kinds: list[str | None] = ["freezer", "oven"] * 100
    degrees = [f"{RANDOM.gauss(-18 if kind == 'freezer' else 220, 2):.1f}" for kind in kinds]
    degrees[0] = "219.5"
    found = doubted_cells(outliers, {"kind": kinds, "degrees": list(degrees)})
    assert list(found) == [(0, "degrees")]
    assert found[0, "degrees"].reason.endswith("the rows with the same kind.")


@given(st.integers(0, 2**32 - 1))
def test_normal_numbers_are_hardly_ever_doubted(seed: int) -> None:
    numbers = np.random.default_rng(seed).normal(size=300)
    assert len(doubted_cells(outliers, {"c": [repr(float(number)) for number in numbers]})) == 0
