"""Rows of a clean table: those of earlier batches, found by the keys that a batch has, and those of a batch on their way."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import reduce

import polars as pl

from assay.assets.sources.source import Source
from assay.checks import contract_info, mask
from assay.checks.contract.contract import compiled
from assay.checks.contract.rules import SetRule
from assay.checks.profiles.profile import profile
from assay.checks.profiles.profile_state import ProfileState
from assay.checks.validation.uniqueness import PublishedRows, published_prints
from assay.features.storage.parquet_files import PARTITION, in_files, in_stored_form
from assay.features.tables.key_index import KeyIndex
from assay.features.tables.lake import TableState

PREVIEW_ROWS = 10
EXAMPLES = 3
# When a batch came in is raw's to know: with it, the same rows read again would be other content.
LEFT_OUT = (PARTITION, "_batch_id", "_ingested_at")


@dataclass(frozen=True, slots=True)
class Published:
    """The clean rows of all batches but one. Only those partitions are read that may hold a key that is looked for."""

    source: Source
    state: TableState
    batch: str

    def having(self, rule: SetRule, prints: pl.Series) -> pl.LazyFrame:
        """The rows of the partitions that may hold one of these fingerprints."""
        columns = {column.name: column for column in compiled(self.source.contract).columns}
        index = KeyIndex(
            rule.name,
            # Polars gives its hashes another form at times, and a contract its keys.
            f"polars {pl.__version__} contract {contract_info(self.source.contract).digest}",
            lambda rows: published_prints(rule, rows, columns),
        )
        named = index.partitions(self.state, prints)
        partitions = self.state.partitions() if named is None else named
        return self.state.scan([key for key in partitions if key is not None and key != self.batch])


@dataclass(frozen=True, slots=True)
class With:
    """Published rows, and others that count as published."""

    published: PublishedRows | None
    rows: pl.LazyFrame

    def having(self, rule: SetRule, prints: pl.Series) -> pl.LazyFrame:
        earlier = [] if self.published is None else [self.published.having(rule, prints)]
        # A time of day would lose its fraction where Polars made one type of two.
        rows = self.rows.with_columns(in_stored_form(self.rows.collect_schema()))
        return pl.concat([*earlier, rows], how="diagonal_relaxed")


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
                self.preview = frame.head(PREVIEW_ROWS)
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
                rows = frame.filter(pl.col("_rules").list.contains(rule)).head(wanted)
                masked = mask(rows, self.source.contract)
                self.examples[rule] = masked if have is None else pl.concat([have, masked])
