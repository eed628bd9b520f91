"""Columns and tables of tests, and what a detector finds in them."""

from collections.abc import Callable, Sequence

import polars as pl

from assay.checks.suggesting.finding import Finding, Findings
from assay.checks.suggesting.text_column import TextColumn, text_columns


def column(values: Sequence[str | None]) -> TextColumn:
    (made,) = text_columns(pl.DataFrame({"c": pl.Series(values, dtype=pl.String)}))
    return made


def doubted(detect: Callable[[TextColumn], Findings], values: Sequence[str | None]) -> dict[str | None, Finding]:
    """The doubted values of a column, each with its finding."""
    return {values[row]: finding for finding in detect(column(values)) for row in finding.rows.tolist()}


def doubted_cells(
    detect: Callable[[Sequence[TextColumn]], Findings], table: dict[str, list[str | None]]
) -> dict[tuple[int, str], Finding]:
    """The doubted cells of a table: (row from 0, column) to the finding."""
    columns = text_columns(pl.DataFrame(table, dict.fromkeys(table, pl.String)))
    return {(row, finding.column): finding for finding in detect(columns) for row in finding.rows.tolist()}
