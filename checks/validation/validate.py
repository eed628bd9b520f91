"""One batch against one contract: which rows are clean, which leave and why, what was counted."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Generic, TypeVar, cast

import polars as pl

from assay.checks.contract.columns import require_columns
from assay.checks.contract.contract import Compiled, Contract, compiled, for_delivery
from assay.checks.contract.field import Severity
from assay.checks.contract.rules import CountRule, DtypeRule, PanderaRule, Rule, SetRule, TableRule
from assay.checks.validation.batch_counts import BatchCounts, batch_counts
from assay.checks.validation.blocks import Blocks
from assay.checks.validation.dtype_notes import MOST, dtype_note
from assay.checks.validation.foreign_keys import Frame, LookupRows, existing_values
from assay.checks.validation.former_names import former_names
from assay.checks.validation.leaving_rows import DUPLICATE_OF, RULES, leaving_rows
from assay.checks.validation.reading import DEFECT, JSON, Reading, reading_of
from assay.checks.validation.report import Report, RuleResult, rule_result
from assay.checks.validation.rule_evaluation import Verdicts, judged
from assay.checks.validation.scan import Scan, scan_batch
from assay.checks.validation.uniqueness import AllRows, PublishedRows
from assay.errors import AssayError, nearest
from assay.own_columns import is_link
from assay.row_source import RowSource

T = TypeVar("T")

#: What readers say about records that they cannot read; always reported when the batch has the column `_defect`.
READER_DEFECTS = ("unparsable", "encoding")
_READER_COLUMNS = (DEFECT, "_line", JSON, RULES, DUPLICATE_OF)
_NAMED = 3  # partitions of a message


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

    quarantined: every delivered column as delivered, and `_rules`, the rules that the row breaks; `_duplicate_of`, where another
    batch has the key, names its partition.
    moved: partitions of published rows of which some must give way to rows of this batch, or may come back: judge them again.
    """

    quarantined: pl.DataFrame
    report: Report
    _profile: _Later[BatchCounts] = field(repr=False)
    _clean: _Later[pl.DataFrame] = field(repr=False)
    moved: frozenset[str] = frozenset()

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
    moved: frozenset[str] = frozenset()

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
    event_time: str | None = None,
    references: Mapping[str, Frame] | None = None,
) -> Outcome:
    """Validate a batch.

    Args:
        frame: The contract's columns as text or already typed. The columns that Assay adds to rows (`_row_number`,
            `partition_key`, …) pass through. `_defect` marks records that the reader could not read: they break
            `row.<defect>` only.
        contract: What must hold.
        lookup_tables: Table name to frame, for foreign keys. Of a large table, give an object that says which values it has
            (`LookupRows`). A rule whose table is missing is unknown, never passed.
        published: Rows accepted earlier: a key that is there already is a duplicate. Of many rows, give an object that
            finds those with certain keys (`PublishedRows`).
        counts: Table name to number of rows, for the contract's `row_count`. Without its count the rule is unknown.
        event_time: The column that puts rows with one key in order. Without it they are in the order of the batch, after the
            published ones; rows of one time are in the order of `partition_key`, where they have it, and then of the batch.
        references: The former name of `lookup_tables`.

    Returns:
        Clean rows, quarantined rows, the report and the batch's counts. Rows in = clean + quarantined.

    Raises:
        ColumnsError: A column is missing.
        AssayError: A lookup table or `published` lacks a column, the contract has no column `event_time`, or a rule fails to run.
    """
    batch = _judged(frame, contract, _tables(lookup_tables, references), published, counts, None, event_time)
    return Outcome(
        _frame(batch.quarantined()),
        batch.report(),
        _Later(batch.counts),
        _Later(lambda: _frame(batch.clean())),
        moved=batch.verdicts.moved,
    )


def validate_spilled(
    frame: Frame | RowSource,
    contract: type[Contract],
    folder: str | Path,
    *,
    lookup_tables: Mapping[str, Frame | LookupRows] | None = None,
    published: Frame | PublishedRows | None = None,
    counts: Mapping[str, int] | None = None,
    event_time: str | None = None,
    references: Mapping[str, Frame] | None = None,
) -> SpilledOutcome:
    """Validate a batch that may be larger than memory.

    The batch is judged block by block; one that is smaller than a block stays in memory. A query runs once, into `folder`.
    Of what can be read again only the values that were made of texts are written there. Memory holds some bits a row and
    rule, fingerprints of the first millions of keys, the rows that share a key with another row, and the values that lookup
    tables hold. More keys are compared by DuckDB, which writes to the folder, too. Custom pandera functions see the whole
    batch at once, so they need memory for it.

    Read `clean`, `quarantined` (`sink_parquet`, `collect_batches`, …) and `profile` before the folder is deleted, and while the
    batch can be read. The folder holds personal data, as the batch does.

    Args:
        frame: As for `validate`; a query that reads far ahead of what is done with its rows needs less memory as a
            `RowSource`, which is read several times and must give the same rows each time.
        contract: As for `validate`.
        folder: An existing folder without a batch in it.
        lookup_tables: As for `validate`.
        published: As for `validate`.
        counts: As for `validate`.
        event_time: As for `validate`.
        references: The former name of `lookup_tables`.

    Returns:
        The result of `validate`, with rows as lazy frames over the folder.

    Raises:
        ColumnsError: A column is missing.
        AssayError: As for `validate`; also when the folder holds a batch already.
    """
    batch = _judged(frame, contract, _tables(lookup_tables, references), published, counts, Path(folder), event_time)
    clean, quarantined = batch.clean(), batch.quarantined()
    rows = clean if isinstance(clean, RowSource) else None
    return SpilledOutcome(
        clean.lazy(), quarantined.lazy(), batch.report(), _Later(batch.counts), rows, moved=batch.verdicts.moved
    )


def _frame(rows: pl.DataFrame | RowSource) -> pl.DataFrame:
    return rows if isinstance(rows, pl.DataFrame) else rows.lazy().collect()


def _tables(
    lookup_tables: Mapping[str, Frame | LookupRows] | None, references: Mapping[str, Frame] | None
) -> Mapping[str, Frame | LookupRows] | None:
    if lookup_tables is not None and references is not None:
        raise AssayError("validate: `references` is the former name of `lookup_tables`. Give one of them.")
    return references if lookup_tables is None else lookup_tables


@dataclass(frozen=True, slots=True)
class _Judged:
    """A batch with its verdicts."""

    scan: Scan
    verdicts: Verdicts
    leaves: pl.Series

    @property
    def columns(self) -> list[str]:
        """Those of a clean row."""
        links = (name for name in self.scan.delivered if is_link(name) and name not in _READER_COLUMNS)
        return [*(column.name for column in self.scan.reading.plan.columns), *links]

    def clean(self) -> pl.DataFrame | RowSource:
        """The rows that stay."""
        place, leave = self.scan.place, self.leaves.any()
        if isinstance(place, Blocks):
            return place.rows(which=~self.leaves if leave else None, columns=self.columns)
        rows = place.select(self.columns)
        return rows.filter(~self.leaves) if leave else rows

    def quarantined(self) -> pl.DataFrame | RowSource:
        """The rows that leave."""
        rules = self.scan.reading.plan.rules
        return leaving_rows(self.scan, self.verdicts.broken(rules), self.leaves, _lost(rules, self.verdicts))

    def report(self) -> Report:
        plan, quarantined = self.scan.reading.plan, int(self.leaves.sum())
        return Report(
            contract=plan.info.name,
            version=plan.info.version,
            digest=plan.info.digest,
            rows_in=self.verdicts.height,
            rows_clean=self.verdicts.height - quarantined,
            rows_quarantined=quarantined,
            rules=(
                *_reader_results(self.scan),
                *(_result(rule, self.verdicts, self._note(rule)) for rule in plan.rules),
            ),
            rows_elsewhere=self._elsewhere(quarantined) if self.verdicts.alone else 0,
        )

    def _elsewhere(self, quarantined: int) -> int:
        alone = self.verdicts.leaving_alone(self.scan.reading.plan)
        return quarantined - int((alone | ~self.scan.readable).sum())

    def _note(self, rule: Rule) -> str:
        """Why there is no verdict, what the texts that cannot be read look like, or where the rows are that stay."""
        if not (isinstance(rule, DtypeRule) and self.verdicts.counts.get(rule.name, (0, 0))[0]):
            return self.verdicts.notes.get(rule.name, "") or _elsewhere_note(rule, self.verdicts)
        column = next(one for one in self.scan.reading.plan.columns if one.name == rule.column)
        if self.scan.delivered[column.name] != pl.String or column.dtype == pl.String:
            return ""
        broken = self.verdicts.broken([rule])[rule.name]
        return dtype_note(self.scan.some_originals(column.name, broken, MOST), column)

    def counts(self) -> BatchCounts:
        return batch_counts(self.scan, self.scan.reading.plan.columns)


def _judged(
    frame: Frame | RowSource,
    contract: type[Contract],
    lookup_tables: Mapping[str, Frame | LookupRows] | None,
    published: Frame | PublishedRows | None,
    counts: Mapping[str, int] | None,
    folder: Path | None,
    event_time: str | None,
) -> _Judged:
    frame = _under_present_names(frame, contract)
    delivered = frame.lazy().collect_schema() if isinstance(frame, pl.LazyFrame) else frame.schema
    types = tuple(delivered.items())
    plan = for_delivery(contract, delivered.names())
    if event_time is not None and event_time not in (names := [column.name for column in plan.columns]):
        raise AssayError(
            f"{plan.info.name} has no column {event_time!r} to put rows in order by.{nearest(event_time, names)}"
        )
    notes = dict(_not_delivered(plan, types))
    reading = reading_of(plan, types)
    members = existing_values(frame, reading, lookup_tables or {}, notes)
    scan = _scanned(frame, reading, members, notes, folder)
    earlier = AllRows(published.lazy()) if isinstance(published, pl.DataFrame | pl.LazyFrame) else published
    verdicts = judged(plan, scan, notes, earlier, counts or {}, event_time)
    leaves = verdicts.leaving(plan)
    return _Judged(scan, verdicts, leaves if not scan.doubts.defects else leaves | ~scan.readable)


def _under_present_names(frame: Frame | RowSource, contract: type[Contract]) -> Frame | RowSource:
    plan = compiled(contract)
    if not any(column.options.was for column in plan.columns):
        return frame
    former = former_names(plan.info.name, plan.columns, frame)
    if isinstance(frame, RowSource):
        return former.source(frame)
    return former.frame(frame) if isinstance(frame, pl.DataFrame) else former.lazy(frame)


@lru_cache(64)
def _not_delivered(plan: Compiled, types: tuple[tuple[str, pl.DataType], ...]) -> Mapping[str, str]:
    """For the rules about columns that were not delivered, why they have no verdict. Raises ColumnsError if one is missing that
    must be there."""
    delivered = dict(types)
    optional = {column.name for column in plan.columns if not column.required}
    expected = {column.name: str(column.dtype) for column in plan.columns if column.required}
    present = {name: str(dtype) for name, dtype in delivered.items() if not is_link(name) and name not in optional}
    former = {column.name: column.options.was for column in plan.columns}
    require_columns(plan.info.name, expected, present, strict=plan.strict, former=former)
    notes: dict[str, str] = {}
    for rule in plan.rules:
        absent = [name for name in rule.inputs if name not in delivered]
        if absent and not isinstance(rule, PanderaRule):
            notes[rule.name] = f"not delivered: {', '.join(absent)}"
    return notes


def _scanned(
    batch: Frame | RowSource,
    reading: Reading,
    members: Mapping[str, pl.Series],
    notes: Mapping[str, str],
    folder: Path | None,
) -> Scan:
    try:
        return scan_batch(batch, reading, members, notes, folder)
    except pl.exceptions.PolarsError as error:
        culprit = _failing_rule(batch, reading, members, notes)
        if culprit is None:
            raise
        # The engine's text may quote values, so it is neither repeated nor chained.
        raise AssayError(
            f"{reading.plan.info.name}: the rule {culprit} failed to run ({type(error).__name__}). "
            "Make its expression total: a value that it cannot read must give null, not an error."
        ) from None


def _failing_rule(
    batch: Frame | RowSource, reading: Reading, members: Mapping[str, pl.Series], notes: Mapping[str, str]
) -> str | None:
    """The first rule that fails alone; None when it is not a rule that fails but reading the batch."""
    names = {rule.name for rule in reading.plan.rules}
    for name in [None, *(rule.name for rule in reading.plan.rules)]:
        try:
            scan_batch(batch, reading, members, {*notes, *(names - {name})})
        except pl.exceptions.PolarsError:
            return name
    return None


def _reader_results(scan: Scan) -> list[RuleResult]:
    if DEFECT not in scan.delivered:
        return []
    counts: dict[str, int] = {}
    if scan.doubts.defects:
        # Not `value_counts().struct.unnest()`: streaming counts twice, and may pair a value with another one's count.
        defects = scan.rows.select(DEFECT).drop_nulls().group_by(DEFECT).len()
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


def _result(rule: Rule, verdicts: Verdicts, note: str) -> RuleResult:
    engine = "pandera" if isinstance(rule, PanderaRule) else "polars"
    severity = rule.severity
    stopping = None
    if rule.name in verdicts.batch:
        evaluated, invalid, unknown = 1, int(not verdicts.batch[rule.name]), 0
        # No row can leave for a verdict about the whole batch, so the batch does.
        severity = Severity.BLOCK if severity is Severity.QUARANTINE else severity
    elif rule.name in verdicts.counts:
        invalid, unknown = verdicts.counts[rule.name]
        evaluated = verdicts.height - unknown
        if rule.name in verdicts.alone:
            stopping = verdicts.height - int(verdicts.alone[rule.name].sum())
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
        stopping=stopping,
    )


def _elsewhere_note(rule: Rule, verdicts: Verdicts) -> str:
    """In which partitions the rows are that stay in place of those that left."""
    lost = Counter(verdicts.lost.get(rule.name, {}).values())
    if not lost or not isinstance(rule, SetRule):
        return ""
    named = ", ".join(f"{partition} ({count})" for partition, count in sorted(lost.items())[:_NAMED])
    more = f" and {len(lost) - _NAMED} more" if len(lost) > _NAMED else ""
    kept = (
        "Other rows of their keys are" if rule.duplicates == "none" else f"The {rule.duplicates} rows of their keys are"
    )
    return f"{kept} in {named}{more}."


def _lost(rules: Iterable[Rule], verdicts: Verdicts) -> dict[int, str]:
    """For each row that lost its key to one of another batch: the reason, in words."""
    modes = {rule.name: rule.duplicates for rule in rules if isinstance(rule, SetRule)}
    return {
        position: f"{partition} ({name}, {modes[name]})"
        for name, rows in reversed(verdicts.lost.items())
        for position, partition in rows.items()
    }
