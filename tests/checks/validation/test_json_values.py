"""JSON in a column: what a nested type holds of it, and what of it is no text."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from assay.assets.sources.jsonl import read_jsonl
from assay.checks import Contract, Field, Timestamp, draft_contract, validate
from assay.checks.validation.json_values import from_json
from assay.checks.validation.reading import is_no_text

POINT = pl.Struct({"x": pl.Int8, "at": pl.Datetime("us", "UTC")})
CASES: list[tuple[pl.DataType, str, Any]] = [
    (pl.List(pl.String), '["a", null, "é"]', ["a", None, "é"]),
    (pl.List(pl.String), "[]", []),
    (pl.List(pl.String), "null", None),
    (pl.List(pl.String), '["a", 1]', None),
    (pl.List(pl.String), '["\\ud800"]', None),
    (pl.List(pl.String), "a,b", None),
    (pl.List(pl.String), '{"a": 1}', None),
    (pl.List(pl.String), '["a"', None),
    (pl.List(pl.Int8), "[127, -128]", [127, -128]),
    (pl.List(pl.Int8), "[128]", None),
    (pl.List(pl.Int64), "[1.0]", None),
    (pl.List(pl.Int64), "[true]", None),
    (pl.List(pl.UInt64), "[18446744073709551615]", [2**64 - 1]),
    (pl.List(pl.Float64), "[1, 2.5, 1e3]", [1.0, 2.5, 1000.0]),
    (pl.List(pl.Float64), "[1e400]", None),
    (pl.List(pl.Float64), "[NaN]", None),
    (pl.List(pl.Decimal(5, 2)), "[1.50, 999.99]", [Decimal("1.50"), Decimal("999.99")]),
    (pl.List(pl.Decimal(5, 2)), "[1.505]", None),
    (pl.List(pl.Decimal(5, 2)), "[1000]", None),
    (pl.List(pl.Boolean), "[true, false]", [True, False]),
    (pl.List(pl.Boolean), "[1]", None),
    (pl.List(pl.Date), '["2026-09-01"]', [date(2026, 9, 1)]),
    (pl.List(pl.Date), '["0000-01-01"]', None),
    (pl.List(pl.Enum(["a", "b"])), '["a"]', ["a"]),
    (pl.List(pl.Enum(["a", "b"])), '["c"]', None),
    (pl.Array(pl.Int64, 2), "[1, 2]", [1, 2]),
    (pl.Array(pl.Int64, 2), "[1]", None),
    (pl.List(pl.List(pl.Int64)), "[[1], []]", [[1], []]),
    (POINT, '{"x": 1, "at": "2026-09-01T02:00:00+02:00"}', {"x": 1, "at": datetime(2026, 9, 1, tzinfo=UTC)}),
    (POINT, '{"x": 1}', {"x": 1, "at": None}),
    (POINT, '{"x": 1, "y": 2}', None),
    (POINT, '{"x": 1, "x": 2}', None),
    (POINT, '{"x": 1, "at": "2026-09-01T02:00:00"}', None),
    (pl.List(pl.Datetime("ns", "UTC")), '["2300-01-01T00:00:00Z"]', None),
    (pl.List(pl.Float32), "[1e300]", None),
    (pl.List(pl.Float32), "[-1e39]", None),
    (pl.List(pl.Float32), "[3.4028234e38]", [3.4028234663852886e38]),
    (pl.List(pl.Float32), "[0.5, 1]", [0.5, 1.0]),
    (pl.List(pl.Float64), f"[1{'0' * 400}]", None),
    (pl.List(pl.Decimal(38, 0)), "[123456789012345678901234567890]", [Decimal(123456789012345678901234567890)]),
    (pl.List(pl.Decimal(38, 0)), f"[-{'9' * 38}]", [Decimal("-" + "9" * 38)]),
    (pl.List(pl.Decimal(38, 0)), f"[1{'0' * 38}]", None),
    (pl.List(pl.Decimal(38, 10)), f"[{'9' * 28}.{'9' * 10}]", [Decimal("9" * 28 + "." + "9" * 10)]),
    (pl.List(pl.Decimal(38, 10)), f"[{'9' * 28}.{'9' * 10}1]", None),
    (pl.List(pl.Decimal(5, 2)), f"[1.5{'0' * 60}, 1e1, 0e99, 0e-99]", [Decimal(s) for s in ("1.5", "10", "0", "0")]),
    (pl.List(pl.Decimal(5, 2)), "[1e-999999999]", None),
    (pl.List(pl.Decimal(5, 2)), "[1e999999999]", None),
    (pl.List(pl.Decimal(5, 2)), "[1e9999999999999999999]", None),
    (pl.List(pl.Datetime("us", "UTC")), '["0001-01-01T00:00:00+14:00"]', None),
    (pl.List(pl.Datetime("us", "UTC")), '["9999-12-31T23:00:00-14:00"]', None),
    (pl.List(POINT), '[{"x": 3}]', [{"x": 3, "at": None}]),
]


@pytest.mark.parametrize(("dtype", "text", "value"), CASES)
def test_a_text_is_read_if_the_type_holds_all_that_it_says(dtype: pl.DataType, text: str, value: Any) -> None:
    read = pl.DataFrame({"v": [text, None]}).select(from_json(pl.col("v"), dtype)).to_series()
    assert read.dtype == dtype
    assert read.to_list() == [value, None]


MOMENTS: list[tuple[str, str, int | None]] = [
    ("ns", "2026-09-01T00:00:00.123456789", 123_456_789),
    ("ns", "2026-09-01T00:00:00.1234567890", 123_456_789),
    ("ns", "2026-09-01T00:00:00.1234567891", None),
    ("ns", "2026-09-01T00:00:00.5", 500_000_000),
    ("us", "2026-09-01T00:00:00.123456789", 123_456),
    ("ms", "2026-09-01T00:00:00.123000", 123),
    ("ms", "2026-09-01T00:00:00.123456", None),
    ("ms", "2026-09-01T00:00:00.1230000001", None),
    ("ns", "1677-09-21T00:12:43.145224191", None),
    ("ns", "1677-09-21T00:12:43.145224192", -(2**63)),
    ("ns", "2262-04-11T23:47:16.854775807", 2**63 - 1),
    ("ns", "2262-04-11T23:47:16.854775808", None),
]


@pytest.mark.parametrize(("unit", "text", "part"), MOMENTS)
@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin"])
def test_a_moment_is_exact_in_its_unit_or_unreadable(unit: Any, text: str, part: int | None, zone: str | None) -> None:
    """Only microseconds are cut, as those of a column are."""
    whole = f'[null, "{text}{"Z" if zone else ""}"]'
    dtype = pl.Struct({"at": pl.List(pl.Datetime(unit, zone))})
    read = pl.DataFrame({"v": [f'{{"at": {whole}}}']}).select(from_json(pl.col("v"), dtype)).to_series()
    assert read.dtype == dtype
    if part is None:
        assert read.to_list() == [None]
        return
    stored = read.struct.field("at").explode().to_physical().to_list()
    second = int(datetime(2026, 9, 1, tzinfo=UTC).timestamp()) * {"ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    assert stored == [None, part if abs(part) > 10**9 else second + part]


def test_a_fraction_of_an_offset_is_none_of_the_moment() -> None:
    texts = ['["2026-09-01T00:00:00+00:00:00.5"]', '["2026-09-01T00:00:00+01:00:01"]']
    read = pl.DataFrame({"v": texts}).select(from_json(pl.col("v"), pl.List(pl.Datetime("us", "UTC")))).to_series()
    assert read.to_list() == [None, [datetime(2026, 8, 31, 22, 59, 59, tzinfo=UTC)]]


LEAVES: list[pl.DataType] = [
    pl.Int8(), pl.Int64(), pl.UInt64(), pl.Int128(), pl.Float32(), pl.Float64(), pl.Boolean(), pl.String(), pl.Categorical(),
    pl.Enum(["a", "b"]),
    pl.Date(), pl.Time(), pl.Duration("us"), pl.Binary(), pl.Null(), pl.Decimal(38, 0), pl.Decimal(38, 38), pl.Decimal(5, 2),
    pl.Datetime("ms", "UTC"), pl.Datetime("us", "UTC"), pl.Datetime("us"), pl.Datetime("ns"), pl.Datetime("ns", "Asia/Tokyo"),
]  # fmt: skip
TYPES = st.recursive(
    st.sampled_from(LEAVES),
    lambda inner: st.one_of(
        inner.map(pl.List),
        st.builds(pl.Array, inner, st.integers(1, 2)),
        st.dictionaries(st.sampled_from("abc"), inner, min_size=1, max_size=2).map(pl.Struct),
    ),
    max_leaves=4,
)
NUMBERS = st.one_of(
    st.integers().map(str),
    st.integers(-(10**40), 10**40).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(
        ["1e400", "-1e39", "1e-400", "0e999999", "1e9999999999999999999", "9" * 400, "9" * 5000, "NaN", "-0.0"]
    ),
)
MOMENT_TEXTS = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(
        ["0001-01-01", "9999-12-31", "2026-09-01", "1677-09-21", "0000-01-01", "2026-W01-1", "20260901", ""]
    ),
    st.sampled_from(["", "T00:00:00", " 23:59:59.999999999", "T24:00:00", "T00:12:43,1", "12:00"]),
    st.sampled_from(["", "Z", "+14:00", "-23:59", "+24:00", "+00:00:00.1"]),
    st.sampled_from(["", "\\ud800", "x"]),
)
STRINGS = (MOMENT_TEXTS | st.sampled_from(["a", "b", "\\udc80", "\\u0000", "inf"])).map(lambda text: f'"{text}"')
SCALARS = st.one_of(NUMBERS, STRINGS, st.sampled_from(["null", "true", "false"]), st.text(max_size=3))


def texts_for(dtype: Any) -> st.SearchStrategy[str]:
    """JSON that is mostly of the type's shape."""
    match dtype:
        case pl.List() | pl.Array():
            shaped = st.lists(texts_for(dtype.inner), max_size=2).map(lambda items: f"[{','.join(items)}]")
        case pl.Struct():
            fields = [texts_for(field.dtype).map(lambda text, n=field.name: f'"{n}":{text}') for field in dtype.fields]
            shaped = st.tuples(*fields).map(lambda items: f"{{{','.join(items)}}}")
        case _:
            return SCALARS
    return shaped | SCALARS


@given(st.data())
def test_no_text_stops_a_batch_or_takes_another_row_with_it(data: st.DataObject) -> None:
    dtype = data.draw(TYPES.filter(lambda one: one.is_nested()))
    texts = data.draw(st.lists(texts_for(dtype), min_size=1, max_size=4))
    frame = pl.DataFrame({"v": texts}, schema={"v": pl.String})
    read = frame.select(from_json(pl.col("v"), dtype)).to_series()
    assert read.dtype == dtype
    for text, value in zip(texts, read, strict=True):
        (alone,) = pl.DataFrame({"v": [text]}).select(from_json(pl.col("v"), dtype)).to_series()
        assert repr(value) == repr(alone)


NESTED = pl.List(pl.Struct({"n": pl.Int64, "t": pl.String, "f": pl.List(pl.Boolean)}))
ITEMS = st.fixed_dictionaries(
    {},
    optional={
        "n": st.none() | st.integers(-(2**63), 2**63 - 1),
        "t": st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=3),
        "f": st.none() | st.lists(st.none() | st.booleans(), max_size=3),
    },
)


@given(st.lists(st.lists(st.none() | ITEMS, max_size=3), min_size=1, max_size=4))
def test_what_json_writes_is_read_back(rows: list[list[dict[str, Any] | None]]) -> None:
    read = pl.DataFrame({"v": [json.dumps(row) for row in rows]}).select(from_json(pl.col("v"), NESTED)).to_series()
    full = [[None if one is None else {"n": None, "t": None, "f": None} | one for one in row] for row in rows]
    assert read.to_list() == full


class Events(Contract):
    id: str = Field(key=True)
    reason: str = Field(nullable=True)
    loose: str = Field(nullable=True, coerce=True)
    tags: Annotated[pl.List, pl.String] = Field(nullable=True)
    count: int = Field(nullable=True)
    at: Timestamp = Field(nullable=True)
    happy: bool = Field(nullable=True)


VALUES: list[tuple[str, Any, bool]] = [
    ("reason", "late", True),
    ("reason", "", True),
    ("reason", None, True),
    ("reason", {"code": 7}, False),
    ("reason", ["late"], False),
    ("reason", 12, False),
    ("reason", 1.5, False),
    ("reason", False, False),
    ("loose", {"code": 7}, True),
    ("loose", 12, True),
    ("tags", ["red", "blue"], True),
    ("tags", [], True),
    ("tags", ["red", 1], False),
    ("tags", "red", False),
    ("count", 12, True),
    ("count", "12", True),
    ("count", 12.5, False),
    ("count", True, False),
    ("happy", True, True),
    ("happy", 1, False),
    ("at", "2026-09-01T00:00:00Z", True),
    ("at", 1788220800, False),
    ("id", 7, False),
]


@pytest.mark.parametrize(("column", "value", "holds"), VALUES)
def test_a_value_of_json_lines_is_judged_by_its_kind(column: str, value: Any, holds: bool) -> None:
    rows = [
        {"id": "fine"},
        {"id": "a", "reason": "r", "loose": "l", "tags": None, "count": 1, "at": None, "happy": None},
    ]
    rows[1][column] = value
    frame = read_jsonl("x.jsonl", "\n".join(map(json.dumps, rows)).encode())
    outcome = validate(frame, Events)
    assert outcome.clean.height == 1 + holds
    assert outcome.quarantined["_rules"].to_list() == ([] if holds else [[f"{column}.dtype"]])
    assert "_json" not in outcome.clean.columns
    if not holds and not isinstance(value, str):
        original = outcome.quarantined[column].item()
        assert json.loads(original) == value


def test_one_value_that_no_type_holds_breaks_its_row_only() -> None:
    class Moments(Contract):
        id: str = Field(key=True)
        at: Annotated[pl.List, pl.Datetime("us", "UTC")] = Field(nullable=True)

    rows = [{"id": "a", "at": ["0001-01-01T00:00:00+14:00"]}, {"id": "b", "at": ["2026-09-01T00:00:00Z"]}]
    outcome = validate(read_jsonl("x.jsonl", "\n".join(map(json.dumps, rows)).encode()), Moments)
    assert outcome.clean["id"].to_list() == ["b"]
    assert outcome.quarantined["_rules"].to_list() == [["at.dtype"]]


AWKWARD = st.text(st.sampled_from('", []\\aé\n'), min_size=1, max_size=5).filter(lambda name: name.strip() != "")


@given(st.lists(AWKWARD, min_size=1, max_size=4, unique=True), st.data())
@example([", ", "a", "b"], None)
@example([",", "a,", "b"], None)
@example(['x"a', "a"], None)
def test_a_text_is_none_exactly_where_its_own_name_is_listed(names: list[str], data: st.DataObject | None) -> None:
    """Whatever stands in the names of other columns: quotes, commas, brackets, backslashes."""
    sets = st.lists(st.sampled_from(names), unique=True)
    listed = data.draw(st.lists(sets, min_size=1, max_size=3)) if data else [names[1:], names[:1], names]
    others = pl.Series([json.dumps(some) if some else None for some in listed], dtype=pl.String)
    for name in names:
        is_other = pl.DataFrame({"_json": others}).select(is_no_text(name)).to_series()
        assert is_other.to_list() == [name in some for some in listed]


def test_a_field_that_is_named_as_names_are_separated_is_read() -> None:
    class Odd(Contract):
        id: str = Field(key=True)
        odd: str = Field(alias=", ", nullable=True)

    line = json.dumps({"id": "a", ", ": "text", "n": 1, "m": 2})
    assert validate(read_jsonl("x.jsonl", line.encode()), Odd).clean[", "].to_list() == ["text"]


def test_the_kinds_of_a_file_stand_in_one_column() -> None:
    lines = ['{"a": "x", "b": 1}', "nonsense", '{"b": "1", "\\"a": {}, "_json": 2}', "{}"]
    frame = read_jsonl("x.jsonl", "\n".join(lines).encode())
    assert frame["_json"].to_list() == ['["b"]', None, '["\\"a", "__json"]', None]


def test_a_draft_takes_other_kinds_as_text_and_says_how_many_there_are() -> None:
    lines = [json.dumps({"id": f"K{n}", "payload": {"n": n} if n % 2 else "none", "count": n}) for n in range(60)]
    frame = read_jsonl("x.jsonl", "\n".join(lines).encode())
    source = draft_contract(frame, "events")
    assert "# 30 of 60 values are JSON numbers, arrays or the like: text all the same?" in source
    assert "count: int = Field(" in source
    module: dict[str, Any] = {}
    exec(source, module)
    assert validate(frame, module["Events"]).clean.height == 60
