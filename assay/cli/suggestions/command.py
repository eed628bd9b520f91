"""`assay suggest`: cells that look wrong without any rule, and what becomes of one that is accepted."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from assay.cli.contracts.options import file_options
from assay.cli.output import json_option, out, print_json, print_table
from assay.cli.quarantine import me
from assay.errors import AssayError, nearest, plural
from assay.store import open_store

if TYPE_CHECKING:
    import polars as pl

    from assay.checks import Suggestions
    from assay.cli.places import FileForm


@click.command()
@click.argument("place", metavar="TABLE|FILE")
@click.option("--limit", default=20, show_default=True, help="So many cells at most; 0: all.")
@click.option("--column", "columns", multiple=True, help="Only cells of this column (several times for several).")
@click.option(
    "--contract", "contract_", metavar="CONTRACT", help="Says of a file which columns are the key or personal."
)
@click.option("--unmask", is_flag=True, help="Show personal values too (mind where your terminal's output goes).")
@click.option(
    "--accept", metavar="ID", help="Correct this cell's row in quarantine, or else add a rule that refuses it."
)
@click.option(
    "--set", "value", metavar="VALUE", help="With --accept: the correct value, if it is not the expected one."
)
@click.option("--rule", "as_rule", is_flag=True, help="With --accept: a rule, also where the row is in quarantine.")
@click.option("--reason", help="With --accept: why.")
@click.option("--by", default=me, show_default="you", help="With --accept: who decides.")
@click.option("--yes", is_flag=True, help="With --accept: do it. Without, see what would happen.")
@file_options
@json_option
def suggest(
    place: str,
    limit: int,
    columns: tuple[str, ...],
    contract_: str | None,
    unmask: bool,
    accept: str | None,
    value: str | None,
    as_rule: bool,
    reason: str | None,
    by: str,
    yes: bool,
    form: "FileForm",
    as_json: bool,
) -> int:
    """Doubt cells of TABLE or FILE that look wrong beside the rest of it, without any rule: which, why and how surely.

    \b
    Typos beside frequent values, rare shapes, broken dependencies between columns, sources that disagree, tokens such as N/A,
    outliers, mixed units and formats of dates. Nothing is changed or quarantined. Personal values are masked. Cells that became
    a rule, or about whose row somebody decided, are only counted.

    \b
    Examples:
      assay suggest raw/tickets --limit 50
      assay suggest landing/tickets/2026-09-01/tickets-am.csv --column channel
      assay suggest raw/tickets --accept 5a6df5e65b --reason "typo, says the upstream" --yes
    """
    if accept is not None:
        if not (reason or "").strip():
            raise click.UsageError("--accept needs --reason: why it is right to doubt the cell")
        return _accept(place, form, contract_, accept, value, as_rule, str(reason), by, yes, as_json)
    from assay.cli.suggestions.accepted import accepted

    table = _Place(place, form, contract_)
    found = table.suggestions(columns, unmask=unmask)
    known = accepted(found.cells, None if table.is_file else place, table.contract, contract_)
    cells = tuple(cell for cell in found.cells if cell.id not in known)
    doubted, cells = len(cells), cells[: limit or None]
    if as_json:
        print_json(
            {
                "rows": found.rows,
                "looked_at": found.looked_at,
                "doubted": doubted,
                "accepted": len(known),
                "suggestions": [cell.to_dict() for cell in cells],
            }
        )
        return 0
    keyed = any(cell.key for cell in cells)
    head = ("id", "row", *(["key"] if keyed else []), "column", "value", "expected", "sure", "why")
    rows = [
        (
            cell.id,
            f"{cell.row:,}",
            *([", ".join(str(value) for value in cell.key.values())] if keyed else []),
            cell.column,
            cell.value,
            cell.expected,
            f"{cell.confidence:.0%}",
            cell.reason,
        )
        for cell in cells
    ]
    if rows:
        print_table(head, rows, right=("row", "sure"))
    sample = "" if found.looked_at == found.rows else f" ({found.looked_at:,} were looked at)"
    shown = f", {len(cells):,} shown" if len(cells) < doubted else ""
    before = f" {len(known):,} more decided before." if known else ""
    out.print(
        f"{plural(found.rows, 'row')}{sample}: {plural(doubted, 'cell')} doubted{shown}.{before} Nothing was changed."
    )
    return 0


class _Place:
    """A file or a table, with the contract that it has or is given."""

    def __init__(self, place: str, form: "FileForm", contract: str | None) -> None:
        from assay.cli.places import contract_at, is_file

        self.place, self.form = place, form
        self.is_file = is_file(place)
        self.contract = contract_at(contract) if contract else None
        if self.contract is None and not self.is_file:
            self.contract = open_store().contract_of(place)

    def rows(self, columns: Sequence[str] = ()) -> "pl.LazyFrame":
        from assay.cli.places import frame_at

        rows = frame_at(self.place, self.form).lazy() if self.is_file else open_store().table(self.place).scan()
        return rows.select(columns) if columns else rows

    def suggestions(self, columns: Sequence[str] = (), *, unmask: bool) -> "Suggestions":
        from assay.checks import suggest

        return suggest(self.rows(), self.contract, columns=columns, unmask=unmask)


def _accept(
    place: str,
    form: "FileForm",
    contract: str | None,
    identity: str,
    value: str | None,
    as_rule: bool,
    reason: str,
    by: str,
    yes: bool,
    as_json: bool,
) -> int:
    from assay.cli.suggestions.accept import add_rule, correct, is_in_quarantine

    table = _Place(place, form, contract)
    cells = {cell.id: cell for cell in table.suggestions(unmask=True).cells}
    cell = cells.get(identity)
    if cell is None:
        close = nearest(identity, cells)
        raise AssayError(
            f"{place} has no suggestion {identity}: the table may have changed. See: assay suggest {place}.{close}"
        )
    if not as_rule and not table.is_file and is_in_quarantine(place, cell):
        return correct(place, cell, value, reason, by, yes, as_json)
    if value is not None:
        raise AssayError(f"The row of {identity} is not in quarantine: a rule sends it there first. Leave --set out.")
    rows = table.rows(list(dict.fromkeys([cell.column, *cell.given]))).collect()
    return add_rule(rows, table.contract, contract, cell, reason, by, yes, as_json)
