"""Keys are searched, not guessed from names: alone and together, within a batch and across batches."""

from itertools import combinations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.checks.drafting import keys as module
from assay.checks.drafting.column_stats import stats_of
from assay.checks.drafting.keys import KeyTrial, first_that_holds, keys


def found(frame: pl.DataFrame) -> list[tuple[str, ...]]:
    return keys(frame, [stats_of(column) for column in frame])


def test_a_key_of_three_columns_is_found_whatever_they_are_called() -> None:
    frame = pl.DataFrame(
        [
            {"p": shop, "q": till, "r": number, "x": (shop + till * number) % 3}
            for shop in range(8)
            for till in range(6)
            for number in range(9)
        ]
    )
    assert found(frame)[0] == ("p", "q", "r")


def test_values_that_chance_keeps_apart_are_no_key() -> None:
    amounts = [(number * 7_919_333) % 90_000_000 for number in range(60)]
    assert found(pl.DataFrame({"amount": amounts, "kind": ["a", "b"] * 30})) == []
    assert found(pl.DataFrame({"amount": amounts[:3]})) == [], "few rows prove even less"
    assert found(pl.DataFrame({"line": list(range(60)), "kind": ["a", "b"] * 30}))[0] == ("line",), "they count"


def test_a_column_called_like_a_key_comes_first_and_one_that_repeats_is_none() -> None:
    frame = pl.DataFrame(
        {"text": [f"t{row:03d}" for row in range(60)], "order_no": [f"N{row:03d}" for row in range(60)]}
    )
    assert found(frame)[0] == ("order_no",)
    assert ("group_id",) not in found(pl.DataFrame({"group_id": ["a", "b"] * 30}))


@given(st.lists(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), max_size=12), min_size=1, max_size=5))
def test_repeats_within_and_across_batches_are_counted(batches: list[list[tuple[int, int]]]) -> None:
    trial = KeyTrial(("a", "b"))
    for rows in batches:
        trial.add(pl.DataFrame(rows, {"a": pl.Int64, "b": pl.Int64}, orient="row"))
    assert trial.within == sum(len(rows) - len(set(rows)) for rows in batches)
    assert trial.across == sum(len(set(rows)) for rows in batches) - len({row for rows in batches for row in rows})
    assert not any(set(a) & set(b) for a, b in combinations(batches, 2)) or trial.across > 0


def test_memory_is_bounded_and_the_share_of_repeats_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_KEYS", 2_000)
    trial = KeyTrial(("k",))
    for number in range(20):
        # A tenth of the keys of each batch came in the one before it.
        trial.add(pl.DataFrame({"k": range(number * 900, number * 900 + 1_000)}))
        assert sum(map(len, trial._batches)) <= 2_000
    assert trial.thinned > 0
    assert 0.5 * 1_900 < trial.across < 1.5 * 1_900
    assert not trial.holds


def test_a_key_that_a_batch_lacks_holds_not() -> None:
    whole, lacking = KeyTrial(("k",)), KeyTrial(("n",))
    for frame in (pl.DataFrame({"k": [1, 2], "n": [1, 2]}), pl.DataFrame({"k": [3, 4]})):
        whole.add(frame)
        lacking.add(frame)
    assert first_that_holds([lacking, whole]) is whole
    assert first_that_holds([lacking]) is None
