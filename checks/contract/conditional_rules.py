"""Predicates over a column that look at other columns or at the row before: required if, sequences."""

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Any

import polars as pl

from assay.errors import AssayError

Predicate = Callable[[pl.Expr], pl.Expr]

#: Name of a sequence -> how a value stands to the one before it.
SEQUENCES: dict[str, Callable[[pl.Expr, pl.Expr], pl.Expr]] = {
    "increasing": lambda value, before: value >= before,
    "strictly_increasing": lambda value, before: value > before,
    "decreasing": lambda value, before: value <= before,
    "strictly_decreasing": lambda value, before: value < before,
    "consecutive": lambda value, before: value == before + 1,
}


def required_predicate(conditions: Sequence[tuple[str, tuple[Any, ...]]]) -> Predicate:
    """Not null where each of the columns has one of its values; a null there is no such value. Raises AssayError for none."""
    for column, values in conditions:
        if not values or None in values:
            raise AssayError(f"Field(required_if=…): name the values of {column!r} for which the field is required")

    def predicate(value: pl.Expr) -> pl.Expr:
        needed = pl.all_horizontal(pl.col(column).is_in(list(values)) for column, values in conditions)
        return value.is_not_null() | ~needed.fill_null(False)

    return predicate


def sequence_predicate(order: str, per: Sequence[str]) -> Predicate:
    """Each value against the one before it, over the rows in their order and within equal `per` columns; nulls are left out.

    A broken value still is the one before the next: one outlier upwards breaks one row, not all that follow. Rows with a null
    in `per` belong to no sequence. Raises AssayError for an unknown order.
    """
    if order not in SEQUENCES:
        close = get_close_matches(order, SEQUENCES, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"use one of {', '.join(SEQUENCES)}"
        raise AssayError(f"Field(sequence={order!r}): unknown order; {hint}")

    def predicate(value: pl.Expr) -> pl.Expr:
        before = value.forward_fill().shift(1)
        if not per:
            return SEQUENCES[order](value, before)
        grouped = pl.all_horizontal(pl.col(name).is_not_null() for name in per)
        return SEQUENCES[order](value, before.over(per)) | ~grouped

    return predicate
