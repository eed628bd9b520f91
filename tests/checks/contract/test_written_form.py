"""Forms of texts: every line of the published table is read as it says, and what can be read in two ways is refused."""

import math
import re
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import pytest

from assay.checks import Contract, Field, Timestamp, contract_info, validate, validate_spilled
from assay.checks.contract.contract import compiled
from assay.checks.contract.written_form import OPTIONS
from assay.errors import AssayError

PAGE = Path(__file__).parents[3] / "docs" / "written-forms.md"
NAMES = {
    "Decimal": Decimal,
    "Field": Field,
    "Timestamp": Timestamp,
    "UTC": UTC,
    "date": date,
    "datetime": datetime,
    "math": math,
    "pl": pl,
    "time": time,
}
BROKEN = object()


def table(title: str) -> list[list[str]]:
    """The cells of a section's table, without backticks."""
    section = PAGE.read_text().partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    rows = [re.split(r" ?\| ?", line)[1:-1] for line in section.splitlines() if line.startswith("|")]
    return rows[2:]


def code(cell: str) -> str:
    return cell.removeprefix("`").removesuffix("`")


READ = table("What is read")
REFUSED = table("What is refused")


def one_column(kind: str, declared: str) -> type[Contract]:
    field = eval(f"Field(nullable=True, {declared})", NAMES)
    annotation = eval(kind, NAMES)
    return type("Case", (Contract,), {"__annotations__": {"v": annotation}, "v": field, "__module__": __name__})


def text_of(cell: str) -> str:
    match = re.fullmatch(r"`(.*)`", cell)
    assert match is not None, cell
    return re.sub(r"\\u([0-9a-f]{4})", lambda found: chr(int(found[1], 16)), match[1])


def wanted(cell: str) -> Any:
    return BROKEN if cell == "broken" else None if cell == "null" else eval(code(cell), NAMES)


def test_the_table_is_whole() -> None:
    declared = " ".join(row[1] for row in READ + REFUSED)
    assert len(READ) > 130
    assert {name for name in OPTIONS if f"{name}=" not in declared} == set()
    page = PAGE.read_text()
    assert {name for name in OPTIONS if f"| `{name}`" not in page and f", `{name}`" not in page} == set()


@pytest.mark.parametrize("row", READ, ids=lambda row: " ".join(row))
def test_each_text_is_read_as_the_table_says(row: list[str]) -> None:
    kind, declared, text, value = (row[0], code(row[1]), text_of(row[2]), wanted(row[3]))
    batch = pl.DataFrame({"v": [text, None]}, schema={"v": pl.String})
    outcome = validate(batch, one_column(code(kind), declared))
    if value is BROKEN:
        assert outcome.quarantined["v"].to_list() == [text]
        assert outcome.quarantined["_rules"].to_list() == [["v.dtype"]]
        assert outcome.clean["v"].to_list() == [None]
    else:
        assert outcome.clean["v"].to_list() == [value, None]
        assert outcome.quarantined.is_empty()


@pytest.mark.usefixtures("small_blocks")
def test_a_spilled_batch_is_read_the_same(tmp_path: Path) -> None:
    groups: dict[tuple[str, str], list[str]] = {}
    for kind, declared, text, _ in READ:
        groups.setdefault((code(kind), code(declared)), []).append(text_of(text))
    for number, ((kind, declared), texts) in enumerate(groups.items()):
        contract, batch = one_column(kind, declared), pl.DataFrame({"v": [*texts, None] * 3})
        folder = tmp_path / str(number)
        folder.mkdir()
        spilled, outcome = validate_spilled(batch.lazy(), contract, folder), validate(batch, contract)
        assert spilled.clean.collect().equals(outcome.clean, null_equal=True)
        assert spilled.quarantined.collect().equals(outcome.quarantined)
        assert spilled.report == outcome.report


@pytest.mark.parametrize("row", REFUSED, ids=lambda row: " ".join(row))
def test_what_can_be_read_in_two_ways_is_refused(row: list[str]) -> None:
    with pytest.raises(AssayError, match=re.escape(row[2])):
        one_column(code(row[0]), code(row[1]))


class Common(Contract):
    """What holds for all columns, and what single columns take back."""

    name: str = Field()
    number: int = Field(thousands="'")
    amount: float = Field(nullable=True)
    ratio: float = Field(decimal=".", thousands="", missing=())
    day: date = Field(nullable=True, missing=["?"])
    flag: bool = Field()
    at: Timestamp = Field(naive_utc=True)

    class Config(Contract.Config):
        decimal = ","
        thousands = "."
        date_format = "%d.%m.%Y"
        datetime_format = "%d.%m.%Y %H:%M"
        true_values = "ja"
        false_values = ("nein",)
        missing: ClassVar = ["", "-"]


ROW = {"name": "x", "number": "1'000", "amount": "1.000,5", "ratio": "1.5", "day": "1.2.2026", "flag": "ja"}
ROW |= {"at": "1.2.2026 13:45"}


def judged(**values: str) -> tuple[list[tuple[Any, ...]], list[list[str]]]:
    outcome = validate(pl.DataFrame([{**ROW, **values}]), Common)
    return outcome.clean.rows(), outcome.quarantined["_rules"].to_list()


def test_a_contract_declares_for_all_columns_and_a_field_for_itself() -> None:
    moment = datetime(2026, 2, 1, 13, 45, tzinfo=UTC)
    assert judged() == ([("x", 1000, 1000.5, 1.5, date(2026, 2, 1), True, moment)], [])
    assert judged(amount="-")[0][0][2] is None
    assert judged(ratio="-") == ([], [["ratio.dtype"]])
    assert judged(day="-") == ([], [["day.dtype"]])
    assert judged(day="?")[0][0][4] is None
    assert judged(number="1.000") == ([], [["number.dtype"]])
    # A text that means that there is none is null, which a column may be or not; of texts, too.
    assert judged(name="-", flag="") == ([], [["name.not_null", "flag.not_null"]])


def test_common_forms_are_inherited() -> None:
    class Narrower(Common):
        class Config(Common.Config):
            thousands = " "

    columns = {column.name: column.options.written for column in compiled(Narrower).columns}
    assert (columns["amount"].decimal, columns["amount"].thousands) == (",", " ")


def test_percent_and_currency_are_those_of_a_field() -> None:
    for name, value in {"percent": True, "currency": "€"}.items():
        with pytest.raises(AssayError, match=f"unknown option Config.{name}"):
            type("C", (Contract,), {"__annotations__": {"v": float}, "Config": type("Config", (), {name: value})})


def test_a_common_form_that_a_column_makes_ambiguous_is_refused() -> None:
    with pytest.raises(AssayError, match=r"C\.v: '\.' would separate both"):
        type("C", (Contract,), {"__annotations__": {"v": float}, "Config": type("Config", (), {"thousands": "."})})


def test_the_digest_holds_the_form_and_nothing_where_there_is_none() -> None:
    def digest(**options: Any) -> str:
        return contract_info(type("C", (Contract,), {"__annotations__": {"v": float}, "v": Field(**options)})).digest

    # Of before forms could be declared: clean tables of contracts without one are not made again.
    assert digest() == "0c82bd8a876cb4033ff8e4477d45334f91138fec1d0958e37106c720b443c039"
    assert len({digest(), digest(decimal=","), digest(missing="-"), digest(missing=("-", "?"))}) == 4


def test_rules_judge_what_was_read() -> None:
    class Sums(Contract):
        key: int = Field(key=True, thousands=".")
        amount: float = Field(ge=0, decimal=",", negative="trailing", missing="-")

    batch = pl.DataFrame({"key": ["1.000", "1000", "2", "3"], "amount": ["1,5", "2", "1,5-", "-"]})
    outcome = validate(batch, Sums)
    assert outcome.quarantined["_rules"].to_list() == [["key.unique"], ["amount.ge"], ["amount.not_null"]]
    assert outcome.quarantined["key"].to_list() == ["1000", "2", "3"]
    assert {rule.name: (rule.invalid, rule.unknown) for rule in outcome.report.rules}["amount.dtype"] == (0, 0)


def test_numbers_of_json_are_in_the_form_of_json() -> None:
    class Mixed(Contract):
        v: float = Field(decimal=",", thousands=".", missing="-1", nullable=True)
        w: str = Field(missing="-", nullable=True)

    # As the reader of JSON lines gives them: `_json` names the columns with values of other kinds.
    batch = pl.DataFrame(
        {"v": ["1.234", "1.234", "-1", "-1"], "w": ["-", "-", "a", "a"], "_json": ['["v"]', None, '["v"]', None]}
    )
    outcome = validate(batch, Mixed)
    assert outcome.clean.rows() == [(1.234, None), (1234.0, None), (-1.0, "a"), (None, "a")]


def test_typed_values_are_taken_as_they_are() -> None:
    class Typed(Contract):
        v: float = Field(decimal=",", missing="1.5")
        d: date = Field(date_format="%d.%m.%Y")

    batch = pl.DataFrame({"v": [1.5], "d": [date(2026, 12, 31)]})
    assert validate(batch, Typed).clean.rows() == [(1.5, date(2026, 12, 31))]
