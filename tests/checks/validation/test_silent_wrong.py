"""Cases in which pandera on polars says "valid", drops the wrong rows or loses the evidence. Assay must not."""

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, ClassVar

import pandera.polars as pa
import polars as pl
import pytest

from assay.checks import Contract, Field, Timestamp, profile, rule, validate, validate_spilled

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


FAR = (
    "0000-01-01T00:00:00Z",
    "0001-01-01T00:00:00+01:00",  # in UTC, it is in the year 0
    "9999-12-31T23:59:59-01:00",
    "9999-12-31T23:59:59.9999999-00:01",
)
_YEAR_1, _YEAR_10000 = -719_162 * 86_400_000_000, 2_932_897 * 86_400_000_000  # microseconds since 1970
EDGES = ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "2026-09-24T09:00:00Z")


class Moments(Contract):
    at: Timestamp = Field()
    nanos: Annotated[pl.Datetime, "ns", "UTC"] = Field(nullable=True)
    day: date = Field(nullable=True)


@pytest.mark.parametrize("typed", [False, True])
@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("warned", [False, True])
def test_a_year_that_python_does_not_have_is_no_value_of_a_date_or_time(
    tmp_path: Path, typed: bool, warned: bool
) -> None:
    class Far(Moments):
        class Config(Contract.Config):
            severity: ClassVar = {"at.dtype": "warn", "at.not_null": "warn", "day.dtype": "warn"} if warned else {}

    texts = pl.Series("at", [*EDGES, *FAR])
    days = pl.Series("day", ["0001-01-01", "9999-12-31", None, "0000-12-31", None, None, None])
    batch = pl.DataFrame([texts, days]).with_columns(nanos=pl.lit(None, pl.String))
    if typed:
        pattern = "%Y-%m-%dT%H:%M:%S%.f%#z"
        batch = batch.with_columns(pl.col("at").str.to_datetime(pattern, time_unit="us"), pl.col("day").str.to_date())
    outcome = validate(batch, Far)
    counts = {result.name: result.invalid for result in outcome.report.rules}
    assert (counts["at.dtype"], counts["day.dtype"], counts["nanos.dtype"]) == (len(FAR), 1, 0)
    assert outcome.report.rows_clean == (len(batch) if warned else len(EDGES))
    assert outcome.clean["at"].drop_nulls().len() == len(EDGES)
    assert outcome.profile["at"]["min"] == "0001-01-01T00:00:00+00:00"
    assert profile(outcome.clean, Far).rows == outcome.report.rows_clean
    spilled = validate_spilled(batch, Far, tmp_path)
    assert spilled.report == outcome.report
    assert spilled.clean.collect().equals(outcome.clean)
    assert spilled.quarantined.collect().equals(outcome.quarantined)
    assert spilled.profile == outcome.profile


@pytest.mark.parametrize("typed", [False, True])
def test_nanoseconds_end_where_they_end(typed: bool) -> None:
    texts = ["1677-09-21T00:12:44Z", "2262-04-11T23:47:16Z", "1500-01-01T00:00:00Z", "2262-04-12T00:00:00Z", EDGES[1]]
    nanos = pl.Series("nanos", [*texts, "2026-09-24T09:00:00.123456789Z"])
    if typed:
        nanos = nanos.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%#z", time_unit="us")
    batch = pl.DataFrame([nanos]).with_columns(at=pl.lit(EDGES[2]), day=pl.lit(None, pl.String))
    outcome = validate(batch, Moments)
    assert outcome.quarantined["_rules"].to_list() == [["nanos.dtype"]] * 3
    assert outcome.clean["nanos"].dt.year().to_list() == [1677, 2262, 2026]
    if not typed:
        assert outcome.clean["nanos"].dt.nanosecond()[-1] == 123456789


def test_a_number_that_was_published_as_another_is_not_the_same_key() -> None:
    class Numbers(Contract):
        n: int = Field(key=True)

    found = validate(pl.DataFrame({"n": [1, 2]}), Numbers, published=pl.DataFrame({"n": [1.5, 2.0]}))
    assert found.clean["n"].to_list() == [1]


def test_a_column_may_have_any_name() -> None:
    class Selfish(Contract):
        id: str = Field(key=True)

    batch = pl.DataFrame({"id": ["a", "a"], "self": ["1", "2"], "exprs": ["3", "4"], "größe µ": ["5", "6"]})
    outcome = validate(batch, Selfish)
    assert outcome.quarantined.drop("_rules").equals(batch[1:])


class Prices(Contract):
    price: Annotated[pl.Decimal, 10, 2] = Field()


@pytest.mark.parametrize("beyond", [1e8, 99_999_999.996, 5e8, 1e9, 1e10, 1e300, float("inf"), -1e8])
def test_a_float_that_a_decimal_cannot_hold_is_no_value_of_it(beyond: float) -> None:
    outcome = validate(pl.DataFrame({"price": [1.5, beyond, 99_999_999.5]}), Prices)
    assert outcome.clean["price"].to_list() == [Decimal("1.50"), Decimal("99999999.50")]
    assert outcome.quarantined["_rules"].to_list() == [["price.dtype"]]


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("spilled", [False, True])
def test_a_far_year_is_no_value_for_rules_that_compare_rows(tmp_path: Path, spilled: bool) -> None:
    class Recent(Contract):
        at: Timestamp = Field()

        @rule(name="at.recent")
        def recent(cls) -> pl.Expr:
            return pl.col("at").max() - pl.col("at") < pl.duration(days=1000)

    moments = pl.Series("at", [0, 10, 400_000_000_000_000_000], dtype=pl.Int64).cast(pl.Datetime("us", "UTC"))
    batch = moments.to_frame()
    outcome = validate_spilled(batch, Recent, tmp_path) if spilled else validate(batch, Recent)
    assert outcome.report.rows_clean == 2


_MOMENT = pl.Datetime("us", "UTC")
_NESTED: dict[str, tuple[Any, Callable[[int | None], Any]]] = {
    "list": (pl.List(_MOMENT), lambda at: [None, at]),
    "array": (pl.Array(_MOMENT, 2), lambda at: [at, at]),
    "struct": (pl.Struct({"n": pl.Int64(), "at": _MOMENT}), lambda at: {"n": 1, "at": at}),
    "structs": (pl.List(pl.Struct({"at": pl.List(_MOMENT)})), lambda at: [{"at": [at]}, None, {"at": None}]),
    "days": (pl.List(pl.Date()), lambda at: [None if at is None else at // 86_400_000_000]),
}


@pytest.mark.parametrize("spilled", [False, True])
@pytest.mark.parametrize("kind", _NESTED)
def test_a_far_year_inside_of_a_value_is_no_value_of_its_type(tmp_path: Path, kind: str, spilled: bool) -> None:
    """Python has no such year, so that whoever reads the clean rows would fail at one of them."""
    dtype, value = _NESTED[kind]
    contract = type("Deep", (Contract,), {"__annotations__": {"deep": dtype}, "deep": Field(nullable=True)})
    numbers = pl.Series([*(value(at) for at in (0, None, _YEAR_10000, _YEAR_10000 - 1, _YEAR_1 - 1, _YEAR_1)), None])
    batch = pl.DataFrame({"deep": numbers.cast(dtype), "_row_number": range(1, 8)})
    outcome = validate_spilled(batch, contract, tmp_path) if spilled else validate(batch, contract)
    clean, left = outcome.clean.lazy().collect(), outcome.quarantined.lazy().collect()
    assert clean["_row_number"].to_list() == [1, 2, 4, 6, 7]
    assert (left["_row_number"].to_list(), left["_rules"].to_list()) == ([3, 5], [["deep.dtype"]] * 2)
    assert clean.equals(batch.filter(pl.col("_row_number").is_in([1, 2, 4, 6, 7])))
    assert len(clean.to_dicts()) == 5
