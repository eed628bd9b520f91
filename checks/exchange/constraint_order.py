"""Which of two settings of one check lets fewer values through."""

from collections.abc import Mapping
from typing import Any

_LOWER = ("greater_than", "greater_than_or_equal_to")
_UPPER = ("less_than", "less_than_or_equal_to")
_SUBSET = {"isin": "allowed_values"}
_SUPERSET = {"notin": "forbidden_values"}


def narrower(check: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether every value that is valid under `new` is valid under `old` too, for pandera's check of that name.

    False also means that it cannot be decided (patterns, expressions).
    """
    if check in _LOWER:
        return new["min_value"] >= old["min_value"]
    if check in _UPPER:
        return new["max_value"] <= old["max_value"]
    if check in _SUBSET:
        return set(new[_SUBSET[check]]) <= set(old[_SUBSET[check]])
    if check in _SUPERSET:
        return set(new[_SUPERSET[check]]) >= set(old[_SUPERSET[check]])
    if check == "str_length":
        return _inside(_lengths(old), _lengths(new))
    if check == "in_range":
        return _inside(_interval(old), _interval(new))
    return False


Edge = tuple[Any, bool] | None  #: the bound and whether it belongs to the interval; None is no bound


def _inside(outer: tuple[Edge, Edge], inner: tuple[Edge, Edge]) -> bool:
    (low, high), (inner_low, inner_high) = outer, inner
    above = low is None or (
        inner_low is not None and (inner_low[0] > low[0] or (inner_low[0] == low[0] and low[1] >= inner_low[1]))
    )
    below = high is None or (
        inner_high is not None and (inner_high[0] < high[0] or (inner_high[0] == high[0] and high[1] >= inner_high[1]))
    )
    return above and below


def _interval(arguments: Mapping[str, Any]) -> tuple[Edge, Edge]:
    low = arguments["min_value"], arguments.get("include_min", True)
    return low, (arguments["max_value"], arguments.get("include_max", True))


def _lengths(arguments: Mapping[str, Any]) -> tuple[Edge, Edge]:
    exact = arguments.get("exact_value")
    if exact is not None:
        return (exact, True), (exact, True)
    low, high = arguments.get("min_value"), arguments.get("max_value")
    return (None if low is None else (low, True)), (None if high is None else (high, True))
