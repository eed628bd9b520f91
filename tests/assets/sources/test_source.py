"""A source that cannot work says so where it is declared."""

from datetime import date
from typing import Any

import polars as pl
import pytest

from assay.assets.sources.source import Files, Source
from assay.checks import Contract, Field
from assay.errors import AssayError
from assay.features.tables.partitioning import Partitioning

DAYS = Partitioning.daily(date(2026, 9, 1))


class Sensors(Contract):
    id: str = Field(key=True)
    reading: float = Field(alias="t_.*", regex=True)


def test_a_source_knows_its_columns() -> None:
    with pytest.raises(AssayError, match=r"'t_\.\*' of the contract Sensors is a pattern"):
        Source("sensors", Files("{day}/*", (".csv",)), Sensors, key=("id",), event_time="at", partitioning=DAYS)


def declared(dtype: Any) -> Source:
    body = {"__annotations__": {"id": str, "odd": dtype}, "id": Field(key=True), "odd": Field(nullable=True)}
    contract = type("Odd", (Contract,), body)
    return Source("odd", Files("{day}/*", (".csv",)), contract, key=("id",), event_time="at", partitioning=DAYS)


@pytest.mark.parametrize(
    ("dtype", "instead"),
    [
        (pl.Duration("us"), "such as elapsed_ms: int"),
        (pl.Datetime("ns", "UTC"), "Declare a Timestamp"),
        (pl.Datetime("us", "Europe/Vienna"), "Declare a Timestamp"),
        (pl.List(pl.Time()), "what is inside of it"),
    ],
)
def test_a_type_that_no_table_holds_is_refused_where_it_is_declared(dtype: Any, instead: str) -> None:
    with pytest.raises(AssayError, match=f"column 'odd' of the contract Odd is .*which a table cannot hold.*{instead}"):
        declared(dtype)


@pytest.mark.parametrize(
    "dtype", [pl.Time(), pl.UInt64(), pl.List(pl.UInt64()), pl.Enum(["a"]), pl.Array(pl.Float32(), 2)]
)
def test_a_type_that_a_table_holds_in_another_form_may_be_declared(dtype: Any) -> None:
    assert declared(dtype).name == "odd"


def test_an_event_time_is_a_time() -> None:
    class Loans(Contract):
        id: str = Field(key=True)
        lent: str = Field()
        year: int = Field()
        day: date = Field()

    def source(event_time: str) -> Source:
        return Source("loans", Files("{day}/*", (".csv",)), Loans, ("id",), event_time, partitioning=DAYS)

    for column in ("lent", "year"):
        with pytest.raises(AssayError, match=f"event time '{column}' is .*Declare it as Timestamp or date"):
            source(column)
    assert source("day").event_time == "day"
    assert source("delivered").event_time == "delivered"  # which the contract does not have
