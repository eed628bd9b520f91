"""Every kind of rule: a valid value, an invalid one, null, and what makes it unknown."""

import warnings
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any

import pandera.polars as pa
import polars as pl
import pytest

from assay.checks import Contract, Field, Severity, Timestamp, contract_rules, rule, validate


def contract_of(annotation: Any, **config: Any) -> Any:
    """A contract with the single nullable column `v`."""

    def make(**options: Any) -> type[Contract]:
        body = {"__annotations__": {"v": annotation}, "v": Field(nullable=True, **options)}
        return type("One", (Contract,), body | {"Config": type("Config", (Contract.Config,), config)})

    return make


def broken(contract: type[Contract], values: list[Any], dtype: Any = None, **kwargs: Any) -> list[list[str]]:
    """The rules that each value of column `v` breaks."""
    frame = pl.DataFrame({"v": pl.Series(values, dtype=dtype), "_row_number": range(len(values))})
    outcome = validate(frame, contract, **kwargs)
    left = dict(outcome.quarantined.select("_row_number", "_rules").iter_rows())
    return [left.get(index, []) for index in range(len(values))]


TEXT = [
    ({"eq": "a"}, "v.eq", ["a"], ["b", ""]),
    ({"ne": "a"}, "v.ne", ["b"], ["a"]),
    ({"isin": ["a", "b"]}, "v.isin", ["a", "b"], ["A", "c"]),
    ({"isin": {"a", "b"}}, "v.isin", ["a"], ["c"]),
    ({"notin": ["a"]}, "v.notin", ["b"], ["a"]),
    ({"str_matches": r"T\d{2}$"}, "v.matches", ["T12"], ["T1", "xT12", "T12 "]),
    ({"str_matches": "a|b"}, "v.matches", ["ax", "bx"], ["xb"]),
    ({"str_contains": "b+"}, "v.contains", ["abb"], ["a"]),
    ({"str_startswith": "ab"}, "v.startswith", ["abc"], ["b"]),
    ({"str_endswith": "bc"}, "v.endswith", ["abc"], ["b"]),
    ({"str_length": (2, 3)}, "v.length", ["äö", "abc"], ["a", "abcd"]),
    ({"str_length": {"min_value": 2}}, "v.length", ["ab", "abcd"], ["a", ""]),
    ({"str_length": {"max_value": 2}}, "v.length", ["", "ab"], ["abc"]),
    ({"str_length": {"exact_value": 2}}, "v.length", ["ab"], ["a", "abc"]),
    ({"not_empty": True}, "v.not_empty", ["a", " a "], ["", "  ", "\t\n", "\u00a0"]),
    ({"no_email": True}, "v.no_email", ["a @ b", "@home", "me at x.org"], ["write to jo.do+x@mail.example.org!"]),
    ({"no_card_number": True}, "v.no_card_number", ["4111 1111 1111 1112"], ["pay 4111-1111-1111-1111 now"]),
]

NUMBERS = [
    ({"gt": 1}, "v.gt", [2], [1, 0]),
    ({"ge": 1}, "v.ge", [1, 2], [0]),
    ({"lt": 1}, "v.lt", [0], [1]),
    ({"le": 1}, "v.le", [1], [2]),
    ({"in_range": (1, 3)}, "v.in_range", [1, 3], [0, 4]),
    ({"in_range": (1, 3, False, False)}, "v.in_range", [2], [1, 3]),
    ({"eq": 1}, "v.eq", [1], [2]),
    ({"ne": 1}, "v.ne", [2], [1]),
    ({"isin": [1, 2]}, "v.isin", [2], [3]),
]


@pytest.mark.parametrize(("options", "name", "valid", "invalid"), TEXT)
def test_rule_over_text(options: dict[str, Any], name: str, valid: list[str], invalid: list[str]) -> None:
    contract = contract_of(str)(**options)
    assert broken(contract, [*valid, *invalid, None]) == [[]] * len(valid) + [[name]] * len(invalid) + [[]]


@pytest.mark.parametrize(("options", "name", "valid", "invalid"), NUMBERS)
@pytest.mark.parametrize("annotation", [int, float, pl.UInt8, Annotated[pl.Decimal, 10, 2]])
def test_rule_over_numbers(
    annotation: Any, options: dict[str, Any], name: str, valid: list[int], invalid: list[int]
) -> None:
    contract = contract_of(annotation)(**options)
    expected = [[]] * len(valid) + [[name]] * len(invalid) + [[]]
    assert broken(contract, [*valid, *invalid, None], pl.Int64) == expected
    assert broken(contract, [*map(str, valid), *map(str, invalid), None]) == expected


def test_rules_over_times() -> None:
    bound = datetime(2026, 9, 1, tzinfo=UTC)
    contract = contract_of(Timestamp)(ge=bound, lt=bound + timedelta(days=1))
    values = ["2026-09-01T00:00:00Z", "2026-08-31T23:59:59.999999Z", "2026-09-02T00:00:00Z", None]
    assert broken(contract, values) == [[], ["v.ge"], ["v.lt"], []]
    days = contract_of(date)(ge=date(2026, 9, 1))
    assert broken(days, ["2026-09-01", "2026-08-31", None]) == [[], ["v.ge"], []]


def test_not_null() -> None:
    class Required(Contract):
        v: str = Field()

    assert broken(Required, ["a", None, ""]) == [[], ["v.not_null"], []]


def test_nan_is_invalid_and_not_null() -> None:
    contract = contract_of(float)(ge=0.0)
    assert broken(contract, [1.0, float("nan"), None, float("inf"), -1.0]) == [[], ["v.not_nan"], [], [], ["v.ge"]]
    report = validate(pl.DataFrame({"v": [1.0, float("nan"), None]}), contract).report
    not_nan, ge = (result for result in report.rules if result.name in ("v.not_nan", "v.ge"))
    assert (not_nan.evaluated, not_nan.invalid, not_nan.unknown) == (3, 1, 0)
    assert (ge.evaluated, ge.invalid, ge.unknown) == (2, 0, 1)


@pytest.mark.parametrize(
    ("annotation", "good", "bad"),
    [
        (int, ["0", "-7", "+5", "007"], ["1.0", "1e3", " 1", "", "1_000", "9223372036854775808", "٣", "x"]),
        (pl.UInt8, ["0", "255"], ["256", "-1"]),
        (float, ["1", "1.5", "-.5", "1e-3", "inf", "-Infinity"], ["1,5", "", "1.", "0x1", "1e400", " 1"]),
        (bool, ["true", "FALSE"], ["1", "yes", "", "t"]),
        (date, ["2026-02-28"], ["2026-02-30", "2026-2-3", "28.02.2026", "2026-02-28T00:00:00Z"]),
        (Annotated[pl.Decimal, 6, 2], ["1", "1.25", "-1234.50", "1.250"], ["1.255", "12345.00", "1e2", "abc"]),
        (Annotated[pl.Enum, ["a", "b"]], ["a"], ["c", ""]),
        (
            Timestamp,
            [
                "2026-09-01T10:00:00Z",
                "2026-09-01 10:00:00.123456+02:00",
                "2026-09-01T10:00z",
                "2026-09-01T10:00:00.1-0530",
            ],
            [
                "2026-09-01T10:00:00",
                "2026-09-01",
                "2026-02-30T10:00:00Z",
                "2026-09-01T24:00:00Z",
                "2026-09-01T10:00:60Z",
                "1756720800",
                "01/09/2026 10:00 Z",
                "",
            ],
        ),
    ],
)
def test_text_is_parsed_strictly(annotation: Any, good: list[str], bad: list[str]) -> None:
    contract = contract_of(annotation)()
    assert broken(contract, [*good, *bad, None]) == [[]] * len(good) + [["v.dtype"]] * len(bad) + [[]]


def test_parsed_values() -> None:
    def parsed(annotation: Any, text: str, **options: Any) -> Any:
        return validate(pl.DataFrame({"v": [text]}), contract_of(annotation)(**options)).clean["v"].to_list()

    assert parsed(int, "-12") == [-12]
    assert parsed(float, "1e-3") == [0.001]
    assert parsed(bool, "TRUE") == [True]
    assert parsed(Annotated[pl.Decimal, 6, 2], "1.250") == [Decimal("1.25")]
    assert parsed(Timestamp, "2026-09-01T00:30:00.123456+02:00") == [
        datetime(2026, 8, 31, 22, 30, 0, 123456, tzinfo=UTC)
    ]
    assert parsed(Timestamp, "2026-09-01 10:05-0530") == [datetime(2026, 9, 1, 15, 35, tzinfo=UTC)]
    assert parsed(Timestamp, "2026-09-01T10:05:00", naive_utc=True) == [datetime(2026, 9, 1, 10, 5, tzinfo=UTC)]
    assert parsed(Timestamp, "2026-09-01T10:05:00+01:00", naive_utc=True) == [datetime(2026, 9, 1, 9, 5, tzinfo=UTC)]


def test_typed_input_changes_type_only_without_loss() -> None:
    assert broken(contract_of(int)(), [1.0, 1.5, None, float("nan")]) == [[], ["v.dtype"], [], ["v.dtype"]]
    assert broken(contract_of(pl.Int8)(), [127, 128]) == [[], ["v.dtype"]]
    assert broken(contract_of(float)(), [1, 2**53 + 1], pl.Int64) == [[], ["v.dtype"]]
    assert broken(contract_of(str)(), [1, None], pl.Int64) == [["v.dtype"], []]
    assert broken(contract_of(str)(coerce=True), [1, None], pl.Int64) == [[], []]
    assert broken(contract_of(int)(coerce=True), [1.5]) == [[]]
    assert broken(contract_of(int)(coerce=True), [[1]], pl.List(pl.Int64)) == [["v.dtype"]]
    assert broken(contract_of(int)(), [None, None], pl.Null) == [[], []]
    assert broken(contract_of(str)(), ["a"], pl.Enum(["a"])) == [[]]


def test_typed_times_need_a_zone() -> None:
    naive = pl.Series(["2026-09-01T12:00:00"]).str.to_datetime(time_unit="us").to_list()
    assert broken(contract_of(Timestamp)(), naive) == [["v.dtype"]]
    assert broken(contract_of(Timestamp)(naive_utc=True), naive) == [[]]
    berlin = (
        pl.Series(["2026-09-01T12:00:00+02:00"]).str.to_datetime(time_unit="ns").dt.convert_time_zone("Europe/Berlin")
    )
    outcome = validate(pl.DataFrame({"v": berlin}), contract_of(Timestamp)())
    assert outcome.clean["v"].to_list() == [datetime(2026, 9, 1, 10, tzinfo=UTC)]
    assert outcome.clean["v"].dtype == pl.Datetime("us", "UTC")


def test_nested_values_pass_through() -> None:
    contract = contract_of(pl.List(pl.Int64))()
    assert broken(contract, [[1], None], pl.List(pl.Int64)) == [[], []]
    assert broken(contract, ["[1]", None, "1"]) == [[], [], ["v.dtype"]]


NESTED = [
    (pl.List(pl.Int8), pl.List(pl.Int64), [[1, None], [], None], [[300], [1, 300]]),
    (pl.List(pl.Int64), pl.List(pl.Float64), [[1.0]], [[1.5], [float("nan")]]),
    (pl.List(pl.String), pl.List(pl.Int64), [], [[1]]),
    (pl.List(pl.Int64), pl.List(pl.String), [], [["1"]]),
    (pl.List(pl.Int64), pl.List(pl.Null), [[], [None]], []),
    (pl.List(pl.List(pl.Int8)), pl.List(pl.List(pl.Int64)), [[[1]]], [[[300]]]),
    (pl.Array(pl.Int8, 2), pl.Array(pl.Int64, 2), [[1, 2]], [[1, 300]]),
    (pl.Array(pl.Int8, 2), pl.Array(pl.Int64, 3), [], [[1, 2, 3]]),
    (pl.Struct({"a": pl.Int8}), pl.Struct({"a": pl.Int64}), [{"a": 1}, {"a": None}], [{"a": 300}]),
    (pl.Struct({"a": pl.Int8}), pl.Struct({"b": pl.Int8}), [], [{"b": 1}]),
    (pl.Struct({"a": pl.Int8, "b": pl.String}), pl.Struct({"a": pl.Int8}), [], [{"a": 1}]),
    (pl.List(pl.Enum(["a", "b"])), pl.List(pl.Enum(["a"])), [], [["a"]]),
    (pl.List(pl.Datetime("us", "UTC")), pl.List(pl.Datetime("us")), [], [[datetime(2026, 1, 1)]]),  # noqa: DTZ001
]


@pytest.mark.parametrize("coerce", [False, True])
@pytest.mark.parametrize(("annotation", "delivered", "valid", "invalid"), NESTED)
def test_nested_values_change_type_only_without_loss(
    annotation: Any, delivered: Any, valid: list[Any], invalid: list[Any], coerce: bool
) -> None:
    contract = contract_of(annotation)(coerce=coerce)
    assert broken(contract, [*valid, *invalid], delivered) == [[]] * len(valid) + [["v.dtype"]] * len(invalid)
    outcome = validate(pl.DataFrame({"v": pl.Series([*valid, *invalid], dtype=delivered)}), contract)
    assert outcome.clean.schema == {"v": annotation}
    assert outcome.clean["v"].to_list() == valid


def test_failed_cast_makes_the_other_rules_unknown() -> None:
    class Strict(Contract):
        v: int = Field(ge=0, unique=True)

        @rule()
        def small(cls) -> pl.Expr:
            return pl.col("v").fill_null(99) < 10

    outcome = validate(pl.DataFrame({"v": ["1", "x", "-1", None]}), Strict)
    assert outcome.quarantined["_rules"].to_list() == [["v.dtype"], ["v.ge"], ["v.not_null", "small"]]
    counts = {result.name: (result.evaluated, result.invalid, result.unknown) for result in outcome.report.rules}
    assert counts == {
        "v.dtype": (4, 1, 0),
        "v.not_null": (3, 1, 1),
        "v.ge": (3, 1, 1),
        "v.unique": (3, 0, 1),
        "small": (3, 1, 1),
    }


def test_unique_values_eq_judges_the_batch() -> None:
    contract = contract_of(str)(unique_values_eq=["a", "b"])
    assert not validate(pl.DataFrame({"v": ["a", "b", None, "a"]}), contract).report.blocked
    for values in (["a"], ["a", "b", "c"]):
        outcome = validate(pl.DataFrame({"v": values}), contract)
        result = outcome.report.rules[-1]
        assert (result.name, result.evaluated, result.invalid) == ("v.unique_values_eq", 1, 1)
        assert outcome.report.blocked
        assert outcome.clean.height == len(values)


def test_foreign_key() -> None:
    contract = contract_of(str)(exists_in="clean/customers.id")
    customers = pl.LazyFrame({"id": ["a", None]})
    assert broken(contract, ["a", "b", None], lookup_tables={"clean/customers": customers}) == [[], ["v.exists"], []]
    result = validate(pl.DataFrame({"v": ["a", "b"]}), contract).report.rules[-1]
    assert (result.status, result.evaluated, result.unknown) == ("unknown", 0, 2)
    assert "clean/customers" in result.note
    typed = contract_of(int)(exists_in="t.id")
    assert broken(typed, ["1", "2", "x"], lookup_tables={"t": pl.DataFrame({"id": [1]})}) == [
        [],
        ["v.exists"],
        ["v.dtype"],
    ]


def test_row_rule_with_the_delivery_day() -> None:
    class Events(Contract):
        event_time: Timestamp = Field(nullable=True)

        @rule(name="event_time.not_after_delivery")
        def not_after_delivery(cls) -> pl.Expr:
            return pl.col("event_time").dt.date() <= pl.col("partition_key").str.to_date()

    times = ["2026-09-01T23:59:59Z", "2026-09-02T00:00:00Z", None]
    frame = pl.DataFrame({"event_time": times, "partition_key": ["2026-09-01"] * 3})
    outcome = validate(frame, Events)
    assert outcome.quarantined["_rules"].to_list() == [["event_time.not_after_delivery"]]
    assert contract_rules(Events)[-1].column == "event_time"
    result = validate(frame.drop("partition_key"), Events).report.rules[-1]
    assert (result.status, result.unknown, result.note) == ("unknown", 3, "not delivered: partition_key")


def test_pandera_functions_are_run_by_pandera() -> None:
    class Custom(Contract):
        v: int = Field(nullable=True)

        @pa.check("v")
        @classmethod
        def even(cls, data: pa.PolarsData) -> pl.LazyFrame:
            return data.lazyframe.select(pl.col(data.key) % 2 == 0)

        @pa.dataframe_check
        @classmethod
        def small(cls, data: pa.PolarsData) -> pl.LazyFrame:
            return data.lazyframe.select(pl.col("v") < 10)

        @pa.check("v")
        @classmethod
        def raises(cls, data: pa.PolarsData) -> pl.LazyFrame:
            raise ValueError("holds a value")

    outcome = validate(pl.DataFrame({"v": ["2", "3", "x", "12", None]}), Custom)
    assert outcome.quarantined["_rules"].to_list() == [["v.even"], ["v.dtype"], ["small"]]
    results = {result.name: result for result in outcome.report.rules}
    assert {name for name, result in results.items() if result.engine == "pandera"} == {"v.even", "v.raises", "small"}
    assert (results["v.even"].evaluated, results["v.even"].unknown) == (4, 1)
    assert (results["v.raises"].status, results["v.raises"].note) == ("unknown", "the check raised ValueError")
    # One row: still a verdict about the row, so the row leaves.
    assert validate(pl.DataFrame({"v": ["3"]}), Custom).quarantined["_rules"].to_list() == [["v.even"]]
    assert validate(pl.DataFrame({"v": []}, schema={"v": pl.Int64}), Custom).report.rows_in == 0


def test_contract_stays_a_pandera_model() -> None:
    class Mixed(Contract):
        v: str = Field(str_length=(1, 5), not_empty=True, key=True)
        w: int = Field(ge=0, exists_in="t")

        class Config(Contract.Config):
            version = "1"

        @rule()
        def short_or_small(cls) -> pl.Expr:
            return (pl.col("v").str.len_chars() < 3) | (pl.col("w") < 3)

    good = pl.DataFrame({"v": ["ab", "abcd"], "w": [9, 1]})
    assert Mixed.validate(good).equals(good)
    for bad in ({"v": ["  "], "w": [1]}, {"v": ["abcd"], "w": [9]}, {"v": ["a", "a"], "w": [1, 1]}):
        with pytest.raises(pa.errors.SchemaError):
            Mixed.validate(pl.DataFrame(bad))


def test_element_wise_check() -> None:
    class Slow(Contract):
        v: int = Field()

        @pa.check("v", element_wise=True)
        @classmethod
        def odd(cls, value: int) -> bool:
            return value % 2 == 1

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pl.exceptions.PolarsInefficientMapWarning)
        outcome = validate(pl.DataFrame({"v": [1, 2, 3]}), Slow)
    assert outcome.clean["v"].to_list() == [1, 3]


@pytest.mark.parametrize(
    ("severity", "status", "clean"),
    [("info", "passed", 3), (Severity.WARN, "warned", 3), ("quarantine", "failed", 2), ("block", "blocked", 2)],
)
def test_severity(severity: Any, status: str, clean: int) -> None:
    contract = contract_of(int, severity={"v.ge": severity})(ge=0)
    outcome = validate(pl.DataFrame({"v": [1, -1, 2]}), contract)
    result = outcome.report.rules[-1]
    assert (result.name, result.status, result.invalid, result.share) == ("v.ge", status, 1, 1 / 3)
    assert (outcome.report.rows_clean, outcome.report.blocked) == (clean, status == "blocked")
