"""What a terminal shows: tables as long as they fit, else one row below the other; and what options refuse."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from rich.console import Console

from assay.cli import output
from assay.cli.lake import pin, vacuum
from assay.cli.predictions.command import predictions
from assay.cli.predictions.why import why
from assay.cli.quarantine import quarantine
from assay.cli.report import report


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


@pytest.mark.parametrize(
    ("command", "arguments", "because"),
    [
        (why, ["01990b3c-5c00", "--letter", ""], "it is empty: name a file"),
        (report, ["clean/parcels", "--html", ""], "it is empty: name a file"),
        (predictions, ["--limit", "9" * 20], "is not in the range"),
        (quarantine, ["show", "parcels", "--limit", "9" * 20], "is not in the range"),
        (vacuum, ["clean/parcels", "--keep-days", "999999999"], "is not in the range"),
        (
            pin,
            ["add", "a", "clean/parcels", "--owner", "b", "--reason", "c", "--days", "999999999"],
            "not in the range",
        ),
    ],
)
def test_what_no_file_and_no_number_can_be_is_wrong_usage(
    command: click.Command, arguments: list[str], because: str
) -> None:
    done = CliRunner().invoke(command, arguments)
    assert (done.exit_code, because in done.output) == (2, True), done.output


def test_the_last_day_that_there_is_can_be_asked_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path))
    done = CliRunner().invoke(predictions, ["--on", "9999-12-31"])
    assert (done.exit_code, "There are no predictions in that time" in done.output) == (0, True), done.output
