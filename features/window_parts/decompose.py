"""Aggregations taken apart: which states of parts of a window give the value over the whole window, and how.

`pl.col("amount").sum() / pl.len()` is two aggregations, a sum and a count, and an expression over their values. Each
aggregation can be computed of parts: the sum of sums is the sum. The expression over the values is evaluated once, in the end.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import polars as pl

from assay.features.views.decay import AGE
from assay.features.views.expressions import is_elementwise, root_columns

_STEM = "aggregate_"  # of the columns that stand for the aggregations
_JOINS_ITSELF = frozenset({"Sum", "Min", "Max", "First", "Last"})  # the same aggregation joins its own values
_OTHERS = frozenset({"Count", "Mean", "Var", "Std", "NUnique"})
# Where the inputs of a node stand in a serialised expression.
_INPUTS: dict[str, tuple[Any, ...]] = {
    "BinaryExpr": ("left", "right"),
    "Ternary": ("predicate", "truthy", "falsy"),
    "Cast": ("expr",),
    "Function": ("input",),
    "Alias": (0,),
}


class _Indivisible(Exception):
    """A part of an expression that parts of a window do not give."""


@dataclass(frozen=True, slots=True, eq=False)
class Aggregation:
    """One aggregation over events.

    Attributes:
        column: The column that stands for its value.
        kind: Its name in Polars, such as `Sum`.
        expr: The whole aggregation, over events in the order of their time.
        value: What is aggregated, a value for each event; of a count of rows the aggregation itself.
        join: The value of a window from the values of its parts in the order of time (a column); None where a value is not
            enough for that, as of a mean.
        ddof: Of a variance: by how much fewer than the values it is divided by.
        rate: Of a decayed sum: the exponent of its weights for each µs (below 0).
    """

    column: str
    kind: str
    expr: pl.Expr
    value: pl.Expr
    join: Callable[[str], pl.Expr] | None = None
    ddof: int = 0
    rate: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Decomposed:
    """An expression taken apart: its aggregations, and its value from a column for each of them."""

    aggregations: tuple[Aggregation, ...]
    value: pl.Expr


def decompose(expr: pl.Expr) -> Decomposed | None:
    """An aggregation as parts of a window can give it; None where they cannot.

    They can where it is made, row by row, of counts, sums, decayed sums, means, minima, maxima, variances, standard deviations,
    numbers of distinct values, first and last values, and sorted lists of the greatest; of columns, of what is computed of them
    row by row, and of filtered rows.
    """
    found: dict[str, Aggregation] = {}
    try:
        value = _expression(_without_aggregations(_tree(expr), found))
    except _Indivisible:
        return None
    # What is left must be computed of the values of the aggregations alone, and of one row of them.
    roots = root_columns(value)
    if roots is None or not set(roots) <= set(found) or not is_elementwise(value):
        return None
    return Decomposed(tuple(found.values()), value)


def _without_aggregations(tree: Any, found: dict[str, Aggregation]) -> Any:
    """The tree with a column instead of each aggregation, which is added to those that were found. Raises _Indivisible."""
    if tree == "Len":
        return _put(tree, found)
    if not isinstance(tree, dict) or len(tree) != 1:
        raise _Indivisible
    ((kind, given),) = tree.items()
    if kind == "Agg":
        return _put(tree, found)
    if kind == "Literal":
        return tree
    if kind not in _INPUTS:
        raise _Indivisible
    parts = dict(enumerate(given)) if isinstance(given, list) else dict(given)
    for name in _INPUTS[kind]:
        part = parts[name]
        several = isinstance(part, list)
        parts[name] = (
            [_without_aggregations(one, found) for one in part] if several else _without_aggregations(part, found)
        )
    return {kind: list(parts.values()) if isinstance(given, list) else parts}


def _put(tree: Any, found: dict[str, Aggregation]) -> Any:
    aggregation = _aggregation(tree)
    found[aggregation.column] = aggregation
    return {"Column": aggregation.column}


def _aggregation(tree: Any) -> Aggregation:
    column = _STEM + hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()[:16]
    expr = _expression(tree)
    if tree == "Len":
        return Aggregation(column, "Count", expr, expr, lambda part: pl.col(part).sum())
    ((kind, given),) = tree["Agg"].items()
    if kind == "Implode":
        return _greatest(column, expr, given)
    if AGE in expr.meta.root_names():
        return _decayed_sum(column, expr, tree)
    if kind not in _JOINS_ITSELF | _OTHERS:
        raise _Indivisible
    (value,) = expr.meta.pop()
    if not _of_each_row(value) or (kind in ("First", "Last") and _is_filter(value)):
        raise _Indivisible  # of a part without rows that pass, the first value is null, as that of others may be
    if kind in _JOINS_ITSELF:
        return Aggregation(
            column, kind, expr, value, lambda part: _expression({"Agg": {kind: _of_column(given, part)}})
        )
    if kind == "Count":
        return Aggregation(column, kind, expr, value, lambda part: pl.col(part).sum())
    return Aggregation(column, kind, expr, value, ddof=given[1] if kind in ("Var", "Std") else 0)


def _greatest(column: str, expr: pl.Expr, given: Any) -> Aggregation:
    """`value.top_k(n).sort().implode()`: of the greatest of parts the greatest. Unsorted, their order would not be certain."""
    match given:
        case {"input": {"Sort": {"expr": {"Function": {"input": [tree, {"Literal": _}], "function": {"TopK": _}}}}}}:
            value = _expression(tree)
        case _:
            raise _Indivisible
    if not _of_each_row(value):
        raise _Indivisible

    def joined(part: str) -> pl.Expr:
        sort = given["input"]["Sort"]
        function = sort["expr"]["Function"]
        values = [_tree(pl.col(part).explode(empty_as_null=False)), *function["input"][1:]]
        of_parts = {**sort, "expr": {"Function": {**function, "input": values}}}
        return _expression({"Agg": {"Implode": {**given, "input": {"Sort": of_parts}}}})

    return Aggregation(column, "Greatest", expr, value, joined)


def _decayed_sum(column: str, expr: pl.Expr, tree: Any) -> Aggregation:
    """What `decayed` makes."""
    match tree:
        case {"Agg": {"Sum": {"BinaryExpr": {"left": of_value, "op": "Multiply", "right": {"Function": weight}}}}}:
            value = _expression(of_value)
        case _:
            raise _Indivisible
    match weight:
        case {
            "input": [
                {
                    "BinaryExpr": {
                        "left": {"Column": name},
                        "op": "Multiply",
                        "right": {"Literal": {"Dyn": {"Float": rate}}},
                    }
                }
            ],
            "function": "Exp",
        } if name == AGE:
            pass
        case _:
            raise _Indivisible
    if AGE in value.meta.root_names() or _is_filter(value) or not _of_each_row(value):
        raise _Indivisible
    return Aggregation(column, "Decayed", expr, value, rate=rate)


def _of_column(given: Any, column: str) -> Any:
    """What an aggregation is given, with a column instead of its input and the same settings."""
    if isinstance(given, dict) and "input" in given and "propagate_nans" in given:
        return {**given, "input": {"Column": column}}
    return {"Column": column}


def _of_each_row(expr: pl.Expr) -> bool:
    """Whether it gives a value for each of some rows, which nothing but the row decides."""
    if _is_filter(expr):
        return all(_of_each_row(part) for part in expr.meta.pop())
    return root_columns(expr) not in (None, ()) and is_elementwise(expr)


def _is_filter(expr: pl.Expr) -> bool:
    return "Filter" in _tree(expr)


def _tree(expr: pl.Expr) -> Any:
    return json.loads(expr.meta.serialize(format="json"))


def _expression(tree: Any) -> pl.Expr:
    return pl.Expr.deserialize(io.StringIO(json.dumps(tree)), format="json")
