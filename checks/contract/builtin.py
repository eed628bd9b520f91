"""pandera's built-in checks as polars expressions: true is valid, false invalid, null (for a null value) valid."""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from operator import or_
from typing import Any

import polars as pl

from assay.errors import AssayError

Statistics = Mapping[str, Any]
_FEW = 8


def values_of(values: Iterable[Any], dtype: pl.DataType, rule: str) -> pl.Series:
    """The values a check lists, in the column's type, in order: a set has none, and the same rule should look the same.

    Raises AssayError if one is not of the type.
    """
    listed = [value for value in values if value is not None]
    try:
        return pl.Series(listed, dtype=dtype, strict=True).unique().sort()
    except (TypeError, pl.exceptions.PolarsError) as error:
        raise AssayError(f"{rule}: the listed values are not all of the column's type {dtype}") from error


def _members(value: pl.Expr, stats: Statistics, dtype: pl.DataType, rule: str, key: str) -> pl.Expr:
    members = values_of(stats[key], dtype, rule)
    if members.is_empty():
        raise AssayError(f"{rule}: the list of values is empty")
    if dtype == pl.String and len(members) <= _FEW:
        return reduce(or_, (value == member for member in members))  # a few comparisons take less time than a look-up
    return value.is_in(members.implode())


def _in_range(value: pl.Expr, stats: Statistics, dtype: pl.DataType, rule: str) -> pl.Expr:
    low, high = stats["min_value"], stats["max_value"]
    above = value >= low if stats.get("include_min", True) else value > low
    below = value <= high if stats.get("include_max", True) else value < high
    return above & below


def _length(value: pl.Expr, stats: Statistics, dtype: pl.DataType, rule: str) -> pl.Expr:
    length, exact = value.str.len_chars(), stats.get("exact_value")
    if exact is not None:
        return length == exact
    low, high = stats.get("min_value"), stats.get("max_value")
    longer = length >= low if low is not None else pl.lit(True)
    return longer & (length <= high) if high is not None else longer


def _regex(value: pl.Expr, pattern: str | re.Pattern[str], rule: str, *, anchored: bool) -> pl.Expr:
    text = pattern.pattern if isinstance(pattern, re.Pattern) else pattern
    # pandera puts a bare "^" in front, which anchors only the first branch of "a|b".
    regex = f"^(?:{text})" if anchored else text
    try:
        pl.Series([""]).str.contains(regex)
    except pl.exceptions.ComputeError as error:
        reason = next((line for line in str(error).splitlines() if line.startswith("error:")), "error: not a regex")
        raise AssayError(f"{rule}: the regular expression {text!r} does not compile ({reason[7:]})") from error
    return value.str.contains(regex)


#: pandera check -> (rule name, expression over the column).
BUILTINS: dict[str, tuple[str, Callable[[pl.Expr, Statistics, pl.DataType, str], pl.Expr]]] = {
    "equal_to": ("eq", lambda value, stats, dtype, rule: value == stats["value"]),
    "not_equal_to": ("ne", lambda value, stats, dtype, rule: value != stats["value"]),
    "greater_than": ("gt", lambda value, stats, dtype, rule: value > stats["min_value"]),
    "greater_than_or_equal_to": ("ge", lambda value, stats, dtype, rule: value >= stats["min_value"]),
    "less_than": ("lt", lambda value, stats, dtype, rule: value < stats["max_value"]),
    "less_than_or_equal_to": ("le", lambda value, stats, dtype, rule: value <= stats["max_value"]),
    "in_range": ("in_range", _in_range),
    "isin": ("isin", lambda value, stats, dtype, rule: _members(value, stats, dtype, rule, "allowed_values")),
    "notin": ("notin", lambda value, stats, dtype, rule: ~_members(value, stats, dtype, rule, "forbidden_values")),
    "str_matches": ("matches", lambda value, stats, dtype, rule: _regex(value, stats["pattern"], rule, anchored=True)),
    "str_contains": (
        "contains",
        lambda value, stats, dtype, rule: _regex(value, stats["pattern"], rule, anchored=False),
    ),
    "str_startswith": ("startswith", lambda value, stats, dtype, rule: value.str.starts_with(stats["string"])),
    "str_endswith": ("endswith", lambda value, stats, dtype, rule: value.str.ends_with(stats["string"])),
    "str_length": ("length", _length),
}
