"""Foreign keys: which values the tables have that a contract refers to."""

from collections.abc import Collection, Mapping
from typing import Protocol

import polars as pl

from assay.checks.contract.contract import Compiled
from assay.checks.contract.rules import ForeignKeyRule
from assay.checks.validation.scan import typed_values
from assay.errors import AssayError

Frame = pl.DataFrame | pl.LazyFrame


class LookupRows(Protocol):
    """A lookup table of which nobody wants to read all rows."""

    @property
    def columns(self) -> Collection[str]:
        """The names of its columns."""
        ...

    def among(self, column: str, values: pl.Series) -> pl.Series:
        """Those of the values (in their type, without nulls) that occur in a column, cast to that type."""
        ...


def existing_values(
    batch: pl.LazyFrame,
    delivered: pl.Schema,
    plan: Compiled,
    lookup_tables: Mapping[str, Frame | LookupRows],
    notes: dict[str, str],
) -> dict[str, pl.Series]:
    """Per foreign-key rule the values that exist, at least those of the batch; a rule without its table gets a note instead."""
    columns = {column.name: column for column in plan.columns}
    found: dict[str, pl.Series] = {}
    for rule in plan.rules:
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
            values = pl.col(rule.reference_column).cast(column.dtype).drop_nulls().unique()
            found[rule.name] = table.lazy().select(values).collect().to_series()
        else:
            found[rule.name] = table.among(rule.reference_column, typed_values(batch, delivered, column))
    return found
