"""Which aggregations can be computed of parts, and what they come to: the value of the whole window, or they are refused."""

import polars as pl
import pytest

from assay.features.views.decay import AGE
from assay.features.window_parts.decompose import decompose

A, B = pl.col("a"), pl.col("b")


@pytest.mark.parametrize(
    "expr",
    [
        pl.len(),
        A.sum() / pl.len(),
        A.filter(B > 1).sum(),
        A.filter(B > 1, A > 0).max(),
        (A * 2 + B).mean(),
        (A > 1).sum(),
        pl.when(A.count() > 0).then(A.sum()),
        A.std(ddof=0) + A.var(),
        A.n_unique().cast(pl.Float64).alias("kinds"),
        A.nan_max() - A.min(),
        A.first(),
        A.filter(B > 1).top_k(2).sort(descending=True).implode(),
        pl.col("name").str.len_chars().max(),
        A.sum().fill_null(0).round(2),
        pl.when(pl.col("name") == "Len").then(A).sum(),
    ],
    ids=str,
)
def test_aggregations_that_are_taken_apart(expr: pl.Expr) -> None:
    events = pl.DataFrame({"a": [1.0, None, 3.0], "b": [2.0, 1.0, 5.0], "name": ["x", "Len", "yy"]})
    apart = decompose(expr)
    assert apart is not None
    values = events.select(one.expr.alias(one.column) for one in apart.aggregations)
    assert values.select(apart.value.alias("value")).equals(events.select(expr.alias("value")))


@pytest.mark.parametrize(
    "expr",
    [
        A.median(),
        A.quantile(0.9),
        A.filter(B > 1).last(),  # of a part without such rows it would be null, as a value may be
        A.sort().first(),
        A.shift().sum(),
        A.cum_sum().last(),
        A.head(3).sum(),
        (A - A.mean()).sum(),
        A.sum() + A.first().over("b"),
        A.filter(A.mean() < A).sum(),
        A.is_null().any(),
        pl.col("^a.*$").sum(),
        pl.lit(1).sum(),
        A.top_k(2).implode(),  # in no certain order
        (A * pl.col(AGE)).sum(),
        (A * (pl.col(AGE) * 0.5).exp()).mean(),
    ],
    ids=str,
)
def test_what_parts_do_not_give_is_not_taken_apart(expr: pl.Expr) -> None:
    assert decompose(expr) is None


def test_the_same_aggregation_has_the_same_column_and_another_has_another() -> None:
    one, same, other = decompose(A.sum() / pl.len()), decompose(A.sum()), decompose(A.filter(B > 2).sum())
    assert one is not None and same is not None and other is not None
    assert one.aggregations[0].column == same.aggregations[0].column != other.aggregations[0].column
