"""Column lineage of Polars expressions: what they say, and that no random output depends on what it does not say."""

import os
import random

import polars as pl
import polars.selectors as cs
import pytest

from assay.errors import AssayError
from assay.lineage.columns.polars import polars_lineage

EXPRESSIONS = 250 if os.environ.get("SOAK") else 50
NAMES = ["a", "b", "c", "d"]
SCHEMA = pl.Schema({"a": pl.Int64(), "b": pl.Int64(), "t": pl.String()})


def test_columns_filters_and_groups() -> None:
    found = polars_lineage(
        [pl.col("a").sum().alias("x"), pl.len().alias("n"), pl.when(pl.col("b") > 1).then(1).alias("y")],
        "clean/t",
        SCHEMA,
        filters=[pl.col("t") == "x"],
        by=["b"],
    )
    chosen = [("clean/t", "b"), ("clean/t", "t")]
    assert found == {
        "x": {"direct": [("clean/t", "a")], "indirect": chosen},
        "n": {"direct": [], "indirect": chosen},
        "y": {"direct": [("clean/t", "b")], "indirect": chosen},
    }


def test_selectors_are_spelt_out() -> None:
    found = polars_lineage([cs.integer()], "t", SCHEMA)
    assert found == {name: {"direct": [("t", name)], "indirect": []} for name in ("a", "b")}


def test_computing_with_a_selector_is_unknown() -> None:
    assert polars_lineage([cs.integer() * 2], "t", SCHEMA) == {"a": "unknown", "b": "unknown"}
    assert polars_lineage([pl.sum_horizontal(cs.integer()).alias("s")], "t", SCHEMA) == {"s": "unknown"}
    assert polars_lineage([pl.col("a")], "t", SCHEMA, filters=[cs.integer() > 1]) == {"a": "unknown"}


def test_an_expression_that_does_not_fit_is_refused() -> None:
    with pytest.raises(AssayError, match="does not fit the columns of clean/t"):
        polars_lineage([pl.col("nothing")], "clean/t", SCHEMA)


def value(chance: random.Random, depth: int = 3) -> pl.Expr:
    """A random expression over whole numbers that gives a value per row."""
    if depth == 0 or chance.random() < 0.2:
        return pl.col(chance.choice(NAMES)) if chance.random() < 0.8 else pl.lit(chance.randint(0, 5))
    one, two, three = (value(chance, depth - 1) for _ in range(3))
    column = chance.choice(NAMES)
    forms = [
        lambda: one + two,
        lambda: one * two,
        lambda: pl.when(one > two).then(three).otherwise(0),
        lambda: pl.max_horizontal(one, two),
        lambda: pl.coalesce(one, two),
        lambda: (pl.col(column) + one).sum().over(chance.choice(NAMES)),
        lambda: pl.col(column).sort_by(chance.choice(NAMES)),
        lambda: pl.col(column).cum_sum() + one,
        lambda: pl.col(column).rank("dense").cast(pl.Int64) - two,
        lambda: one + pl.col(column).filter(pl.col(chance.choice(NAMES)) > 2).sum(),
        lambda: pl.col(column).is_in(pl.col(chance.choice(NAMES)).implode()).cast(pl.Int64) + one,
        lambda: pl.struct(x=one, y=two).struct.field(chance.choice("xy")),
        lambda: pl.col(column).shift(1) + two,
        lambda: pl.concat_list(one, two).list.max(),
    ]
    return chance.choice(forms)()


def run(frame: pl.DataFrame, made: list[pl.Expr], filters: list[pl.Expr], by: list[str]) -> pl.DataFrame:
    rows = frame.lazy().filter(*filters)
    rows = rows.group_by(by).agg(expr.sum() for expr in made).select(pl.exclude(by)) if by else rows.select(made)
    return rows.select(pl.all().sort()).collect()


def test_an_output_changes_only_with_the_columns_it_names() -> None:
    chance = random.Random(11)
    schema = pl.Schema(dict.fromkeys(NAMES, pl.Int64()))
    changed = known = 0
    for number in range(EXPRESSIONS):
        frame = pl.DataFrame({name: [chance.randint(0, 6) for _ in range(12)] for name in NAMES}, schema)
        made = [value(chance).alias("x"), (pl.col(chance.choice(NAMES)) + value(chance)).alias("y")]
        filters = [value(chance, 1) > 1] if chance.random() < 0.3 else []
        by = [chance.choice(NAMES)] if chance.random() < 0.3 else []
        lineage = polars_lineage(made, "t", schema, filters=filters, by=by)
        known += sum(sources != "unknown" for sources in lineage.values())
        base = run(frame, made, filters, by)
        for name in NAMES:
            for column in (frame[name].shuffle(seed=number), pl.Series(name, chance.choices(range(7), k=12))):
                after = run(frame.with_columns(column), made, filters, by)
                for output, sources in lineage.items():
                    if not after[output].equals(base[output]):
                        changed += 1
                        said = sources == "unknown" or ("t", name) in [*sources["direct"], *sources["indirect"]]
                        assert said, f"{number}: {output} depends on {name}: {made}, filter {filters}, by {by}"
    assert known == 2 * EXPRESSIONS, "nothing here is a pattern"
    assert changed > 4 * EXPRESSIONS
