"""The one pass over a batch: contract types, readability and every row-local verdict, in one query."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import polars as pl

from assay.checks.contract.compile import is_link
from assay.checks.contract.contract import Compiled
from assay.checks.contract.rules import Column, DtypeRule, ExprRule, ForeignKeyRule, NotNanRule, Rule, SetRule
from assay.checks.validation.blocks import Blocks, in_blocks
from assay.checks.validation.parse import held, may_be_far, typed
from assay.checks.validation.spill import Keys
from assay.checks.validation.uniqueness import constant, fingerprint
from assay.row_source import RowSource

#: The link column that says what a reader could not read in a record (null: nothing).
DEFECT = "_defect"

# Internal columns; no delivered column starts with a control character.
_INTERNAL = "\x1f"
_ORIGINAL, _UNREADABLE, _VERDICT, _KEY, _DEFECTIVE, _HEIGHT = (
    _INTERNAL + name for name in ("original:", "unreadable:", "verdict:", "key:", "defective", "height")
)

_MANY = 100_000  # rows


@dataclass(frozen=True, slots=True)
class Scan:
    """The scanned batch: delivered columns, typed columns, links and verdicts side by side, in input order.

    rows: all of it, in memory or, if the batch was spilled, read again from `blocks`. flags: its truth values, in memory.
    certain: rules that the batch's types alone decide: they hold for every row. keys: of a spilled batch, the fingerprints.
    """

    rows: pl.LazyFrame
    flags: pl.DataFrame
    height: int
    delivered: pl.Schema
    unreadable: frozenset[str]
    certain: frozenset[str]
    blocks: Blocks | None = None
    keys: Keys | None = None

    def collect(self, query: pl.LazyFrame) -> pl.DataFrame:
        """The result of a query over these rows. Streaming has a price of its own, and saves a copy of many rows."""
        streaming = self.blocks is not None or self.height > _MANY
        return query.collect(engine="streaming" if streaming else "in-memory")

    def beside(self, columns: pl.DataFrame) -> pl.LazyFrame:
        """The rows with these columns next to them, one value a row."""
        if self.blocks is not None:
            return self.blocks.rows(columns).lazy()
        return pl.concat([self.rows, columns.lazy()], how="horizontal")

    def only(self, columns: pl.DataFrame, chosen: str) -> pl.LazyFrame:
        """The rows for which the column `chosen` of these columns is true, with these columns next to them."""
        if self.blocks is not None:
            return self.blocks.rows(columns, columns[chosen]).lazy()
        # What is in memory is cut before it is put side by side: a query would copy all of it to the same end.
        mask = columns[chosen]
        rows = self.rows.collect(engine="in-memory").filter(mask)
        return pl.concat([rows, columns.filter(mask)], how="horizontal").lazy()

    @property
    def original(self) -> dict[str, pl.Expr]:
        """The delivered columns, as they were delivered: expressions over `rows`."""
        present = self.rows.collect_schema().names()
        return {name: pl.col(_ORIGINAL + name if _ORIGINAL + name in present else name) for name in self.delivered}

    @property
    def typed(self) -> pl.LazyFrame:
        """The contract's columns in its types, then the links."""
        return self.rows.select(pl.exclude(f"^{_INTERNAL}.*$"))

    @property
    def readable(self) -> pl.Series:
        """Which rows the reader could read."""
        return self.known(())

    def is_known(self, inputs: Iterable[str]) -> pl.Expr:
        """Whether a row has readable values in all of these columns: an expression over `rows`."""
        unknown = _unknown(inputs, self.unreadable, DEFECT in self.delivered)
        return pl.lit(True) if unknown is None else ~unknown

    def known(self, inputs: Iterable[str]) -> pl.Series:
        """Which rows have readable values in all of these columns."""
        if self.knows_all(inputs):
            return constant(True, self.height)
        return self.flags.select(known=self.is_known(inputs))["known"]

    def knows_all(self, inputs: Iterable[str]) -> bool:
        """Whether no value in these columns can be unreadable."""
        return DEFECT not in self.delivered and self.unreadable.isdisjoint(inputs)

    def verdict(self, rule: Rule) -> pl.Series | None:
        """True, false, or null for unknown, per row; None if the rule was not part of the scan."""
        name = _VERDICT + rule.name
        return self.flags[name] if name in self.flags.columns else None

    def key_column(self, rule: SetRule) -> str:
        """The column of `keys` with the fingerprints of this rule's keys."""
        return _KEY + rule.name


def scan_batch(
    batch: pl.LazyFrame | RowSource,
    delivered: pl.Schema,
    plan: Compiled,
    members: Mapping[str, pl.Series],
    skipped: Iterable[str],
    folder: Path | None = None,
) -> Scan:
    """Read the batch once. members: the values that exist, per foreign-key rule. skipped: rules not to evaluate.

    With a folder the result goes to a file there, streaming, instead of into memory.
    Raises polars.exceptions.PolarsError when a rule fails to run.
    """
    unreadable = frozenset(column.name for column in plan.columns if _can_fail(column, delivered))
    left_out = frozenset(skipped)
    rules = [rule for rule in plan.rules if rule.name not in left_out]
    # A column that arrives in the contract's type was read, in every row that could be.
    typed_already = {column.name for column in plan.columns if delivered.get(column.name) == column.dtype}
    certain = frozenset(
        rule.name
        for rule in rules
        if isinstance(rule, DtypeRule) and rule.inputs[0] in typed_already - unreadable and DEFECT not in delivered
    )
    rules = [rule for rule in rules if rule.name not in certain]
    if folder is not None:
        return _spilled(batch, delivered, plan, members, rules, unreadable, certain, folder)
    frame = _query(batch.lazy(), delivered, plan, members, rules, unreadable, keyed=False).collect()
    return Scan(frame.lazy(), frame[_truths(frame.columns)], frame.height, delivered, unreadable, certain)


def _spilled(
    batch: pl.LazyFrame | RowSource,
    delivered: pl.Schema,
    plan: Compiled,
    members: Mapping[str, pl.Series],
    rules: Sequence[Rule],
    unreadable: frozenset[str],
    certain: frozenset[str],
    folder: Path,
) -> Scan:
    """The scan in blocks. An expression of the author's may compare a row with others, so these see all blocks."""
    alone = [rule for rule in rules if not (isinstance(rule, ExprRule) and rule.compares)]
    blocks, flags = Blocks(folder), []
    keys = Keys(folder, tuple(_KEY + rule.name for rule in rules if isinstance(rule, SetRule)))
    for part in in_blocks(batch):
        frame = _query(part.lazy(), delivered, plan, members, alone, unreadable, keyed=True).collect()
        blocks.add(frame.drop(keys.columns))
        keys.add(frame.select(keys.columns))
        flags.append(frame.select(_truths(frame.columns)))
        del part, frame  # before the next ones are made
    rows = blocks.rows().lazy()
    converted = _converted(plan, delivered)
    others = {
        _VERDICT + rule.name: _verdict(rule, members, unreadable, converted, delivered)
        for rule in rules
        if rule not in alone
    }
    truths = [pl.concat(flags)]
    if others:
        # With a column of the batch, or what has one value for all rows would have one row.
        height = pl.col(blocks.schema.names()[0]).is_null().alias(_HEIGHT)
        judged = rows.select(height, *(expr.alias(name) for name, expr in others.items()))
        truths.append(judged.collect(engine="streaming").drop(_HEIGHT))
    return Scan(
        rows,
        pl.concat(truths, how="horizontal").rechunk(),
        blocks.height,
        delivered,
        unreadable,
        certain,
        blocks,
        keys,
    )


def typed_values(batch: pl.LazyFrame, delivered: pl.Schema, column: Column) -> pl.Series:
    """The different values of a batch in a column, as the scan reads them, without nulls."""
    values = _typed(column, delivered, (column.name,)).alias(column.name)
    return batch.select(values).drop_nulls().unique().collect(engine="streaming").to_series()


def _truths(names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith((_UNREADABLE, _VERDICT, _DEFECTIVE))]


def _converted(plan: Compiled, delivered: pl.Schema) -> list[str]:
    """The delivered columns of which the scan has the original, too. One that has the contract's type is its own original, but
    for dates and times, of which years outside 1 to 9999 become null."""
    same = {column.name for column in plan.columns if delivered.get(column.name) == column.dtype}
    same = {name for name in same if not may_be_far(delivered[name])}
    return [name for name in delivered if not is_link(name) and name not in same]


def _query(
    batch: pl.LazyFrame,
    delivered: pl.Schema,
    plan: Compiled,
    members: Mapping[str, pl.Series],
    rules: Sequence[Rule],
    unreadable: frozenset[str],
    *,
    keyed: bool,
) -> pl.LazyFrame:
    names = frozenset(rule.name for rule in rules)
    columns, failed, verdicts = _expressions(tuple(delivered.items()), plan, names, unreadable, keyed)
    looked_up = [
        _verdict(rule, members, unreadable, (), delivered).alias(_VERDICT + rule.name)
        for rule in rules
        if isinstance(rule, ForeignKeyRule)
    ]
    return batch.select(columns).with_columns(failed).with_columns(*verdicts, *looked_up)


@lru_cache(64)
def _expressions(
    delivered_types: tuple[tuple[str, pl.DataType], ...],
    plan: Compiled,
    names: frozenset[str],
    unreadable: frozenset[str],
    keyed: bool,
) -> tuple[list[pl.Expr], list[pl.Expr], list[pl.Expr]]:
    """The columns of a scan, what says that they could not be read, and the verdicts and keys over them. The next batch of the
    kind has the same; making them takes as long as judging thousands of rows by them."""
    delivered = pl.Schema(delivered_types)
    rules = [rule for rule in plan.rules if rule.name in names]
    converted = _converted(plan, delivered)
    types = [_typed(column, delivered, converted).alias(column.name) for column in plan.columns]
    links = [pl.col(name) for name in delivered if is_link(name)]
    original = [pl.col(name).alias(_ORIGINAL + name) for name in converted]
    defective = [pl.col(DEFECT).is_not_null().alias(_DEFECTIVE)] if DEFECT in delivered else []
    failed = [
        _unreadable(column, converted).alias(_UNREADABLE + column.name)
        for column in plan.columns
        if column.name in unreadable
    ]
    verdicts = [
        _verdict(rule, {}, unreadable, converted, delivered).alias(_VERDICT + rule.name)
        for rule in rules
        if isinstance(rule, (DtypeRule, NotNanRule, ExprRule))
    ]
    if keyed:
        for rule in rules:
            if isinstance(rule, SetRule):
                unknown = _unknown(rule.inputs, unreadable, DEFECT in delivered)
                key = fingerprint(rule.key)
                verdicts.append((key if unknown is None else pl.when(~unknown).then(key)).alias(_KEY + rule.name))
    return [*original, *types, *links, *defective], failed, verdicts


def _typed(column: Column, delivered: pl.Schema, converted: Collection[str]) -> pl.Expr:
    if column.name not in delivered:
        return pl.lit(None, dtype=column.dtype)
    value = typed(pl.col(column.name), delivered[column.name], column)
    # A text is read as a time of the years that there are, or not at all; to ask again would read it again.
    certain = column.name not in converted or delivered[column.name] == pl.String
    return value if certain else held(value, column.dtype)


def _can_fail(column: Column, delivered: pl.Schema) -> bool:
    beyond = column.dtype.is_float() or may_be_far(column.dtype)
    return column.name in delivered and (beyond or delivered[column.name] != column.dtype)


def _not_cast(column: str) -> pl.Expr:
    return pl.col(_ORIGINAL + column).is_not_null() & pl.col(column).is_null()


def _unreadable(column: Column, converted: Collection[str]) -> pl.Expr:
    # NaN is not a number that other rules could judge: polars would call it greater than everything.
    nan = [pl.col(column.name).is_nan().fill_null(False)] if column.dtype.is_float() else []
    failed = [_not_cast(column.name)] if column.name in converted else []
    return pl.any_horizontal(*failed, *nan)


def _unknown(inputs: Iterable[str], unreadable: frozenset[str], has_defects: bool) -> pl.Expr | None:
    flags = [pl.col(_UNREADABLE + name) for name in inputs if name in unreadable]
    flags += [pl.col(_DEFECTIVE)] if has_defects else []
    return pl.any_horizontal(flags) if flags else None


def _verdict(
    rule: Rule,
    members: Mapping[str, pl.Series],
    unreadable: frozenset[str],
    converted: Collection[str],
    delivered: pl.Schema,
) -> pl.Expr:
    has_defects = DEFECT in delivered
    unknown = _unknown(rule.inputs, unreadable, has_defects)
    match rule:
        case DtypeRule(inputs=(name,)):
            valid = ~_not_cast(name) if name in converted else pl.lit(True)
            unknown = _unknown((), unreadable, has_defects)
        case NotNanRule(inputs=(name,)):
            valid = pl.col(name).is_not_nan()
            unread = [_not_cast(name)] if name in converted else []
            unread += [pl.col(_DEFECTIVE)] if has_defects else []
            unknown = pl.any_horizontal(unread) if unread else None
        case ForeignKeyRule(inputs=(name,)):
            valid = pl.col(name).is_in(members[rule.name].implode())
        case ExprRule(expr=expr):
            valid = expr
        case _:
            raise AssertionError(f"{rule.name} is not evaluated in the scan")
    valid = valid.fill_null(True)
    return valid if unknown is None else pl.when(unknown).then(None).otherwise(valid)
