"""What a terminal shows: tables as long as they fit, else one row below the other."""

import pytest
from rich.console import Console

from assay.cli import output


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "out", Console(width=60))


def test_rows_that_fit_are_a_table(narrow: None, capsys: pytest.CaptureFixture[str]) -> None:
    output.print_rows(("a", "b"), [(1, 2)])
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [["a", "b"], ["1", "2"]]


def test_more_columns_than_fit_are_shown_one_below_the_other(narrow: None, capsys: pytest.CaptureFixture[str]) -> None:
    columns = [f"a_long_name_{number}" for number in range(9)]
    output.print_rows(columns, [[f"value [{number}]" for number in range(9)], [None] * 8 + ["last"]])
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == ["1", "  a_long_name_0  value [0]", "  a_long_name_1  value [1]"]
    assert lines[-2:] == ["2", "  a_long_name_8  last"], "nulls are left out"


def test_names_and_values_are_no_markup_and_no_emoji(capsys: pytest.CaptureFixture[str]) -> None:
    name = "dataset:snowflake://acme:[bold]x[/bold]"
    output.print_table(("id",), [(name,)])
    output.out.print(name)
    output.err.print(name)
    said = capsys.readouterr()
    assert said.out.split() == ["id", name, name]
    assert said.err.split() == [name]
