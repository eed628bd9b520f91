"""Definitions of on-demand views: written as tables of one row, so that they have versions, readers and a lineage like any other.

The row is the SHA-256 of the definition: whoever read it is stale when it changes. The expressions are in the commit.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl
from polars.exceptions import PolarsError

from assay.errors import AssayError
from assay.features.serving.feature_refs import Opened, outputs_of
from assay.features.serving.on_demand.view import TYPES, OnDemandView
from assay.features.serving.references import Reference
from assay.features.tables.lake import Lake
from assay.features.tables.run_record import Recorder, Run, RunResult, Work, new_run
from assay.features.tables.serving import Serving
from assay.features.tables.transaction import Transaction, run
from assay.features.views.columns import ColumnLineage

DEFINITION = "_definition"
"""The column with the SHA-256 of a definition."""


def define(lake: Lake, recorder: Recorder, view: OnDemandView, *, run_as: Run | None = None) -> RunResult:
    """Write the definition of an on-demand view as a version of `features/<name>`, from where references to it are read. The
    same definition again is the same version.

    Args:
        lake: Where the tables are.
        recorder: What is given the run for lineage.
        view: The view.
        run_as: The run that this is a part of. Default: a run of its own.

    Raises:
        AssayError: What it uses is unknown, or is computed of this view, or an expression does not fit the types.
    """
    # As params, not as code: that is the mark of what a project declares.
    params = {"definition": view.digest()}
    work = Work(view.table, None, "", run_as or new_run(), params, f"Definition of {view.name}.", view.owner)

    def body(tx: Transaction) -> None:
        if not tx.current(view.table):
            stage_definition(tx, view)

    return run(lake, recorder, work, body)[1]


def stage_definition(tx: Transaction, view: OnDemandView) -> pl.DataFrame:
    """Stage the definition of an on-demand view in a transaction; its row comes back. The tables of what it uses are looked
    into, and make nothing stale. Raises AssayError as `define` does."""
    opened = Opened(tx, {})
    types = {name: TYPES[kind] for name, kind in view.transformation.inputs.items()}
    keys: list[str] = []
    lineage: ColumnLineage = {}
    for name, item in view.transformation.uses.items():
        _refuse_itself(view, item, opened)
        state, serving, _ = opened.open(item)
        outputs_of(item.view, [item], [one for one in state.schema if one not in serving.columns()])
        types[name] = state.schema[item.feature]
        named = dict(item.on)
        keys += [named.get(key, key) for key in serving.keys]
        tx.note(state.table.name, lookup=True)
    for name, sources in view.column_lineage().items():
        assert sources != "unknown"
        lineage[name] = _of_tables(sources["direct"], opened)
    row = _typed(view, types).with_columns(pl.lit(view.digest()).alias(DEFINITION))
    serving = Serving.on_demand(list(dict.fromkeys(keys)))
    described = {"serving": serving.to_dict(), "view": view.definition() | {"rows_read": [], "about": view.about()}}
    tx.write(view.table, row, column_lineage=lineage, sections=described)
    return row


def _refuse_itself(view: OnDemandView, item: Reference, opened: Opened) -> None:
    """Raise AssayError if what a view uses is computed of the view."""
    queue, seen = [item], set[str]()
    while queue:
        reference = queue.pop()
        name = reference.view
        if name == view.name:
            raise AssayError(
                f"view {view.name!r} uses {item.view}:{item.feature}, which is computed of it: leave that out"
            )
        if name not in seen:
            seen.add(name)
            _, engine = opened.serving_of(reference)
            queue += [] if engine is None else engine.uses.values()


def _of_tables(direct: list[tuple[str, str]], opened: Opened) -> dict[str, list[tuple[str, str]]]:
    """Column sources by the tables that hold them, with the columns by which their rows are chosen."""
    found = [(opened.view(table.partition("/")[2]), column) for table, column in direct]
    chosen = [(state.table.name, column) for (state, serving, _), _ in found for column in serving.columns()]
    return {
        "direct": [(state.table.name, column) for (state, _, _), column in found],
        "indirect": list(dict.fromkeys(chosen)),
    }


def _typed(view: OnDemandView, types: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """One row of nulls in the types of the features. Raises AssayError where an expression does not fit the types it reads."""
    empty = pl.DataFrame(schema=dict(types))
    columns = []
    for item in view.features:
        try:
            (column,) = empty.select(item.expr.alias(item.name)).get_columns()
        except PolarsError as problem:
            read = ", ".join(f"{name} is {types[name]}" for name in view.transformation.reads(item.name))
            raise AssayError(
                f"view {view.name!r}: feature {item.name!r} does not fit what it reads ({read}): {type(problem).__name__}."
            ) from None
        columns.append(column.extend_constant(None, 1))
    return pl.DataFrame(columns)
