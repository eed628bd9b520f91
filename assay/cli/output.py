"""How commands speak: one line of JSON for scripts (`--json`), quiet tables for people, progress on stderr."""

import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text


class OutputFile(click.Path):
    """An option that names a file to be written. That its folder is not there is found before the work, not after it."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False, writable=True, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        folder = Path(value).parent
        if not folder.is_dir():
            self.fail(f"there is no folder {folder}: make it, or name a file in one that is there.", param, ctx)
        return super().convert(value, param, ctx)


json_option = click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
# A pipe has no width of its own: long lines stay whole for grep and for files.
# Ids, names and values are printed as they are: `:snowflake:` and `[x]` in them are no markup of ours. Styles are `Text`.
out = Console(width=None if sys.stdout.isatty() else 240, markup=False, emoji=False)
err = Console(stderr=True, markup=False, emoji=False)


def bold(text: str) -> Text:
    return Text(text, "bold")


def mark(ok: bool) -> Text:
    return Text("✓", "green") if ok else Text("✗", "red")


def print_json(value: Any) -> None:
    click.echo(json.dumps(_finite(value), default=str, ensure_ascii=False, allow_nan=False))


def _finite(value: Any) -> Any:
    """The value with NaN and infinities as text: JSON has no such numbers, and other readers would refuse all of it."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, right: Sequence[str] = ()) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row))
    out.print(table)


#: Of a column that is folded so much is seen at least, and so much is between two columns.
_FOLDED, _GAP = 24, 2


def print_rows(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A table of rows that may have any number of columns: where they do not fit beside each other, one below the other."""
    widths = [
        max(len(column), min(_FOLDED, max((len(str(row[place])) for row in rows), default=0))) + _GAP
        for place, column in enumerate(columns)
    ]
    if sum(widths) <= out.width:
        print_table(columns, rows)
        return
    longest = max(map(len, columns), default=0)
    for number, row in enumerate(rows, 1):
        out.print(bold(str(number)))
        for column, value in zip(columns, row, strict=True):
            if value is not None:
                out.print(f"  {column:<{longest}}  {value}", markup=False, highlight=False, soft_wrap=True)


@contextmanager
def progress(quiet: bool = False) -> Iterator[Progress]:
    """Progress on stderr; nothing where stderr is not a terminal, so that logs stay readable."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, transient=True, disable=quiet or not err.is_terminal) as bar:
        yield bar


Tick = Callable[[str, int, int], None]


def ticking(bar: Progress) -> Tick:
    """A callback `(what, done, total)` that drives one bar per kind of work."""
    tasks: dict[str, Any] = {}

    def tick(what: str, done: int, total: int) -> None:
        if what not in tasks:
            tasks[what] = bar.add_task(what, total=total)
        bar.update(tasks[what], completed=done, total=total, visible=done < total)

    return tick
