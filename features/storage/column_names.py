"""Names of columns that no table can hold, whoever gives them."""

from collections.abc import Iterable
from typing import Any

import polars as pl


def unusable(name: str) -> str:
    """Why no table can hold a column of this name, without the name; nothing where one can."""
    if "\0" in name:
        return "has a NUL in its name, which ends a name in Arrow"
    if name == "*" or (name.startswith("^") and name.endswith("$")):
        return "has a name that means several columns (`*`, or from `^` to `$`)"
    return ""


def first_unusable(columns: Iterable[tuple[str, pl.DataType]]) -> tuple[int, str] | None:
    """The position, counted from 1, of the first such column, or one with such a name within its values; and why."""
    for position, (name, dtype) in enumerate(columns, start=1):
        if why := unusable(name) or ("has a NUL in the name of a nested field" if _has_nul(dtype) else ""):
            return position, why
    return None


def _has_nul(dtype: pl.DataType) -> bool:
    if isinstance(dtype, pl.Struct):
        return any("\0" in field.name or _has_nul(_instance(field.dtype)) for field in dtype.fields)
    return isinstance(dtype, pl.List | pl.Array) and _has_nul(_instance(dtype.inner))


def _instance(dtype: Any) -> pl.DataType:
    return dtype() if isinstance(dtype, type) else dtype
