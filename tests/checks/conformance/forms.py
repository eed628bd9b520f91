"""Texts in declared forms: decimal commas, dates of other orders, texts that mean that there is no value."""

from datetime import date
from decimal import Decimal
from typing import Annotated

import polars as pl

from tests.checks.conformance.case import CONTRACT, Case, column, values

CASES = [
    Case(
        name="a decimal comma that is declared",
        columns=column(float, decimal=",", thousands="."),
        data=values(["1.234,5", "1.234", "1,234.5", "12.34"]),
        truth=(2, 3),
        clean=[1234.5, 1234.0],
    ),
    Case(
        name="one character for thousands and decimals",
        columns=column(float, thousands="."),
        data=values(["1"]),
        truth=CONTRACT,
    ),
    Case(
        name="a decimal comma and a bound",
        columns=column(Annotated[pl.Decimal, 10, 2], decimal=",", ge=0),
        data=values(["1,50", "-0,01", "1,505"]),
        truth=(1, 2),
        clean=[Decimal("1.50")],
    ),
    Case(
        name="the form of all columns",
        columns={"v": (float, {}), "w": (date, {})},
        config={"decimal": ",", "date_format": "%d.%m.%Y"},
        data=pl.DataFrame({"v": ["1,5", "1,5", "x"], "w": ["31.12.2026", "2026-12-31", "1.1.2026"]}),
        truth=(1, 2),
        clean=[1.5],
    ),
    Case(
        name="two spellings of a key",
        columns=column(int, thousands=".", key=True),
        data=values(["1.000", "1000", "2"]),
        truth=(1,),
        clean=[1000, 2],
    ),
    Case(
        name="a text that means no value",
        columns=column(float, missing=("N/A", "")),
        data=values(["N/A", "1", ""]),
        truth=(0, 2),
        clean=[1.0],
    ),
    Case(
        name="a text that means no value where null is allowed",
        columns=column(float, missing="N/A", nullable=True, ge=0),
        data=values(["N/A", "1", "n/a", "-1", None]),
        truth=(2, 3),
        clean=[None, 1.0, None],
    ),
    Case(
        name="a text that means no value among texts",
        columns=column(str, missing="-", nullable=True, str_length=(2, 9)),
        data=values(["-", "ab", "a"]),
        truth=(2,),
        clean=[None, "ab"],
    ),
    Case(
        name="two texts that mean no value in a unique column",
        columns=column(str, missing="-", nullable=True, unique=True),
        data=values(["-", "-", "a", "a"]),
        truth=(3,),
        clean=[None, None, "a"],
    ),
    Case(
        name="ja and nein",
        columns=column(bool, true_values="ja", false_values="nein"),
        data=values(["ja", "nein", "true", "JA"]),
        truth=(2, 3),
        clean=[True, False],
    ),
]
