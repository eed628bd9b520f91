"""How batches of certain columns and types are read and judged: expressions that are made once for all batches alike."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import polars as pl

from assay.checks.contract.contract import Compiled
from assay.checks.contract.rules import (
    Column,
    DtypeRule,
    ExprRule,
    ForeignKeyRule,
    NotNanRule,
    NotNullRule,
    Rule,
    SetRule,
)
from assay.checks.validation.parse import as_delivered, far, held, is_missing, may_be_far, typed
from assay.checks.validation.uniqueness import fingerprint
from assay.own_columns import is_link

#: The link column that says what a reader could not read in a record (null: nothing).
DEFECT = "_defect"

#: The link column that names the columns of which a record has a JSON value that is no text, as a JSON array.
JSON = "_json"
_BETWEEN = ", "  # two names in it

# Internal columns; no delivered column starts with a control character.
INTERNAL = "\x1f"
ORIGINAL, UNREADABLE, VERDICT, KEY, DEFECTIVE = (
    INTERNAL + name for name in ("original:", "unreadable:", "verdict:", "key:", "defective")
)


@dataclass(frozen=True, slots=True)
class Doubts:
    """What is not plain in some rows: asked of a column as a whole, which is quick, so that no rule must ask it of each value.

    far: columns with dates or times in years that there are not. unread: columns with values that are not of the contract's
    type. nan: float columns with NaN. nulls: columns with nulls. defects: whether the reader could not read some records.
    """

    far: frozenset[str] = frozenset()
    unread: frozenset[str] = frozenset()
    nan: frozenset[str] = frozenset()
    nulls: frozenset[str] = frozenset()
    defects: bool = False

    @property
    def unreadable(self) -> frozenset[str]:
        """The columns with unreadable values. NaN is not a number that other rules could judge: Polars would call it greater
        than everything."""
        return self.unread | self.nan

    def __or__(self, other: "Doubts") -> "Doubts":
        return Doubts(
            self.far | other.far,
            self.unread | other.unread,
            self.nan | other.nan,
            self.nulls | other.nulls,
            self.defects or other.defects,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """A contract for batches with these delivered columns. One is equal to itself only, as a contract is.

    checked: columns whose delivered values are looked at before they are read, per kind of doubt ("far", "nan"), and how.
    floats: float columns that are looked at after it. tokens: columns that may have texts which mean that there is no value.
    as_is: whether a batch without doubts is its own reading. kept: verdicts that were made once.
    """

    plan: Compiled
    delivered: pl.Schema
    same: frozenset[str]
    checked: Sequence[tuple[str, str]]
    checks: Sequence[pl.Expr]
    floats: Sequence[str]
    tokens: Mapping[str, Column]
    as_is: bool
    kept: dict[Any, pl.Expr] = field(default_factory=dict)
    _columns: dict[frozenset[str], list[pl.Expr]] = field(default_factory=dict)

    def converted(self, name: str, doubts: Doubts) -> bool:
        """Whether the scan has the original of a delivered column, too. One that has the contract's type is its own original,
        but for dates and times, of which years outside 1 to 9999 become null."""
        return name not in self.same or name in doubts.far

    def originals(self, doubts: Doubts) -> list[str]:
        """The delivered columns of which the scan has the original, too."""
        return [name for name in self.delivered if not is_link(name) and self.converted(name, doubts)]

    def made(self, doubts: Doubts) -> frozenset[str]:
        """The columns of a scan that are not as they were delivered."""
        names = (column.name for column in self.plan.columns)
        return frozenset(name for name in names if name not in self.delivered or self.converted(name, doubts))

    def columns(self, doubts: Doubts) -> list[pl.Expr]:
        """The columns of a scan: originals, the contract's columns in its types, links."""
        if doubts.far not in self._columns:
            original = [pl.col(name).alias(ORIGINAL + name) for name in self.originals(doubts)]
            types = [self.typed(column, doubts).alias(column.name) for column in self.plan.columns]
            links = [pl.col(name) for name in self.delivered if is_link(name)]
            self._columns[doubts.far] = [*original, *types, *links]
        return self._columns[doubts.far]

    def typed(self, column: Column, doubts: Doubts) -> pl.Expr:
        """A delivered column as the contract's type."""
        name = column.name
        if name not in self.delivered:
            return pl.lit(None, dtype=column.dtype)
        value = as_delivered(pl.col(name), self.delivered[name], column)
        if is_json_text(column, self.delivered):
            value = pl.when(~is_no_text(name)).then(value)
        elif column.options.written and JSON in self.delivered and self.delivered[name] == pl.String:
            # A number of JSON is in JSON's own form, whatever the texts beside it are in.
            usual = typed(pl.col(name), pl.String(), column)
            value = pl.when(is_no_text(name)).then(usual).otherwise(value)
        # A text is read as a time of the years that there are, or not at all; to ask again would read it again.
        certain = not self.converted(name, doubts) or self.delivered[name] == pl.String
        return value if certain else held(value, column.dtype)


def not_read(reading: Reading, name: str) -> pl.Expr:
    """Whether there was a value that is not of the contract's type. A text that means that there is none is no such value."""
    failed = pl.col(ORIGINAL + name).is_not_null() & pl.col(name).is_null()
    if name not in reading.tokens:
        return failed
    missing = is_missing(pl.col(ORIGINAL + name), reading.tokens[name])
    return failed & ~(missing & ~is_no_text(name) if JSON in reading.delivered else missing)


def is_json_text(column: Column, delivered: pl.Schema) -> bool:
    """Whether a column of texts may have been delivered as JSON of other kinds, which are no texts unless the field says
    `coerce`."""
    return JSON in delivered and column.dtype == pl.String and not column.coerce


def is_no_text(name: str) -> pl.Expr:
    """Whether JSON lists the column."""
    # A quote within a name stands after a backslash. So one after a bracket or a space begins a name or ends one, and from an
    # end on there stands a name in quotes only if that is what separates two. For such a column the names before it are read.
    before = r'^\[(?:"(?:[^"\\]|\\.)*", )*' if name == _BETWEEN else r"[\[ ]"
    return pl.col(JSON).str.contains(before + pl.escape_regex(json.dumps(name))).fill_null(False)


@lru_cache(64)
def reading_of(plan: Compiled, types: tuple[tuple[str, pl.DataType], ...]) -> Reading:
    """The reading of batches with these delivered columns and types."""
    delivered = pl.Schema(types)
    present = [column for column in plan.columns if column.name in delivered]
    same = frozenset(
        column.name
        for column in present
        if delivered[column.name] == column.dtype
        and not is_json_text(column, delivered)
        and not (column.options.written.missing and column.dtype == pl.String)
    )
    tokens = {
        column.name: column
        for column in present
        if column.options.written.missing and delivered[column.name] == pl.String
    }
    distant = [column for column in present if column.name in same and may_be_far(column.dtype)]
    floats = [column.name for column in present if column.dtype.is_float()]
    checked = [("far", column.name, far(pl.col(column.name), column.dtype)) for column in distant]
    checked += [("nan", name, pl.col(name).is_nan().any()) for name in floats if name in same]
    return Reading(
        plan,
        delivered,
        same,
        [(kind, name) for kind, name, _ in checked],
        [check.alias(f"{number}") for number, (_, _, check) in enumerate(checked)],
        [name for name in floats if name not in same],
        tokens,
        as_is=list(delivered)
        == [*(column.name for column in plan.columns), *(name for name in delivered if is_link(name))]
        and all(name in same or is_link(name) for name in delivered),
    )


def is_certain(rule: Rule, doubts: Doubts) -> bool:
    """Whether the rule holds for every row, as no value in question is in doubt."""
    if doubts.defects:
        return False
    match rule:
        case DtypeRule(inputs=(name,)):
            return name not in doubts.unread
        case NotNanRule(inputs=(name,)):
            return name not in doubts.unreadable
        case NotNullRule(inputs=(name,)):
            return name not in doubts.nulls and name not in doubts.unreadable
        case _:
            return False


def doubtful(reading: Reading, doubts: Doubts) -> dict[str, pl.Expr]:
    """What says which values could not be read."""
    names = (column.name for column in reading.plan.columns if column.name in doubts.unreadable)
    flags = {UNREADABLE + name: _unreadable(reading, name, doubts) for name in names}
    return flags | ({DEFECTIVE: pl.col(DEFECT).is_not_null()} if doubts.defects else {})


def verdicts(reading: Reading, rules: Iterable[Rule], doubts: Doubts) -> dict[str, pl.Expr]:
    """The verdicts of rules that nothing but the batch decides. Making the expressions takes as long as judging thousands of rows
    by them, so they are kept."""
    made: dict[str, pl.Expr] = {}
    for rule in rules:
        if isinstance(rule, (DtypeRule, NotNanRule, ExprRule)):
            key = (
                rule.name,
                *(name in kind for name in rule.inputs for kind in (doubts.unread, doubts.nan)),
                doubts.defects,
            )
            if key not in reading.kept:
                reading.kept[key] = verdict(reading, rule, {}, doubts)
            made[VERDICT + rule.name] = reading.kept[key]
    return made


def keys(rules: Iterable[Rule], doubts: Doubts) -> dict[str, pl.Expr]:
    """The fingerprints of the keys of rules, null for a row whose key cannot be read."""
    made: dict[str, pl.Expr] = {}
    for rule in rules:
        if isinstance(rule, SetRule):
            unknown, key = _unknown(rule.inputs, doubts), fingerprint(rule.key)
            made[KEY + rule.name] = key if unknown is None else pl.when(~unknown).then(key)
    return made


def verdict(reading: Reading, rule: Rule, members: Mapping[str, pl.Series], doubts: Doubts) -> pl.Expr:
    """True, false, or null for unknown. members: the values that exist, per foreign-key rule."""
    unknown = _unknown(rule.inputs, doubts)
    match rule:
        case DtypeRule(inputs=(name,)):
            valid = ~not_read(reading, name) if name in doubts.unread else pl.lit(True)
            unknown = _unknown((), doubts)
        case NotNanRule(inputs=(name,)):
            valid = pl.col(name).is_not_nan()
            unread = [not_read(reading, name)] if name in doubts.unread else []
            unread += [pl.col(DEFECTIVE)] if doubts.defects else []
            unknown = pl.any_horizontal(unread) if unread else None
        case ForeignKeyRule(inputs=(name,)):
            valid = pl.col(name).is_in(members[rule.name].implode())
        case ExprRule(expr=expr):
            valid = expr
        case _:
            raise AssertionError(f"{rule.name} is not evaluated in the scan")
    valid = valid.fill_null(True)
    return valid if unknown is None else pl.when(unknown).then(None).otherwise(valid)


def _unreadable(reading: Reading, name: str, doubts: Doubts) -> pl.Expr:
    failed = [not_read(reading, name)] if name in doubts.unread else []
    nan = [pl.col(name).is_nan().fill_null(False)] if name in doubts.nan else []
    return pl.any_horizontal(*failed, *nan)


def _unknown(inputs: Iterable[str], doubts: Doubts) -> pl.Expr | None:
    flags = [pl.col(UNREADABLE + name) for name in inputs if name in doubts.unreadable]
    flags += [pl.col(DEFECTIVE)] if doubts.defects else []
    return pl.any_horizontal(flags) if flags else None
