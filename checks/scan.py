"""The one pass over a batch: contract types, readability and every row-local verdict, in one query."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from assay.checks.compile import is_link
from assay.checks.contract import Compiled
from assay.checks.parse import typed
from assay.checks.rules import Column, DtypeRule, ExprRule, NotNanRule, ReferenceRule, Rule

#: The link column that says what a reader could not read in a record (null: nothing).
DEFECT = "_defect"

# Internal columns; no delivered column starts with a control character.
_INTERNAL = "\x1f"
_ORIGINAL, _UNREADABLE, _VERDICT, _DEFECTIVE = (
    _INTERNAL + name for name in ("original:", "unreadable:", "verdict:", "defective")
)


@dataclass(frozen=True, slots=True)
class Scan:
    """The scanned batch: delivered columns, typed columns, links and verdicts side by side, in input order."""

    data: pl.DataFrame
    delivered: pl.Schema
    unreadable: frozenset[str]

    @property
    def original(self) -> pl.DataFrame:
        """The batch as it was delivered."""
        return self.data.select(pl.col(_ORIGINAL + name).alias(name) for name in self.delivered)

    @property
    def typed(self) -> pl.DataFrame:
        """The contract's columns in its types, then the links."""
        return self.data.select(pl.exclude(f"^{_INTERNAL}.*$"))

    @property
    def readable(self) -> pl.Series:
        """Which rows the reader could read."""
        return self.known(())

    def known(self, inputs: Iterable[str]) -> pl.Series:
        """Which rows have readable values in all of these columns."""
        expr = _unknown(inputs, self.unreadable, DEFECT in self.delivered)
        return self.data.select(known=~expr)["known"] if expr is not None else _all_true(self.data.height)

    def verdict(self, rule: Rule) -> pl.Series | None:
        """True, false, or null for unknown, per row; None if the rule was not part of the scan."""
        name = _VERDICT + rule.name
        return self.data[name] if name in self.data.columns else None


def scan_batch(
    batch: pl.LazyFrame,
    delivered: pl.Schema,
    plan: Compiled,
    members: Mapping[str, pl.Series],
    skipped: Iterable[str],
) -> Scan:
    """Read the batch once. members: the values that exist, per foreign-key rule. skipped: rules not to evaluate.

    Raises polars.exceptions.PolarsError when a rule fails to run.
    """
    types = [_typed(column, delivered).alias(column.name) for column in plan.columns]
    links = [pl.col(name) for name in delivered if is_link(name)]
    original = [pl.col(name).alias(_ORIGINAL + name) for name in delivered]
    defective = [pl.col(DEFECT).is_not_null().alias(_DEFECTIVE)] if DEFECT in delivered else []
    unreadable = {column.name: _unreadable(column) for column in plan.columns if _can_fail(column, delivered)}
    dropped = frozenset(skipped)
    verdicts = [
        _verdict(rule, members, frozenset(unreadable), delivered).alias(_VERDICT + rule.name)
        for rule in plan.rules
        if rule.name not in dropped and isinstance(rule, (DtypeRule, NotNanRule, ExprRule, ReferenceRule))
    ]
    data = (
        batch.select(*original, *types, *links, *defective)
        .with_columns(expr.alias(_UNREADABLE + name) for name, expr in unreadable.items())
        .with_columns(verdicts)
        .collect()
    )
    return Scan(data, delivered, frozenset(unreadable))


def _typed(column: Column, delivered: pl.Schema) -> pl.Expr:
    if column.name not in delivered:
        return pl.lit(None, dtype=column.dtype)
    return typed(pl.col(column.name), delivered[column.name], column)


def _can_fail(column: Column, delivered: pl.Schema) -> bool:
    return column.name in delivered and (column.dtype.is_float() or delivered[column.name] != column.dtype)


def _not_cast(column: str) -> pl.Expr:
    return pl.col(_ORIGINAL + column).is_not_null() & pl.col(column).is_null()


def _unreadable(column: Column) -> pl.Expr:
    # NaN is not a number that other rules could judge: polars would call it greater than everything.
    failed = _not_cast(column.name)
    return failed | pl.col(column.name).is_nan().fill_null(False) if column.dtype.is_float() else failed


def _unknown(inputs: Iterable[str], unreadable: frozenset[str], has_defects: bool) -> pl.Expr | None:
    flags = [pl.col(_UNREADABLE + name) for name in inputs if name in unreadable]
    flags += [pl.col(_DEFECTIVE)] if has_defects else []
    return pl.any_horizontal(flags) if flags else None


def _verdict(rule: Rule, members: Mapping[str, pl.Series], unreadable: frozenset[str], delivered: pl.Schema) -> pl.Expr:
    has_defects = DEFECT in delivered
    unknown = _unknown(rule.inputs, unreadable, has_defects)
    match rule:
        case DtypeRule(inputs=(name,)):
            valid = ~_not_cast(name) if name in unreadable else pl.lit(True)
            unknown = _unknown((), unreadable, has_defects)
        case NotNanRule(inputs=(name,)):
            valid = pl.col(name).is_not_nan()
            unknown = pl.any_horizontal(_not_cast(name), *([pl.col(_DEFECTIVE)] if has_defects else []))
        case ReferenceRule(inputs=(name,)):
            valid = pl.col(name).is_in(members[rule.name].implode())
        case ExprRule(expr=expr):
            valid = expr
        case _:
            raise AssertionError(f"{rule.name} is not evaluated in the scan")
    valid = valid.fill_null(True)
    return valid if unknown is None else pl.when(unknown).then(None).otherwise(valid)


def _all_true(height: int) -> pl.Series:
    return pl.repeat(True, height, dtype=pl.Boolean, eager=True)
