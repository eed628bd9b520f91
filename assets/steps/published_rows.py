"""Rows of a table that were published before a batch, found by the keys that the batch has."""

from dataclasses import dataclass

import polars as pl

from assay.assets.sources.source import Source
from assay.checks import contract_info
from assay.checks.contract.contract import compiled
from assay.checks.contract.rules import SetRule
from assay.checks.validation.uniqueness import published_prints
from assay.features.tables.key_index import KeyIndex
from assay.features.tables.lake import TableState


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

    published: Published | None
    rows: pl.LazyFrame

    def having(self, rule: SetRule, prints: pl.Series) -> pl.LazyFrame:
        earlier = [] if self.published is None else [self.published.having(rule, prints)]
        return pl.concat([*earlier, self.rows], how="diagonal_relaxed")
