"""An accepted suggestion: a rule in the contract's file, or a decision about a row in quarantine."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import assay
from assay.checks import validate
from assay.cli.places import contract_at, frame_at
from tests.declared import IMPORTS, daily_source

CONTRACT = '''"""Towns."""

from assay.checks import Contract, Field


class Towns(Contract):
    id: str = Field(key=True)
    town: str = Field()
    zip: int = Field()
    county: str = Field()
'''


@pytest.fixture
def place(tmp_path: Path) -> Path:
    numbers = [number % 12 for number in range(120)]
    towns = [f"Town {number}" for number in numbers]
    towns[7] = "Town 3"
    lines = enumerate(zip(towns, numbers, strict=True))
    rows = "".join(f"K{row:03d},{town},{10000 + number},C{number}\n" for row, (town, number) in lines)
    (tmp_path / "towns.csv").write_text(f"id,town,zip,county\n{rows}")
    (tmp_path / "towns.py").write_text(CONTRACT)
    return tmp_path


def identity(cli: Callable[..., Any], *arguments: str) -> str:
    (cell,) = cli("suggest", *arguments, "--column", "town", "--json").data["suggestions"]
    return cell["id"]


def test_a_rule_is_shown_and_with_yes_written(cli: Callable[..., Any], place: Path) -> None:
    file, contract = str(place / "towns.csv"), f"{place / 'towns.py'}:Towns"
    accept = ("suggest", file, "--accept", identity(cli, file), "--reason", "typo, says the upstream", "--by", "jo")
    line = cli(*accept)
    assert "@rule(" in line.out
    assert "with --contract" in line.out
    shown = cli(*accept, "--contract", contract)
    assert (shown.code, "Nothing was changed: add --yes" in shown.out) == (0, True)
    assert (place / "towns.py").read_text() == CONTRACT
    written = cli(*accept, "--contract", contract, "--yes", "--json").data
    assert (written["written"], written["breaks"]) == (True, 1)
    source = (place / "towns.py").read_text()
    assert "typo, says the upstream (jo, suggestion " in source
    outcome = validate(frame_at(file), contract_at(contract))
    assert outcome.quarantined["id"].to_list() == ["K007"]
    left = cli("suggest", file, "--contract", contract, "--column", "town", "--json").data
    assert (left["doubted"], left["accepted"]) == (0, 1)
    assert cli("suggest", file, "--column", "town", "--json").data["accepted"] == 0, "without the contract nobody knows"
    assert outcome.quarantined["_rules"].to_list() == [[written["rule"]]]
    again = cli(*accept, "--contract", contract, "--yes")
    assert (again.code, "already: change it by hand" in again.err) == (1, True)


def injected(place: Path, value: str) -> tuple[str, str]:
    """A file in which a zip decides about a town, save in one row, and a zip is this value; its contract has it as a number."""
    places = [("10115", "Berlin"), ("10117", "Berlin"), (value, "Berlin"), ("80331", "Munich"), ("80333", "Munich")]
    places += [("20095", "Hamburg"), ("20097", "Hamburg")]
    rows = [(f"K{number}", *places[number % 7]) for number in range(350)]
    rows[72] = ("K72", value, "Hamburg")
    pl.DataFrame(rows, ["id", "zip", "town"], orient="row").write_csv(place / "f.csv")
    (place / "c.py").write_bytes(RECORDED.encode())
    return str(place / "f.csv"), f"{place / 'c.py'}:Towns"


RECORDED = """# coding: utf-8\r
from __future__ import annotations\r
\r
from pathlib import Path\r
\r
from assay.checks import Contract, Field\r
\r
with Path(__file__).with_name("runs").open("a") as runs:\r
    runs.write("x")\r
\r
\r
class Towns(Contract):\r
    id: str = Field(key=True)\r
    zip: int = Field()\r
    town: str = Field()\r
"""


@pytest.mark.parametrize("value", ["__import__('os').abort()", "1) | __import__('os').abort() | (1", "1_0"])
def test_a_value_never_runs(cli: Callable[..., Any], place: Path, value: str) -> None:
    file, contract = injected(place, value)
    accept = ("suggest", file, "--accept", identity(cli, file), "--reason", "typo", "--contract", contract)
    for more in ((), ("--yes",)):
        answer = cli(*accept, *more)
        assert (answer.code, "what is no such number" in answer.err) == (1, True)
        assert value not in answer.err
    assert (place / "c.py").read_bytes() == RECORDED.encode()


def test_a_preview_runs_nothing_that_it_wrote(cli: Callable[..., Any], place: Path) -> None:
    file, contract = injected(place, "007")
    accept = (
        "suggest",
        file,
        "--accept",
        identity(cli, file),
        "--reason",
        "ty\u2028import os\x0cpo",
        "--contract",
        contract,
    )
    runs = place / "runs"
    shown = cli(*accept)
    assert (shown.code, 'pl.col("zip") == 7' in shown.out, "# town.of_zip" in shown.out) == (0, True, True)
    assert runs.read_text() == "x", "the contract was imported, and what was made of it was not run"
    assert cli(*accept, "--yes").code == 0
    assert runs.read_text() == "xxx"
    written = (place / "c.py").read_bytes()
    assert b"ty import os po (" in written
    assert written.count(b"\r\n") == written.count(b"\n"), "the ends of lines are kept"
    outcome = validate(frame_at(file), contract_at(contract))
    assert outcome.quarantined["id"].to_list() == ["K72"]


def test_a_file_that_its_rule_would_break_is_not_written(cli: Callable[..., Any], place: Path) -> None:
    file = str(place / "towns.csv")
    broken = CONTRACT.replace("Contract, Field", "Contract, Field\nimport math as pl")
    (place / "towns.py").write_text(broken)
    accept = (
        "suggest",
        file,
        "--accept",
        identity(cli, file),
        "--reason",
        "typo",
        "--contract",
        f"{place / 'towns.py'}:Towns",
    )
    answer = cli(*accept, "--yes")
    assert (answer.code, "could not be imported with the rule (AttributeError)" in answer.err) == (1, True)
    assert (place / "towns.py").read_text() == broken


def test_a_value_to_set_belongs_to_a_row_in_quarantine(cli: Callable[..., Any], place: Path) -> None:
    file = str(place / "towns.csv")
    answer = cli("suggest", file, "--accept", identity(cli, file), "--reason", "typo", "--set", "Town 7")
    assert (answer.code, "is not in quarantine" in answer.err) == (1, True)


def test_a_contract_that_is_no_python_is_not_changed(cli: Callable[..., Any], place: Path) -> None:
    file, document = str(place / "towns.csv"), place / "towns.odcs.yaml"
    (place / "towns.py").write_text(f'{CONTRACT}\n    class Config(Contract.Config):\n        version = "1.0.0"\n')
    assert cli("contract", "export", f"{place / 'towns.py'}:Towns", "--out", str(document)).code == 0
    answer = cli("suggest", file, "--accept", identity(cli, file), "--reason", "typo", "--contract", str(document))
    assert (answer.code, "was not read from a Python file" in answer.err) == (1, True)


FARM = 'farm: str = Field(isin=["Ashford", "Birkdale", "Clayton"])'
MILL = IMPORTS + daily_source("loads", "load: str = Field(key=True)", FARM, start="2026-09-01")


@pytest.fixture
def mill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project with one source, of which 120 rows are in the lake and one is in quarantine."""
    package = tmp_path / "project" / "mill"
    package.mkdir(parents=True)
    (package.parent / "pyproject.toml").write_text('[tool.assay]\ndomains = ["mill"]\n')
    (package / "__init__.py").touch()
    (package / "loads.py").write_text(MILL)
    monkeypatch.syspath_prepend(package.parent)
    monkeypatch.setenv("ASSAY_PROJECT", str(package.parent))
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path / "var"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    farms = ["Ashford", "Birkdale", "Clayton"] * 40
    farms[7] = "Birkdxle"
    frame = pl.DataFrame({"load": [f"L{number:03d}" for number in range(120)], "farm": farms})
    store = assay.open()
    done = store.ingest("loads", frame, "2026-09-01")
    store.recorder.close()
    assert (done.rows_clean, done.rows_quarantined) == (119, 1)
    yield package / "loads.py"
    for name in [name for name in sys.modules if name.partition(".")[0] == "mill"]:
        del sys.modules[name]


def test_a_row_in_quarantine_is_corrected_by_a_decision(cli: Callable[..., Any], mill: Path) -> None:
    (cell,) = cli("suggest", "raw/loads", "--json").data["suggestions"]
    assert (cell["key"], cell["value"], cell["expected"]) == ({"load": "L007"}, "Birkdxle", "Birkdale")
    accept = ("suggest", "raw/loads", "--accept", cell["id"], "--reason", "typo", "--by", "jo")
    shown = cli(*accept, "--json").data
    assert (shown["dry_run"], [row["fits"] for row in shown["rows"]]) == (True, [True])
    assert [row["fits"] for row in cli(*accept, "--set", "Nowhere", "--json").data["rows"]] == [False]
    done = cli(*accept, "--yes", "--json")
    assert (done.code, done.data["decision_id"] is not None, done.data["problems"]) == (0, True, [])
    (row,) = cli("quarantine", "show", "loads", "--json").data
    assert (row["_status"], row["_decided_by"], row["_reason"]) == ("released", "jo", "typo")
    clean = assay.open().table("clean/loads").scan().collect()
    assert clean.filter(load="L007")["farm"].to_list() == ["Birkdale"]
    assert mill.read_text() == MILL
    seen = cli("suggest", "raw/loads", "--json").data
    assert (seen["doubted"], seen["accepted"], seen["suggestions"]) == (0, 1, [])
    assert "0 cells doubted. 1 more decided before. Nothing was changed." in cli("suggest", "raw/loads").out
    # What is decided is decided: accepting it again is about a rule, and there is one already.
    again = cli(*accept)
    assert (again.code, "isin already" in again.err) == (1, True)


def test_a_rule_can_be_chosen_for_a_row_in_quarantine_too(cli: Callable[..., Any], mill: Path) -> None:
    mill.write_text(MILL.replace('isin=["Ashford", "Birkdale", "Clayton"]', 'str_length={"min_value": 3}'))
    (cell,) = cli("suggest", "raw/loads", "--json").data["suggestions"]
    answer = cli("suggest", "raw/loads", "--accept", cell["id"], "--rule", "--reason", "typo", "--yes")
    assert (answer.code, str(mill) in answer.out) == (0, True)
    assert 'str_length={"min_value": 3}, isin=["Ashford", "Birkdale", "Clayton"])' in mill.read_text()


def test_arguments_that_cannot_be_seen_are_named_and_the_rule_is_printed(cli: Callable[..., Any], mill: Path) -> None:
    hidden = MILL.replace('isin=["Ashford", "Birkdale", "Clayton"]', '**{"str_length": {"min_value": 3}}')
    mill.write_text(hidden)
    (cell,) = cli("suggest", "raw/loads", "--json").data["suggestions"]
    answer = cli("suggest", "raw/loads", "--accept", cell["id"], "--rule", "--reason", "typo", "--yes")
    assert (answer.code, "by **, which cannot be seen here" in answer.err) == (1, True)
    assert 'isin=["Ashford", "Birkdale", "Clayton"])' in answer.out
    assert mill.read_text() == hidden


@pytest.mark.parametrize(
    ("encoding", "first", "refused"), [("latin-1", "# coding: latin-1\n", "Łódź"), ("utf-8-sig", "", None)]
)
def test_a_file_keeps_its_encoding(
    cli: Callable[..., Any], mill: Path, encoding: str, first: str, refused: str | None
) -> None:
    source = MILL.replace('isin=["Ashford", "Birkdale", "Clayton"]', 'title="Gehöft"')
    mill.write_bytes(f"{first}{source}".encode(encoding))
    (cell,) = cli("suggest", "raw/loads", "--json").data["suggestions"]
    accept = ("suggest", "raw/loads", "--accept", cell["id"], "--rule", "--yes", "--by", "jo", "--reason")
    if refused is not None:
        answer = cli(*accept, refused)
        assert (answer.code, "which lacks a letter of the rule" in answer.err) == (1, True)
    assert cli(*accept, "Köln").code == 0
    written = mill.read_bytes()
    assert written.startswith(first.encode() or b"\xef\xbb\xbf")
    assert 'title="Gehöft", isin=[' in written.decode(encoding)
    assert "Köln (jo, suggestion" in written.decode(encoding)
