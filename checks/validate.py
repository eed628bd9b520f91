"""One batch against one contract: which rows are clean, which leave and why, what was counted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from assay.checks.compile import is_link
from assay.checks.contract import Compiled, Contract, bound
from assay.checks.custom import run_check
from assay.checks.drift import require_columns
from assay.checks.field import Severity
from assay.checks.profile import Profile, profile
from assay.checks.report import Report, RuleResult, judge
from assay.checks.rules import Column, CountRule, PanderaRule, ReferenceRule, Rule, SequenceRule, SetRule, TableRule
from assay.checks.scan import DEFECT, Scan, scan_batch
from assay.checks.sets import Groups, broken_rows, key_expressions, published_inputs
from assay.checks.spill import fingerprint, on_disk, sharing_rows
from assay.errors import AssayError

Frame = pl.DataFrame | pl.LazyFrame

#: What readers say about records that they cannot read; always reported when the batch has the column `_defect`.
READER_DEFECTS = ("unparsable", "encoding")
#: The column of the quarantine that lists the rules a row breaks.
RULES = "_rules"
_READER_COLUMNS = (DEFECT, "_line", RULES)
# Internal columns next to the scanned rows; no delivered column starts with a control character.
_BROKEN, _LEAVES, _SHARES = "\x1fbroken:", "\x1fleaves", "\x1fshares"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of `validate`. Rows in = clean + quarantined; both keep the input's order.

    clean: the contract's columns, typed, in its order, then the link columns.
    quarantined: every delivered column as delivered, and `_rules`, the rules that the row breaks.
    """

    clean: pl.DataFrame
    quarantined: pl.DataFrame
    report: Report
    profile: Profile


@dataclass(frozen=True, slots=True)
class SpilledOutcome:
    """The result of `validate_spilled`: an `Outcome` whose rows are read from its folder when they are asked for."""

    clean: pl.LazyFrame
    quarantined: pl.LazyFrame
    report: Report
    profile: Profile


@dataclass(slots=True)
class _Verdicts:
    """What is known so far, per rule: a verdict per row (true, false, null), one about the batch, or why there is none."""

    height: int
    rows: dict[str, pl.Series] = field(default_factory=dict)
    batch: dict[str, bool] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)

    def broken(self, rule: Rule) -> pl.Series:
        return ~self.rows[rule.name].fill_null(True)


def validate(
    frame: Frame,
    contract: type[Contract],
    *,
    references: Mapping[str, Frame] | None = None,
    published: Frame | None = None,
    counts: Mapping[str, int] | None = None,
) -> Outcome:
    """Validate a batch.

    frame: the contract's columns as text or already typed; columns that start with "_" and `partition_key` are links to
        the source and pass through; `_defect` marks records that the reader could not read: they break `row.<defect>` only.
    references: table name -> frame, for foreign keys. A rule whose reference is missing is unknown, never passed.
    published: rows accepted earlier: a key that is there already is a duplicate.
    counts: table name -> number of rows, for the contract's `row_count`. Without its count the rule is unknown.
    Raises ColumnsError when a column is missing, AssayError when a reference or `published` lacks a column or a rule fails.
    """
    scan, outcome = _validated(frame, contract, references, published, counts, None)
    clean, quarantined = scan.collect(outcome.clean), scan.collect(outcome.quarantined)
    return Outcome(clean, quarantined, outcome.report, outcome.profile)


def validate_spilled(
    frame: Frame,
    contract: type[Contract],
    folder: str | Path,
    *,
    references: Mapping[str, Frame] | None = None,
    published: Frame | None = None,
    counts: Mapping[str, int] | None = None,
) -> SpilledOutcome:
    """Validate a batch that may be larger than memory; the arguments, the rules and the result are those of `validate`.

    The batch is read once, streaming, into `folder`, an existing one without a batch in it; keys are compared by DuckDB, which
    writes to the folder too. In memory are some bits a row and rule, the rows that share a key with another row, and
    the values that references hold. Custom pandera functions see the whole batch at once, so they need memory for it.
    Read `clean` and `quarantined` (`sink_parquet`, `collect_batches`, …) before the folder is deleted: it holds the
    rows as delivered, personal data too.
    Raises what `validate` raises, and AssayError when the folder holds a batch already.
    """
    return _validated(frame, contract, references, published, counts, Path(folder))[1]


def _validated(
    frame: Frame,
    contract: type[Contract],
    references: Mapping[str, Frame] | None,
    published: Frame | None,
    counts: Mapping[str, int] | None,
    folder: Path | None,
) -> tuple[Scan, SpilledOutcome]:
    batch = frame.lazy()
    delivered = batch.collect_schema()
    plan = bound(contract, delivered.names())
    _require_columns(plan, delivered)
    notes = {rule.name: note for rule in plan.rules if (note := _not_delivered(rule, delivered)) is not None}
    members = _reference_members(plan, references or {}, notes)
    scan = _scanned(batch, delivered, plan, members, notes, folder)
    verdicts = _Verdicts(scan.height, notes=notes)
    verdicts.rows |= {rule.name: verdict for rule in plan.rules if (verdict := scan.verdict(rule)) is not None}
    _run_pandera(plan, scan, verdicts)
    _judge_batch(plan, scan, verdicts)
    _judge_counts(plan, verdicts, counts or {})
    _judge_sequences(plan, scan, verdicts)
    _judge_sets(plan, scan, verdicts, None if published is None else published.lazy())
    return scan, _outcome(plan, scan, verdicts)


def _require_columns(plan: Compiled, delivered: pl.Schema) -> None:
    optional = {column.name for column in plan.columns if not column.required}
    expected = {column.name: str(column.dtype) for column in plan.columns if column.required}
    found = {name: str(dtype) for name, dtype in delivered.items() if not is_link(name) and name not in optional}
    require_columns(plan.info.name, expected, found, strict=plan.strict)


def _not_delivered(rule: Rule, delivered: pl.Schema) -> str | None:
    absent = [name for name in rule.inputs if name not in delivered]
    return f"not delivered: {', '.join(absent)}" if absent and not isinstance(rule, PanderaRule) else None


def _reference_members(plan: Compiled, references: Mapping[str, Frame], notes: dict[str, str]) -> dict[str, pl.Series]:
    """Per foreign-key rule the values that exist; a rule without its reference gets a note instead."""
    dtypes = {column.name: column.dtype for column in plan.columns}
    members: dict[str, pl.Series] = {}
    for rule in plan.rules:
        if not isinstance(rule, ReferenceRule) or rule.name in notes:
            continue
        if rule.reference not in references:
            notes[rule.name] = f"no reference {rule.reference} was given"
            continue
        table = references[rule.reference].lazy()
        if rule.reference_column not in table.collect_schema():
            raise AssayError(f"{rule.name}: the reference {rule.reference} has no column {rule.reference_column!r}")
        values = pl.col(rule.reference_column).cast(dtypes[rule.inputs[0]]).drop_nulls().unique()
        members[rule.name] = table.select(values).collect().to_series()
    return members


def _scanned(
    batch: pl.LazyFrame,
    delivered: pl.Schema,
    plan: Compiled,
    members: Mapping[str, pl.Series],
    notes: Mapping[str, str],
    folder: Path | None,
) -> Scan:
    try:
        return scan_batch(batch, delivered, plan, members, notes, folder)
    except pl.exceptions.PolarsError as error:
        culprit = _failing_rule(batch, delivered, plan, members, notes)
        if culprit is None:
            raise
        # The engine's text may quote values, so it is neither repeated nor chained.
        raise AssayError(
            f"{plan.info.name}: the rule {culprit} failed to run ({type(error).__name__}). "
            "Make its expression total: a value that it cannot read must give null, not an error."
        ) from None


def _failing_rule(
    batch: pl.LazyFrame,
    delivered: pl.Schema,
    plan: Compiled,
    members: Mapping[str, pl.Series],
    notes: Mapping[str, str],
) -> str | None:
    """The first rule that fails alone; None when it is not a rule that fails but reading the batch."""
    names = {rule.name for rule in plan.rules}
    for name in [None, *(rule.name for rule in plan.rules)]:
        try:
            scan_batch(batch, delivered, plan, members, {*notes, *(names - {name})})
        except pl.exceptions.PolarsError:
            return name
    return None


def _run_pandera(plan: Compiled, scan: Scan, verdicts: _Verdicts) -> None:
    rules = [rule for rule in plan.rules if isinstance(rule, PanderaRule)]
    typed = scan.collect(scan.typed) if rules else pl.DataFrame()
    for rule in rules:
        known = scan.known(rule.inputs)
        rows = typed.filter(known)
        unknown = pl.repeat(None, verdicts.height, dtype=pl.Boolean, eager=True)
        if rows.is_empty():
            verdicts.rows[rule.name] = unknown
            continue
        try:
            result = run_check(rule.check, rows, rule.column)
        except Exception as error:  # the author's function may raise anything; the rule is then unknown, never passed
            verdicts.notes[rule.name] = f"the check raised {type(error).__name__}"
            continue
        if isinstance(result, bool):
            verdicts.batch[rule.name] = result
        else:
            verdicts.rows[rule.name] = unknown.scatter(known.arg_true(), result)


def _judge_batch(plan: Compiled, scan: Scan, verdicts: _Verdicts) -> None:
    for rule in plan.rules:
        if isinstance(rule, TableRule) and rule.name not in verdicts.notes:
            rows = scan.rows.filter(scan.is_known(rule.inputs))
            verdicts.batch[rule.name] = scan.collect(rows.select(rule.expr.fill_null(True))).item()


def _judge_counts(plan: Compiled, verdicts: _Verdicts, counts: Mapping[str, int]) -> None:
    for rule in plan.rules:
        if not isinstance(rule, CountRule):
            continue
        if rule.reference in counts:
            verdicts.batch[rule.name] = rule.agrees(verdicts.height, counts[rule.reference])
        else:
            verdicts.notes[rule.name] = f"no count of {rule.reference} was given"


def _judge_sequences(plan: Compiled, scan: Scan, verdicts: _Verdicts) -> None:
    for rule in plan.rules:
        if isinstance(rule, SequenceRule) and rule.name not in verdicts.notes:
            # A row that cannot be read is no link of the chain, so its neighbours are compared with each other.
            known = scan.known(rule.inputs)
            rows = scan.rows.filter(scan.is_known(rule.inputs))
            valid = scan.collect(rows.select(rule.expr.fill_null(True))).to_series()
            unknown = pl.repeat(None, verdicts.height, dtype=pl.Boolean, eager=True)
            verdicts.rows[rule.name] = unknown.scatter(known.arg_true(), valid)


def _judge_sets(plan: Compiled, scan: Scan, verdicts: _Verdicts, published: pl.LazyFrame | None) -> None:
    rules = [rule for rule in plan.rules if isinstance(rule, SetRule) and rule.name not in verdicts.notes]
    removing = [
        verdicts.broken(rule) for rule in plan.rules if rule.name in verdicts.rows and rule.severity.removes_row
    ]
    stays = ~_any(removing, verdicts.height) & scan.readable
    columns = {column.name: column for column in plan.columns}
    shares = _sharing(scan, rules, published, columns)
    candidates = scan.rows
    if shares is not None:
        candidates, stays = scan.beside(pl.DataFrame({_SHARES: shares})).filter(_SHARES), stays.filter(shares)
    groups = [
        Groups(
            rule,
            # A row whose key cannot be read is in no group.
            scan.collect(
                candidates.select(pl.when(scan.is_known(rule.inputs)).then(expr) for expr in key_expressions(rule))
            ),
            scan.collect(candidates.select(rule.entity)) if rule.entity else None,
        )
        for rule in rules
    ]
    for rule, broken in zip(rules, broken_rows(groups, stays, published, columns), strict=True):
        positions = broken if shares is None else shares.arg_true().gather(broken)
        valid = pl.repeat(True, verdicts.height, dtype=pl.Boolean, eager=True).scatter(positions, False)
        verdicts.rows[rule.name] = valid.set(~scan.known(rule.inputs), None)


def _sharing(
    scan: Scan, rules: Sequence[SetRule], published: pl.LazyFrame | None, columns: Mapping[str, Column]
) -> pl.Series | None:
    """Of a spilled batch the rows that may share a key with another row or a published one: no other can break a rule."""
    if scan.file is None:
        return None
    taken: dict[str, Path | None] = {scan.key_column(rule): None for rule in rules}
    if published is not None:
        for index, rule in enumerate(rules):
            taken[scan.key_column(rule)] = file = scan.file.with_name(f"published-{index}.parquet")
            on_disk(published_inputs(rule, published, columns).select(key=fingerprint(rule.key)), file)
    shares = np.zeros(scan.height, dtype=bool)
    shares[sharing_rows(scan.file, taken)] = True
    return pl.Series(shares)


def _outcome(plan: Compiled, scan: Scan, verdicts: _Verdicts) -> SpilledOutcome:
    broken = {rule.name: verdicts.broken(rule) for rule in plan.rules if rule.name in verdicts.rows}
    removing = [broken[rule.name] for rule in plan.rules if rule.name in broken and rule.severity.removes_row]
    leaves = _any(removing, verdicts.height) | ~scan.readable
    links = [name for name in scan.delivered if is_link(name) and name not in _READER_COLUMNS]
    rows = scan.beside(pl.DataFrame({_LEAVES: leaves} | {_BROKEN + name: rows for name, rows in broken.items()}))
    rows_quarantined = int(leaves.sum())
    report = Report(
        contract=plan.info.name,
        version=plan.info.version,
        digest=plan.info.digest,
        rows_in=verdicts.height,
        rows_clean=verdicts.height - rows_quarantined,
        rows_quarantined=rows_quarantined,
        rules=(*_reader_results(scan), *(_result(rule, verdicts) for rule in plan.rules)),
    )
    return SpilledOutcome(
        clean=rows.filter(~pl.col(_LEAVES)).select(*(column.name for column in plan.columns), *links),
        quarantined=rows.filter(_LEAVES).select(**scan.original | {RULES: _rules(list(broken), scan)}),
        report=report,
        profile=profile(scan.rows, plan.columns),
    )


def _rules(names: Sequence[str], scan: Scan) -> pl.Expr:
    """The names of the broken rules, per quarantined row."""
    broken = [pl.when(pl.col(_BROKEN + name)).then(pl.lit(name)) for name in names]
    broken += ["row." + pl.col(DEFECT)] if DEFECT in scan.delivered else []
    return pl.concat_list(broken).list.drop_nulls()


def _reader_results(scan: Scan) -> list[RuleResult]:
    if DEFECT not in scan.delivered:
        return []
    defects = scan.rows.select(pl.col(DEFECT).drop_nulls().value_counts().struct.unnest())
    counts = dict(scan.collect(defects).iter_rows())
    return [
        judge(
            f"row.{defect}",
            None,
            Severity.QUARANTINE,
            evaluated=scan.height,
            invalid=counts.get(defect, 0),
            unknown=0,
            engine="reader",
        )
        for defect in dict.fromkeys([*READER_DEFECTS, *sorted(counts)])
    ]


def _result(rule: Rule, verdicts: _Verdicts) -> RuleResult:
    engine = "pandera" if isinstance(rule, PanderaRule) else "polars"
    severity, note = rule.severity, verdicts.notes.get(rule.name, "")
    if rule.name in verdicts.batch:
        evaluated, invalid, unknown = 1, int(not verdicts.batch[rule.name]), 0
        # No row can leave for a verdict about the whole batch, so the batch does.
        severity = Severity.BLOCK if severity is Severity.QUARANTINE else severity
    elif rule.name in verdicts.rows:
        rows = verdicts.rows[rule.name]
        unknown = rows.null_count()
        evaluated, invalid = len(rows) - unknown, rows.len() - unknown - int(rows.sum() or 0)
    else:
        evaluated, invalid, unknown = 0, 0, 1 if isinstance(rule, (TableRule, CountRule)) else verdicts.height
    return judge(
        rule.name,
        rule.column,
        severity,
        evaluated=evaluated,
        invalid=invalid,
        unknown=unknown,
        engine=engine,
        block=rule.block,
        note=note,
    )


def _any(flags: list[pl.Series], height: int) -> pl.Series:
    if not flags:
        return pl.repeat(False, height, dtype=pl.Boolean, eager=True)
    return pl.select(pl.any_horizontal(flags)).to_series()
