"""Two versions of a contract: every change, whom it breaks, and why.

A contract is a promise with two sides. Readers rely on what the clean table holds: a promise withdrawn breaks them.
Suppliers rely on what is accepted: a demand added breaks them. A change that does neither is compatible.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import polars as pl

from assay.checks.contract.columns import compare_columns
from assay.checks.contract.contract import Contract
from assay.checks.contract.field import QuarantineLimits
from assay.checks.contract.rules import Column, Rule
from assay.checks.contract.written_form import WrittenForm
from assay.checks.exchange.constraint_order import narrower
from assay.checks.exchange.declared import CODE, Declaration, declaration, same_arguments

Side = Literal["readers", "suppliers"]
READERS: tuple[Side, ...] = ("readers",)
SUPPLIERS: tuple[Side, ...] = ("suppliers",)
BOTH: tuple[Side, ...] = ("readers", "suppliers")
NOBODY: tuple[Side, ...] = ()
_IMPLIED = ("dtype", "not_null", "not_nan")


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. `where`: a column, a rule or an option. `breaks`: whom; empty is compatible."""

    kind: str
    where: str
    breaks: tuple[Side, ...]
    reason: str

    @property
    def breaking(self) -> bool:
        return bool(self.breaks)


def compare_contracts(old: type[Contract], new: type[Contract]) -> list[Change]:
    """What changed from one contract to another, whom it breaks, and why. Names of contracts are not compared.

    Args:
        old: The contract as it was.
        new: The contract as it is.

    Returns:
        Changes of columns in the new order, then of rules, options and the version.

    Raises:
        AssayError: One of the two is not a contract.
    """
    first, second = declaration(old), declaration(new)
    changes = [*_columns(first, second), *_rules(first, second), *_options(first, second)]
    return [*changes, *_version(first, second, changes)]


def _columns(old: Declaration, new: Declaration) -> Iterator[Change]:
    before, after = _by_name(old), _by_name(new)
    called = {was: name for name, column in after.items() for was in column.options.was if name not in before}
    renamed = dict(_renamed(before, after)) | {name: called[name] for name in before if name in called}
    for name in before:
        if name in called:
            reason = f"is {called[name]!r} now: queries that name it fail, and deliveries may come under either name"
            yield Change("column_renamed", name, READERS, reason)
        elif name in renamed:
            reason = f"is probably {renamed[name]!r} now: queries and deliveries that name it fail"
            yield Change("column_renamed", name, BOTH, reason)
        elif name not in after:
            breaks = BOTH if new.plan.strict else READERS
            also = ", and the strict contract refuses deliveries that still have it" if new.plan.strict else ""
            yield Change("column_removed", name, breaks, f"queries that read it fail{also}")
    for name, column in after.items():
        if name in before:
            yield from _column(name, before[name], column)
            if lost := [was for was in before[name].options.was if was not in column.options.was]:
                also = f"deliveries under its former name {lost[0]!r} are refused"
                yield Change("former_name_removed", name, SUPPLIERS, also)
        elif former := next((was for was in column.options.was if was in before), None):
            yield from _column(name, before[former], column)
        elif name not in renamed.values():
            yield _added(name, column)
    kept_before, kept_after = [n for n in before if n in after], [n for n in after if n in before]
    if kept_before != kept_after:
        moved = next(
            new_name for old_name, new_name in zip(kept_before, kept_after, strict=True) if old_name != new_name
        )
        breaks = SUPPLIERS if new.plan.ordered else NOBODY
        also = ", and deliveries in the old order are refused" if new.plan.ordered else ""
        yield Change("columns_reordered", moved, breaks, f"the clean table's columns have another order{also}")


def _by_name(declared: Declaration) -> dict[str, Column]:
    return {column.name: column for column in declared.plan.columns}


def _renamed(before: Mapping[str, Column], after: Mapping[str, Column]) -> Iterator[tuple[str, str]]:
    drift = compare_columns(
        {name: str(column.dtype) for name, column in before.items()},
        {name: str(column.dtype) for name, column in after.items()},
    )
    return ((old, new) for old, new, _ in drift.renamed)


def _added(name: str, column: Column) -> Change:
    if column.required:
        return Change("column_added", name, SUPPLIERS, "deliveries without it are refused")
    return Change("column_added", name, NOBODY, "deliveries may leave it out, and queries do not know it yet")


def _column(name: str, old: Column, new: Column) -> Iterator[Change]:
    if old.dtype != new.dtype:
        yield _retyped(name, old.dtype, new.dtype)
    if old.nullable != new.nullable:
        if new.nullable:
            yield Change("nullable", name, READERS, "may be null now: queries that rely on a value get none")
        else:
            yield Change("not_nullable", name, SUPPLIERS, "must not be null now: rows without a value leave")
    if old.required != new.required:
        if new.required:
            yield Change("required", name, SUPPLIERS, "must be delivered now: deliveries without it are refused")
        else:
            yield Change("not_required", name, READERS, "may be left out now: the column is null for such deliveries")
    if old.coerce != new.coerce:
        if new.coerce:
            yield Change("coerced", name, READERS, "values of another type are converted now, perhaps with loss")
        else:
            yield Change("not_coerced", name, SUPPLIERS, "values of another type are no longer converted: rows leave")
    if old.options.pii != new.options.pii:
        yield _pii(name, old.options.pii, new.options.pii)
    if old.options.naive_utc != new.options.naive_utc:
        if new.options.naive_utc:
            yield Change("zone_assumed", name, READERS, "times without a zone are read as UTC now")
        else:
            yield Change("zone_demanded", name, SUPPLIERS, "times need a zone now: rows without one leave")
    yield from _rewritten(name, old.options.written, new.options.written)


def _rewritten(name: str, old: WrittenForm, new: WrittenForm) -> Iterator[Change]:
    if replace(old, missing=None) != replace(new, missing=None):
        yield Change("form_changed", name, BOTH, "texts are read in another form: others leave, or mean another value")
    before, after = set(old.missing or ()), set(new.missing or ())
    if after - before:
        yield Change(
            "missing_added", name, READERS, "more texts mean that there is no value: queries get null for them"
        )
    if before - after:
        yield Change(
            "missing_removed", name, SUPPLIERS, "fewer texts mean that there is no value: rows with others leave"
        )


def _retyped(name: str, old: pl.DataType, new: pl.DataType) -> Change:
    if _holds(new, old):
        return Change("type_widened", name, READERS, f"{old} to {new}: values may not fit what queries expect")
    if _holds(old, new):
        return Change("type_narrowed", name, SUPPLIERS, f"{old} to {new}: values that do not fit leave")
    return Change("type_changed", name, BOTH, f"{old} to {new}: another kind of value")


def _holds(wide: pl.DataType, narrow: pl.DataType) -> bool:
    """Whether every value of `narrow` is a value of `wide`, unchanged."""
    if isinstance(wide, pl.Enum) and isinstance(narrow, pl.Enum):
        return set(narrow.categories) <= set(wide.categories)
    if isinstance(wide, pl.Decimal) and isinstance(narrow, pl.Decimal):
        whole = (wide.precision or 38) - wide.scale, (narrow.precision or 38) - narrow.scale
        return wide.scale >= narrow.scale and whole[0] >= whole[1]
    if wide == pl.String and isinstance(narrow, (pl.Enum, pl.Categorical)):
        return True
    if isinstance(wide, pl.List) and isinstance(narrow, pl.List):
        return _holds_or_same(wide.inner, narrow.inner)
    if isinstance(wide, pl.Datetime) and isinstance(narrow, pl.Datetime):
        units = ("ms", "us", "ns")
        same_zone = wide.time_zone == narrow.time_zone
        return same_zone and units.index(wide.time_unit) >= units.index(narrow.time_unit)
    if wide.is_integer() and narrow.is_integer():
        low, high = _range(wide)
        inner_low, inner_high = _range(narrow)
        return low <= inner_low and inner_high <= high
    if wide.is_float() and narrow.is_numeric() and not isinstance(narrow, pl.Decimal):
        digits = 53 if wide == pl.Float64 else 24
        return narrow == pl.Float32 if narrow.is_float() else max(map(abs, _range(narrow))) <= 2**digits
    return False


def _holds_or_same(wide: Any, narrow: Any) -> bool:
    return wide == narrow or _holds(wide, narrow)


def _range(dtype: pl.DataType) -> tuple[int, int]:
    bits = int(str(dtype).lstrip("UInt"))
    return (0, 2**bits - 1) if dtype.is_unsigned_integer() else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def _pii(name: str, old: str | None, new: str | None) -> Change:
    if old is None:
        return Change("pii_added", name, NOBODY, f"is personal data now ({new}): previews mask it")
    if new is None:
        return Change("pii_removed", name, READERS, f"is no longer personal data ({old}): previews show its values")
    return Change("pii_changed", name, NOBODY, f"is masked as {new} instead of {old}")


def _rules(old: Declaration, new: Declaration) -> Iterator[Change]:
    columns = _by_name(old).keys() & _by_name(new).keys()
    before, after = _comparable_rules(old, columns), _comparable_rules(new, columns)
    if old.plan.info.key != new.plan.info.key:
        names = ["+".join(declared.plan.info.key) or "none" for declared in (old, new)]
        reason = f"{names[0]} to {names[1]}: rows are told apart by other columns, joins and duplicates change"
        yield Change("key_changed", names[1], BOTH, reason)
        implied = {f"{'+'.join(declared.plan.info.key)}.unique" for declared in (old, new)}
        before, after = ({n: r for n, r in rules.items() if n not in implied} for rules in (before, after))
    for name, rule in before.items():
        if name not in after:
            if rule.severity.removes_row:
                yield Change("rule_removed", name, READERS, "rows that broke it stay in the clean table now")
            else:
                yield Change("rule_removed", name, NOBODY, f"it only counted ({rule.severity})")
    for name, rule in after.items():
        if name not in before:
            if rule.severity.removes_row:
                yield Change("rule_added", name, SUPPLIERS, f"rows that break it leave ({rule.severity})")
            else:
                yield Change("rule_added", name, NOBODY, f"it only counts ({rule.severity})")
        else:
            yield from _arguments(name, old, new, before[name], rule)
    both = {rule.name: rule for rule in old.plan.rules}
    for rule in new.plan.rules:
        if rule.name in both:
            yield from _severity(both[rule.name], rule)


def _comparable_rules(declared: Declaration, columns: Iterable[str]) -> dict[str, Rule]:
    """The rules that do not follow from a column's type or nullability, nor from a column that only one side has."""
    names = set(columns)
    return {
        rule.name: rule
        for rule in declared.plan.rules
        if rule.column is None or (rule.column in names and rule.name.rpartition(".")[2] not in _IMPLIED)
    }


def _arguments(name: str, old: Declaration, new: Declaration, before: Rule, after: Rule) -> Iterator[Change]:
    effective = before.severity.removes_row or after.severity.removes_row
    first, second = old.written.get(name), new.written.get(name)
    if first is None or second is None:
        if _target(before) != _target(after):
            yield Change(
                "rule_changed", name, BOTH if effective else NOBODY, "it compares with other columns or tables"
            )
        return
    if CODE in (first.check, second.check):
        if old.plan.info.digest != new.plan.info.digest:
            reason = "it is Python code, which cannot be compared: read both versions"
            yield Change("rule_unclear", name, BOTH if effective else NOBODY, reason)
        return
    if first.check == second.check and same_arguments(first.arguments, second.arguments):
        return
    tightened = first.check == second.check and narrower(first.check, first.arguments, second.arguments)
    loosened = first.check == second.check and narrower(first.check, second.arguments, first.arguments)
    values = first.check in ("isin", "notin")
    if tightened:
        kind, breaks = "values_removed" if values else "rule_tightened", SUPPLIERS
        reason = "fewer values are valid: rows with the others leave"
    elif loosened:
        kind, breaks = "values_added" if values else "rule_loosened", READERS
        reason = "more values are valid: queries may meet new ones"
    else:
        kind, breaks, reason = "rule_changed", BOTH, "other values are valid than before"
    yield Change(kind, name, breaks if effective else NOBODY, reason)


def _target(rule: Rule) -> dict[str, Any]:
    """What a rule compares with, beside its name and severity."""
    skipped = ("name", "severity", "block", "key", "expr", "check")
    return {field.name: getattr(rule, field.name) for field in fields(rule) if field.name not in skipped}


def _severity(old: Rule, new: Rule) -> Iterator[Change]:
    if old.severity is not new.severity:
        step = f"{old.severity} to {new.severity}"
        stayed, stays = not old.severity.removes_row, not new.severity.removes_row
        if stays and not stayed:
            yield Change("severity_lowered", new.name, READERS, f"{step}: rows that break it stay in the clean table")
        elif stayed and not stays:
            yield Change("severity_raised", new.name, SUPPLIERS, f"{step}: rows that break it leave now")
        elif new.severity == "block":
            yield Change("severity_raised", new.name, BOTH, f"{step}: a batch can be stopped now")
        elif old.severity == "block":
            yield Change("severity_lowered", new.name, NOBODY, f"{step}: the rows leave as before, the batch goes on")
        else:
            yield Change("severity_changed", new.name, NOBODY, f"{step}: the rows stay either way")
    elif old.block != new.block:
        kind = "threshold_changed"
        yield Change(kind, new.name, BOTH, "batches are stopped at another number of broken rows")


def _options(old: Declaration, new: Declaration) -> Iterator[Change]:
    before, after = old.plan.info, new.plan.info
    if old.plan.strict != new.plan.strict:
        if new.plan.strict:
            yield Change("strict", "strict", SUPPLIERS, "deliveries with further columns are refused")
        else:
            yield Change("not_strict", "strict", NOBODY, "further columns are accepted and left out of the clean table")
    if old.plan.ordered != new.plan.ordered:
        if new.plan.ordered:
            yield Change("ordered", "ordered", SUPPLIERS, "deliveries whose columns come in another order are refused")
        else:
            yield Change("not_ordered", "ordered", NOBODY, "columns may come in any order")
    if before.freshness != after.freshness:
        if after.freshness is None or (before.freshness is not None and after.freshness > before.freshness):
            yield Change("freshness_loosened", "freshness", READERS, "the data may be older than was promised")
        else:
            yield Change("freshness_tightened", "freshness", SUPPLIERS, "the data must come sooner")
    yield from _limits(before.quarantine, after.quarantine)
    if before.owner != after.owner:
        yield Change("owner_changed", "owner", NOBODY, f"{before.owner} to {after.owner}: ask the new owner")


def _limits(old: QuarantineLimits, new: QuarantineLimits) -> Iterator[Change]:
    """How much of a batch may go to quarantine. What stops a batch concerns others, what only warns does not."""
    never = math.inf, math.inf
    stops = [never if limits.block is None else (limits.block, limits.rows) for limits in (old, new)]
    if stops[0] != stops[1]:
        if all(after <= before for before, after in zip(*stops, strict=True)):
            reason = "batches are stopped with fewer rows in quarantine than before"
            yield Change("quarantine_tightened", "quarantine", SUPPLIERS, reason)
        elif all(after >= before for before, after in zip(*stops, strict=True)):
            reason = "batches are published with more rows in quarantine than before"
            yield Change("quarantine_loosened", "quarantine", READERS, reason)
        else:
            reason = "batches are stopped at another number of rows in quarantine"
            yield Change("quarantine_changed", "quarantine", BOTH, reason)
    if (old.warn, dict(old.rules)) != (new.warn, dict(new.rules)):
        yield Change("quarantine_warns", "quarantine", NOBODY, "checks warn at another number of rows in quarantine")


def _version(old: Declaration, new: Declaration, changes: list[Change]) -> Iterator[Change]:
    before, after = old.plan.info.version, new.plan.info.version
    if before == after:
        if changes:
            reason = f"is still {before} although the contract changed: nobody can tell which one held"
            yield Change("version_not_raised", "version", BOTH, reason)
        return
    first, second = _numbers(before), _numbers(after)
    if first and second and second < first:
        yield Change("version_lowered", "version", BOTH, f"{before} to {after} goes back")
    elif first and second and first[0] == second[0] and any(change.breaking for change in changes):
        reason = f"{before} to {after}: a breaking change raises the first number"
        yield Change("version_understated", "version", BOTH, reason)
    else:
        yield Change("version_changed", "version", NOBODY, f"{before} to {after}")


def _numbers(version: str) -> tuple[int, ...]:
    """A version as numbers; empty if it is not made of numbers."""
    parts = version.split(".")
    return tuple(map(int, parts)) if all(part.isdecimal() for part in parts) else ()
