"""Questions about lineage: where a prediction came from, whether that is true, and what depends on a table."""

from pathlib import Path
from typing import TYPE_CHECKING

from assay.store_methods.base import StoreBase

if TYPE_CHECKING:
    from assay.lineage.tracing.impact import Impact
    from assay.lineage.tracing.trace import Trace
    from assay.lineage.tracing.verify import Progress, Verification


class LineageMethods(StoreBase):
    """Trace, verify, impact."""

    def trace(self, prediction_id: str, *, lookups: bool = False) -> "Trace":
        """From a prediction to the source bytes; with `lookups` also to those of tables that something was only looked up in."""
        from assay.lineage.tracing.trace import trace

        return trace(self.lake, prediction_id, lookups=lookups)

    def verify(
        self,
        trace: "Trace",
        *,
        embed: bool = True,
        landing: str | Path | None = None,
        progress: "Progress" = lambda what, done, total: None,
    ) -> "Verification":
        """Recompute everything a trace claims.

        Args:
            trace: What `trace` gave.
            embed: Also embed the text again (loads the model).
            landing: The folder that files were delivered to: also report whether they are there still, unchanged.
            progress: Called with (what, done, total).
        """
        from assay.lineage.tracing.verify import verify

        computed_again = None
        if embed:
            from assay.features.embeddings.engine import Engine
            from assay.features.embeddings.model import resolve_model

            engine = Engine(resolve_model(self.settings.embedding_model or None), device=self.settings.device)
            computed_again = engine.embed
        return verify(self.lake, trace, embed=computed_again, landing=landing, progress=progress)

    def impact(
        self,
        table: str,
        version: int | None = None,
        *,
        partition: str | None = None,
        column: str | None = None,
        lookups: bool = False,
    ) -> "Impact":
        """Everything downstream of a table, or of one version, partition or column of it.

        Args:
            table: Name of the table, such as `raw/tickets`.
            version: Only what read rows that this version wrote; None: whatever the table ever held.
            partition: Only what read this partition.
            column: Only what came from this column.
            lookups: Follow lookups, too.
        """
        from assay.lineage.tracing.impact import impact

        return impact(self.lake, table, version, partition=partition, column=column, lookups=lookups)
