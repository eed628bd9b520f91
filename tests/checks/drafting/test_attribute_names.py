"""Columns called like what a contract's source uses: the source that is written works, and none of them is lost."""

import builtins
import keyword
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars import col

from assay.checks import Contract, contract_info, from_odcs, rule, to_odcs, validate
from assay.checks.contract.contract import compiled
from assay.checks.drafting.attribute_names import attribute_names, names_used
from assay.checks.drafting.draft import class_name, draft_contract
from assay.checks.exchange.to_python import to_source
from tests.conftest import SOAK

#: What the source of a contract uses or may use later, and names that Python, pandera or Assay have for themselves.
NAMES = [
    *("Contract", "Field", "Timestamp", "rule", "Block", "QuarantineLimits", "RowCount", "pl", "io", "datetime"),
    *("date", "time", "timedelta", "Decimal", "Annotated", "Optional", "Literal", "Config", "T", "rule_1", "column_1"),
    *("column_2", "column_2_", "_hidden", "__twice", "cls", "self", "Series", "Any", "ﬁeld", "field", "Table"),
    *keyword.kwlist,
    *keyword.softkwlist,
    *dir(builtins),
    *dir(Contract),
]
#: A contract may not have columns that differ in case only.
APART = list({name.casefold(): name for name in reversed(NAMES)}.values())
VALUES: list[Any] = [
    "a",
    7,
    0.5,
    True,
    date(2026, 9, 1),
    time(14),
    datetime(2026, 9, 1, tzinfo=UTC),
    "2026-09-01T10:00:00Z",
    "2026-09-01",
    timedelta(hours=1),
    Decimal("1.50"),
    ["a"],
    {"str": 1.0, "at": datetime(2026, 9, 1, tzinfo=UTC)},
    b"x",
]


def made(source: str, name: str) -> type[Contract]:
    module: dict[str, Any] = {"__name__": "written"}
    exec(compile(source, "written.py", "exec"), module)
    return module[name]


def frame_of(columns: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame({name: pl.Series([value] * 3) for name, value in columns.items()})


def require_drafted(frames: list[pl.DataFrame]) -> type[Contract]:
    drafted = made(draft_contract(frames, "t"), "T")
    assert [column.name for column in contract_info(drafted).columns] == list(
        dict.fromkeys(name for frame in frames for name in frame.columns)
    )
    for frame in frames:
        assert validate(frame, drafted).report.rows_clean == frame.height
    again = from_odcs(to_odcs(drafted))
    imported = made(to_source(again), "T")
    assert compiled(imported).columns == compiled(again).columns == compiled(drafted).columns
    assert contract_info(imported).digest == contract_info(again).digest
    return drafted


COLUMNS = st.dictionaries(st.sampled_from(APART), st.sampled_from(VALUES), min_size=1, max_size=6)


@settings(max_examples=300 if SOAK else 6, deadline=None)
@given(COLUMNS, COLUMNS)
def test_a_draft_takes_the_frames_it_was_drafted_from(columns: dict[str, Any], more: dict[str, Any]) -> None:
    require_drafted([frame_of(columns)])
    require_drafted([frame_of(columns), frame_of({**columns, **{n: v for n, v in more.items() if n not in columns}})])


def test_every_name_can_be_a_column() -> None:
    require_drafted([frame_of({name: VALUES[number % len(VALUES)] for number, name in enumerate(APART)})])


def test_a_column_called_like_a_type_gets_an_alias_and_usual_names_get_none() -> None:
    times = ["2026-09-01T10:00:00Z"] * 3
    source = draft_contract(pl.DataFrame({"id": [1, 2, 3], "Timestamp": times, "Closed": times, "type": times}), "t")
    assert 'column_2: Timestamp = Field(alias="Timestamp"' in source
    assert all(f"    {name}: " in source for name in ("id", "Closed", "type"))


def test_imports_are_what_the_code_uses_and_not_what_columns_are_called() -> None:
    source = draft_contract(pl.DataFrame({"Timestamp": ["a", "b"], "pl.x": ["c", "d"], "Optional[": ["e", "f"]}), "t")
    assert [line for line in source.splitlines() if "import" in line] == ["from assay.checks import Contract, Field"]


def test_rules_of_an_imported_contract_hide_no_column_and_are_hidden_by_none() -> None:
    class Named(Contract):
        rule_1: int
        io: int
        pl: int

        @rule(name="io.positive")
        def positive(cls) -> Any:
            return col("io") > 0

    back = made(to_source(from_odcs(to_odcs(Named))), "Named")
    assert [column.name for column in contract_info(back).columns] == ["rule_1", "io", "pl"]
    batch = pl.DataFrame({"rule_1": [1, 1], "io": [1, 0], "pl": [1, 1]})
    assert validate(batch, back).quarantined["_rules"].to_list() == [["io.positive"]]


@pytest.mark.parametrize("name", ["pl", "Field", "Contract", "class", "my orders", "str", "ﬁeld"])
def test_a_contract_called_like_what_its_source_uses_keeps_its_name(name: str) -> None:
    config = type("Config", (Contract.Config,), {"name": name, "version": "1"})
    named = type("Named", (Contract,), {"__annotations__": {"a": str}, "__module__": __name__, "Config": config})
    back = made(to_source(named), "Table")
    assert contract_info(back).name == contract_info(named).name == name
    assert contract_info(back).digest == contract_info(named).digest


@pytest.mark.parametrize(("name", "title"), [("timestamp.csv", "Table"), ("field", "Table"), ("days", "Days")])
def test_a_file_called_like_what_the_source_uses(name: str, title: str) -> None:
    assert class_name(name) == title
    frame = pl.DataFrame({"a": ["2026-09-01T10:00:00Z"] * 2})
    assert validate(frame, made(draft_contract(frame, name), class_name(name))).report.rows_clean == 2


def test_a_neutral_name_is_no_other_columns() -> None:
    names = attribute_names(["class", "column_1", "column_1_", "x"], ["x", "column_4"])
    assert names == {"class": "column_1__", "column_1": "column_1", "column_1_": "column_1_", "x": "column_4_"}


def test_names_used_are_those_looked_up_and_of_methods() -> None:
    source = "class A(B):\n    c: d.e = F(g=1)\n    @h(i='j')\n    def k(cls) -> L: return 'm'\n"
    assert names_used(source) == {"B", "d", "F", "h", "k", "L"}
