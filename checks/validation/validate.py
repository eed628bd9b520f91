"""One batch against one contract: which rows are clean, which leave and why, what was counted."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Generic, TypeVar, cast

import polars as pl

from assay.checks.contract.columns import require_columns
from assay.checks.contract.compile import is_link
from assay.checks.contract.contract import Compiled, Contract, for_delivery
from assay.checks.contract.field import Severity
from assay.checks.contract.rules import CountRule, PanderaRule, Rule, TableRule
from assay.checks.validation.batch_counts import BatchCounts, batch_counts
from assay.checks.validation.foreign_keys import Frame, LookupRows, existing_values
from assay.checks.validation.report import Report, RuleResult, rule_result
from assay.checks.validation.rule_evaluation import Verdicts, judged
from assay.checks.validation.scan import DEFECT, Scan, scan_batch
from assay.checks.validation.uniqueness import AllRows, PublishedRows
from assay.errors import AssayError
from assay.row_source import RowSource

T = TypeVar("T")

#: What readers say about records that they cannot read; always reported when the batch has the column `_defect`.
READER_DEFECTS = ("unparsable", "encoding")
#: The column of the quarantine that lists the rules a row breaks.
RULES = "_rules"
_READER_COLUMNS = (DEFECT, "_line", RULES)
# Internal columns next to the scanned rows; no delivered column starts with a control character.
_BROKEN, _LEAVES, _CODE, _NAMES = "\x1fbroken:", "\x1fleaves", "\x1fcode:", "\x1fnames"


@dataclass(slots=True)
class _Later(Generic[T]):
    """What is made of a batch when it is first asked for; then the batch is let go."""

    make: Callable[[], T] | None
    made: T | None = None

    def get(self) -> T:
        if self.make is not None:
            self.made, self.make = self.make(), None
        return cast(T, self.made)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of `validate`. Rows in = clean + quarantined; both keep the input's order.

    quarantined: every delivered column as delivered, and `_rules`, the rules that the row breaks.
    """

    quarantined: pl.DataFrame
    report: Report
    _profile: _Later[BatchCounts] = field(repr=False)
    _clean: _Later[pl.DataFrame] = field(repr=False)

    @property
    def clean(self) -> pl.DataFrame:
        """The contract's columns, typed, in its order, then the link columns. Made when first asked for: who only wants to
        know what is wrong does not pay for it."""
        return self._clean.get()

    @property
    def profile(self) -> BatchCounts:
        """Per column what was counted: nulls, distinct values, minimum, maximum, mean. Counted when first asked for."""
        return self._profile.get()


@dataclass(frozen=True, slots=True)
class SpilledOutcome:
    """The result of `validate_spilled`: an `Outcome` whose rows are read from its folder when they are asked for."""

    clean: pl.LazyFrame
    quarantined: pl.LazyFrame
    report: Report
    _profile: _Later[BatchCounts] = field(repr=False)
    _rows: RowSource | None = field(default=None, repr=False)

    def clean_frames(self) -> Iterator[pl.DataFrame]:
        """The clean rows in frames, of which memory holds one: as `clean` gives them, with less work than a query."""
        return self._rows.frames() if self._rows is not None else iter([self.clean.collect()])

    @property
    def profile(self) -> BatchCounts:
        """As of an `Outcome`. It is counted from the folder when it is first asked for."""
        return self._profile.get()


def validate(
    frame: Frame,
    contract: type[Contract],
    *,
    lookup_tables: Mapping[str, Frame | LookupRows] | None = None,
    published: Frame | PublishedRows | None = None,
    counts: Mapping[str, int] | None = None,
    references: Mapping[str, Frame] | None = None,
) -> Outcome:
    """Validate a batch.

    Args:
        frame: The contract's columns as text or already typed. Columns that start with "_" and `partition_key` are links to
            the source and pass through. `_defect` marks records that the reader could not read: they break
            `row.<defect>` only.
        contract: What must hold.
        lookup_tables: Table name to frame, for foreign keys. Of a large table, give an object that says which values it has
            (`LookupRows`). A rule whose table is missing is unknown, never passed.
        published: Rows accepted earlier: a key that is there already is a duplicate. Of many rows, give an object that
            finds those with certain keys (`PublishedRows`).
        counts: Table name to number of rows, for the contract's `row_count`. Without its count the rule is unknown.
        references: The former name of `lookup_tables`.

    Returns:
        Clean rows, quarantined rows, the report and the batch's counts. Rows in = clean + quarantined.

    Raises:
        ColumnsError: A column is missing.
        AssayError: A lookup table or `published` lacks a column, or a rule fails to run.
    """
    scan, outcome = _validated(frame, contract, _tables(lookup_tables, references), published, counts, None)
    quarantined = outcome.quarantined.collect(engine="in-memory")
    return Outcome(quarantined, outcome.report, outcome._profile, _Later(lambda: scan.collect(outcome.clean)))


def validate_spilled(
    frame: Frame | RowSource,
    contract: type[Contract],
    folder: str | Path,
    *,
    lookup_tables: Mapping[str, Frame | LookupRows] | None = None,
    published: Frame | PublishedRows | None = None,
    counts: Mapping[str, int] | None = None,
    references: Mapping[str, Frame] | None = None,
) -> SpilledOutcome:
    """Validate a batch that may be larger than memory.

    The batch is read once, block by block, into `folder`. DuckDB compares keys and writes to the folder, too. Memory holds some
    bits a row and rule, the rows that share a key with another row, and the values that lookup tables hold. Custom
    pandera functions see the whole batch at once, so they need memory for it.

    Read `clean`, `quarantined` (`sink_parquet`, `collect_batches`, …) and `profile` before the folder is deleted. It holds
    the rows as delivered, personal data included.

    Args:
        frame: As for `validate`; a query that reads far ahead of what is done with its rows needs less memory as a
            `RowSource`.
        contract: As for `validate`.
        folder: An existing folder without a batch in it.
        lookup_tables: As for `validate`.
        published: As for `validate`.
        counts: As for `validate`.
        references: The former name of `lookup_tables`.

    Returns:
        The result of `validate`, with rows as lazy frames over the folder.

    Raises:
        ColumnsError: A column is missing.
        AssayError: As for `validate`; also when the folder holds a batch already.
    """
    tables = _tables(lookup_tables, references)
    return _validated(frame, contract, tables, published, counts, Path(folder))[1]


def _tables(
    lookup_tables: Mapping[str, Frame | LookupRows] | None, references: Mapping[str, Frame] | None
) -> Mapping[str, Frame | LookupRows] | None:
    if lookup_tables is not None and references is not None:
        raise AssayError("validate: `references` is the former name of `lookup_tables`. Give one of them.")
    return references if lookup_tables is None else lookup_tables


def _validated(
    frame: Frame | RowSource,
    contract: type[Contract],
    lookup_tables: Mapping[str, Frame | LookupRows] | None,
    published: Frame | PublishedRows | None,
    counts: Mapping[str, int] | None,
    folder: Path | None,
) -> tuple[Scan, SpilledOutcome]:
    batch = frame.lazy()
    delivered = batch.collect_schema()
    plan = for_delivery(contract, delivered.names())
    _require_columns(plan, delivered)
    notes = {rule.name: note for rule in plan.rules if (note := _not_delivered(rule, delivered)) is not None}
    members = existing_values(batch, delivered, plan, lookup_tables or {}, notes)
    scan = _scanned(frame if isinstance(frame, RowSource) else batch, delivered, plan, members, notes, folder)
    earlier = AllRows(published.lazy()) if isinstance(published, pl.DataFrame | pl.LazyFrame) else published
    verdicts = judged(plan, scan, notes, earlier, counts or {})
    return scan, _outcome(plan, scan, verdicts)


def _require_columns(plan: Compiled, delivered: pl.Schema) -> None:
    optional = {column.name for column in plan.columns if not column.required}
    expected = {column.name: str(column.dtype) for column in plan.columns if column.required}
    types = {name: str(dtype) for name, dtype in delivered.items() if not is_link(name) and name not in optional}
    require_columns(plan.info.name, expected, types, strict=plan.strict)


def _not_delivered(rule: Rule, delivered: pl.Schema) -> str | None:
    absent = [name for name in rule.inputs if name not in delivered]
    return f"not delivered: {', '.join(absent)}" if absent and not isinstance(rule, PanderaRule) else None


def _scanned(
    batch: pl.LazyFrame | RowSource,
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
    batch: pl.LazyFrame | RowSource,
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


def _outcome(plan: Compiled, scan: Scan, verdicts: Verdicts) -> SpilledOutcome:
    broken = verdicts.broken(plan.rules)
    leaves = verdicts.leaving(plan) | ~scan.readable
    links = [name for name in scan.delivered if is_link(name) and name not in _READER_COLUMNS]
    # In one chunk: marks that are cut elsewhere than the rows would have all rows copied before they are filtered.
    marks = pl.DataFrame({_LEAVES: leaves} | {_BROKEN + rows.name: rows for rows in broken}).rechunk()
    rows_quarantined = int(leaves.sum())
    columns, rows = [*(column.name for column in plan.columns), *links], None
    if scan.blocks is not None:
        rows = scan.blocks.rows(which=~leaves, columns=columns)
        clean = rows.lazy()
    else:
        stays = scan.beside(marks.select(_LEAVES)).filter(~pl.col(_LEAVES)) if rows_quarantined else scan.rows
        clean = stays.select(columns)
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
        clean=clean,
        quarantined=_quarantined(scan, marks),
        report=report,
        _profile=_Later(lambda: batch_counts(scan, plan.columns)),
        _rows=rows,
    )


def _quarantined(scan: Scan, marks: pl.DataFrame) -> pl.LazyFrame:
    """The rows that leave, as delivered, with the names of the rules that each breaks."""
    broken = [name for name in marks.columns if name.startswith(_BROKEN)]
    # Many rows break few combinations of rules, so names are listed once a combination. A code is 64 rules as bits.
    codes = {f"{_CODE}{first}": _code(*broken[first : first + 64]) for first in range(0, len(broken) or 1, 64)}
    combinations = marks.lazy().filter(_LEAVES).select(**codes).unique().collect(engine="in-memory")
    names = [
        [name.removeprefix(_BROKEN) for index, name in enumerate(broken) if words[index // 64] >> index % 64 & 1]
        for words in combinations.iter_rows()
    ]
    listed = combinations.with_columns(pl.Series(_NAMES, names, dtype=pl.List(pl.String))).lazy()
    leaving = scan.only(marks, _LEAVES).with_columns(**codes)
    rules = pl.col(_NAMES)
    if DEFECT in scan.delivered:
        rules = rules.list.concat(pl.concat_list("row." + pl.col(DEFECT)).list.drop_nulls())
    joined = leaving.join(listed, on=list(codes), how="left", maintain_order="left")
    original = [value.alias(name) for name, value in scan.original.items() if name != RULES]
    return joined.select(*original, rules.alias(RULES))


@lru_cache(256)
def _code(*names: str) -> pl.Expr:
    bits = (pl.col(name).cast(pl.UInt64) * pl.lit(1 << index, pl.UInt64) for index, name in enumerate(names))
    return pl.sum_horizontal(pl.lit(0, pl.UInt64), *bits)


def _reader_results(scan: Scan) -> list[RuleResult]:
    if DEFECT not in scan.delivered:
        return []
    defects = scan.rows.select(pl.col(DEFECT).drop_nulls().value_counts().struct.unnest())
    counts = dict(scan.collect(defects).iter_rows())
    return [
        rule_result(
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


def _result(rule: Rule, verdicts: Verdicts) -> RuleResult:
    engine = "pandera" if isinstance(rule, PanderaRule) else "polars"
    severity, note = rule.severity, verdicts.notes.get(rule.name, "")
    if rule.name in verdicts.batch:
        evaluated, invalid, unknown = 1, int(not verdicts.batch[rule.name]), 0
        # No row can leave for a verdict about the whole batch, so the batch does.
        severity = Severity.BLOCK if severity is Severity.QUARANTINE else severity
    elif rule.name in verdicts.counts:
        invalid, unknown = verdicts.counts[rule.name]
        evaluated = verdicts.height - unknown
    else:
        evaluated, invalid, unknown = 0, 0, 1 if isinstance(rule, (TableRule, CountRule)) else verdicts.height
    return rule_result(
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
