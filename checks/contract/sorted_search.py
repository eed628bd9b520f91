"""Whether an expression searches by halves in values that nothing has sorted."""

import json
from typing import Any

import polars as pl


def searches_unsorted(expr: pl.Expr) -> bool:
    """Polars looks for a place between neighbours, so in values without order the answer depends on how they lie in memory."""
    if "search_sorted" not in str(expr):
        return False  # at once for nearly all: writing the tree down takes longer
    try:
        return _found(json.loads(expr.meta.serialize(format="json")))
    except pl.exceptions.PolarsError:  # functions in Python have no JSON
        return True


def _found(node: Any) -> bool:
    match node:
        case {"Function": {"function": {"SearchSorted": _}, "input": [values, *_]}} if not _is_sorted(values):
            return True
        case dict():
            return any(map(_found, node.values()))
        case list():
            return any(map(_found, node))
        case _:
            return False


def _is_sorted(node: Any) -> bool:
    return isinstance(node, dict) and not node.keys().isdisjoint(("Sort", "Literal"))
