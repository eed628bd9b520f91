"""Rows under the names that their contract gives the columns now, whichever of its names an upstream delivered them under."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import polars as pl

from assay.checks.contract.columns import ColumnsError, compare_columns
from assay.checks.contract.rules import Column
from assay.checks.validation.reading import JSON
from assay.row_source import RowSource

Rows = pl.DataFrame | pl.LazyFrame | RowSource


@dataclass(frozen=True, slots=True)
class FormerNames:
    """Under which names some rows have the columns that have another one now.

    delivered: column -> the names under which it has values, the present one first. empty: names under which it has none.
    """

    delivered: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    empty: frozenset[str] = frozenset()

    def schema(self, rows: pl.Schema) -> pl.Schema:
        """The columns of such rows under their present names, each at its first place."""
        columns: dict[str, pl.DataType] = {}
        for name, dtype in rows.items():
            if name not in self.empty:
                columns.setdefault(self._present(name), dtype)
        return pl.Schema(columns)

    def frame(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Such rows under the present names."""
        return rows.select(self._columns(self.schema(rows.schema).names())) if self.delivered else rows

    def lazy(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """Such rows under the present names."""
        return rows.select(self._columns(self.schema(rows.collect_schema()).names())) if self.delivered else rows

    def source(self, rows: RowSource) -> RowSource:
        """Such rows under the present names."""
        if not self.delivered:
            return rows

        def made(columns: Sequence[str]) -> Iterator[pl.DataFrame]:
            wanted = dict.fromkeys(name for column in columns for name in self.delivered.get(column, (column,)))
            for frame in rows.make(list(wanted)):
                yield frame.select(self._columns(columns))

        return RowSource(self.schema(rows.schema), made)

    def _present(self, name: str) -> str:
        return next((column for column, names in self.delivered.items() if name in names), name)

    def _columns(self, names: Sequence[str]) -> list[pl.Expr]:
        return [self._json() if name == JSON else self._column(name) for name in names]

    def _column(self, name: str) -> pl.Expr:
        return pl.coalesce(self.delivered[name]).alias(name) if name in self.delivered else pl.col(name)

    def _json(self) -> pl.Expr:
        """The names of the columns that have a JSON value of another kind, which are those that were delivered."""
        expr = pl.col(JSON)
        for column, names in self.delivered.items():
            for name in names:
                expr = expr.str.replace_all(json.dumps(name), json.dumps(column), literal=True)
        return expr


def former_names(contract: str, columns: Sequence[Column], rows: Rows) -> FormerNames:
    """What of the rows is under former names (`Field(was=…)`).

    A table holds files from before and after the new name, so that it has both columns, and each row a value under one.

    Args:
        contract: The contract's name, for the message.
        columns: Of the contract.
        rows: A batch, as delivered or as a table has it.

    Raises:
        ColumnsError: A row has values under two of the names, or they come in different types: which one counts is not guessed.
    """
    schema = rows.collect_schema() if isinstance(rows, pl.LazyFrame) else rows.schema
    delivered: dict[str, tuple[str, ...]] = {}
    empty: set[str] = set()
    for column in columns:
        names = tuple(name for name in (column.name, *column.options.was) if name in schema)
        if len(names) > 1:
            delivered[column.name] = _filled(contract, names, schema, rows)
            empty |= {*names} - {*delivered[column.name]}
        elif names and names[0] != column.name:
            delivered[column.name] = names
    return FormerNames(delivered, frozenset(empty))


def _filled(contract: str, names: tuple[str, ...], schema: pl.Schema, rows: Rows) -> tuple[str, ...]:
    pairs = list(combinations(names, 2))
    there = [pl.col(name).is_not_null() for name in names]
    both = [pl.col(one).is_not_null() & pl.col(other).is_not_null() for one, other in pairs]
    asked = [expr.any().alias(f"{number}") for number, expr in enumerate([*there, *both])]
    answers = rows.lazy().select(asked).collect(engine="streaming").row(0)
    clash = next((pair for pair, found in zip(pairs, answers[len(names) :], strict=True) if found), None)
    if clash is not None:
        raise _undecided(contract, clash, "rows have values under both")
    filled = tuple(name for name, found in zip(names, answers, strict=False) if found) or names[:1]
    other = next((name for name in filled if schema[name] != schema[filled[0]]), None)
    if other is not None:
        raise _undecided(contract, (filled[0], other), "they come in different types")
    return filled


def _undecided(contract: str, names: tuple[str, str], why: str) -> ColumnsError:
    one, other = names
    return ColumnsError(
        f"{contract}: {one!r} and {other!r} are names of one column, and {why}. Have the upstream deliver one of them, or "
        "remove was= and declare both.",
        compare_columns({}, {}),
    )
