"""Batches of a source: handed over, and what people decide on their quarantined rows."""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from assay.store_methods.base import StoreBase

if TYPE_CHECKING:
    from assay.assets.decisions.review import DecisionResult
    from assay.assets.ingestion import Ingested
    from assay.assets.sources.source import Source


class BatchMethods(StoreBase):
    """Ingest batches without Dagster; release and reject quarantined rows."""

    def ingest(
        self,
        source: "str | Source",
        data: "pl.DataFrame | Sequence[Mapping[str, Any]] | str | Path | Sequence[str | Path]",
        partition: str | None = None,
    ) -> "Ingested":
        """Hand over a batch of a source without Dagster: raw and clean step, quarantine and lineage as for a delivery.

        Args:
            source: a declared source, or its name in the active project.
            data: a frame, or rows as dicts, whose bytes are kept as Parquet, or the path of one file, or paths.
            partition: which partition it is; what that held before is replaced. A source without partitioning takes none.

        Returns:
            How many rows came in, are clean and are quarantined, and the versions that hold them. The same bytes again
            change nothing.

        Raises:
            AssayError: There is no such source, partition or file, or the batch was refused: nothing was published then.
        """
        from assay.assets.ingestion import ingest

        return ingest(_source(source) if isinstance(source, str) else source, self.env(), data, partition)

    def release(
        self,
        source: str,
        *,
        reason: str,
        by: str | None = None,
        partition: str | None = None,
        rule: str | None = None,
        rows: Sequence[tuple[str, int]] = (),
        edits: Mapping[str, str | None] | None = None,
        exceptions: Sequence[str] = (),
        until: date | None = None,
        dry_run: bool = True,
    ) -> "DecisionResult":
        """Validate quarantined rows again (as they are, with corrected values, or by an exception with a last day) and, if
        it is no dry run, let those that fit into `clean/<source>` when it is next computed, which this makes stale.

        `rows` are pairs of a file's SHA-256 (its first characters) and a row number; `by` is who decides (by default the
        store's actor). Raises AssayError for a decision that
        is unsound, and where no row is chosen.
        """
        from assay.assets.decisions.review import Decision, RowSelection, decide

        decision = Decision("release", reason, by or self.actor, dict(edits or {}), tuple(exceptions), until)
        return decide(
            _source(source), self.env(), RowSelection(partition, rule, tuple(rows)), decision, dry_run=dry_run
        )

    def reject(
        self,
        source: str,
        *,
        reason: str,
        by: str | None = None,
        partition: str | None = None,
        rule: str | None = None,
        rows: Sequence[tuple[str, int]] = (),
        dry_run: bool = True,
    ) -> "DecisionResult":
        """Refuse quarantined rows for good: they stay in quarantine, whatever the contract says later. As `release`."""
        from assay.assets.decisions.review import Decision, RowSelection, decide

        choice = RowSelection(partition, rule, tuple(rows))
        return decide(
            _source(source), self.env(), choice, Decision("reject", reason, by or self.actor), dry_run=dry_run
        )


def _source(name: str) -> "Source":
    from assay.assets.declarations import source

    return source(name)
