"""Files on the command line: one that cannot be read names the options of the command, not the declaration of a source."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assay.assets.sources.csv_dialect import Csv
from assay.assets.sources.excel.declared import Excel
from assay.cli.places import FileForm, frame_at
from assay.errors import AssayError
from tests.assets.sources.excel.books import book, header, number, sheet

TWO = {"North": [header("id"), header("a")], "South": [header("id"), header("b")]}
ROWS = "id;town\n1;Köln\n2;Brühl\n"


def workbook(**sheets: Any) -> bytes:
    return book({name: sheet(*rows) for name, rows in sheets.items()})


@pytest.mark.parametrize(
    ("name", "content", "form", "options"),
    [
        ("a.csv", ROWS.encode(), FileForm(), "Give --separator ';'."),
        ("a.csv", f"sep=;\n{ROWS}".encode(), FileForm(), "Give --separator ';' --skip-lines 1."),
        ("a.csv", b'id;"town\n1;2\n', FileForm(), "Give --separator ';'."),
        ("a.csv", b"Report of May,,\nid,town,n\n", FileForm(), "Give --skip-lines N."),
        ("a.csv", "id,town\nKö,Kö\nBö,Bö\n".encode("cp1252"), FileForm(), "Give --encoding NAME (e.g. cp1252)."),
        ("a.csv", "id,town\n1,Köln\n".encode("utf-16"), FileForm(), "Give --encoding NAME (e.g. utf-16)."),
        ("a.csv", "id,town\n1,Köln\n".encode(), FileForm(Csv(encoding="cp1252")), "Give --encoding NAME (e.g. utf-8)."),
        ("a.csv", b"id,town\n1,2\n", FileForm(Csv(encoding="utf-16")), "Give --encoding NAME."),
        ("a.xlsx", workbook(**TWO), FileForm(), "Give --sheet NAME."),
        ("a.xlsx", workbook(**TWO), FileForm(excel=Excel("East")), "Give --sheet NAME."),
        ("a.xlsx", workbook(A=[header("id"), header("a")]), FileForm(excel=Excel(None, 7)), "Give --header-row N."),
        (
            "a.xlsx",
            workbook(A=[header("Report"), header("id", "n"), header("1", "2")]),
            FileForm(),
            "Give --header-row N.",
        ),
        ("a.xlsx", workbook(A=[header("x", "x"), [number(1)]]), FileForm(), "Give --header-row N."),
    ],
)
def test_what_a_source_would_declare_is_an_option_here(
    name: str, content: bytes, form: FileForm, options: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(AssayError) as refused:
        frame_at(str(tmp_path / name), form)
    said = str(refused.value)
    assert said.startswith(str(tmp_path / name)) and said.endswith(options)
    assert "declare Files" not in said and "Köln" not in said


def test_what_no_option_says_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"id,town\r1,2\r")
    with pytest.raises(AssayError, match=r"lines end with \\r alone; declare Files\(…, csv=Csv\(newline="):
        frame_at(str(tmp_path / "a.csv"))


def test_files_that_are_left_out_name_the_options_too(cli: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("id,town\n1,x\n")
    (tmp_path / "2.csv").write_text(ROWS)
    drafted = cli("contract", "draft", str(tmp_path))
    assert drafted.code == 0 and "Give --separator ';'." in drafted.err
