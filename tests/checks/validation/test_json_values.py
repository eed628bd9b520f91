"""JSON in a column: what a nested type holds of it, and what of it is no text."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.assets.sources.jsonl import read_jsonl
from assay.checks import Contract, Field, Timestamp, draft_contract, validate
from assay.checks.validation.json_values import from_json

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
    (pl.List(POINT), '[{"x": 3}]', [{"x": 3, "at": None}]),
]


@pytest.mark.parametrize(("dtype", "text", "value"), CASES)
def test_a_text_is_read_if_the_type_holds_all_that_it_says(dtype: pl.DataType, text: str, value: Any) -> None:
    read = pl.DataFrame({"v": [text, None]}).select(from_json(pl.col("v"), dtype)).to_series()
    assert read.dtype == dtype
    assert read.to_list() == [value, None]


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
