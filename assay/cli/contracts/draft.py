"""`assay contract draft`: a first contract from several files, or from the partitions of a table."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from assay.cli.contracts.options import file_options, give, out_option
from assay.cli.output import err, json_option, print_json
from assay.errors import plural

if TYPE_CHECKING:
    from assay.cli.places import FileForm


#: So many files that are left out are named.
_SHOWN = 10


@click.command()
@click.argument("sources", nargs=-1, required=True, metavar="FILE...|FOLDER|TABLE")
@click.option("--name", help="What the contract is called (default: like the files, their folder or the table).")
@file_options
@out_option
@json_option
def draft(sources: tuple[str, ...], name: str | None, form: "FileForm", target: Path | None, as_json: bool) -> None:
    """Draft a contract from the files of several days, or a table: Python source with the evidence in comments.

    What one day shows of values and ranges is asked in comments; only several days make rules of it. A table is looked at
    partition by partition. Files that cannot be used are named and left out.

    \b
    Examples:
      assay contract draft landing/tickets --out tickets.py
      assay contract draft landing/tickets/2026-09-0*/*.csv --name tickets
      assay contract draft raw/tickets
      assay contract draft sales.csv --separator ";" --encoding cp1252
    """
    from assay.checks.drafting.draft import class_name, source_of
    from assay.checks.drafting.table_stats import table_stats
    from assay.cli.contracts.batches import batches_at

    batches, kind, called, unread = batches_at(sources, form)
    stats = table_stats(batches, kind)
    problems = [*stats.left_out, *unread]
    for problem in problems[:_SHOWN]:
        err.print(f"Left out: {problem}", soft_wrap=True, markup=False, highlight=False)
    if len(problems) > _SHOWN:
        err.print(f"Left out: {plural(len(problems) - _SHOWN, 'more file')}; --json names them all.")
    named = class_name(name or called)
    text = source_of(stats, named)
    if as_json:
        print_json(
            {
                "rows": stats.rows,
                "defective": stats.defective,
                "batches": stats.batches,
                "left_out": [*unread, *stats.left_out],
                "key": list(stats.key),
                "columns": [column.name for column in stats.columns],
                "name": named,
                "source": text,
            }
        )
        return
    first = batches[0].name if kind == "file" else sources[0]
    give(
        text,
        target,
        f"Next: answer its questions, try it (assay contract check {first} {target}:{named}), then declare it with "
        f"Source(contract={named}, …).",
    )
