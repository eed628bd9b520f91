"""The rule that would have caught an accepted suggestion, as a line of a contract."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import polars as pl

from assay.checks.contract.contract import Contract, compiled
from assay.checks.drafting.column_stats import SHARE, stats_of
from assay.checks.drafting.evidence import quoted
from assay.checks.drafting.pattern_inference import common_pattern
from assay.checks.suggesting.suggest import Suggestion
from assay.checks.validation.masking import redact
from assay.errors import AssayError

#: Detectors that say which of a few values or forms was meant, so that a list or a pattern may say it in general.
_FORMS = ("rare_shape", "other_type", "mixed_format", "misplaced_value", "near_value")


@dataclass(frozen=True, slots=True)
class RuleProposal:
    """A rule to add. argument: of the column's `Field`. method: else the lines of a `@rule`. breaks: the rows of the table
    that it would refuse. name: what the rule is called."""

    name: str
    column: str
    breaks: int
    argument: str | None = None
    method: tuple[str, ...] = ()


def rule_proposal(
    rows: pl.DataFrame, contract: type[Contract] | None, cell: Suggestion, classes: Mapping[str, str | None]
) -> RuleProposal:
    """The rule for an accepted suggestion.

    Args:
        rows: The table that it was made from; of a file with its lines as delivered.
        contract: Of the table; None where it has none yet.
        cell: The suggestion, with its values unmasked.
        classes: The class of personal data of each column: a rule quotes no personal value.

    Raises:
        AssayError: No rule says it: the row has to be corrected.
    """
    _require_quotable(cell.column, classes)
    if cell.kind in ("broken_dependency", "conflicting_source"):
        return _where_given(rows, contract, cell, classes)
    dtype = _dtype(contract, cell.column)
    if cell.value is None:
        raise AssayError(
            f"{cell.column}: a missing value breaks not_null already, unless the column is declared nullable. "
            "Remove nullable=True from its Field."
        )
    if cell.kind == "outlier":
        return _bound(rows, dtype, cell)
    if dtype not in (None, pl.String()):
        raise AssayError(
            f"{cell.column}: the contract's type {dtype} refuses such texts already. Correct the row in quarantine."
        )
    texts = rows[cell.column].cast(pl.String).drop_nulls()
    stats = stats_of(texts)
    if cell.kind in _FORMS and cell.value not in stats.values and stats.values:
        return _of_text(texts, cell, "isin", _list(stats.values), lambda value: value.is_in(list(stats.values)))
    pattern = common_pattern(texts, SHARE) if cell.kind in _FORMS else None
    if pattern is not None and not texts.filter(texts == cell.value).str.contains(pattern[0]).any():
        return _of_text(texts, cell, "str_matches", quoted(pattern[0]), lambda value: value.str.contains(pattern[0]))
    return _of_text(texts, cell, "notin", _list((cell.value,)), lambda value: value != cell.value)


def _of_text(
    texts: pl.Series, cell: Suggestion, check: str, written: str, holds: Callable[[pl.Expr], pl.Expr]
) -> RuleProposal:
    breaks = texts.alias("v").to_frame().select((~holds(pl.col("v"))).sum()).item()
    name = f"{cell.column}.{check.removeprefix('str_')}"
    _require_no_personal_data(cell.column, written)
    return RuleProposal(name, cell.column, int(breaks), argument=f"{check}={written}")


def _bound(rows: pl.DataFrame, dtype: pl.DataType | None, cell: Suggestion) -> RuleProposal:
    if dtype is not None and not dtype.is_numeric():
        raise AssayError(f"{cell.column} is declared as {dtype}: declare it as a number first, then accept again.")
    numbers = rows[cell.column].cast(pl.String).cast(pl.Float64, strict=False).drop_nulls()
    value = float(str(cell.value))
    above = value > float(numbers.median() or 0)  # pyright: ignore[reportArgumentType]
    rest = numbers.filter(numbers.is_finite() & (numbers < value if above else numbers > value))
    if rest.is_empty():
        raise AssayError(f"{cell.column}: no other number says where a bound is. Correct the row in quarantine.")
    bound = float(rest.max() if above else rest.min())  # pyright: ignore[reportArgumentType]
    written = str(int(bound)) if bound.is_integer() and (dtype is None or dtype.is_integer()) else repr(bound)
    check = "le" if above else "ge"
    breaks = int((numbers > bound).sum() if above else (numbers < bound).sum())
    return RuleProposal(f"{cell.column}.{check}", cell.column, breaks, argument=f"{check}={written}")


def _where_given(
    rows: pl.DataFrame, contract: type[Contract] | None, cell: Suggestion, classes: Mapping[str, str | None]
) -> RuleProposal:
    """Where the determinants have these values, the column has that one: a rule that each row answers by itself."""
    for name in cell.given:
        _require_quotable(name, classes)
    if cell.expected is None or not cell.given:
        raise AssayError(f"{cell.column}: which value belongs there is not known. Correct the row in quarantine.")
    here = rows.row(cell.row - 1, named=True)
    conditions = [_equals(contract, name, str(here[name])) for name in cell.given]
    names = (cell.column, *cell.given)
    texts = [(name, str(here[name])) for name in cell.given]
    same = pl.all_horizontal(pl.col(name).cast(pl.String) == value for name, value in texts)
    breaks = rows.select((same & (pl.col(cell.column).cast(pl.String) != cell.expected)).sum()).item()
    name = f"{cell.column}.of_{'_and_'.join(cell.given)}_{cell.id[:6]}"
    method = "".join(letter if f"_{letter}".isidentifier() else "_" for letter in name)
    method = method if method.isidentifier() and not method.startswith("_") else f"rule_{method}"
    given = " & ".join(conditions)
    expected = _equals(contract, cell.column, cell.expected)
    body = f"        return ~({given}) | {expected}"
    _require_no_personal_data(", ".join(names), body)
    lines = (f"    @rule(name={quoted(name)})", f"    def {method}(cls) -> pl.Expr:", body)
    return RuleProposal(name, cell.column, int(breaks), method=lines)


def _equals(contract: type[Contract] | None, name: str, value: str) -> str:
    """A comparison with a value as the contract's type is written."""
    dtype = _dtype(contract, name) or pl.String()
    if dtype == pl.String:
        return f"(pl.col({quoted(name)}) == {quoted(value)})"
    if dtype.is_integer() or dtype.is_float():
        return f"(pl.col({quoted(name)}) == {_number(name, value, dtype)!r})"
    raise AssayError(f"{name} is declared as {dtype}: a rule over it is written by hand, or the row corrected.")


def _number(name: str, value: str, dtype: pl.DataType) -> int | float:
    """A text as a number of the column's type. Only a number is written without quotes."""
    number = pl.Series([value.strip()]).cast(dtype, strict=False).item()
    if number is None or not math.isfinite(number):
        raise AssayError(
            f"{name} is declared as {dtype}, and the rule would have to compare it with what is no such number. "
            "Correct the row in quarantine."
        )
    return number


def _dtype(contract: type[Contract] | None, name: str) -> pl.DataType | None:
    if contract is None:
        return None
    types = {column.name: column.dtype for column in compiled(contract).columns}
    if name not in types:
        raise AssayError(f"The contract {contract.__name__} does not declare {name}: declare it first.")
    return types[name]


def _require_quotable(name: str, classes: Mapping[str, str | None]) -> None:
    if classes.get(name) is not None:
        raise AssayError(
            f"{name} holds personal data ({classes[name]}), and a rule would quote it. Correct the row in quarantine instead."
        )


def _require_no_personal_data(where: str, text: str) -> None:
    if redact(text) != text:
        raise AssayError(f"{where}: the rule would quote an address or a number of a person. Correct the row instead.")


def _list(values: tuple[str, ...]) -> str:
    return f"[{', '.join(quoted(value) for value in values)}]"
