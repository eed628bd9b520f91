"""Batches of changes of a table: how they are judged beside the batches before.

A row stands for its key in place of the earlier rows of that key. So a key that occurs again is no duplicate, other values have
to be unique among what holds now, and a delete takes effect whatever became of the values that it comes with.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import polars as pl

from assay.assets.sources.source import Source
from assay.assets.steps.apply_decisions import HELD, LINK, STATUS, DecidedBatch, Judged
from assay.assets.steps.published_rows import Published
from assay.checks.contract.rules import SetRule
from assay.features.serving.relevant_partitions import holding
from assay.features.storage.parquet_files import PARTITION
from assay.features.tables.changes import current_rows
from assay.features.tables.lake import TableState
from assay.own_columns import CHANGE, DELETE, SEEN_AT

_OF_THE_DELETE = (*LINK, "_source_file", "_batch_id", "_ingested_at", CHANGE, SEEN_AT)


@dataclass(frozen=True, slots=True)
class CurrentRows:
    """Of the batches before this one the rows that hold when it comes, of keys that are not in it."""

    published: Published
    raw: pl.LazyFrame

    def having(self, rule: SetRule, prints: pl.Series) -> pl.LazyFrame:
        """Those of them that may have one of these fingerprints."""
        state, keys = self.published.state, list(self.published.source.key)
        if set(rule.inputs) <= set(keys):
            return state.scan([])
        asked = self.published.having(rule, prints).select(keys).unique().collect(engine="streaming")
        here = keys_in(self.raw, state, keys)
        return before(state, keys, asked.join(here, on=keys, how="anti"), self.published.batch)


def keys_in(rows: pl.LazyFrame, state: TableState, keys: Sequence[str]) -> pl.DataFrame:
    """The keys of delivered rows, in the types of the clean table."""
    cast = (pl.col(key).cast(state.schema[key], strict=False) for key in keys)
    return rows.select(cast).drop_nulls().unique().collect(engine="streaming")


def before(state: TableState, keys: Sequence[str], asked: pl.DataFrame, batch: str) -> pl.LazyFrame:
    """The rows that held of some keys before a batch."""
    rows = holding(state, keys, asked).filter(pl.col(PARTITION) < batch)
    return current_rows(rows.join(asked.lazy(), on=list(keys), how="semi"), keys)


def with_deletes(
    source: Source, outcome: Judged, settled: DecidedBatch, published: Published | None
) -> tuple[Judged, DecidedBatch]:
    """The batch, in which a delete whose values break a rule, and which is held back for it, takes the values that clean has of
    its key. What clean does not have cannot be deleted from it: that stays in quarantine."""
    if published is None or CHANGE not in settled.quarantined.collect_schema():
        return outcome, settled
    keys, state = list(source.key), published.state
    held = settled.quarantined.filter(pl.col(CHANGE) == DELETE, pl.col(STATUS) == HELD)
    links = [name for name in settled.clean.collect_schema() if name in _OF_THE_DELETE]
    deletes = held.select(*(pl.col(key).cast(state.schema[key], strict=False) for key in keys), *links).collect()
    if deletes.is_empty():
        return outcome, settled
    last = before(state, keys, deletes.select(keys).drop_nulls(), published.batch).drop(*links, PARTITION, strict=False)
    gone = last.join(deletes.lazy(), on=keys, how="inner").collect()
    if gone.is_empty():
        return outcome, settled
    quarantined = settled.quarantined.join(gone.lazy().select(LINK), on=LINK, how="anti", maintain_order="left")
    counts = {**settled.counts, HELD: settled.counts[HELD] - gone.height}
    report = replace(
        outcome.report,
        rows_clean=outcome.report.rows_clean + gone.height,
        rows_quarantined=outcome.report.rows_quarantined - gone.height,
    )
    clean = pl.concat([settled.clean, gone.lazy()], how="diagonal")
    settled = replace(
        settled, clean=clean, quarantined=quarantined, counts={name: n for name, n in counts.items() if n}
    )
    return replace(outcome, report=report), settled
