"""Cases in which pandera on polars says "valid", drops the wrong rows or loses the evidence. Assay must not."""

from typing import Any

import pandera.polars as pa
import polars as pl
import pytest

from assay.checks import Contract, Field, validate

PAIR = ["a", "b"]


class NonNegative(Contract):
    v: int = Field(ge=0, unique=True)


def left(frame: pl.DataFrame | pl.LazyFrame, contract: type[Contract]) -> list[list[str]]:
    return validate(frame, contract).quarantined["_rules"].to_list()


def test_1_lazy_frames_are_checked_in_full() -> None:
    frame = pl.LazyFrame({"v": [1, 1, None, -1]})
    assert left(frame, NonNegative) == [["v.unique"], ["v.not_null"], ["v.ge"]]


def test_2_invalid_rows_of_a_lazy_frame_leave() -> None:
    assert validate(pl.LazyFrame({"v": [1, -1, 2]}), NonNegative).clean["v"].to_list() == [1, 2]


def test_3_coercion_gives_the_contract_type_and_keeps_judging() -> None:
    outcome = validate(pl.DataFrame({"v": ["1", "x", "-1"]}), NonNegative)
    assert outcome.clean.to_dict(as_series=False) == {"v": [1]}
    assert outcome.clean.schema == {"v": pl.Int64}
    assert outcome.quarantined["_rules"].to_list() == [["v.dtype"], ["v.ge"]]


def test_4_duplicates_over_several_columns_leave() -> None:
    class Pair(Contract):
        a: int = Field()
        b: int = Field()

        class Config(Contract.Config):
            unique = PAIR

    assert left(pl.DataFrame({"a": [1, 1, 1], "b": [1, 1, 2]}), Pair) == [["a+b.unique"]]


@pytest.mark.parametrize("values", [[1], [1, 2], [1, 2, 3]])
def test_5_an_aggregate_never_drops_rows(values: list[int]) -> None:
    class Mean(Contract):
        v: int = Field()

        @pa.check("v")
        @classmethod
        def mean_above(cls, data: pa.PolarsData) -> pl.LazyFrame:
            return data.lazyframe.select(pl.col(data.key).mean() > 10)

    outcome = validate(pl.DataFrame({"v": values}), Mean)
    assert outcome.clean["v"].to_list() == values
    assert outcome.report.blocked
    result = outcome.report.rules[-1]
    assert (result.name, result.status, result.evaluated, result.invalid) == ("v.mean_above", "blocked", 1, 1)
    assert not validate(pl.DataFrame({"v": [11]}), Mean).report.blocked


@pytest.mark.parametrize("check", [{"ge": 0.0}, {"gt": 0.0}, {"ne": 5.0}, {"le": 9.0}, {"in_range": (0.0, 9.0)}])
def test_6_nan_passes_no_check(check: dict[str, Any]) -> None:
    contract = type("Floats", (Contract,), {"__annotations__": {"v": float}, "v": Field(**check)})
    assert left(pl.DataFrame({"v": [1.0, float("nan")]}), contract) == [["v.not_nan"]]
    assert left(pl.DataFrame({"v": ["1.0", "NaN"]}), contract) == [["v.not_nan"]]


def test_7_a_warning_has_counts() -> None:
    class Warned(Contract):
        v: int = Field(ge=0, raise_warning=True)

    outcome = validate(pl.DataFrame({"v": [1, -1, -2]}), Warned)
    result = outcome.report.rules[-1]
    assert (result.name, result.status, result.evaluated, result.invalid) == ("v.ge", "warned", 3, 2)
    assert outcome.report.rows_clean == 3


def test_8_failures_keep_type_key_and_row() -> None:
    class Keyed(Contract):
        id: int = Field(key=True)
        v: float = Field(ge=0)

    frame = pl.DataFrame({"id": [1, 2, 3], "v": [1.0, -0.1, -1e300], "_row_number": [7, 8, 9]})
    outcome = validate(frame, Keyed)
    assert outcome.quarantined.drop("_rules").equals(frame[1:])
    assert outcome.quarantined.drop("_rules").schema == frame.schema
