"""What the scan alone cannot say: verdicts of custom functions, about the whole batch, about neighbours and equal keys."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from assay.checks.contract.contract import Compiled
from assay.checks.contract.pandera_checks import run_check
from assay.checks.contract.rules import Column, CountRule, PanderaRule, Rule, SequenceRule, SetRule, TableRule
from assay.checks.validation.scan import Scan
from assay.checks.validation.spill import on_disk
from assay.checks.validation.uniqueness import (
    Groups,
    PublishedRows,
    broken_rows,
    constant,
    key_expressions,
    published_prints,
)

# Internal columns next to the scanned rows; no delivered column starts with a control character.
_SHARES, _UNKNOWN = "\x1fshares", "\x1funknown"


@dataclass(slots=True)
class Verdicts:
    """What is known so far, per rule: a verdict per row (true, false, null), one about the batch, or why there is none.

    counts: rule -> (rows that break it, rows without a verdict), of all rules with a verdict per row. A rule that holds for every
    row by the batch's types alone has no `rows`.
    """

    height: int
    rows: dict[str, pl.Series] = field(default_factory=dict)
    counts: dict[str, tuple[int, int]] = field(default_factory=dict)
    batch: dict[str, bool] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    _broken: dict[str, pl.Series] = field(default_factory=dict)

    def add(self, rows: Mapping[str, pl.Series]) -> None:
        """Verdicts per row. All are counted at once: asking a series for anything costs more than the answer."""
        if rows:
            counted = pl.DataFrame(rows).select((~pl.all()).sum(), pl.all().null_count().name.suffix(_UNKNOWN)).row(0)
            self.counts |= dict(zip(rows, zip(counted[: len(rows)], counted[len(rows) :], strict=True), strict=True))
            self.rows |= rows

    def broken(self, rules: Iterable[Rule]) -> pl.DataFrame:
        """Which rows break these rules: a column for each that any row breaks."""
        names = [rule.name for rule in rules if self.counts.get(rule.name, (0, 0))[0]]
        if new := {name: self.rows[name] for name in names if name not in self._broken}:
            self._broken |= pl.DataFrame(new).select((~pl.all()).fill_null(False)).to_dict()
        return pl.DataFrame({name: self._broken[name] for name in names})

    def leaving(self, plan: Compiled) -> pl.Series:
        """Which rows break a rule that removes them."""
        broken = self.broken(rule for rule in plan.rules if rule.severity.removes_row)
        return broken.select(pl.any_horizontal(pl.all())).to_series() if broken.width else constant(False, self.height)


def judged(
    plan: Compiled, scan: Scan, notes: dict[str, str], published: PublishedRows | None, counts: Mapping[str, int]
) -> Verdicts:
    """The verdicts of all rules. notes: why a rule has none. Raises AssayError when the published rows lack a column."""
    verdicts = Verdicts(scan.height, notes=notes)
    verdicts.add({rule.name: verdict for rule in plan.rules if (verdict := scan.verdict(rule)) is not None})
    verdicts.counts |= dict.fromkeys(scan.certain, (0, 0))
    _run_pandera(plan, scan, verdicts)
    _judge_batch(plan, scan, verdicts)
    _judge_counts(plan, verdicts, counts)
    _judge_sequences(plan, scan, verdicts)
    _judge_sets(plan, scan, verdicts, published)
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
            rows = scan.rows.filter(scan.is_known(rule.inputs))
            verdicts.batch[rule.name] = scan.collect(rows.select(rule.expr.fill_null(True))).item()


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
            rows = scan.rows.filter(scan.is_known(rule.inputs))
            valid = scan.collect(rows.select(rule.expr.fill_null(True))).to_series()
            unknown = constant(None, verdicts.height)
            verdicts.add({rule.name: unknown.scatter(usable.arg_true(), valid)})


def _judge_sets(plan: Compiled, scan: Scan, verdicts: Verdicts, published: PublishedRows | None) -> None:
    rules = [rule for rule in plan.rules if isinstance(rule, SetRule) and rule.name not in verdicts.notes]
    if not rules:
        return
    stays = ~verdicts.leaving(plan) & scan.readable
    columns = {column.name: column for column in plan.columns}
    shares = _sharing(scan, rules, published, columns)
    candidates = scan.rows
    if shares is not None:
        candidates, stays = scan.beside(pl.DataFrame({_SHARES: shares})).filter(_SHARES), stays.filter(shares)
    groups = [
        Groups(
            rule,
            scan.collect(candidates.select(_keys(scan, rule))),
            scan.collect(candidates.select(rule.entity)) if rule.entity else None,
        )
        for rule in rules
    ]
    for rule, broken in zip(rules, broken_rows(groups, stays, published, columns), strict=True):
        positions = broken if shares is None else shares.arg_true().gather(broken)
        valid = constant(True, verdicts.height).scatter(positions, False)
        verdicts.add({rule.name: valid if scan.knows_all(rule.inputs) else valid.set(~scan.known(rule.inputs), None)})


def _keys(scan: Scan, rule: SetRule) -> list[pl.Expr]:
    """The key's columns. A row whose key cannot be read is in no group."""
    keys = key_expressions(rule)
    return keys if scan.knows_all(rule.inputs) else [pl.when(scan.is_known(rule.inputs)).then(key) for key in keys]


def _sharing(
    scan: Scan, rules: Sequence[SetRule], published: PublishedRows | None, columns: Mapping[str, Column]
) -> pl.Series | None:
    """Of a spilled batch the rows that may share a key with another row or a published one: no other can break a rule."""
    if scan.keys is None:
        return None
    taken: dict[str, Path] = {}
    if published is not None:
        for index, rule in enumerate(rules):
            column = scan.key_column(rule)
            rows = published.having(rule, scan.keys.of(column))
            file = scan.keys.folder / f"published-{index}.parquet"
            taken[column] = on_disk(published_prints(rule, rows, columns), file)
    shares = np.zeros(scan.height, dtype=bool)
    shares[scan.keys.sharing(taken)] = True
    return pl.Series(shares)
