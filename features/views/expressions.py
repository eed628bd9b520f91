"""What an expression is made of: the columns it reads, whether it looks at other rows, and its identity."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from typing import Any

import polars as pl
from polars.exceptions import PolarsError

from assay.errors import AssayError
from assay.features.views.names import check_name

# How Polars serialises a Python function inside an expression: as a pickle, which differs from process to process.
_PYTHON = frozenset({"AnonymousFunction", "AnonymousAgg", "callback", "Map"})
_PLUGIN = "FfiPlugin"  # a function in a shared library on this machine
_ACROSS_ROWS = frozenset({"Agg", "Over", "Rolling"})
# What texts are asked, and what leaves them about as long as they were. Others pad, replace, join or repeat them.
_BOUNDED = frozenset(
    {"Contains", "EndsWith", "Find", "LenBytes", "LenChars", "Lowercase", "Normalize", "Reverse", "Slice", "Split"}
    | {"StartsWith", "StripChars", "StripCharsEnd", "StripCharsStart", "Strptime", "Titlecase", "Uppercase"}
)
_LONGEST_FORMAT = 100  # characters of how a time is written


def check_expression(expr: object, where: str) -> pl.Expr:
    """`expr` itself. Raises AssayError unless it is a Polars expression without Python functions inside."""
    if not isinstance(expr, pl.Expr):
        raise AssayError(f"{where} must be a Polars expression such as pl.col('amount').sum()")
    if not _PYTHON.isdisjoint(_tags(_tree(expr))):
        raise AssayError(
            f"{where} calls a Python function, which cannot be identified across processes: "
            "use Polars expressions, or compute the column in the table the view reads"
        )
    return expr


def check_feature(name: str, expr: object) -> str:
    """How messages name the feature. Raises AssayError for a name or an expression that cannot be a feature's."""
    where = f"feature {name!r}"
    check_name(name, "feature")
    if not reads_data(check_expression(expr, where)):
        raise AssayError(f"{where} reads no column: a constant is not a feature (count events with pl.len())")
    return where


def describe_feature(name: str, expr: pl.Expr) -> dict[str, Any]:
    """A feature as JSON. `text` is for people: Polars' text leaves out parameters (`rolling_mean(3)` and
    `rolling_mean(5)` read the same), so that identity is the digest of the whole serialised expression."""
    return {"name": name, "text": str(expr), "sha256": expression_digest(expr)}


def root_columns(expr: pl.Expr) -> tuple[str, ...] | None:
    """The columns the expression reads, predicates included; None if it selects columns by type or pattern."""
    if expr.meta.has_multiple_outputs():
        return None
    return tuple(dict.fromkeys(expr.meta.root_names()))


def reads_data(expr: pl.Expr) -> bool:
    """Whether the value depends on the rows at all: false for constants."""
    return root_columns(expr) != () or counts_rows(expr)


def counts_rows(expr: pl.Expr) -> bool:
    return any(node.meta.eq(pl.len()) for node in _nodes(expr))


def is_elementwise(expr: pl.Expr) -> bool:
    """Whether each row's value depends on that row only.

    Polars answers for the outermost function and, in `fill_null(col.mean())`, forgets the arguments, so every part is
    asked. Parts whose answer needs a schema (selectors, list elements) are judged by what they are made of.
    """
    if counts_rows(expr) or not _ACROSS_ROWS.isdisjoint(_tags(_tree(expr))):
        return False
    return all(_row_by_row(node) for node in _nodes(expr) if node.meta.root_names())


def may_lengthen(expr: pl.Expr) -> bool:
    """Whether the expression may make texts that are much longer than those of the rows, by a function that pads, replaces, joins
    or repeats them: one row can then take any amount of memory."""
    tree = _tree(expr)
    formats = (given for name, given in _functions(tree, "TemporalExpr") if name == "ToString")
    return any(name not in _BOUNDED for name, _ in _functions(tree, "StringExpr")) or any(
        len(str(given)) > _LONGEST_FORMAT for given in formats
    )


def is_aggregation(expr: pl.Expr) -> bool:
    """Whether the expression gives one value per group. Where Polars needs the schema to tell, the group-by will."""
    try:
        return expr.meta.is_scalar()
    except PolarsError:
        return True


def expression_digest(expr: pl.Expr) -> str:
    """SHA-256 of the whole expression with all its parameters, which its printed text leaves out."""
    return hashlib.sha256(json.dumps(_tree(expr), sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def expression_tree(expr: pl.Expr) -> Any:
    """The whole expression as JSON, from which `expression_from` makes it again."""
    return _tree(expr)


def expression_from(tree: Any, where: str) -> pl.Expr:
    """The expression of a tree, which may come from elsewhere.

    Raises AssayError, naming `where`, for one that would run code which the tree does not show (a Python function, a plugin), and
    for one that this release of Polars does not read.
    """
    if not {*_PYTHON, _PLUGIN}.isdisjoint(_every_tag(tree)):
        raise AssayError(f"{where} calls a Python function or a plugin, which is not run from a definition")
    try:
        return pl.Expr.deserialize(io.StringIO(json.dumps(tree)), format="json")
    except (PolarsError, ValueError, TypeError):
        raise AssayError(
            f"{where} is written in a form that Polars {pl.__version__} does not read: define it again with this release"
        ) from None


def _every_tag(tree: Any) -> Iterator[str]:
    """The kinds of node in a serialised expression, wherever they are."""
    if isinstance(tree, dict):
        for tag, child in tree.items():
            yield tag
            yield from _every_tag(child)
    elif isinstance(tree, list):
        for child in tree:
            yield from _every_tag(child)


def _tree(expr: pl.Expr) -> Any:
    return json.loads(expr.meta.serialize(format="json"))


def _tags(tree: Any) -> Iterator[str]:
    """The kinds of node in a serialised expression, without what happens inside one row's list or struct."""
    if isinstance(tree, dict):
        for tag, child in tree.items():
            yield tag
            if tag != "evaluation":
                yield from _tags(child)
    elif isinstance(tree, list):
        for child in tree:
            yield from _tags(child)


def _functions(tree: Any, family: str) -> Iterator[tuple[str, Any]]:
    """The functions of a family, such as `StringExpr`, in a serialised expression, with their options."""
    if isinstance(tree, dict):
        for tag, child in tree.items():
            if tag == family:
                yield from child.items() if isinstance(child, dict) else ((child, None),)
            yield from _functions(child, family)
    elif isinstance(tree, list):
        for child in tree:
            yield from _functions(child, family)


def _nodes(expr: pl.Expr) -> Iterator[pl.Expr]:
    yield expr
    for child in expr.meta.pop():
        yield from _nodes(child)


def _row_by_row(expr: pl.Expr) -> bool:
    try:
        return expr.meta.is_row_separable() and expr.meta.is_length_preserving()
    except PolarsError:
        return True
