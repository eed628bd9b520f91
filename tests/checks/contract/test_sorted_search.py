"""Rules whose answer would depend on where the rows lie are refused; those of a defined one say the same on disk as in memory."""

from pathlib import Path

import polars as pl
import pytest

from assay.checks import Contract, Field, rule, validate, validate_spilled
from assay.checks.contract.sorted_search import searches_unsorted
from assay.checks.validation import blocks
from assay.errors import AssayError

W = pl.col("w")
UNSORTED = [W.search_sorted(5).first() < 9, pl.lit(1) + W.reverse().search_sorted(W) < W, W.search_sorted(W) < 9]
SORTED = [W.sort().search_sorted(W) < 9, W.sort(descending=True).search_sorted(5, descending=True).first() < W]
#: Of another length than the table, whatever the engine makes of it.
OTHER_LENGTHS = [W.sort().search_sorted(5) < 9, W.unique() > 1, W.drop_nulls() > 1, W.head(2) > 1, W.filter(W > 2) > 1]
ANY_LENGTH = [
    (W > 1).any(),
    W.mean() < W,
    W.is_in(W.top_k(3).implode()),
    W.filter(W > 2).min() <= W,
    pl.col("search_sorted") > 0,
    W.shift(1) < W,
    pl.lit(True),
]


def with_rule(expr: pl.Expr) -> type[Contract]:
    class Made(Contract):
        w: int = Field()
        search_sorted: int = Field()

        @rule(name="r")
        def r(cls) -> pl.Expr:
            return expr

    return Made


@pytest.mark.parametrize("expr", UNSORTED, ids=str)
def test_a_search_in_unsorted_values_is_refused(expr: pl.Expr) -> None:
    with pytest.raises(AssayError, match="r searches in values that are not sorted"):
        with_rule(expr)


@pytest.mark.parametrize("expr", OTHER_LENGTHS, ids=str)
def test_a_rule_of_another_length_than_the_table_is_refused(expr: pl.Expr) -> None:
    with pytest.raises(AssayError, match="r must give one truth value per row, or one for all"):
        with_rule(expr)


@pytest.mark.parametrize("expr", [*SORTED, *ANY_LENGTH], ids=str)
@pytest.mark.parametrize("unreadable", [False, True])
def test_verdicts_on_disk_are_those_in_memory(
    expr: pl.Expr, unreadable: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "ROWS", 3)
    numbers = [str(number * 7 % 20) if not unreadable or number % 6 else "x" for number in range(20)]
    frame = pl.DataFrame({"w": numbers, "search_sorted": range(20)})
    contract = with_rule(expr)
    in_memory, spilled = validate(frame, contract), validate_spilled(frame.lazy(), contract, tmp_path)
    assert spilled.report == in_memory.report
    assert spilled.clean.collect().equals(in_memory.clean)
    assert spilled.quarantined.collect().equals(in_memory.quarantined)


def test_a_search_beside_a_function_in_python_cannot_be_seen_through() -> None:
    text = pl.col("w").map_batches(lambda values: values, return_dtype=pl.Int64)
    assert searches_unsorted(text.search_sorted(5))
    assert not searches_unsorted(text)
