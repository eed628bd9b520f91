"""Questions about lineage: where a prediction came from, whether that is true, and what depends on a table."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from assay.store_methods.base import StoreBase

if TYPE_CHECKING:
    from assay.features.embeddings.engine import Engine
    from assay.lineage.affected.answer import AffectedPredictions
    from assay.lineage.evidence.bundle import Bundle
    from assay.lineage.tracing.impact import Impact
    from assay.lineage.tracing.trace import Trace
    from assay.lineage.verification.compared import Compared
    from assay.lineage.verification.computed_again import Predict
    from assay.lineage.verification.files import Progress
    from assay.lineage.verification.finding import Verification
    from assay.lineage.verification.lost_prediction import LostPrediction
    from assay.why.explanation import Why


class LineageMethods(StoreBase):
    """Trace, verify, impact."""

    def trace(self, prediction_id: str, *, lookups: bool = False) -> "Trace":
        """From a prediction to the source bytes; with `lookups` also to those of tables that something was only looked up in."""
        from assay.lineage.tracing.trace import trace

        return trace(self.lake, prediction_id, lookups=lookups)

    def lost_prediction(self, prediction_id: str, why: str = "") -> "LostPrediction | None":
        """What is known of a prediction that `trace` cannot trace, for a reason (`why`): what is missing or was changed, and
        which commits of its day may have written it. None where nothing is lost: there is no such prediction."""
        from assay.lineage.verification.lost_prediction import lost_prediction

        return lost_prediction(self.lake, prediction_id, why, self.lineage_store)

    def verify(
        self,
        trace: "Trace",
        *,
        embed: bool = True,
        predict: bool = True,
        landing: str | Path | None = None,
        witness: str | Path | None = None,
        whole_logs: bool = False,
        progress: "Progress" = lambda what, done, total: None,
    ) -> "Verification":
        """Recompute everything a trace claims, and compare the commits that it rests on with what others recorded of them.

        Args:
            trace: What `trace` gave.
            embed: Also embed the text again (loads the model).
            predict: Also run the stored model again, by the code of the active project, if that declares the model.
            landing: The folder that files were delivered to: also report whether they are there still, unchanged.
            witness: A file of OpenLineage events, one a line, as another backend kept them. Default: the lineage store.
            whole_logs: Read every commit of the tables that the trace goes through, not only those that the prediction rests on.
            progress: Called with (what, done, total).
        """
        from assay.lineage.verification.verify import verify
        from assay.lineage.verification.witness import EventsWitness, StoreWitness

        return verify(
            self.lake,
            trace,
            embed=self._engine.embed if embed else None,
            predict=self._predict() if predict else None,
            landing=landing,
            witness=EventsWitness(Path(witness)) if witness is not None else StoreWitness(self.lineage_store),
            whole_logs=whole_logs,
            compared=self._compared,
            progress=progress,
        )

    def export_evidence(self, trace: "Trace", *, withhold: Sequence[str] = (), whole_logs: bool = False) -> "Bundle":
        """The evidence for a trace, to be verified without Assay: `.write(path)` makes one zip file of it.

        Args:
            trace: What `trace` gave.
            withhold: Columns that are personal: only salted digests of them are in it.
            whole_logs: Every commit of the tables up to the newest version that was read, not only those in question.

        Raises AssayError when the prediction's own data file is gone, or for a column that the prediction does not have.
        """
        from assay.lineage.evidence.bundle import export

        return export(
            self.lake, trace, self.lineage_store, withhold=withhold, whole_logs=whole_logs, compared=self._compared
        )

    @cached_property
    def _compared(self) -> "Compared":
        """Which checkpoints were compared: remembered beside the lineage store, not in the lake."""
        from assay.lineage.verification.compared import Compared

        return Compared(self.settings.home / "compared")

    def why(self, trace: "Trace") -> "Why":
        """Why a prediction is as it is: its answer, what was unusual, the rows behind it, the rules that they passed, and who
        answers for each step. Personal data is masked: what a contract on the way, or one that the project declares today, calls
        so."""
        from assay.why.declared_now import declared_now
        from assay.why.explain import why

        return why(self.lake, trace, self.lineage_store, declared=declared_now())

    @cached_property
    def _engine(self) -> "Engine":
        from assay.features.embeddings.engine import Engine
        from assay.features.embeddings.model import resolve_model

        return Engine(resolve_model(self.settings.embedding_model or None), device=self.settings.device)

    def _predict(self) -> "Predict | None":
        """Runs the models of the active project again; None where there is no project."""
        from assay.assets.declarations import declarations
        from assay.assets.project import find_project
        from assay.assets.steps.models import Model
        from assay.store_methods.predicted_again import predicted_again

        if (project := find_project()) is None:
            return None
        declared = declarations(project)
        return predicted_again(self.lake, [item for item in declared.items if isinstance(item, Model)], declared.steps)

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
        from dataclasses import replace

        from assay.lineage.queries.other_readers import other_readers
        from assay.lineage.tracing.impact import impact

        found = impact(self.lake, table, version, partition=partition, column=column, lookups=lookups)
        return replace(found, others=other_readers(self.lineage_store, self.lake, found.tables))

    def affected_predictions(
        self,
        table: str | None = None,
        version: int | None = None,
        *,
        file: str | None = None,
        partition: str | None = None,
        column: str | None = None,
        rows: str | None = None,
        lookups: bool = False,
    ) -> "AffectedPredictions":
        """The predictions that took affected rows, one by one: of a delivered file, or of a table, a version or a partition.

        `.batches()` lists them with keys, answers and owners, `.frame()` is the list in memory, and `str()` says in words what
        the rows led to; `complete` or the reasons why not.

        Args:
            table: Name of the table; None: a `file` is named. With both, the rows of the file in the table.
            version: Only the rows that this version wrote.
            file: Path of the file as it was delivered (or the end of it), its SHA-256, or the path of a copy here.
            partition: Only the rows of this partition.
            column: Only what came from this column.
            rows: Only the rows for which this SQL condition over the table's columns is true.
            lookups: Follow lookups, too.
        """
        from assay.lineage.affected.answer import affected_predictions
        from assay.lineage.affected.origin import NotDelivered, Origin, digest_here
        from assay.why.declared_now import owners_now

        owners = owners_now()

        def ask(file: str | None) -> "AffectedPredictions":
            origin = Origin(file, table, version, partition, column, rows)
            return affected_predictions(self.lake, origin, lookups=lookups, owners=owners, store=self.lineage_store)

        try:
            return ask(file)
        except NotDelivered:
            here = digest_here(file) if file is not None else None
            if here is None:
                raise
        return ask(here)
