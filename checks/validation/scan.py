"""The one pass over a batch: contract types, readability and every row-local verdict."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from assay.checks.contract.rules import Column, ExprRule, ForeignKeyRule, Rule, SetRule
from assay.checks.validation import blocks as files
from assay.checks.validation.blocks import Blocks, in_blocks
from assay.checks.validation.reading import (
    DEFECT,
    DEFECTIVE,
    INTERNAL,
    KEY,
    ORIGINAL,
    UNREADABLE,
    VERDICT,
    Doubts,
    Reading,
    doubtful,
    is_certain,
    keys,
    not_read,
    verdict,
    verdicts,
)
from assay.checks.validation.spill import Keys
from assay.checks.validation.uniqueness import constant
from assay.row_source import RowSource

_MANY = 100_000  # rows
_HEIGHT = INTERNAL + "height"


@dataclass(frozen=True, slots=True)
class Scan:
    """The scanned batch, in input order: delivered columns, typed columns and links; beside it what is known of its rows.

    place: where the rows are: in memory, or on disk if the batch was spilled. flags: truth values, in memory: what is in doubt,
    and verdicts. certain: rules that hold for every row, as no value is in doubt. keys: of a spilled batch, the fingerprints.
    """

    place: pl.DataFrame | Blocks
    flags: Mapping[str, pl.Series]
    height: int
    reading: Reading
    doubts: Doubts
    certain: frozenset[str]
    keys: Keys | None = None

    @property
    def delivered(self) -> pl.Schema:
        """The columns that were delivered, with their types."""
        return self.reading.delivered

    @property
    def rows(self) -> pl.LazyFrame:
        """All rows."""
        return self.place.rows().lazy() if isinstance(self.place, Blocks) else self.place.lazy()

    def collect(self, query: pl.LazyFrame) -> pl.DataFrame:
        """The result of a query over these rows. Streaming has a price of its own, and saves a copy of many rows."""
        streaming = isinstance(self.place, Blocks) or self.height > _MANY
        return query.collect(engine="streaming" if streaming else "in-memory")

    def beside(self, columns: Mapping[str, pl.Series]) -> pl.LazyFrame:
        """The rows with these columns next to them, one value a row."""
        if not columns:
            return self.rows
        added = [series.alias(name) for name, series in columns.items()]
        if isinstance(self.place, Blocks):
            return self.place.rows(pl.DataFrame(added)).lazy()
        return self.place.hstack(added).lazy()

    def usable(self, inputs: Iterable[str]) -> pl.LazyFrame:
        """The rows that have readable values in all of these columns."""
        if self.knows_all(inputs):
            return self.rows
        known = self.known(inputs)
        return (
            self.place.rows(which=known).lazy() if isinstance(self.place, Blocks) else self.place.filter(known).lazy()
        )

    def some_originals(self, column: str, which: pl.Series, most: int) -> pl.Series:
        """The first delivered values of a column in these rows, where it was converted."""
        name, first = ORIGINAL + column, which & (which.cast(pl.UInt32).cum_sum() <= most)
        if isinstance(self.place, Blocks):
            return self.place.rows(which=first, columns=[name]).lazy().collect().to_series()
        return self.place.get_column(name).filter(first)

    @property
    def original(self) -> dict[str, pl.Expr]:
        """The delivered columns, as they were delivered: expressions over `rows`."""
        kept = self.reading.originals(self.doubts)
        return {name: pl.col(ORIGINAL + name if name in kept else name) for name in self.delivered}

    @property
    def typed(self) -> pl.LazyFrame:
        """The contract's columns in its types, then the links."""
        return self.rows.select(pl.exclude(f"^{INTERNAL}.*$"))

    @property
    def readable(self) -> pl.Series:
        """Which rows the reader could read."""
        return self.known(())

    def known(self, inputs: Iterable[str]) -> pl.Series:
        """Which rows have readable values in all of these columns."""
        known = constant(True, self.height)
        for name in (*(UNREADABLE + name for name in inputs), DEFECTIVE):
            if name in self.flags:
                known = known & ~self.flags[name]
        return known

    def knows_all(self, inputs: Iterable[str]) -> bool:
        """Whether no value in these columns is unreadable."""
        return not self.doubts.defects and self.doubts.unreadable.isdisjoint(inputs)

    def verdict(self, rule: Rule) -> pl.Series | None:
        """True, false, or null for unknown, per row; None if the rule was not part of the scan, or is certain."""
        return self.flags.get(VERDICT + rule.name)

    def key_column(self, rule: SetRule) -> str:
        """The column of `keys` with the fingerprints of this rule's keys."""
        return KEY + rule.name


def scan_batch(
    batch: pl.DataFrame | pl.LazyFrame | RowSource,
    reading: Reading,
    members: Mapping[str, pl.Series],
    skipped: Iterable[str],
    folder: Path | None = None,
) -> Scan:
    """Read the batch once. members: the values that exist, per foreign-key rule. skipped: rules not to evaluate.

    With a folder a batch of several blocks goes to files there, block by block, instead of into memory.
    Raises polars.exceptions.PolarsError when a rule fails to run.
    """
    left_out = frozenset(skipped)
    rules = [rule for rule in reading.plan.rules if rule.name not in left_out]
    if folder is not None:
        return _spilled(batch, reading, members, rules, folder)
    frame = batch if isinstance(batch, pl.DataFrame) else batch.lazy().collect()
    return _scanned(frame, reading, members, rules)


def _scanned(
    frame: pl.DataFrame,
    reading: Reading,
    members: Mapping[str, pl.Series],
    rules: Sequence[Rule],
    *,
    keyed: bool = False,
) -> Scan:
    doubts = _doubts_before(frame, reading)
    rows = frame if reading.as_is and not doubts.far else frame.select(reading.columns(doubts))
    doubts = _doubts_after(rows, reading, doubts)
    certain = frozenset(rule.name for rule in rules if is_certain(rule, doubts))
    open_rules = [rule for rule in rules if rule.name not in certain]
    failed = doubtful(reading, doubts)
    judged = verdicts(reading, open_rules, doubts) | (keys(open_rules, doubts) if keyed else {})
    for rule in open_rules:
        if isinstance(rule, ForeignKeyRule):
            judged[VERDICT + rule.name] = verdict(reading, rule, members, doubts)
    query = rows.lazy().with_columns(**failed).with_columns(**judged).select(*failed, *judged)
    flags = {series.name: series for series in query.collect(engine="in-memory")}
    return Scan(rows, flags, rows.height, reading, doubts, certain)


def _doubts_before(frame: pl.DataFrame, reading: Reading) -> Doubts:
    """What of the delivered values is in doubt."""
    defects = DEFECT in reading.delivered and frame[DEFECT].null_count() < frame.height
    if not reading.checks:
        return Doubts(defects=defects)
    doubted = {key for key, value in zip(reading.checked, frame.select(reading.checks).row(0), strict=True) if value}
    far, nan = (frozenset(name for kind, name in doubted if kind == wanted) for wanted in ("far", "nan"))
    return Doubts(far=far, nan=nan, defects=defects)


def _doubts_after(rows: pl.DataFrame, reading: Reading, doubts: Doubts) -> Doubts:
    """What of the values as they were read is in doubt, too."""
    unread = frozenset(
        column.name
        for column in reading.plan.columns
        if column.name in reading.delivered
        and reading.converted(column.name, doubts)
        and rows[ORIGINAL + column.name].null_count() != rows[column.name].null_count()
    )
    if tokens := unread & reading.tokens.keys():
        failed = rows.select(not_read(reading, name).any().alias(name) for name in tokens).row(0, named=True)
        unread = frozenset(name for name in unread if failed.get(name, True))
    nan = doubts.nan
    if reading.floats:
        values = rows.select(pl.col(name).is_nan().any() for name in reading.floats).row(0)
        nan |= frozenset(name for name, value in zip(reading.floats, values, strict=True) if value)
    nulls = frozenset(column.name for column in reading.plan.columns if rows[column.name].null_count())
    return replace(doubts, unread=unread, nan=nan, nulls=nulls)


def _spilled(
    batch: pl.DataFrame | pl.LazyFrame | RowSource,
    reading: Reading,
    members: Mapping[str, pl.Series],
    rules: Sequence[Rule],
    folder: Path,
) -> Scan:
    """The scan in blocks. An expression of the author's may compare a row with others, so these see all blocks. A batch of
    one block that is not full stays in memory, which holds one anyway."""
    alone = [rule for rule in rules if not (isinstance(rule, ExprRule) and rule.compares)]
    again = None if isinstance(batch, pl.LazyFrame) else batch  # a query is run once
    again = _in_slices(again) if isinstance(again, pl.DataFrame) else again
    blocks, parts = Blocks(folder, lambda name: name.removeprefix(ORIGINAL), again), list[Scan]()
    prints = Keys(folder, tuple(KEY + rule.name for rule in rules if isinstance(rule, SetRule)))

    def keep(frame: pl.DataFrame) -> None:
        part = _scanned(frame, reading, members, alone, keyed=True)
        assert isinstance(part.place, pl.DataFrame)
        blocks.add(part.place, reading.made(part.doubts))
        prints.add(pl.DataFrame([part.flags[name] for name in prints.columns]))
        flags = {name: series for name, series in part.flags.items() if name not in prints.columns}
        parts.append(replace(part, place=blocks, flags=flags))

    waiting: pl.DataFrame | None = None
    for frame in in_blocks(again or batch.lazy()):
        if waiting is not None:
            keep(waiting)
            waiting = None
        if not parts and frame.height < files.ROWS:
            waiting = frame
        else:
            keep(frame)
        del frame  # before the next one is made
    if waiting is not None:
        blocks.reserve()
        return _scanned(waiting, reading, members, rules)
    return _joined(
        blocks,
        prints,
        parts,
        reading,
        members,
        [rule for rule in rules if isinstance(rule, ExprRule) and rule.compares],
    )


def _in_slices(batch: pl.DataFrame) -> RowSource:
    return RowSource(batch.schema, lambda columns: batch.select(columns).iter_slices(files.ROWS))


def _joined(
    blocks: Blocks,
    prints: Keys,
    parts: Sequence[Scan],
    reading: Reading,
    members: Mapping[str, pl.Series],
    others: Sequence[Rule],
) -> Scan:
    """The scan of all blocks. What was certain or in no doubt in one may not be so in another."""
    doubts = parts[0].doubts
    for part in parts[1:]:
        doubts |= part.doubts
    names = dict.fromkeys(name for part in parts for name in part.flags)
    flags = {
        name: pl.concat(
            [part.flags.get(name, constant(name.startswith(VERDICT), part.height)) for part in parts], rechunk=True
        )
        for name in names
    }
    certain = frozenset.intersection(*(part.certain for part in parts))
    scan = Scan(blocks, flags, blocks.height, reading, doubts, certain, prints)
    if not others:
        return scan
    unreadable = {name: flags[name] for name in flags if not name.startswith(VERDICT)}
    # With a column of the batch, or what has one value for all rows would have one row.
    height = pl.col(blocks.schema.names()[0]).is_null().alias(_HEIGHT)
    judging = (verdict(reading, rule, members, doubts).alias(VERDICT + rule.name) for rule in others)
    judged = scan.collect(scan.beside(unreadable).select(height, *judging)).drop(_HEIGHT).rechunk()
    return replace(scan, flags=flags | judged.to_dict())


def typed_values(batch: pl.LazyFrame, reading: Reading, column: Column) -> pl.Series:
    """The different values of a batch in a column, as the scan reads them, without nulls."""
    values = reading.typed(column, Doubts(far=frozenset([column.name]))).alias(column.name)
    return batch.select(values).drop_nulls().unique().collect(engine="streaming").to_series()
