"""What the scan alone cannot say: verdicts of custom functions, about the whole batch, about neighbours and equal keys."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import or_

import polars as pl

from assay.checks.contract.contract import Compiled
from assay.checks.contract.pandera_checks import run_check
from assay.checks.contract.rules import Column, CountRule, PanderaRule, Rule, SequenceRule, SetRule, TableRule
from assay.checks.validation.duplicates import batch_places
from assay.checks.validation.scan import Scan
from assay.checks.validation.uniqueness import (
    Groups,
    PublishedRows,
    broken_rows,
    constant,
    key_expressions,
    published_prints,
)

# Internal columns next to the scanned rows; no delivered column starts with a control character.
_SHARES, _KNOWN = "\x1fshares", "\x1fknown:"


@dataclass(slots=True)
class Verdicts:
    """What is known so far, per rule: a verdict per row (true, false, null), one about the batch, or why there is none.

    counts: rule -> (rows that break it, rows without a verdict), of all rules with a verdict per row. A rule that holds for every
    row by the batch's types alone has no `rows`.
    alone: rule -> which rows would hold if there were no other batch, where that is another verdict.
    lost: rule -> position of a row, and the partition of the row that it lost its key to.
    moved: partitions of other batches that must be judged again.
    """

    height: int
    rows: dict[str, pl.Series] = field(default_factory=dict)
    counts: dict[str, tuple[int, int]] = field(default_factory=dict)
    batch: dict[str, bool] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    alone: dict[str, pl.Series] = field(default_factory=dict)
    lost: dict[str, dict[int, str]] = field(default_factory=dict)
    moved: frozenset[str] = frozenset()
    _broken: dict[str, pl.Series] = field(default_factory=dict)

    def add(self, rows: Mapping[str, pl.Series]) -> None:
        """Verdicts per row. They are asked one after the other: a query about all would cost more than the answers."""
        for name, verdict in rows.items():
            unknown = verdict.null_count()
            self.counts[name] = (len(verdict) - unknown - int(verdict.sum()), unknown)
            self.rows[name] = verdict

    def broken(self, rules: Iterable[Rule]) -> dict[str, pl.Series]:
        """For each of these rules that any row breaks: which rows do."""
        names = [rule.name for rule in rules if self.counts.get(rule.name, (0, 0))[0]]
        for name in names:
            if name not in self._broken:
                broken = ~self.rows[name]
                self._broken[name] = broken.fill_null(False) if self.counts[name][1] else broken
        return {name: self._broken[name] for name in names}

    def leaving(self, plan: Compiled) -> pl.Series:
        """Which rows break a rule that removes them."""
        return self._any(self.broken(rule for rule in plan.rules if rule.severity.removes_row).values())

    def leaving_alone(self, plan: Compiled) -> pl.Series:
        """Which rows would, if there were no other batch."""
        broken = self.broken(rule for rule in plan.rules if rule.severity.removes_row)
        return self._any((broken | {name: ~self.alone[name] for name in broken.keys() & self.alone.keys()}).values())

    def _any(self, broken: Collection[pl.Series]) -> pl.Series:
        return reduce(or_, broken) if broken else constant(False, self.height)


def judged(
    plan: Compiled,
    scan: Scan,
    notes: dict[str, str],
    published: PublishedRows | None,
    counts: Mapping[str, int],
    event_time: str | None,
) -> Verdicts:
    """The verdicts of all rules. notes: why a rule has none. Raises AssayError when the published rows lack a column."""
    verdicts = Verdicts(scan.height, notes=notes)
    verdicts.add({rule.name: verdict for rule in plan.rules if (verdict := scan.verdict(rule)) is not None})
    verdicts.counts |= dict.fromkeys(scan.certain, (0, 0))
    _run_pandera(plan, scan, verdicts)
    _judge_batch(plan, scan, verdicts)
    _judge_counts(plan, verdicts, counts)
    _judge_sequences(plan, scan, verdicts)
    _judge_sets(plan, scan, verdicts, published, event_time)
    return verdicts


def _run_pandera(plan: Compiled, scan: Scan, verdicts: Verdicts) -> None:
    rules = [rule for rule in plan.rules if isinstance(rule, PanderaRule)]
    typed = scan.collect(scan.typed) if rules else pl.DataFrame()
    for rule in rules:
        usable = scan.known(rule.inputs)
        rows = typed.filter(usable)
        unknown = constant(None, verdicts.height)
        if rows.is_empty():
            verdicts.add({rule.name: unknown})
            continue
        try:
            result = run_check(rule.check, rows, rule.column)
        except Exception as error:  # the author's function may raise anything; the rule is then unknown, never passed
            verdicts.notes[rule.name] = f"the check raised {type(error).__name__}"
            continue
        if isinstance(result, bool):
            verdicts.batch[rule.name] = result
        else:
            verdicts.add({rule.name: unknown.scatter(usable.arg_true(), result)})


def _judge_batch(plan: Compiled, scan: Scan, verdicts: Verdicts) -> None:
    for rule in plan.rules:
        if isinstance(rule, TableRule) and rule.name not in verdicts.notes:
            judged = scan.usable(rule.inputs).select(rule.expr.fill_null(True))
            verdicts.batch[rule.name] = scan.collect(judged).item()


def _judge_counts(plan: Compiled, verdicts: Verdicts, counts: Mapping[str, int]) -> None:
    for rule in plan.rules:
        if not isinstance(rule, CountRule):
            continue
        if rule.reference in counts:
            verdicts.batch[rule.name] = rule.agrees(verdicts.height, counts[rule.reference])
        else:
            verdicts.notes[rule.name] = f"no count of {rule.reference} was given"


def _judge_sequences(plan: Compiled, scan: Scan, verdicts: Verdicts) -> None:
    for rule in plan.rules:
        if isinstance(rule, SequenceRule) and rule.name not in verdicts.notes:
            # A row that cannot be read is no link of the chain, so its neighbours are compared with each other.
            usable = scan.known(rule.inputs)
            valid = scan.collect(scan.usable(rule.inputs).select(rule.expr.fill_null(True))).to_series()
            unknown = constant(None, verdicts.height)
            verdicts.add({rule.name: unknown.scatter(usable.arg_true(), valid)})


def _judge_sets(
    plan: Compiled, scan: Scan, verdicts: Verdicts, published: PublishedRows | None, event_time: str | None
) -> None:
    rules = [rule for rule in plan.rules if isinstance(rule, SetRule) and rule.name not in verdicts.notes]
    if not rules:
        return
    stays = ~verdicts.leaving(plan)
    if scan.doubts.defects:
        stays &= scan.readable
    columns = {column.name: column for column in plan.columns}
    shares = _sharing(scan, rules, published, columns)
    known = {_KNOWN + rule.name: scan.known(rule.inputs) for rule in rules if not scan.knows_all(rule.inputs)}
    candidates = scan.beside(known if shares is None else {**known, _SHARES: shares})
    if shares is not None:
        candidates, stays = candidates.filter(_SHARES), stays.filter(shares)
    groups = [
        Groups(
            rule,
            scan.collect(candidates.select(_keys(scan, rule))),
            scan.collect(candidates.select(rule.entity)) if rule.entity else None,
        )
        for rule in rules
    ]

    def places(by_content: bool) -> pl.DataFrame:
        return scan.collect(batch_places(candidates, event_time, columns if by_content else None))

    def valid(positions: Sequence[int]) -> pl.Series:
        return constant(True, verdicts.height).scatter(pl.Series(positions, dtype=pl.UInt32), False)

    of_all = None if shares is None else shares.arg_true()
    found = broken_rows(groups, stays, places, published, columns, event_time)
    verdicts.moved = found.moved
    for rule, broken, alone in zip(rules, found.broken, found.alone, strict=True):
        positions = list(broken) if of_all is None else of_all.gather(list(broken)).to_list()
        rows = valid(positions)
        verdicts.add({rule.name: rows if scan.knows_all(rule.inputs) else rows.set(~scan.known(rule.inputs), None)})
        lost = {at: to for at, to in zip(positions, broken.values(), strict=True) if to is not None}
        if lost:
            verdicts.lost[rule.name] = lost
        if set(alone) != broken.keys():
            verdicts.alone[rule.name] = valid(alone if of_all is None else of_all.gather(alone).to_list())


def _keys(scan: Scan, rule: SetRule) -> list[pl.Expr]:
    """The key's columns. A row whose key cannot be read is in no group."""
    keys = key_expressions(rule)
    return keys if scan.knows_all(rule.inputs) else [pl.when(pl.col(_KNOWN + rule.name)).then(key) for key in keys]


def _sharing(
    scan: Scan, rules: Sequence[SetRule], published: PublishedRows | None, columns: Mapping[str, Column]
) -> pl.Series | None:
    """Of a spilled batch the rows that may share a key with another row or a published one: no other can break a rule."""
    if scan.keys is None:
        return None
    taken: dict[str, pl.LazyFrame] = {}
    if published is not None:
        for rule in rules:
            column = scan.key_column(rule)
            rows = published.having(rule, scan.keys.of(column))
            taken[column] = published_prints(rule, rows, columns)
    return scan.keys.sharing(taken)
