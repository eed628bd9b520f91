"""An expression that takes any of several equals is refused; what has one result is not, and is the same on disk."""

import random
from pathlib import Path

import polars as pl
import pytest

from assay.checks import Contract, Field, rule
from assay.checks.contract.ties import any_of_ties
from assay.errors import AssayError

A, B = pl.col("a"), pl.col("b")
ANY = [
    A.mode().first() == A,
    (A.mode().last().over("b") == A) & (B > 0),
    A.mode().implode().list.first() == A,
    A.mode().cast(pl.String).first() == "1",
    A.max_by("b") == A,
    A.min_by("b").over("c") == A,
    A.top_k_by("b", 1).first() == A,
    A.bottom_k_by("b", 1).first() == A,
]
ONE = [
    A.mode().sort().first() == A,
    A.mode().sort(descending=True).first().over("b") == A,
    A.mode().min() == A,
    A.mode().drop_nulls().max() == A,
    A.mode().len() == 1,
    A.mode(maintain_order=True).first() == A,
    A.is_in(A.mode().implode()),
    A.sort_by("b", "a").last() == A,
    pl.col("mode(") > 0,
    A.max() == A,
]


@pytest.mark.parametrize("expr", ANY, ids=str)
def test_any_of_several_is_refused_with_another_way(expr: pl.Expr) -> None:
    with pytest.raises(AssayError, match=r"^Ties: the rule tied takes any of several .*; write \."):

        class Ties(Contract):
            a: int = Field()
            b: int = Field()
            c: int = Field()

            @rule(name="tied")
            def tied(cls) -> pl.Expr:
                return expr


@pytest.mark.parametrize("expr", ONE, ids=str)
def test_one_result_is_not(expr: pl.Expr) -> None:
    assert any_of_ties(expr) == ""


@pytest.mark.parametrize("expr", [one for one in ONE if "mode(" not in one.meta.root_names()], ids=str)
def test_what_is_taken_is_the_same_in_memory_and_on_disk(expr: pl.Expr, tmp_path: Path) -> None:
    chance = random.Random(7)
    rows = pl.DataFrame(
        {"a": [chance.randrange(3) for _ in range(3000)], "b": [chance.randrange(2) for _ in range(3000)]}
    )
    rows.write_parquet(tmp_path / "rows.parquet", row_group_size=100)
    lazy = pl.scan_parquet(tmp_path / "rows.parquet").select(expr.alias("holds"))
    expected = rows.select(expr.alias("holds"))["holds"]
    assert lazy.collect(engine="streaming")["holds"].equals(expected)
