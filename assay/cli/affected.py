"""How `assay impact` shows the predictions that took affected rows: in words, as a list, as a file."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from assay.cli.output import Tick, err, out, print_json, print_table
from assay.cli.trees import tree
from assay.errors import plural

if TYPE_CHECKING:
    import polars as pl

    from assay.lineage.affected.answer import AffectedPredictions

SHOWN = 1_000  # predictions that are listed on screen
_COLUMNS = ("prediction_id", "model", "event_time", "keys", "answer", "owner", "affected", "through")


def show_affected(
    found: "AffectedPredictions",
    list_: bool,
    output: Path | None,
    *,
    through_models: bool,
    as_json: bool,
    tick: Tick,
) -> None:
    """Read the predictions, list or write them if that is asked for, and say what the rows led to."""
    from assay.lineage.affected.export import json_chunks, write_list

    written = None
    if output is not None:
        written = write_list(found, output, through_models=through_models, tick=tick)
    if list_ and as_json:
        for text in json_chunks(found, _shown(found, through_models)):
            click.echo(text, nl=False)
        return
    if list_:
        _print_list(_shown(found, through_models))
    elif written is None:
        found.read(through_models=through_models)
    if as_json:
        print_json(found.to_dict() | ({} if written is None else {"output": str(output), "listed": written}))
        return
    out.print(tree(found.outline()))
    if written is not None:
        err.print(f"{plural(written, 'prediction')} listed in {output}.", markup=False)


def _shown(found: "AffectedPredictions", through_models: bool) -> "Iterator[pl.DataFrame]":
    """The list with personal data masked. A file that is asked for is for whoever must tell people: it has all."""
    from assay.why.declared_now import declared_now
    from assay.why.shown import classes_of_lake, shown_list

    classes = classes_of_lake(found.walk.commits.lake, declared_now())
    return (shown_list(batch, classes) for batch in found.batches(through_models=through_models))


def _print_list(batches: "Iterator[pl.DataFrame]") -> None:
    from assay.lineage.affected.listed import named_model

    more, rows = 0, []
    for batch in batches:
        shown = batch.head(max(0, SHOWN - len(rows))).with_columns(named_model()).select(_COLUMNS)
        rows += shown.rows()
        more += batch.height - shown.height
    print_table(_COLUMNS, rows)
    if more:
        out.print(f"… and {more:,} more: --output FILE lists all.", markup=False)
    sys.stdout.flush()
