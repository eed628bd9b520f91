"""Canonical spellings beside the delivered ones: proposals for people, never put in place of a value."""

import polars as pl

from assay.checks.contract.contract import Contract, compiled, for_delivery
from assay.checks.contract.rules import Column
from assay.checks.text.formats import parser
from assay.checks.text.normalization import normal_form
from assay.checks.validation.former_names import former_names

PROPOSED = "_proposed"


def canonical_spellings(frame: pl.DataFrame, contract: type[Contract]) -> pl.DataFrame:
    """Canonical spellings beside the delivered ones, as proposals for people.

    The spelling comes from the field's `normal` forms, else from its `format`. Only columns delivered as text are looked at.
    The answer shows cell values: show it only where the rows themselves may be shown.

    Args:
        frame: A batch, clean rows or quarantined rows.
        contract: Says which columns have a canonical form.

    Returns:
        The rows with a value that has another canonical spelling, and `_proposed`: a struct of column to that spelling, null
        where there is nothing to propose. No rows if no column has proposals.
    """
    plan = compiled(contract)
    frame = former_names(plan.info.name, plan.columns, frame).frame(frame)
    columns = [
        column for column in for_delivery(contract, frame.columns).columns if frame.schema.get(column.name) == pl.String
    ]
    proposals = [expr.alias(column.name) for column in columns if (expr := _proposal(column)) is not None]
    if not proposals:
        return frame.clear()
    proposed = pl.struct(proposals).alias(PROPOSED)
    return frame.with_columns(proposed).filter(pl.any_horizontal(expr.is_not_null() for expr in proposals))


def _proposal(column: Column) -> pl.Expr | None:
    value, options = pl.col(column.name), column.options
    if options.normal:
        spelling = normal_form(options.normal, column.name)(value)
    elif options.format is not None:
        spelling = parser(options.format, column.name)(value)
    else:
        return None
    return pl.when(spelling != value).then(spelling)
