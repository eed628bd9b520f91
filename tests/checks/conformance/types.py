"""Types: coercion, text to types, time zones, nested types, decimals, enums."""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated
from zoneinfo import ZoneInfo

import polars as pl

from assay.checks import Timestamp
from tests.checks.conformance.case import CONTRACT, Case, column, values

NOON = datetime(2026, 9, 1, 12, tzinfo=ZoneInfo("UTC"))
NAIVE = values([NOON.replace(tzinfo=None)], pl.Datetime("us"))
DEC = Annotated[pl.Decimal, 6, 2]
ENUM = Annotated[pl.Enum, ["a", "b"]]
DAYS = pl.List(pl.Int64)

CASES = [
    Case(name="text to integer", columns=column(int), data=values(["1", "x", "2"]), truth=(1,), clean=[1, 2]),
    Case(
        name="text to integer with coerce",
        columns=column(int, coerce=True),
        data=values(["1", "x", "2"]),
        truth=(1,),
        clean=[1, 2],
    ),
    Case(
        name="text to integer with coerce, then a check",
        columns=column(int, coerce=True, ge=0),
        data=values(["1", "x", "-1"]),
        truth=(1, 2),
        clean=[1],
    ),
    Case(
        name="all of the text can be coerced",
        columns=column(int, coerce=True),
        data=values(["1", "-2"]),
        truth=(),
        clean=[1, -2],
    ),
    Case(
        name="space around a number", columns=column(int, coerce=True), data=values([" 1", "1"]), truth=(0,), clean=[1]
    ),
    Case(
        name="an integer too large for its type",
        columns=column(int, coerce=True),
        data=values([str(2**63), "1"]),
        truth=(0,),
        clean=[1],
    ),
    Case(
        name="a number too large for a float",
        columns=column(float, coerce=True),
        data=values(["1e400", "1"]),
        truth=(0,),
        clean=[1.0],
    ),
    Case(
        name="text with more digits than a float holds",
        columns=column(float, coerce=True),
        data=values(["9007199254740993", "0.1"]),
        truth=(),
        clean=[9007199254740992.0, 0.1],
    ),
    Case(
        name="NaN within a list",
        columns=column(pl.List(pl.Float64)),
        data=values([[float("nan")]], pl.List(pl.Float64)),
        truth=(),
    ),
    Case(name="text `nan`", columns=column(float, coerce=True), data=values(["nan", "1"]), truth=(0,), clean=[1.0]),
    Case(
        name="decimals to integer with coerce",
        columns=column(int, coerce=True),
        data=values([1.5, 2.0]),
        truth=(),
        clean=[1, 2],
    ),
    Case(name="whole decimals to integer", columns=column(int), data=values([1.5, 2.0]), truth=(0,), clean=[2]),
    Case(
        name="an integer that a float cannot hold",
        columns=column(float),
        data=values([2**53 + 1, 1]),
        truth=(0,),
        clean=[1.0],
    ),
    Case(
        name="a narrower integer",
        columns=column(pl.Int8, coerce=True),
        data=values([127, 128]),
        truth=(1,),
        clean=[127],
    ),
    Case(name="an integer where text is declared", columns=column(str), data=values([1, None]), truth=(0, 1)),
    Case(
        name="an integer to text with coerce", columns=column(str, coerce=True), data=values([1]), truth=(), clean=["1"]
    ),
    Case(
        name="text to boolean",
        columns=column(bool, coerce=True),
        data=values(["true", "FALSE", "1", "yes"]),
        truth=(2, 3),
        clean=[True, False],
    ),
    Case(
        name="text to date",
        columns=column(date, coerce=True),
        data=values(["2026-02-28", "2026-02-30", "28.02.2026"]),
        truth=(1, 2),
        clean=[date(2026, 2, 28)],
    ),
    Case(name="a time of the right zone", columns=column(Timestamp), data=values([NOON]), truth=(), clean=[NOON]),
    Case(name="a time without a zone", columns=column(Timestamp), data=NAIVE, truth=(0,)),
    Case(name="a time without a zone, coerced", columns=column(Timestamp, coerce=True), data=NAIVE, truth=(0,)),
    Case(
        name="a time without a zone that is UTC by agreement",
        columns=column(Timestamp, naive_utc=True),
        data=NAIVE,
        truth=(),
        clean=[NOON],
    ),
    Case(
        name="a time of another zone",
        columns=column(Timestamp),
        data=values([NOON], pl.Datetime("us", "UTC")).select(pl.col("v").dt.convert_time_zone("Europe/Berlin")),
        truth=(),
        clean=[NOON],
    ),
    Case(
        name="text with an offset to a time",
        columns=column(Timestamp, coerce=True),
        data=values(["2026-09-01T14:00:00+02:00", "2026-09-01T12:00:00"]),
        truth=(1,),
        clean=[NOON],
    ),
    Case(name="a declared time without a zone", columns=column(datetime), data=NAIVE, truth=CONTRACT),
    Case(
        name="a bound without a zone",
        columns=column(Timestamp, ge=NOON.replace(tzinfo=None)),
        data=values([NOON]),
        truth=CONTRACT,
    ),
    Case(
        name="a decimal that fits",
        columns=column(DEC),
        data=values([Decimal("1234.50")], pl.Decimal(6, 2)),
        truth=(),
    ),
    Case(
        name="text to a decimal with too many places",
        columns=column(DEC, coerce=True),
        data=values(["1.25", "1.255", "1.250"]),
        truth=(1,),
        clean=[Decimal("1.25"), Decimal("1.25")],
    ),
    Case(name="text to an enum", columns=column(ENUM, coerce=True), data=values(["a", "c"]), truth=(1,), clean=["a"]),
    Case(name="an enum of other values", columns=column(ENUM), data=values(["a"], pl.Enum(["a"])), truth=(0,)),
    Case(name="a category where text is declared", columns=column(str), data=values(["a"], pl.Categorical), truth=()),
    Case(name="a list", columns=column(DAYS, nullable=True), data=values([[1], [], None], DAYS), truth=()),
    Case(name="a null list", columns=column(DAYS), data=values([[1], None], DAYS), truth=(1,)),
    Case(
        name="a list of a wider type",
        columns=column(pl.List(pl.Int8), coerce=True),
        data=values([[1], [300], None], DAYS),
        truth=(1, 2),
        clean=[[1]],
    ),
    Case(
        name="a list of texts where numbers are declared",
        columns=column(DAYS),
        data=values([["x"]], pl.List(pl.String)),
        truth=(0,),
    ),
    Case(
        name="a struct",
        columns=column(pl.Struct({"a": pl.Int64})),
        data=values([{"a": 1}, {"a": None}]),
        truth=(),
    ),
    Case(
        name="a struct with another field",
        columns=column(pl.Struct({"a": pl.Int64}), coerce=True),
        data=values([{"b": 1}]),
        truth=(0,),
    ),
    Case(name="a unique list", columns=column(DAYS, unique=True), data=values([[1], [1]], DAYS), truth=CONTRACT),
    Case(
        name="an array",
        columns=column(pl.Array(pl.Int64, 2)),
        data=values([[1, 2]], pl.Array(pl.Int64, 2)),
        truth=(),
    ),
    Case(
        name="an array of another length",
        columns=column(pl.Array(pl.Int64, 2)),
        data=values([[1, 2, 3]], pl.Array(pl.Int64, 3)),
        truth=(0,),
    ),
]
