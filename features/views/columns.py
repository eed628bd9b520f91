"""Columns by name: that a frame has them, and which columns of which tables others come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import polars as pl

from assay.errors import AssayError, nearest

ColumnLineage = dict[str, dict[str, list[tuple[str, str]]] | Literal["unknown"]]
"""Output column → its sources as (table, column): `direct` gives the value, `indirect` chooses the rows."""


def require_columns(schema: Mapping[str, pl.DataType], columns: Sequence[str], where: str) -> None:
    """Raises AssayError, naming `where`, unless every column is there."""
    missing = [column for column in dict.fromkeys(columns) if column not in schema]
    if missing:
        close = nearest(missing[0], schema) if len(missing) == 1 else ""
        raise AssayError(
            f"{where} has no column {missing}; its columns are {sorted(schema)}{'.' if close else ''}{close}"
        )
