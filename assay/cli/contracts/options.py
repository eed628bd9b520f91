"""How a file that a command is given is read, and where its answer goes."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from assay.cli.output import OutputFile, out
from assay.errors import AssayError

out_option = click.option("--out", "target", type=OutputFile(), help="Write to this new file instead.")

_FORM = (
    click.option(
        "--separator", default=",", metavar="CHAR", help="What stands between the fields of a CSV file, e.g. ';'."
    ),
    click.option("--encoding", default="utf-8", help="Of a CSV file, e.g. cp1252.", show_default=True),
    click.option("--skip-lines", default=0, help="Lines before the header of a CSV file.", show_default=True),
    click.option("--sheet", help="Of an Excel workbook (default: the only one that has rows)."),
    click.option("--header-row", default=1, help="Of that sheet: the row with the names.", show_default=True),
)


def file_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """How a file is written, where it is not in the usual form: the command is given it as `form`."""

    @functools.wraps(command)
    def formed(
        *arguments: Any,
        separator: str,
        encoding: str,
        skip_lines: int,
        sheet: str | None,
        header_row: int,
        **named: Any,
    ) -> Any:
        from assay.assets.sources.csv_dialect import Csv
        from assay.assets.sources.excel.declared import Excel
        from assay.cli.places import FileForm

        csv = Csv(separator, encoding=encoding, skip_lines=skip_lines)
        return command(*arguments, form=FileForm(csv, Excel(sheet, header_row)), **named)

    return functools.reduce(lambda made, option: option(made), reversed(_FORM), formed)


def give(text: str, target: Path | None, then: str = "") -> None:
    """Print a text, or write it to a file that is not there yet and say what to do next."""
    if target is None:
        click.echo(text, nl=False)
        return
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise AssayError(f"{target} cannot be written ({error.strerror}); choose another file") from None
    out.print(f"Written: {target}", soft_wrap=True, markup=False)
    if then:
        out.print(then, soft_wrap=True, markup=False, highlight=False)
