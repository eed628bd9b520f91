"""Contradictions between the rules of one column, found where the contract is written."""

import math
from collections.abc import Sequence
from typing import Any

import pandera.polars as pa
import polars as pl

from assay.checks.contract.builtin import values_of
from assay.checks.contract.rules import Column, ExprRule, Rule
from assay.errors import AssayError

_FINITE = {"equal_to": "value", "isin": "allowed_values"}
_LOW = {"greater_than": False, "greater_than_or_equal_to": True}
_HIGH = {"less_than": False, "less_than_or_equal_to": True}


def require_satisfiable(contract: str, column: Column, checks: Sequence[pa.Check], rules: Sequence[Rule]) -> None:
    """Raise AssayError when a bound is NaN, or when no value at all can meet the column's rules together.

    Found are empty intervals between bounds, and lists of values (`isin`, `eq`) of which none meets the other rules.
    """
    where = f"{contract}.{column.name}"
    lows: list[tuple[Any, bool]] = []
    highs: list[tuple[Any, bool]] = []
    for check in checks:
        # Only pandera's own checks: an author's function may have the name of one.
        kind = getattr(check._check_fn, "__name__", "") if check.registry_name else ""
        stats = check._check_kwargs
        if any(isinstance(value, float) and math.isnan(value) for value in stats.values()):
            raise AssayError(f"{where}: no value can be compared with NaN; NaN breaks {column.name}.not_nan anyway")
        if kind in _LOW:
            lows.append((stats["min_value"], _LOW[kind]))
        elif kind in _HIGH:
            highs.append((stats["max_value"], _HIGH[kind]))
        elif kind == "in_range":
            lows.append((stats["min_value"], stats.get("include_min", True)))
            highs.append((stats["max_value"], stats.get("include_max", True)))
        elif kind in _FINITE:
            listed = stats[_FINITE[kind]]
            _require_one(
                where, column, values_of([listed] if kind == "equal_to" else listed, column.dtype, where), rules
            )
    for low, with_low in lows:
        for high, with_high in highs:
            if _is_empty(where, low, high, closed=with_low and with_high):
                raise AssayError(f"{where}: contradictory rules, no value lies between the bounds {low!r} and {high!r}")


def _is_empty(where: str, low: Any, high: Any, *, closed: bool) -> bool:
    try:
        return low > high or (low == high and not closed)
    except TypeError as error:
        raise AssayError(
            f"{where}: the bounds {low!r} and {high!r} are of different types; write both alike"
        ) from error


def _require_one(where: str, column: Column, values: pl.Series, rules: Sequence[Rule]) -> None:
    own = [rule for rule in rules if isinstance(rule, ExprRule) and rule.inputs == (column.name,)]
    frame = values.alias(column.name).to_frame()
    if own and not frame.select(pl.all_horizontal(rule.expr.fill_null(True) for rule in own)).to_series().any():
        names = ", ".join(rule.name for rule in own)
        raise AssayError(f"{where}: contradictory rules, none of the listed values meets all of {names}")
