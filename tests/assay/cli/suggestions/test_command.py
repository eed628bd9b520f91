"""`assay suggest` on files and tables."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import assay

TOWNS = ["Dothan", "Mobile", "Selma"] * 40


@pytest.fixture
def file(tmp_path: Path) -> str:
    towns = [*TOWNS[:7], "Mobxle", *TOWNS[8:]]
    mails = [f"m{number}@example.org" for number in range(119)]
    frame = pl.DataFrame({"id": range(120), "town": towns, "mail": [*mails, "n/a"]})
    frame.write_csv(tmp_path / "towns.csv", separator=";")
    return str(tmp_path / "towns.csv")


def test_doubted_cells_are_listed_with_reason_and_masked(cli: Callable[..., Any], file: str) -> None:
    answer = cli("suggest", file, "--separator", ";")
    assert answer.code == 0
    assert "Mobxle" in answer.out
    assert "It differs in one character from a value that 39 rows have; 1 has this one." in answer.out
    assert "‹email›" in answer.out
    assert "120 rows: 2 cells doubted. Nothing was changed." in answer.out
    assert "n/a" in cli("suggest", file, "--separator", ";", "--unmask").out


def test_columns_limit_and_json(cli: Callable[..., Any], file: str) -> None:
    data = cli("suggest", file, "--separator", ";", "--column", "town", "--json").data
    assert (data["rows"], data["looked_at"], data["doubted"]) == (120, 120, 1)
    assert data["suggestions"][0]["row"] == 8
    one = cli("suggest", file, "--separator", ";", "--limit", "1")
    assert "2 cells doubted, 1 shown" in one.out
    assert cli("suggest", file, "--separator", ";", "--column", "twn").code == 1


def test_a_table_and_the_same_from_python(desk: Callable[..., Any], two_days: Any, monkeypatch: Any) -> None:
    data = desk("suggest", "raw/tickets", "--limit", "0", "--json").data
    assert data["doubted"] == len(data["suggestions"]) > 0
    for name, value in two_days.environment.items():
        monkeypatch.setenv(name, value)
    found = assay.open().suggest("raw/tickets")
    assert [cell.id for cell in found.cells] == [cell["id"] for cell in data["suggestions"]]
    texts = {cell["value"] for cell in data["suggestions"] if cell["column"] == "text"}
    assert all(text is None or text.startswith("‹text:") for text in texts)
    assert all(cell["source"] for cell in data["suggestions"])


def test_what_accept_needs(cli: Callable[..., Any], file: str) -> None:
    assert cli("suggest", file, "--separator", ";", "--accept", "x").code == 2
    unknown = cli("suggest", file, "--separator", ";", "--accept", "0123456789", "--reason", "typo")
    assert (unknown.code, "has no suggestion 0123456789" in unknown.err) == (1, True)


def test_json_is_json(cli: Callable[..., Any], file: str) -> None:
    assert json.loads(cli("suggest", file, "--separator", ";", "--json").out)["rows"] == 120
