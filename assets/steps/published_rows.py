"""Rows of a clean table: those of other batches, found by the keys that a batch has, and those of a batch on their way."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Protocol

import polars as pl

from assay.assets.sources.source import Source
from assay.assets.steps.apply_decisions import CORRECTED, DECISION, REFUSED
from assay.checks import contract_info, mask
from assay.checks.contract.contract import compiled
from assay.checks.contract.rules import Column, SetRule
from assay.checks.profiles.profile import profile
from assay.checks.profiles.profile_state import ProfileState
from assay.checks.validation.blocks import anew
from assay.checks.validation.duplicates import AFTER, AMONG, BEFORE, ELIGIBLE, OUT, RANK
from assay.checks.validation.leaving_rows import RULES
from assay.checks.validation.parse import typed
from assay.checks.validation.reading import Doubts, reading_of
from assay.checks.validation.uniqueness import fingerprint, published_prints
from assay.features.storage.parquet_files import PARTITION, in_files, in_stored_form
from assay.features.tables.key_index import KeyIndex
from assay.features.tables.lake import TableState
from assay.own_columns import is_link

DECIDED = (REFUSED, CORRECTED)  # rules of rows that people took out
READER = "row."  # with it begin the rules of records that could not be read
PREVIEW_ROWS = 10
EXAMPLES = 3
# When a batch came in is raw's to know: with it, the same rows read again would be other content.
LEFT_OUT = (PARTITION, "_batch_id", "_ingested_at")


@dataclass(frozen=True, slots=True)
class Published:
    """The rows of a source's other batches. Only those partitions are read that may hold a key that is looked for.

    Which row of a key stays depends on what was delivered, so besides the clean rows those are looked at that are out.
    Decisions of people do not count: a row that was released stays only while no other has its key, and one that was rejected
    still has it. `read`: the partitions of quarantine that were read.
    """

    source: Source
    state: TableState
    quarantine: TableState | None
    batch: str
    read: set[str] = field(default_factory=set)

    def having(self, rule: SetRule, prints: pl.Series) -> pl.LazyFrame:
        """The rows that have one of these keys, or one that this batch had when it was judged before."""
        wanted = pl.concat([prints, *self._had(rule)]).unique()
        rows = self.accepted(rule, wanted)
        after = pl.col(DECISION).is_not_null() if DECISION in rows.collect_schema() else pl.lit(False)
        marks = {OUT: pl.lit(False), ELIGIBLE: pl.lit(True)}
        rows = rows.with_columns(pl.when(after).then(AFTER).otherwise(AMONG).alias(RANK), **marks)
        both = pl.concat([self._typed(rows), *self._out(rule, wanted)], how="diagonal_relaxed")
        return both.filter(fingerprint(rule.key).is_in(wanted.implode()))

    def accepted(self, rule: SetRule, prints: pl.Series) -> pl.LazyFrame:
        """The clean rows of the partitions that may hold one of these keys."""
        return self.state.scan(self._partitions(self.state, rule, prints))

    def _out(self, rule: SetRule, wanted: pl.Series) -> list[pl.LazyFrame]:
        """Rows in quarantine. Those could stay that would be clean if it were not for this rule; where another row than the first
        stays, what other rules about keys say does not count."""
        if self.quarantine is None or not rule.severity.removes_row:
            return []
        partitions = self._partitions(self.quarantine, rule, wanted)
        if not partitions:
            return []
        self.read.update(partitions)
        rules = compiled(self.source.contract).rules
        keys = [rule] if rule.duplicates == "first" else [other for other in rules if isinstance(other, SetRule)]
        harmless = [other for other in rules if not other.severity.removes_row]
        allowed = [*DECIDED, *(other.name for other in (*keys, *harmless))]
        broken, unread = pl.col(RULES), pl.element().str.starts_with(READER) & ~pl.element().is_in(DECIDED)
        rows = self.quarantine.scan(partitions).filter(~broken.list.eval(unread).list.any())
        marks = {
            RANK: pl.lit(AMONG),
            OUT: broken.list.contains(rule.name),
            ELIGIBLE: broken.list.eval(pl.element().is_in(allowed)).list.all(),
        }
        return [self._typed(rows.with_columns(**marks))]

    def _had(self, rule: SetRule) -> list[pl.Series]:
        """The keys of this batch as it was judged before."""
        tables = [state for state in (self.state, self.quarantine) if state is not None]
        rows = [self._typed(state.scan([self.batch])) for state in tables if state.partitions([self.batch])]
        prints = [published_prints(rule, frame, self._columns).collect(engine="streaming") for frame in rows]
        return [frame.to_series().drop_nulls() for frame in prints]

    def _partitions(self, state: TableState, rule: SetRule, wanted: pl.Series) -> list[str]:
        """Those of other batches that may hold one of these keys."""
        index = KeyIndex(
            rule.name,
            # Polars gives its hashes another form at times, and a contract its keys.
            f"polars {pl.__version__} contract {contract_info(self.source.contract).digest}",
            lambda rows: published_prints(rule, self._typed(rows), self._columns),
        )
        named = index.partitions(state, wanted)
        there = state.partitions(None if named is None else [key for key in named if key is not None])
        return [key for key in there if key != self.batch]

    def _typed(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """In the contract's types: rows in quarantine are as delivered, and are read as a batch is."""
        schema, plan = rows.collect_schema(), compiled(self.source.contract)
        reading = reading_of(plan, tuple(schema.items())) if RULES in schema else None
        values = [
            reading.typed(column, Doubts(far=frozenset([name])))
            if reading is not None
            else typed(pl.col(name), schema[name], column)
            if name in schema
            else pl.lit(None, column.dtype)
            for name, column in self._columns.items()
        ]
        links = (name for name in schema if (is_link(name) and name != RULES) or name in (RANK, OUT, ELIGIBLE))
        return rows.select(*(value.alias(name) for name, value in zip(self._columns, values, strict=True)), *links)

    @property
    def _columns(self) -> Mapping[str, Column]:
        return {column.name: column for column in compiled(self.source.contract).columns}


class Accepted(Protocol):
    """Other batches, of which clean rows alone are asked for."""

    def accepted(self, rule: SetRule, prints: pl.Series) -> pl.LazyFrame: ...


@dataclass(frozen=True, slots=True)
class With:
    """Clean rows of other batches, and others that count as published: none of them gives way to a row that is released."""

    published: Accepted | None
    rows: pl.LazyFrame

    def having(self, rule: SetRule, prints: pl.Series) -> pl.LazyFrame:
        earlier = [] if self.published is None else [self.published.accepted(rule, prints)]
        # A time of day would lose its fraction where Polars made one type of two.
        rows = self.rows.with_columns(in_stored_form(self.rows.collect_schema()))
        return pl.concat([*earlier, rows], how="diagonal_relaxed").with_columns(pl.lit(BEFORE).alias(RANK))


@dataclass(slots=True)
class Written:
    """Rows of a batch, which `frames` gives once. Then it is known how many there are, the first ones, and of the clean rows
    the profile: that of their data files, one merged into the other. `streamed`: memory does not hold all of them. `given`: what
    gives the rows of `query` frame by frame with less work."""

    source: Source
    query: pl.LazyFrame
    streamed: bool
    profiled: bool = False
    given: Callable[[], Iterator[pl.DataFrame]] | None = None
    rows: int = 0
    preview: pl.DataFrame = field(default_factory=pl.DataFrame)
    examples: dict[str, pl.DataFrame] = field(default_factory=dict)
    _parts: list[ProfileState] = field(default_factory=list)

    @property
    def profile(self) -> ProfileState:
        return reduce(ProfileState.merge, self._parts)

    def frames(self) -> Iterator[pl.DataFrame]:
        """The rows as the table has them, in frames with the rows of a data file each: at least one."""
        for frame in in_files(self._collected()):
            if not self.preview.width:
                self.preview = anew(frame.head(PREVIEW_ROWS))
            if self.profiled:
                self._parts.append(profile(frame, self.source.contract))
            else:
                self._note_examples(frame)
            self.rows += frame.height
            yield frame.drop(LEFT_OUT, strict=False)
            del frame

    def _collected(self) -> Iterator[pl.DataFrame]:
        if self.given is not None:
            yield pl.DataFrame(schema=self.query.collect_schema())
            yield from self.given()
        elif self.streamed:
            yield pl.DataFrame(schema=self.query.collect_schema())
            yield from self.query.collect_batches(maintain_order=True, engine="streaming")
        else:
            yield self.query.collect()

    def _note_examples(self, frame: pl.DataFrame) -> None:
        """For each rule a few rows that broke it, masked."""
        for rule in frame["_rules"].explode().drop_nulls().unique(maintain_order=True):
            have = self.examples.get(rule)
            wanted = EXAMPLES - (0 if have is None else have.height)
            if wanted:
                rows = anew(frame.filter(pl.col("_rules").list.contains(rule)).head(wanted))
                masked = mask(rows, self.source.contract)
                self.examples[rule] = masked if have is None else pl.concat([have, masked])
