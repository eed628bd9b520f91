"""A broken `dtype` says in which form its texts would be read, and shows none of them."""

import re
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from assay.checks import Contract, Field, Timestamp, validate, validate_spilled
from assay.checks.validation import blocks
from assay.checks.validation.dtype_notes import MOST

CASES: list[tuple[Any, list[str], str]] = [
    (float, ["1,5", "12,75", "-3,1"], '3 of the 3 texts that cannot be read fit Field(decimal=",").'),
    (float, ["1.234,50", "2,5"], '2 of the 2 texts that cannot be read fit Field(decimal=",", thousands=".").'),
    (float, ["1,234"], '1 of the 1 text that cannot be read fit Field(decimal=",") or Field(thousands=",").'),
    (float, ["5-", "x"], '1 of the 2 texts that cannot be read fit Field(negative="trailing").'),
    (float, ["5 €"], '1 of the 1 text that cannot be read fit Field(currency="€").'),
    (float, ["5%"], "1 of the 1 text that cannot be read fit Field(percent=True)."),
    (int, ["1,234", "N/A"], '1 of the 2 texts that cannot be read fit Field(thousands=","). 1 of them may mean'),
    (
        int,
        ["N/A", "-"],
        "2 of the 2 texts that cannot be read may mean that there is no value, as N/A or - does: Field(missing",
    ),
    (date, ["31.12.2026"], 'fit Field(date_format="%d.%m.%Y").'),
    (date, ["01/02/2026"], 'fit Field(date_format="%d/%m/%Y") or Field(date_format="%m/%d/%Y").'),
    (Timestamp, ["31.12.2026 13:45"], 'fit Field(datetime_format="%d.%m.%Y %H:%M", naive_utc=True).'),
    (pl.Time, ["1:45 PM"], 'fit Field(time_format="%I:%M %p").'),
    (bool, ["ja", "nein"], "fit Field(true_values=…, false_values=…)."),
    (int, ["many", "1,5"], ""),
    (str, ["1,5"], ""),
]


def contract_of(annotation: Any, **options: Any) -> type[Contract]:
    return type("C", (Contract,), {"__annotations__": {"v": annotation}, "v": Field(nullable=True, **options)})


def note(outcome: Any) -> str:
    return next(rule.note for rule in outcome.report.rules if rule.name == "v.dtype")


@pytest.mark.parametrize(("annotation", "texts", "words"), CASES, ids=[" ".join(texts) for _, texts, _ in CASES])
def test_the_form_is_named(annotation: Any, texts: list[str], words: str) -> None:
    found = note(validate(pl.DataFrame({"v": [*texts, None]}), contract_of(annotation)))
    assert words in found and (words or not found)
    assert not any(text in found for text in texts if len(text) > 3)


def test_what_is_named_reads_them_once_it_is_declared() -> None:
    tried = 0
    for annotation, texts, words in CASES:
        for declared in re.findall(r"Field\(([^…]+?)\)(?= or|\.)", words):
            contract = contract_of(annotation, **eval(f"dict({declared})"))
            assert validate(pl.DataFrame({"v": texts}), contract).clean.height >= len(texts) / 2
            tried += 1
    assert tried >= 12


@pytest.mark.parametrize("text", ["12.50", "1,234.50"])
def test_a_second_form_in_a_column_is_no_form_to_declare_beside_the_first(text: str) -> None:
    found = note(validate(pl.DataFrame({"v": ["1,5", text]}), contract_of(float, decimal=",")))
    assert found == (
        "1 of the 1 text that cannot be read are written in another form than the declared one: ask the upstream for one form."
    )
    more = note(validate(pl.DataFrame({"v": ["1,5", "1.234,5"]}), contract_of(float, decimal=",")))
    assert 'fit Field(decimal=",", thousands=".")' in more
    missing = contract_of(float, missing=["n. a."])
    assert 'fit Field(decimal=",")' in note(validate(pl.DataFrame({"v": ["n. a.", "1,5"]}), missing))


def test_typed_values_and_whole_columns_have_no_note() -> None:
    assert note(validate(pl.DataFrame({"v": [1.5]}), contract_of(int))) == ""
    assert note(validate(pl.DataFrame({"v": ["1"]}), contract_of(int))) == ""


def test_the_first_thousand_texts_are_looked_at_also_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "ROWS", 300)  # so that the thousand are of several, and the last ones of others
    batch = pl.DataFrame({"v": [*["1", "1,5"] * MOST, *["x"] * 2 * MOST]})
    outcome = validate(batch, contract_of(float))
    assert note(outcome) == '1,000 of the first 1,000 texts that cannot be read fit Field(decimal=",").'
    assert validate_spilled(batch.lazy(), contract_of(float), tmp_path).report == outcome.report
