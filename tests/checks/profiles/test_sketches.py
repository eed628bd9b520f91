"""Sketches against the exact answer, and parts joined against the whole."""

import json
import math
import os
from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.checks.profiles.sketch_distinct import Distinct
from assay.checks.profiles.sketch_frequent import KEPT, Frequent
from assay.checks.profiles.sketch_histogram import Histogram
from assay.checks.profiles.sketch_moments import Moments
from assay.checks.profiles.sketch_quantiles import Quantiles
from assay.errors import AssayError

MOST = 2_000_000 if os.environ.get("SOAK") else 100_000
floats = st.lists(st.floats(-1e6, 1e6), max_size=60)


def hashes(numbers: range) -> np.ndarray:
    return pl.Series(numbers, dtype=pl.Int64).hash(seed=0).to_numpy()


@pytest.mark.parametrize("count", [0, 1, 2, 10, 100, 1000, 10_000, MOST])
def test_distinct_is_within_its_error(count: int) -> None:
    estimate = Distinct.of(hashes(range(count))).estimate()
    assert abs(estimate - count) <= 4 * 0.0163 * count
    assert count > 10 or estimate == count


@given(st.lists(st.integers(0, 3000), max_size=200), st.lists(st.integers(0, 3000), max_size=200))
def test_distinct_of_parts_is_that_of_the_whole(first: list[int], second: list[int]) -> None:
    def sketch(values: list[int]) -> Distinct:
        return Distinct.of(pl.Series(values, dtype=pl.Int64).hash(seed=0).to_numpy())

    joined = sketch(first).merge(sketch(second))
    assert joined.to_dict() == sketch(first + second).to_dict()
    assert Distinct.from_dict(json.loads(json.dumps(joined.to_dict()))).estimate() == joined.estimate()


def test_distinct_of_many_values_looks_at_few_of_them() -> None:
    many = hashes(range(1 << 17))
    assert Distinct.of(many).to_dict() == Distinct._of(many).to_dict()
    # Of one register no small rest is there, so that the others count.
    uneven = np.where(many & np.uint64(4095) == 7, many | np.uint64(1 << 63), many)
    assert Distinct.of(uneven).to_dict() == Distinct._of(uneven).to_dict()
    assert Distinct._of(uneven).registers[7] == 1


def test_sketches_of_two_hash_functions_are_not_joined() -> None:
    with pytest.raises(AssayError, match="hash functions"):
        Distinct().merge(Distinct(hash="another"))


@given(floats)
def test_few_values_have_exact_quantiles(values: list[float]) -> None:
    sketch = Quantiles.of(np.array(values))
    ordered = sorted(values)
    for share in (0.0, 0.1, 0.5, 0.99, 1.0):
        wanted = ordered[max(0, math.ceil(share * len(values)) - 1)] if values else None
        assert sketch.quantiles([share]) == [wanted]


@pytest.mark.parametrize("parts", [1, 2, 7, 100])
@pytest.mark.parametrize("shape", ["uniform", "lognormal", "sorted", "few"])
def test_ranks_are_within_their_error_however_many_parts_are_joined(parts: int, shape: str) -> None:
    random = np.random.default_rng(parts)
    values = {
        "uniform": random.uniform(size=MOST),
        "lognormal": random.lognormal(sigma=3, size=MOST),
        "sorted": np.arange(MOST, dtype=float),
        "few": random.integers(0, 5, MOST).astype(float),
    }[shape]
    sketch = Quantiles()
    for part in np.array_split(values, parts):
        sketch = sketch.merge(Quantiles.of(part))
    assert sketch.count == len(values)
    assert sum(map(len, sketch.levels)) <= 1000
    ordered = np.sort(values)
    for share in (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99):
        (found,) = sketch.quantiles([share])
        assert found is not None
        low, high = np.searchsorted(ordered, [found, np.nextafter(found, np.inf)]) / len(values)
        assert low - 0.02 <= share <= high + 0.02
        assert abs(sketch.share_at_or_below(found) - high) <= 0.02
    assert Quantiles.from_dict(json.loads(json.dumps(sketch.to_dict()))).quantiles([0.5]) == sketch.quantiles([0.5])


def test_a_sketch_does_not_hold_the_values_in_memory() -> None:
    levels = Quantiles.of(np.arange(100_001.0)).levels
    assert sum((level if level.base is None else level.base).nbytes for level in levels) < 50_000


def test_the_same_values_always_give_the_same_sketch() -> None:
    values = np.random.default_rng(1).normal(size=50_000)
    assert Quantiles.of(values).to_dict() == Quantiles.of(values[::-1]).to_dict()


@given(st.lists(st.sampled_from("abcdef") | st.text(max_size=3), max_size=300), st.integers(0, 300))
def test_frequent_values_are_within_their_error(values: list[str], cut: int) -> None:
    def summary(part: list[str]) -> Frequent:
        return Frequent.of(Counter(part))

    joined, true = summary(values[:cut]).merge(summary(values[cut:])), Counter(values)
    assert joined.error <= len(values) / (KEPT + 1)
    assert len(joined.counts) <= KEPT
    for value, count in true.items():
        assert joined.counts.get(value, 0) <= count <= joined.counts.get(value, 0) + joined.error
    if len(true) <= KEPT:
        assert joined == Frequent(dict(true)) == summary(values)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=60), st.integers(0, 60))
def test_histogram_bins_hold_their_values_and_add_up(values: list[float], cut: int) -> None:
    def histogram(part: list[float]) -> Histogram:
        return Histogram.of(np.array(part, dtype=float))

    joined = histogram(values[:cut]).merge(histogram(values[cut:]))
    assert joined == histogram(values) == Histogram.from_dict(json.loads(json.dumps(joined.to_dict())))
    for low, high, count in joined.bars():
        inside = [value for value in values if (low <= value < high if low >= 0 else low < value <= high and value < 0)]
        assert len(inside) == count
    assert sum(count for *_, count in joined.bars()) == len(values)


def test_histogram_edges_are_four_to_a_doubling() -> None:
    bars = Histogram.of(np.array([1.0, 1.24, 1.25, 3.9, -1.0, 0.0])).bars()
    assert [bar for bar in bars if bar[0] >= 1] == [(1.0, 1.25, 2), (1.25, 1.5, 1), (3.5, 4.0, 1)]
    assert bars[0] == (-1.25, -1.0, 1)


@given(floats, floats)
def test_moments_of_parts_are_those_of_the_whole(first: list[float], second: list[float]) -> None:
    joined = Moments.of(np.array(first)).merge(Moments.of(np.array(second)))
    whole = Moments.of(np.array(first + second))
    scale = max([1.0, *map(abs, first + second)])
    assert joined.count == whole.count
    for power, name in ((1, "mean"), (2, "m2"), (3, "m3"), (4, "m4")):
        tolerance = 1e-9 * scale**power * max(1, whole.count)
        assert math.isclose(getattr(joined, name), getattr(whole, name), rel_tol=1e-9, abs_tol=tolerance)
    if whole.std is not None:
        assert whole.std == pytest.approx(float(np.std(first + second)))
