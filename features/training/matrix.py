"""Columns as one matrix of numbers, as trainers take them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from assay.errors import AssayError, nearest

Matrix = np.ndarray[Any, np.dtype[Any]]


def matrix_columns(schema: pl.Schema, columns: Sequence[str], where: str) -> None:
    """Raise AssayError for a column that is not there, or no number."""
    for name in columns:
        if name not in schema:
            raise AssayError(f"{where}: there is no column {name!r}.{nearest(name, schema)}")
        if not _is_number(schema[name]):
            raise AssayError(
                f"{where}: column {name!r} is {schema[name]}, which is no number. Encode it first, or name the columns to take: "
                "columns=[…]."
            )


def numeric(schema: pl.Schema, columns: Sequence[str]) -> list[str]:
    """Those of the columns that are numbers, or lists of numbers."""
    return [name for name in columns if _is_number(schema[name])]


def _is_number(dtype: pl.DataType) -> bool:
    inner = dtype.inner if isinstance(dtype, pl.List | pl.Array) else dtype
    return inner == pl.Boolean or (inner.is_numeric() and inner != pl.Decimal)


def widths(frame: pl.DataFrame, columns: Sequence[str], where: str) -> list[int]:
    """How many columns of the matrix each column is: a list has one for each element. Raises AssayError for lists of different
    lengths."""
    found = []
    for name in columns:
        column = frame[name]
        if not isinstance(column.dtype, pl.List | pl.Array):
            found.append(1)
            continue
        lengths = (
            (column.arr.to_list() if isinstance(column.dtype, pl.Array) else column).drop_nulls().list.len().unique()
        )
        if len(lengths) != 1:
            raise AssayError(f"{where}: the lists of column {name!r} have {len(lengths)} different lengths.")
        found.append(int(lengths[0]))
    return found


def matrix_names(columns: Sequence[str], wide: Sequence[int]) -> list[str]:
    """The names of a matrix's columns: those of a list are `vector[0]`, `vector[1]`, …"""
    return [
        name if width == 1 else f"{name}[{place}]"
        for name, width in zip(columns, wide, strict=True)
        for place in range(width)
    ]


def matrix(
    frame: pl.DataFrame, columns: Sequence[str], wide: Sequence[int], dtype: Any, rows: Matrix | None = None
) -> Matrix:
    """The columns side by side: (rows, sum of the widths). A null is NaN.

    Args:
        frame: The rows.
        columns: Numbers, or lists of numbers.
        wide: How many columns of the matrix each is.
        dtype: Of the matrix: a float type.
        rows: The rows to take, in their order; None: all.
    """
    height = frame.height if rows is None else len(rows)
    found = np.empty((height, sum(wide)), dtype=dtype)
    place = 0
    for name, width in zip(columns, wide, strict=True):
        values = _numbers(frame[name], width, dtype)
        found[:, place : place + width] = values if rows is None else values[rows]
        place += width
    return found


def _numbers(column: pl.Series, width: int, dtype: Any) -> Matrix:
    if not isinstance(column.dtype, pl.List | pl.Array):
        return _flat(column, dtype).reshape(-1, 1)
    lists = column.arr.to_list() if isinstance(column.dtype, pl.Array) else column
    there = lists.is_not_null().to_numpy()
    filled = lists.drop_nulls()
    if filled.list.len().ne(width).any():
        raise AssayError(f"The lists of column {column.name!r} have different lengths.")
    values = _flat(filled.explode(), dtype).reshape(-1, width)
    if there.all():
        return values
    found = np.full((len(column), width), np.nan, dtype=dtype)
    found[there] = values
    return found


def _flat(column: pl.Series, dtype: Any) -> Matrix:
    if column.null_count():
        column = column.cast(pl.Float64).fill_null(float("nan"))
    if column.dtype == pl.Boolean:
        column = column.cast(pl.UInt8)
    return column.to_numpy().astype(dtype, copy=False)
