"""Folds: each row is tested once, and nothing of a test part is seen by what learns for it."""

from datetime import timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.errors import AssayError
from assay.features.training.folds import fold_rows, split_again
from assay.features.training.leaks import SplitLeaks
from assay.features.training.lookback import Lookback
from tests.conftest import SOAK
from tests.features.training.rows import Rows, at, rows

CUSTOMER = ("customer_id",)
DAY = timedelta(days=1)
TWO_DAYS = Lookback("activity", CUSTOMER, 2 * DAY)
TWENTY = rows(range(20), ["a", "b"] * 10)


def numbers(
    made: Rows = TWENTY, count: int = 4, views=(TWO_DAYS,), **options: Any
) -> list[tuple[list[int], list[int]]]:
    folds = fold_rows(made, views, count, **options)
    return [(train["row"].to_list(), test["row"].to_list()) for train, test in folds]


def test_blocks_of_time_are_purged_on_both_sides() -> None:
    made = numbers(embargo="2d")
    assert [test for _, test in made] == [[*range(n, n + 5)] for n in (0, 5, 10, 15)]
    assert made[1][0] == [0, 1, 2, *range(12, 20)]
    (_, second, *_) = fold_rows(TWENTY, [TWO_DAYS], 4, embargo="2d")
    assert second.definition["left_out"] == {"embargo": 4}
    assert split_again(TWENTY, [TWO_DAYS], second.definition).id == second.id


def test_forward_folds_learn_from_before_alone() -> None:
    made = numbers(count=3, forward=True, embargo="2d")
    assert made == [([*range(n - 2)], [*range(n, n + 5)]) for n in (5, 10, 15)]


def test_an_embargo_that_is_too_short_is_refused() -> None:
    with pytest.raises(SplitLeaks, match=r"'activity' looks 2d back.*embargo='2d'"):
        numbers()
    with pytest.raises(SplitLeaks, match="only 1d apart"):
        numbers(embargo="12h")
    assert numbers(lookback="1h")
    assert numbers(rows(range(20)))  # nobody is seen twice


def test_labels_of_a_block_are_known_to_none_who_learns_for_it() -> None:
    made = rows(range(20), known=[day + 3 for day in range(20)])
    (_, (train, test), *_) = numbers(made, embargo="2d")
    assert test == [5, 6, 7, 8, 9]
    assert train == [0, 1, 2, *range(14, 20)]  # the last label came on day 12, and features look 2 days back


def test_each_entity_is_tested_once() -> None:
    made = rows(range(60), [f"c{number % 20}" for number in range(60)])
    folds = fold_rows(made, [TWO_DAYS], 3, by_entity="customer_id")
    tested = [set(fold.test["customer_id"]) for fold in folds]
    assert sum(map(len, tested)) == 20 == len(set.union(*tested))
    assert all(not set(fold.train["customer_id"]) & set(fold.test["customer_id"]) for fold in folds)
    ticket = Rows(made.frame.with_columns(ticket_id="row"))
    with pytest.raises(SplitLeaks, match="customer_id"):
        fold_rows(ticket, [TWO_DAYS], 3, by_entity="ticket_id")


@pytest.mark.parametrize(
    ("count", "options", "message"),
    [
        (1, {}, "at least 2"),
        (3, {"by_entity": "customer_id", "forward": True}, "leave by_entity out"),
        (30, {"embargo": "2d"}, "too few different times for 30"),
        (4, {"embargo": "90d"}, "train has no rows"),
    ],
)
def test_what_makes_no_folds_is_explained(count: int, options: dict[str, Any], message: str) -> None:
    with pytest.raises(AssayError, match=message):
        numbers(count=count, **options)


@given(
    data=st.lists(
        st.tuples(st.integers(0, 60), st.integers(0, 9)), min_size=6, max_size=30, unique_by=lambda row: row[0]
    ),
    count=st.integers(2, 4),
    span=st.integers(0, 5),
    forward=st.booleans(),
)
@settings(deadline=None, max_examples=500 if SOAK else 25)
def test_against_brute_force(data: list[tuple[int, int]], count: int, span: int, forward: bool) -> None:
    made = rows([day for day, _ in data], ["a"] * len(data), [day + late for day, late in data])
    views = [Lookback("activity", CUSTOMER, span * DAY)]
    try:
        folds = fold_rows(made, views, count, embargo=span * DAY, forward=forward)
    except SplitLeaks:
        raise
    except AssayError:
        return  # some part is empty
    every = made.frame
    for fold in folds:
        test = every.filter(pl.col("row").is_in(fold.test["row"].implode()))
        begin, end = test["event_time"].min(), test["event_time"].max()
        seen = max(test["label_known"].max(), end)  # type: ignore[type-var]
        expected = [
            row["row"]
            for row in every.to_dicts()
            if (row["event_time"] + span * DAY < begin and row["label_known"] <= begin)
            or (not forward and row["event_time"] > end and row["event_time"] - span * DAY >= seen)
        ]
        learned = fold.train["row"].to_list()
        assert set(learned) <= set(expected)
        # A block ends where the next one begins: up to there nothing more may be learned.
        later = every.filter(pl.col("event_time") > end)["event_time"].min() or at(1000)
        strict = [number for number in expected if every["event_time"][number] - span * DAY >= later or
                  every["event_time"][number] < begin]  # fmt: skip
        assert set(strict) <= set(learned)
    tested = [row for fold in folds for row in fold.test["row"]]
    assert len(tested) == len(set(tested))
    assert forward or len(tested) == every.height
