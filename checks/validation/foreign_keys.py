"""Foreign keys: which values the tables have that a contract refers to."""

from collections.abc import Collection, Mapping
from typing import Protocol

import polars as pl

from assay.checks.contract.rules import Column, ForeignKeyRule
from assay.checks.validation.parse import typed
from assay.checks.validation.reading import Reading
from assay.checks.validation.scan import typed_values
from assay.errors import AssayError
from assay.row_source import RowSource

Frame = pl.DataFrame | pl.LazyFrame


class LookupRows(Protocol):
    """A lookup table of which nobody wants to read all rows."""

    @property
    def columns(self) -> Collection[str]:
        """The names of its columns."""
        ...

    def among(self, name: str, values: pl.Series, column: Column) -> pl.Series:
        """Those of a referring column's values (in its type, without nulls) that the column `name` has: see `as_referred`."""
        ...


def existing_values(
    batch: Frame | RowSource,
    reading: Reading,
    lookup_tables: Mapping[str, Frame | LookupRows],
    notes: dict[str, str],
) -> dict[str, pl.Series]:
    """Per foreign-key rule the values that exist, at least those of the batch; a rule without its table gets a note instead."""
    columns = {column.name: column for column in reading.plan.columns}
    found: dict[str, pl.Series] = {}
    for rule in reading.plan.rules:
        if not isinstance(rule, ForeignKeyRule) or rule.name in notes:
            continue
        table = lookup_tables.get(rule.reference)
        if table is None:
            notes[rule.name] = f"no lookup table {rule.reference} was given"
            continue
        frame = isinstance(table, pl.DataFrame | pl.LazyFrame)
        if rule.reference_column not in (table.lazy().collect_schema() if frame else table.columns):
            raise AssayError(f"{rule.name}: the lookup table {rule.reference} has no column {rule.reference_column!r}")
        column = columns[rule.inputs[0]]
        if frame:
            stored = table.lazy().collect_schema()[rule.reference_column]
            values = as_referred(pl.col(rule.reference_column), stored, column).drop_nulls().unique()
            found[rule.name] = table.lazy().select(values).collect().to_series()
        else:
            found[rule.name] = table.among(rule.reference_column, typed_values(batch.lazy(), reading, column), column)
    return found


def as_referred(value: pl.Expr, stored: pl.DataType, column: Column) -> pl.Expr:
    """A value of a lookup table as the column that refers to it has it; null where it cannot have it. A whole number has one
    text only."""
    return value.cast(pl.String) if stored.is_integer() and column.dtype == pl.String else typed(value, stored, column)
