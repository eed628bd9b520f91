"""`assay contract draft` over files, folders and tables."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assay.checks import contract_info
from assay.cli.contracts.batches import batches_at
from assay.cli.places import FileForm, contract_at
from tests.assets.sources.excel.books import book as workbook
from tests.assets.sources.excel.books import header, sheet


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    for day in range(1, 5):
        folder = tmp_path / f"landing/orders/2026-09-0{day}"
        folder.mkdir(parents=True)
        rows = "".join(f"A{day}{row:03d},{['new', 'paid'][row % 2]}\n" for row in range(60))
        (folder / "orders-am.csv").write_text(f"order_id,state\n{rows}")
    return tmp_path / "landing"


def test_a_folder_is_drafted_from_file_by_file(cli: Callable[..., Any], landing: Path, tmp_path: Path) -> None:
    (landing / "orders/2026-09-03/orders-am.csv").write_text("")
    (landing / "orders/readme.md").write_text("?")
    written = cli("contract", "draft", str(landing), "--out", str(tmp_path / "orders.py"))
    assert written.code == 0
    assert f"Left out: {landing / 'orders/readme.md'} (no reader knows its kind)" in written.err
    assert "2026-09-03/orders-am.csv" in written.err
    first = landing / "orders/2026-09-01/orders-am.csv"
    assert (
        f"Next: answer its questions, try it (assay contract check {first} {tmp_path / 'orders.py'}:Orders)"
        in written.out
    )
    source = (tmp_path / "orders.py").read_text()
    assert "# Drafted from 180 rows of 3 files." in source
    assert "# 1 file could not be used and was left out." in source
    assert 'state: str = Field(isin=["new", "paid"])' in source
    assert contract_info(contract_at(f"{tmp_path / 'orders.py'}:Orders")).key == ("order_id",)


def test_one_file_warns_and_makes_no_list(cli: Callable[..., Any], landing: Path) -> None:
    drafted = cli("contract", "draft", str(landing / "orders/2026-09-01/orders-am.csv"))
    assert "# One file cannot show what stays the same: values and ranges are questions, not rules." in drafted.out
    assert "isin=[" not in drafted.out.replace("Then isin=[", "")


def test_a_table_is_drafted_from_partition_by_partition(desk: Callable[..., Any]) -> None:
    answer = desk("contract", "draft", "raw/tickets", "--json").data
    assert (answer["name"], answer["batches"], answer["key"]) == ("Tickets", 2, ["ticket_id"])
    assert "rows of 2 partitions." in answer["source"]


@pytest.mark.parametrize(
    ("files", "called"),
    [
        (["tickets/2026-09-01/tickets-am.csv"], "tickets"),
        (["tickets/2026-09-01/tickets-am.csv", "tickets/2026-09-01/tickets-pm.jsonl"], "tickets"),
        (["shop/orders_2026-09-01.csv", "shop/orders_2026-09-02.csv"], "orders"),
        (["orders/2026-09-01.csv"], "orders"),
        (["orders/2026/09/part-0001.parquet"], "orders"),
        (["x/card_events.r1.parquet"], "card events"),
        (["x/a.csv", "x/b.csv"], "x"),
        (["orders/2026-09-01/export_eu.csv", "orders/2026-09-02/export_eu.csv"], "orders"),
        (["orders/day=2026-09-01/report.csv", "orders/day=2026-09-02/report.csv"], "orders"),
        (["orders/2026/09/01/report.csv", "orders/2026/10/01/report.csv"], "orders"),
        (["orders/2026-09-01/orders.csv", "orders/2026-09-02/orders.csv"], "orders"),
        (["orders/2026-09-01/part-0.csv", "orders/2026-09-02/part-0.csv"], "orders"),
        (["eu/orders.csv", "us/orders.csv"], "orders"),
    ],
)
def test_a_contract_is_called_like_its_files(files: list[str], called: str, tmp_path: Path) -> None:
    assert batches_at([str(tmp_path / file) for file in files], FileForm())[2] == called


@pytest.mark.parametrize("file", ["report-{day}.csv", "{day}/report.csv", "part-{day}.csv"])
def test_a_folder_of_several_files_gives_its_name(file: str, tmp_path: Path) -> None:
    for day in ("2026-09-01", "2026-09-02"):
        written = tmp_path / "orders" / file.format(day=day)
        written.parent.mkdir(parents=True, exist_ok=True)
        written.write_text("a,b\n1,2\n")
    assert batches_at([str(tmp_path / "orders")], FileForm())[2] == "orders"
    alone = tmp_path / "orders" / file.format(day="2026-09-01")
    assert batches_at([str(alone)], FileForm())[2] == ("orders" if file.startswith("part") else "report")


def test_a_table_among_files_is_refused(cli: Callable[..., Any], landing: Path, tmp_path: Path) -> None:
    mixed = cli("contract", "draft", str(landing / "orders/2026-09-01/orders-am.csv"), "raw/orders")
    assert (
        mixed.code,
        "raw/orders is no file that can be read; draft from files, or from one table." in mixed.err,
    ) == (1, True)
    (tmp_path / "empty").mkdir()
    assert "holds no file that can be read (0 files)" in cli("contract", "draft", str(tmp_path / "empty")).err


def test_the_sheet_of_a_workbook_is_chosen(cli: Callable[..., Any], tmp_path: Path) -> None:
    book = tmp_path / "sales.xlsx"
    rows = {
        "North": [header("id", "n"), header("a", "1")],
        "South": [header("above"), header("id", "n"), header("b", "2")],
    }
    book.write_bytes(workbook({name: sheet(*cells) for name, cells in rows.items()}))
    unsaid = cli("contract", "draft", str(book))
    assert (unsaid.code, "Give --sheet NAME." in unsaid.err) == (1, True)
    assert "North" in unsaid.err
    chosen = cli("contract", "draft", str(book), "--sheet", "South", "--header-row", "2", "--json")
    assert (chosen.data["rows"], chosen.data["columns"]) == (1, ["id", "n"])
    suggested = cli("suggest", str(book), "--sheet", "North", "--json")
    assert json.loads(suggested.out)["rows"] == 1
