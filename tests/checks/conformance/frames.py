"""Whole frames: columns, keys, lazy frames, dropping, custom checks, empty frames, references, counts."""

from typing import Any

import pandera.polars as pa
import polars as pl

from assay.checks import RowCount
from tests.checks.conformance.case import BATCH, CONTRACT, DELIVERY, UNKNOWN, Case, column, values

PAIR = {"a": (int, {}), "b": (int, {})}
PAIRS = pl.DataFrame({"a": [1, 1, 1], "b": [1, 1, 2]})
ORDERS = {"v": (str, {"exists_in": "customers.id"})}
KNOWN = {"references": {"customers": pl.DataFrame({"id": ["a", None]})}}


def aggregate(cls: type, data: Any) -> pl.LazyFrame:
    return data.lazyframe.select(pl.col("v").mean() > 10)


def even(cls: type, data: Any) -> pl.LazyFrame:
    return data.lazyframe.select(pl.col("v") % 2 == 0)


def odd(cls: type, value: int) -> bool:
    return value % 2 == 1


def fails(cls: type, data: Any) -> pl.LazyFrame:
    raise ValueError


def a_below_b(cls: type, data: Any) -> pl.LazyFrame:
    return data.lazyframe.select(pl.col("a") < pl.col("b"))


CASES = [
    Case(name="a missing column", columns=PAIR, data=pl.DataFrame({"a": [1]}), truth=DELIVERY),
    Case(name="a missing column with coerce", columns=PAIR, config={"coerce": True}, data=PAIRS[["a"]], truth=DELIVERY),
    Case(name="a missing column that is optional", columns={**PAIR, "c": (int | None, {})}, data=PAIRS, truth=UNKNOWN),
    Case(name="a further column", columns=PAIR, data=PAIRS.with_columns(c=1), truth=()),
    Case(
        name="a further column, strict",
        columns=PAIR,
        config={"strict": True},
        data=PAIRS.with_columns(c=1),
        truth=DELIVERY,
    ),
    Case(
        name="a further column, `filter`",
        columns=PAIR,
        config={"strict": "filter"},
        data=PAIRS.with_columns(c=1),
        truth=(),
    ),
    Case(name="columns in another order", columns=PAIR, data=PAIRS[["b", "a"]], truth=()),
    Case(
        name="columns in another order, ordered",
        columns=PAIR,
        config={"ordered": True},
        data=PAIRS[["b", "a"]],
        truth=DELIVERY,
    ),
    Case(
        name="columns in order, a further one between",
        columns=PAIR,
        config={"ordered": True},
        data=PAIRS.select("a", pl.lit(0).alias("x"), "b"),
        truth=(),
    ),
    Case(
        name="pattern columns",
        columns={"t": (int, {"alias": "t_.*", "regex": True, "ge": 0})},
        data=pl.DataFrame({"t_1": [1, -1], "t_2": [1, 1], "x": [-1, -1]}),
        truth=(1,),
    ),
    Case(
        name="a pattern without a match",
        columns={"t": (int, {"alias": "t_.*", "regex": True})},
        data=pl.DataFrame({"x": [1]}),
        truth=DELIVERY,
    ),
    Case(
        name="a pattern matches whole names only",
        columns={"t": (int, {"alias": "t", "regex": True, "ge": 0})},
        data=pl.DataFrame({"t": [1], "ta": [-1]}),
        truth=(),
    ),
    Case(name="Config.dtype", columns=PAIR, config={"dtype": "float64"}, data=PAIRS, truth=CONTRACT),
    Case(name="a misspelt option", columns=PAIR, config={"stric": True}, data=PAIRS, truth=CONTRACT),
    Case(name="a contract without columns", columns={}, data=PAIRS, truth=CONTRACT),
    Case(name="a batch without columns", columns=PAIR, data=pl.DataFrame(), truth=DELIVERY),
    Case(name="a batch without rows", columns=column(int, ge=0, unique=True), data=values([], pl.Int64), truth=()),
    Case(name="a batch without rows, of another type", columns=column(int), data=values([], pl.String), truth=()),
    Case(
        name="an aggregate over no rows",
        columns=column(int, unique_values_eq=[1]),
        data=values([], pl.Int64),
        truth=BATCH,
    ),
    Case(name="a repeated value", columns=column(int, unique=True), data=values([1, 2, 1]), truth=(2,)),
    Case(
        name="two nulls in a unique column",
        columns=column(int, unique=True, nullable=True),
        data=values([None, None, 1], pl.Int64),
        truth=(),
    ),
    Case(name="a repeated pair", columns=PAIR, config={"unique": ["a", "b"]}, data=PAIRS, truth=(1,)),
    Case(
        name="a pair with a null",
        columns={"a": (int, {}), "b": (int, {"nullable": True})},
        config={"unique": ["a", "b"]},
        data=pl.DataFrame({"a": [1, 1], "b": [None, None]}, schema={"a": pl.Int64, "b": pl.Int64}),
        truth=(),
    ),
    Case(name="unique over an unknown column", columns=PAIR, config={"unique": ["a", "c"]}, data=PAIRS, truth=CONTRACT),
    Case(name="a nullable key", columns=column(int, key=True, nullable=True), data=values([1]), truth=CONTRACT),
    Case(
        name="a repeated key whose first row is broken",
        columns={"v": (int, {"key": True}), "w": (int, {"ge": 0})},
        data=pl.DataFrame({"v": [1, 1], "w": [-1, 1]}),
        truth=(0,),
    ),
    Case(name="lazy: a range", columns=column(int, ge=0), data=values([1, -1]), truth=(1,), lazy=True),
    Case(name="lazy: a null", columns=column(int), data=values([1, None]), truth=(1,), lazy=True),
    Case(name="lazy: a repeated value", columns=column(int, unique=True), data=values([1, 1]), truth=(1,), lazy=True),
    Case(name="lazy: a missing column", columns=PAIR, data=PAIRS[["a"]], truth=DELIVERY, lazy=True),
    Case(name="lazy and dropping", columns=column(int, ge=0), data=values([1, -1]), truth=(1,), lazy=True, drop=True),
    Case(name="dropping a row out of range", columns=column(int, ge=0), data=values([1, -1]), truth=(1,), drop=True),
    Case(
        name="dropping after coercion",
        columns=column(int, ge=0, coerce=True),
        data=values(["1", "x", "-1"]),
        truth=(1, 2),
        drop=True,
    ),
    Case(
        name="dropping a repeated value",
        columns=column(int, unique=True),
        data=values([1, 1, 2]),
        truth=(1,),
        drop=True,
    ),
    Case(
        name="dropping a repeated pair", columns=PAIR, config={"unique": ["a", "b"]}, data=PAIRS, truth=(1,), drop=True
    ),
    Case(
        name="dropping and an aggregate",
        columns=column(int),
        body={"c": pa.check("v")(aggregate)},
        data=values([1, 2]),
        truth=BATCH,
        drop=True,
    ),
    Case(
        name="an aggregate that holds",
        columns=column(int),
        body={"c": pa.check("v")(aggregate)},
        data=values([1, 99]),
        truth=(),
    ),
    Case(
        name="an aggregate that does not hold",
        columns=column(int),
        body={"c": pa.check("v")(aggregate)},
        data=values([1, 2]),
        truth=BATCH,
    ),
    Case(
        name="a vectorised check", columns=column(int), body={"c": pa.check("v")(even)}, data=values([1, 2]), truth=(0,)
    ),
    Case(
        name="a vectorised check and null",
        columns=column(int, nullable=True),
        body={"c": pa.check("v")(even)},
        data=values([1, None]),
        truth=(0,),
    ),
    Case(
        name="an element-wise check",
        columns=column(int),
        body={"c": pa.check("v", element_wise=True)(odd)},
        data=values([1, 2]),
        truth=(1,),
    ),
    Case(
        name="a check that raises",
        columns=column(int),
        body={"c": pa.check("v")(fails)},
        data=values([1]),
        truth=UNKNOWN,
    ),
    Case(name="a frame check", columns=PAIR, body={"c": pa.dataframe_check(a_below_b)}, data=PAIRS, truth=(0, 1)),
    Case(name="a warning", columns=column(int, ge=0, raise_warning=True), data=values([1, -1]), truth=()),
    Case(name="a foreign key", columns=ORDERS, data=values(["a", "b"]), given=KNOWN, truth=(1,)),
    Case(
        name="a foreign key and null",
        columns={"v": (str, {"exists_in": "customers.id", "nullable": True})},
        data=values(["a", None]),
        given=KNOWN,
        truth=(),
    ),
    Case(name="a foreign key without its table", columns=ORDERS, data=values(["a"]), truth=UNKNOWN),
    Case(
        name="a key that is published already",
        columns=column(int, key=True),
        data=values([1, 2]),
        given={"published": values([1])},
        truth=(0,),
    ),
    Case(
        name="required if another column says so",
        columns={"v": (str, {"nullable": True, "required_if": {"s": "x"}}), "s": (str, {})},
        data=pl.DataFrame({"v": [None, None, "a"], "s": ["x", "y", "x"]}),
        truth=(0,),
    ),
    Case(
        name="a sequence within groups",
        columns={"v": (int, {"sequence": "increasing", "per": "g"}), "g": (str, {})},
        data=pl.DataFrame({"v": [1, 9, 2, 8], "g": ["a", "b", "a", "b"]}),
        truth=(3,),
    ),
    Case(
        name="fewer rows than were sent",
        columns=column(int),
        config={"row_count": RowCount("sent")},
        data=values([1, 2]),
        given={"counts": {"sent": 3}},
        truth=BATCH,
    ),
    Case(
        name="a row count without its reference",
        columns=column(int),
        config={"row_count": RowCount("sent")},
        data=values([1]),
        given={"counts": {}},
        truth=UNKNOWN,
    ),
]
