"""Expressions that give any one of several values: which one depends on how rows lie in memory or in files."""

import json
from collections.abc import Iterator
from typing import Any

import polars as pl

_BY = {"MaxBy": "max_by", "MinBy": "min_by", "TopKBy": "top_k_by", "BottomKBy": "bottom_k_by"}
_TEXTS = ("mode(", "max_by(", "min_by(", "top_k_by(", "bottom_k_by(")
# What gives the same of the same values in any order; and what passes them on.
_ANY_ORDER = {"Sort", "Max", "Min", "Count", "Sum", "NUnique", "IsIn"}
_PASSED_ON = {"Agg", "Function", "function", "input", "expr", "Implode", "Boolean", "DropNulls"}


def any_of_ties(expr: pl.Expr) -> str:
    """Why a result of the expression is not defined, with another way to write it; empty where it is."""
    if not any(text in str(expr) for text in _TEXTS):
        return ""  # at once for nearly all: writing the tree down takes longer
    try:
        tree = json.loads(expr.meta.serialize(format="json"))
    except pl.exceptions.PolarsError:  # functions in Python have no JSON
        return ""
    return next(_found(tree, ()), "")


def _found(node: Any, above: tuple[str, ...]) -> Iterator[str]:
    """`above`: what the node is given to, the nearest first."""
    if isinstance(node, list):
        for child in node:
            yield from _found(child, above)
    if not isinstance(node, dict):
        return
    kind, options = _named(node.get("function"))
    if kind == "Boolean":
        kind, _ = _named(options)
    if kind in _BY:
        yield (
            f"takes any of several rows that {_BY[kind]} goes by equally; write .sort_by(…, the column itself).last(), or "
            ".first(), or .head(n)"
        )
    if kind == "Mode" and not options["maintain_order"] and not _takes_any_order(above):
        yield (
            "takes any of several values that are as frequent (mode); write .mode().sort().first(), or "
            ".mode(maintain_order=True).first() for the one that comes first"
        )
    here = (kind, *above) if kind else above
    for tag, child in node.items():
        yield from _found(child, (tag, *here) if tag[:1].isupper() else here)


def _named(function: Any) -> tuple[str, Any]:
    """The name of a function in the tree, and what it is given besides its input."""
    return next(iter(function.items())) if isinstance(function, dict) else (function or "", None)


def _takes_any_order(above: tuple[str, ...]) -> bool:
    taker = next((tag for tag in above if tag not in _PASSED_ON), "")
    return taker in _ANY_ORDER
