"""Drafts propose the form of texts with its evidence, and ask where the texts do not decide."""

from collections.abc import Sequence
from datetime import date
from typing import Any

import polars as pl
import pytest

from assay.checks import Contract, draft_contract, validate
from assay.checks.contract.contract import compiled
from assay.checks.contract.rules import Column
from assay.checks.drafting.text_types import text_type

ROWS = range(60)
DAYS = [date(2026, 1 + row % 12, 1 + row % 28) for row in ROWS]


def german(value: float) -> str:
    return f"{value:,.2f}".translate({ord(","): ".", ord("."): ","})


def drafted(texts: Sequence[str | None], name: str = "v") -> tuple[str, Column, Any]:
    """The source, the column as the drafted contract has it, and the texts judged by it."""
    frame = pl.DataFrame({name: texts}, schema={name: pl.String})
    source = draft_contract(frame, "table")
    module: dict[str, Any] = {"__name__": "drafted"}
    exec(compile(source, "drafted.py", "exec"), module)
    (contract,) = (
        one for one in module.values() if isinstance(one, type) and issubclass(one, Contract) and one is not Contract
    )
    return source, compiled(contract).columns[0], validate(frame, contract)


PROPOSED: list[tuple[str, list[str], pl.DataType, str, str]] = [
    ("amounts", [german(row * 37.25) for row in ROWS], pl.Float64(), 'decimal=",", thousands="."', "'9.999,99'"),
    ("whole", [f"{row * row * row:,}" for row in ROWS] + ["1,000,000"], pl.Int64(), 'thousands=","', "'99,999'"),
    ("trailing", [f"{row}.5{'-' * (row % 2)}" for row in ROWS], pl.Float64(), 'negative="trailing"', "'99.9-'"),
    ("percents", [f"{row},5 %" for row in ROWS], pl.Float64(), 'decimal=",", percent=True', "'99,9 %'"),
    ("prices", [f"€ {row}.50" for row in ROWS], pl.Float64(), 'currency="€"', "'€ 99.99'"),
    ("days", [day.strftime("%d.%m.%Y") for day in DAYS], pl.Date(), 'date_format="%d.%m.%Y"', "'99.99.9999'"),
    ("american", [day.strftime("%m/%d/%y") for day in DAYS], pl.Date(), 'date_format="%m/%d/%y"', "'99/99/99'"),
    ("digits", [day.strftime("%Y%m%d") for day in DAYS], pl.Date(), 'date_format="%Y%m%d"', "'99999999'"),
    ("named", [day.strftime("%d-%b-%Y") for day in DAYS], pl.Date(), 'date_format="%d-%b-%Y"', "'99-Aaa-9999'"),
    (
        "moments",
        [day.strftime("%d.%m.%Y 13:45") for day in DAYS],
        pl.Datetime("us", "UTC"),
        'naive_utc=True, datetime_format="%d.%m.%Y %H:%M"',
        "'99.99.9999 99:99'",
    ),
    ("clocks", [f"{1 + row % 12}:{row:02d} PM" for row in ROWS], pl.Time(), 'time_format="%I:%M %p"', "'9:99 AA'"),
    (
        "words",
        [["ja", "Ja", "nein"][row % 3] for row in ROWS],
        pl.Boolean(),
        'true_values=("Ja", "ja"), false_values=("nein",)',
        "60 of 60 values are the words listed",
    ),
]


@pytest.mark.parametrize(("name", "texts", "dtype", "options", "evidence"), PROPOSED, ids=[one[0] for one in PROPOSED])
def test_a_form_is_proposed_with_evidence_and_reads_the_texts(
    name: str, texts: list[str], dtype: pl.DataType, options: str, evidence: str
) -> None:
    source, column, judged = drafted(texts)
    assert column.dtype == dtype
    assert options in source
    assert evidence in source
    assert [rules for rules in judged.quarantined["_rules"].to_list() if "v.dtype" in rules] == []
    comments = [line for line in source.splitlines() if line.strip().startswith("#")]
    assert not [line for line in comments if "like" in line and any(repr(text) in line for text in texts)]


@pytest.mark.parametrize("token", ["N/A", "-", "", "NULL", "k.A."])
@pytest.mark.parametrize(
    "texts", [[str(row) for row in ROWS], [german(row * 37.25) for row in ROWS], [day.isoformat() for day in DAYS]]
)
def test_texts_without_a_value_are_listed_where_the_others_are_of_a_type(texts: list[str], token: str) -> None:
    source, column, judged = drafted([*texts, *[token] * 3, None])
    assert column.dtype != pl.String and column.nullable
    assert column.options.written.missing == (token,)
    assert "3 of 64 texts are listed as `missing`" in source
    assert judged.quarantined.is_empty() and judged.clean["v"].null_count() == 4


def test_texts_without_a_value_are_texts_among_texts() -> None:
    for others in ([f"word{'s' * row}" for row in ROWS], ["abc"] * 60, [f"A{row:03d}" for row in ROWS]):
        source, column, _ = drafted([*others, *["N/A"] * 30])
        assert column.dtype == pl.String
        lines = [line for line in source.splitlines() if "missing" in line]
        assert all(line.strip().startswith("#") for line in lines), "at most a question"


UNDECIDED = [
    (
        "orders of day and month",
        [f"{1 + row % 12:02d}/{1 + row % 11:02d}/2026" for row in ROWS],
        'date_format="%d/%m/%Y" or',
    ),
    ("three decimals or thousands", [f"{row + 1},{row:03d}" for row in ROWS], 'decimal="," or thousands=","'),
]


@pytest.mark.parametrize(("texts", "question"), [one[1:] for one in UNDECIDED], ids=[one[0] for one in UNDECIDED])
def test_where_two_forms_fit_the_draft_asks(texts: list[str], question: str) -> None:
    source, column, _ = drafted(texts)
    assert column.dtype == pl.String
    assert f"# Texts fit {question}" in source and "which is meant?" in source
    assert "str_matches" not in source and "isin" not in source


def test_one_value_decides() -> None:
    texts = [f"{1 + row % 12:02d}/{1 + row % 11:02d}/2026" for row in ROWS]
    assert drafted([*texts, "12/31/2026"])[1].options.written.date_format == "%m/%d/%Y"
    numbers = [f"{row + 1},{row:03d}" for row in ROWS]
    assert drafted([*numbers, "1,234,567"])[1].options.written.thousands == ","
    assert drafted([*numbers, "12,5"])[1].options.written.decimal == ","


def test_the_usual_form_stays_and_is_doubted_where_all_have_three_decimals() -> None:
    source, column, judged = drafted([f"{row + 1}.{row:03d}" for row in ROWS])
    assert column.dtype == pl.Float64() and not column.options.written
    assert 'Texts fit the usual form or thousands=".", to other values: which is meant?' in source
    assert judged.quarantined.is_empty()
    assert "Texts fit" not in drafted([*(f"{row + 1}.{row:03d}" for row in ROWS), "1.5"])[0]


def test_a_form_that_reads_more_than_the_usual_one_is_proposed() -> None:
    texts = [f"{row + 1}.{row:03d}" for row in range(200)]
    column = drafted([*texts, "1.234.567"])[1]
    assert (column.dtype, column.options.written.thousands) == (pl.Int64(), ".")


MIXED = {
    "dates": ([day.isoformat() if day.day % 2 else day.strftime("%d.%m.%Y") for day in DAYS], "%d.%m.%Y"),
    "numbers": ([f"{row},5" if row % 2 else f"{row}.5" for row in ROWS], 'decimal=","'),
}


@pytest.mark.parametrize(("texts", "form"), MIXED.values(), ids=MIXED)
def test_mixed_forms_are_no_law(texts: list[str], form: str) -> None:
    source, column, judged = drafted(texts)
    assert column.dtype == pl.String
    assert "# Several forms: " in source and form in source
    assert "str_matches" not in source and "isin" not in source
    assert judged.quarantined.is_empty()


def test_codes_and_phone_numbers_are_texts() -> None:
    codes = {
        "groups": [f"{row + 100} {row:03d} {row:03d}" for row in ROWS],
        "padded": [f"{row:03d}" for row in ROWS],
        "versions": [f"1.{row}.3" for row in ROWS],
        "phone": [f"{row + 10} {row + 100} {row + 200}" for row in ROWS],
    }
    for name, texts in codes.items():
        assert drafted(texts, name)[1].dtype == pl.String, name


def test_few_words_are_no_truths() -> None:
    assert text_type("v", pl.Series(["y", "n"])).dtype == pl.String
    assert text_type("v", pl.Series(["0", "1"] * 30)).dtype == pl.Int64
