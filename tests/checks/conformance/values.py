"""Null, NaN, infinity, huge numbers and the built-in checks."""

import math
from datetime import date
from decimal import Decimal
from typing import Annotated

import polars as pl

from tests.checks.conformance.case import BATCH, CONTRACT, Case, column, values

NAN, INF = math.nan, math.inf

CASES = [
    Case(name="null where it is not allowed", columns=column(int), data=values([1, None]), truth=(1,)),
    Case(name="null where it is allowed", columns=column(int, nullable=True), data=values([1, None]), truth=()),
    Case(name="null meets a check", columns=column(int, nullable=True, ge=5), data=values([None, 1]), truth=(1,)),
    Case(
        name="null and `isin`",
        columns=column(str, nullable=True, isin=["a"]),
        data=values(["a", None, "b"]),
        truth=(2,),
    ),
    Case(name="null and `ne`", columns=column(str, nullable=True, ne="a"), data=values(["a", None]), truth=(0,)),
    Case(
        name="null and `notin`", columns=column(str, nullable=True, notin=["a"]), data=values(["a", None]), truth=(0,)
    ),
    Case(
        name="null and `str_matches`",
        columns=column(str, nullable=True, str_matches="a"),
        data=values(["a", None, "b"]),
        truth=(2,),
    ),
    Case(
        name="null that is not ignored",
        columns=column(int, nullable=True, ge=5, ignore_na=False),
        data=values([None, 5, 1]),
        truth=(0, 2),
    ),
    Case(name="only nulls", columns=column(int), data=values([None, None], pl.Int64), truth=(0, 1)),
    Case(
        name="a column of type Null", columns=column(int, nullable=True), data=values([None, None], pl.Null), truth=()
    ),
    Case(
        name="a column of type Null that must not be null",
        columns=column(int),
        data=values([None], pl.Null),
        truth=(0,),
    ),
    Case(name="NaN without a check", columns=column(float), data=values([1.0, NAN]), truth=(1,)),
    Case(name="NaN where null is allowed", columns=column(float, nullable=True), data=values([NAN, None]), truth=(0,)),
    Case(
        name="NaN and `ge`", columns=column(float, nullable=True, ge=0.0), data=values([NAN, 1.0, -1.0]), truth=(0, 2)
    ),
    Case(name="NaN and `gt`", columns=column(float, nullable=True, gt=0.0), data=values([NAN, 1.0]), truth=(0,)),
    Case(name="NaN and `ne`", columns=column(float, nullable=True, ne=5.0), data=values([NAN, 5.0]), truth=(0, 1)),
    Case(name="NaN and `le`", columns=column(float, nullable=True, le=0.0), data=values([NAN, -1.0]), truth=(0,)),
    Case(
        name="NaN and `in_range`",
        columns=column(float, nullable=True, in_range=(0, 1)),
        data=values([NAN, 0.5]),
        truth=(0,),
    ),
    Case(name="NaN and `isin`", columns=column(float, nullable=True, isin=[1.0]), data=values([NAN, 1.0]), truth=(0,)),
    Case(
        name="NaN and `notin`", columns=column(float, nullable=True, notin=[1.0]), data=values([NAN, 1.0]), truth=(0, 1)
    ),
    Case(name="NaN in Float32", columns=column(pl.Float32, ge=0), data=values([NAN, 1.0], pl.Float32), truth=(0,)),
    Case(name="two NaN in a unique column", columns=column(float, unique=True), data=values([NAN, NAN]), truth=(0, 1)),
    Case(name="a NaN bound", columns=column(float, ge=NAN), data=values([1.0]), truth=CONTRACT),
    Case(name="infinity without a check", columns=column(float), data=values([INF, -INF]), truth=()),
    Case(name="infinity and `le`", columns=column(float, le=1e308), data=values([INF, -INF, 1.0]), truth=(0,)),
    Case(name="infinity and `gt`", columns=column(float, gt=0), data=values([INF, -INF]), truth=(1,)),
    Case(name="negative zero and `ge`", columns=column(float, ge=0.0), data=values([-0.0, 0.0]), truth=()),
    Case(
        name="zeros of both signs in a unique column",
        columns=column(float, unique=True),
        data=values([0.0, -0.0]),
        truth=(1,),
    ),
    Case(
        name="an integer above 2^53 and `eq`",
        columns=column(int, eq=2**53 + 1),
        data=values([2**53, 2**53 + 1]),
        truth=(0,),
    ),
    Case(
        name="an integer above 2^53 and `isin`",
        columns=column(int, isin=[2**53 + 1]),
        data=values([2**53, 2**53 + 1]),
        truth=(0,),
    ),
    Case(
        name="UInt64 above 2^63 and `ge` of a negative number",
        columns=column(pl.UInt64, ge=-1),
        data=values([2**63 + 5, 0], pl.UInt64),
        truth=(),
    ),
    Case(name="a bound beyond the type", columns=column(pl.Int8, le=300), data=values([127, -128], pl.Int8), truth=()),
    Case(
        name="UInt64 above 2^63 and `le`",
        columns=column(pl.UInt64, le=2**63),
        data=values([2**63, 2**63 + 1], pl.UInt64),
        truth=(1,),
    ),
    Case(
        name="a decimal and `ge`",
        columns=column(Annotated[pl.Decimal, 10, 2], ge=0),
        data=values([Decimal("0.00"), Decimal("-0.01")], pl.Decimal(10, 2)),
        truth=(1,),
    ),
    Case(
        name="`in_range` without its ends",
        columns=column(int, in_range={"min_value": 1, "max_value": 3, "include_min": False, "include_max": False}),
        data=values([1, 2, 3]),
        truth=(0, 2),
    ),
    Case(
        name="a date and `ge`", columns=column(date, ge=date(2026, 1, 1)), data=values([date(2025, 12, 31)]), truth=(0,)
    ),
    Case(name="a boolean and `eq`", columns=column(bool, eq=True), data=values([True, False]), truth=(1,)),
    Case(name="an empty list of values", columns=column(str, isin=[]), data=values(["a"]), truth=CONTRACT),
    Case(name="contradictory bounds", columns=column(int, ge=5, le=1), data=values([3]), truth=CONTRACT),
    Case(name="an empty range", columns=column(int, in_range=(5, 1)), data=values([3]), truth=CONTRACT),
    Case(name="a bound of another type", columns=column(int, ge="a"), data=values([3]), truth=CONTRACT),
    Case(name="listed values of another type", columns=column(int, isin=["1"]), data=values([1]), truth=CONTRACT),
    Case(name="a misspelt check", columns=column(int, gee=1), data=values([0]), truth=CONTRACT),
    Case(
        name="`unique_values_eq` with a value missing",
        columns=column(str, unique_values_eq=["a", "b"]),
        data=values(["a", "a"]),
        truth=BATCH,
    ),
    Case(
        name="`unique_values_eq` and null",
        columns=column(str, nullable=True, unique_values_eq=["a"]),
        data=values(["a", None]),
        truth=(),
    ),
]
