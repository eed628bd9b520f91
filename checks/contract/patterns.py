"""Columns that a contract names by a pattern: which delivered columns each pattern stands for."""

import copy
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandera.polars as pa

from assay.errors import AssayError
from assay.own_columns import is_link


def templates(schema: pa.DataFrameSchema) -> pa.DataFrameSchema:
    """The schema with each pattern column under its pattern without anchors: what rules are called before a delivery is seen.

    Raises AssayError for a pattern that does not compile or that also matches a column declared by its name.
    """
    plain = [name for name, column in schema.columns.items() if not column.regex]
    columns = {}
    for name, column in schema.columns.items():
        if column.regex:
            matched = _matched(schema, name, plain)
            if matched:
                raise AssayError(
                    f"{schema.name}: the pattern {name!r} also matches the column {matched[0]!r}, which has rules of its own; "
                    "make the pattern narrower"
                )
        columns[_bare(name)] = _named(column, _bare(name), regex=column.regex)
    return _with_columns(schema, columns)


def expanded(schema: pa.DataFrameSchema, delivered: Sequence[str]) -> tuple[pa.DataFrameSchema, dict[str, list[str]]]:
    """The schema with each pattern replaced by the delivered columns that it matches as a whole, and pattern -> columns.

    Links to the source match no pattern. A required pattern without a match stays, as a column that is missing.
    Raises AssayError when two patterns match one column.
    """
    columns: dict[str, Any] = {}
    matches: dict[str, list[str]] = {}
    for name, column in schema.columns.items():
        if not column.regex:
            columns[name] = column
            continue
        matched = _matched(schema, name, delivered)
        matches[_bare(name)] = matched
        for match in matched or ([_bare(name)] if column.required else []):
            if match in columns:
                raise AssayError(f"{schema.name}: two patterns match the column {match!r}; make one of them narrower")
            columns[match] = _named(column, match, regex=False)
    return _with_columns(schema, columns), matches


def for_columns(by_rule: Mapping[str, Any], matches: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Copies settings of a pattern's rule (`t_[0-9]+.ge`) to the rule of each matching column (`t_1.ge`)."""
    result: dict[str, Any] = {}
    for rule, value in by_rule.items():
        column, _, kind = rule.rpartition(".")
        result |= {f"{name}.{kind}": value for name in matches.get(column, [column])} if column else {rule: value}
    return result


def _bare(pattern: str) -> str:
    return pattern.removeprefix("^").removesuffix("$")


def _matched(schema: pa.DataFrameSchema, pattern: str, names: Sequence[str]) -> list[str]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise AssayError(f"{schema.name}: the column pattern {pattern!r} does not compile ({error})") from error
    return [name for name in names if not is_link(name) and compiled.fullmatch(name)]


def _named(column: Any, name: str, *, regex: bool) -> Any:
    named = copy.copy(column)
    named.name, named.regex = name, regex
    return named


def _with_columns(schema: pa.DataFrameSchema, columns: dict[str, Any]) -> pa.DataFrameSchema:
    changed = copy.copy(schema)
    changed.columns = columns
    return changed
