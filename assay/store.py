"""The front door: one object that knows where the tables are and speaks the public API."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
from pydantic import ValidationError
from pydantic_settings import SettingsError

from assay.errors import AssayError, known_names, nearest
from assay.features.tables.guard import ALLOW_ALL, Guard
from assay.features.tables.lake import Lake, Table, open_lake
from assay.features.tables.run_record import NullRecorder, Run, Work, new_run
from assay.features.tables.snapshot import Snapshot
from assay.features.tables.transaction import Transaction, transaction
from assay.lineage.delivery.recorder import QUIET_SECONDS
from assay.settings import Settings

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from assay.assets.decisions.review import DecisionResult
    from assay.assets.sources.source import Source
    from assay.assets.steps.ingest import Ingested
    from assay.assets.steps.step import Resources
    from assay.features.serving.as_of import KnownAt
    from assay.features.serving.inputs import Input
    from assay.features.serving.model_formats import Load, Save
    from assay.features.serving.models import ModelVersion
    from assay.features.serving.online import Online
    from assay.features.serving.training import TrainingSetVersion
    from assay.features.tables.pins import Pin
    from assay.lineage.delivery.recorder import EventRecorder
    from assay.lineage.store.lineage_store import LineageStore
    from assay.lineage.tracing.impact import Impact
    from assay.lineage.tracing.trace import Trace
    from assay.lineage.tracing.verify import Progress, Verification
    from assay.listing import ModelInfo, ViewInfo


@dataclass(frozen=True, slots=True)
class TableInfo:
    """A table as it is now."""

    name: str
    version: int
    rows: int
    partitions: int
    updated_at: datetime
    uri: str

    def to_dict(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in self.__slots__}
        return values | {"updated_at": self.updated_at.isoformat()}


@dataclass(frozen=True)
class Store:
    """Tables, features and lineage of one lake. Made by `assay.open()`."""

    settings: Settings
    guard: Guard = field(default=ALLOW_ALL, repr=False, compare=False)

    @functools.cached_property
    def lake(self) -> Lake:
        settings = self.settings
        return open_lake(settings.lake_uri, settings.lake_options, actor=settings.acting, guard=self.guard)

    @property
    def actor(self) -> str:
        """Who works with this store: `assay.open(actor=…)`, `ASSAY_ACTOR`, or the operating system's user."""
        return self.settings.acting

    @functools.cached_property
    def lineage_store(self) -> "LineageStore":
        """The index of lineage events. Opened on first use: reading tables needs none."""
        from assay.lineage.store.lineage_store import open_lineage_store

        return open_lineage_store(self.settings.lineage_url, self.settings.home)

    @functools.cached_property
    def recorder(self) -> "EventRecorder":
        """Every transaction of this store is reported here."""
        from assay.lineage.delivery.recorder import EventRecorder

        return EventRecorder(self.lineage_store, forward_to=self.settings.forward_to or None)

    def recover_events(
        self,
        quiet_seconds: float = QUIET_SECONDS,
        *,
        over: Callable[[str], bool] = lambda parent_id: False,
        abandoned: timedelta | None = None,
    ) -> list[str]:
        """Record the end of runs that were killed before they could record it themselves.

        Args:
            quiet_seconds: Runs whose start or last commit is younger are left alone.
            over: Whether an orchestrator's run, by its id, has ended.
            abandoned: Also end runs that started longer ago, of whose process nothing can be known. Default: none.

        Returns:
            The ids of the runs.
        """
        return self.recorder.recover(self.lake, quiet=timedelta(seconds=quiet_seconds), over=over, abandoned=abandoned)

    def forward_events(self, seconds: float = 10, *, refused: bool = False) -> int:
        """Deliver waiting events to the OpenLineage backend, if one is set; how many still wait after `seconds`. `refused`:
        also those that it refused before."""
        from assay.lineage.delivery.outbox import Drain, backlog, retry_parked

        if not self.settings.forward_to:
            return 0
        if refused:
            retry_parked(self.lineage_store)
        drain = Drain(self.lineage_store, self.settings.forward_to)
        try:
            drain.drain(deadline=seconds)
        finally:
            drain.stop()
        return backlog(self.lineage_store).pending

    def env(self, *, recording: bool = True) -> "Resources":
        """What pipeline steps use. Without `recording` nothing is written, not even an empty lineage store: for planning."""
        from assay.assets.sources.file_hashes import hashes_in
        from assay.assets.steps.step import Resources

        recorder = self.recorder if recording else NullRecorder()
        return Resources(self.settings, self.lake, recorder, hashes=hashes_in(self.settings.home.resolve()))

    # -- tables ----------------------------------------------------------------------------------------------------

    def tables(self) -> list[TableInfo]:
        found = []
        for name in self.lake.tables():
            state = self.lake.table(name).at()
            updated = state.last_commit.timestamp
            found.append(
                TableInfo(name, state.version, state.rows(), len(state.partitions()), updated, state.table.uri)
            )
        return found

    def table(self, name: str) -> Table:
        return self.lake.table(name)

    def snapshot(self, name: str, version: int | None = None) -> Snapshot:
        """The identity of a table's version (None: the latest now)."""
        return self.lake.table(name).at(version).snapshot

    def transaction(
        self,
        asset: str,
        partition: str | None = None,
        *,
        code_version: str = "",
        run: Run | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> "AbstractContextManager[Transaction]":
        """One unit of work outside Dagster: pins what it reads, audits, commits, and is recorded.

        Args:
            asset: What is made, usually the name of the table that is written.
            partition: The partition that is made, where the table has partitions.
            code_version: Identifies the code that decides the result.
            run: The run that this is part of; None: a run of its own.
            params: Further inputs that are not tables, such as a cut-off date. They decide whether a result is current.

        >>> with store.transaction("reports/weekly") as tx:                                      # doctest: +SKIP
        ...     rows = tx.read("clean/tickets").group_by("channel").len().collect()
        ...     tx.write("reports/weekly", rows.cast({"len": pl.Int64}))
        """
        work = Work(asset, partition, code_version, run or new_run(), params or {})
        return transaction(self.lake, self.recorder, work)

    # -- what there is ---------------------------------------------------------------------------------------------

    def views(self) -> "list[ViewInfo]":
        """Every table that serves features: feature views, embeddings, lookup tables."""
        from assay.listing import list_views

        return list_views(self.lake)

    def view(self, name: str) -> "ViewInfo":
        """One of `views()`. Raises AssayError, with the nearest name, if there is none of that name."""
        from assay.listing import list_views

        known = {view.name: view for view in list_views(self.lake)}
        if name not in known:
            raise AssayError(f"There is no view {name!r}.{nearest(name, known) or known_names(known)}")
        return known[name]

    def sources(self) -> "list[Source]":
        """The sources that the project declares, by name."""
        from assay.assets.declarations import sources

        return [source for _, source in sorted(sources().items())]

    def training_sets(self, name: str | None = None) -> "list[TrainingSetVersion]":
        """Every version of every training set, or of one, that can be loaded; oldest first."""
        from assay.listing import list_training_sets

        return list_training_sets(self.lake, name)

    def models(self) -> "list[ModelInfo]":
        """Every version of every model that the lake holds; oldest first."""
        from assay.listing import list_models

        return list_models(self.lake)

    def pins(self) -> "list[Pin]":
        """The leases that keep snapshots readable."""
        from assay.features.tables.pins import pins

        return list(pins(self.lake))

    def ingest(
        self,
        source: "str | Source",
        data: "pl.DataFrame | str | Path | Sequence[str | Path]",
        partition: str | None = None,
    ) -> "Ingested":
        """Hand over a batch of a source without Dagster: raw and clean step, quarantine and lineage as for a delivery.

        Args:
            source: a declared source, or its name in the active project.
            data: a frame, whose bytes are kept as Parquet, or the path of one file, or paths.
            partition: which partition it is; what that held before is replaced. A source without partitioning takes none.

        Returns:
            How many rows came in, are clean and are quarantined, and the versions that hold them. The same bytes again
            change nothing.

        Raises:
            AssayError: There is no such source, partition or file, or the batch was refused: nothing was published then.
        """
        from assay.assets.steps.ingest import ingest

        return ingest(_source(source) if isinstance(source, str) else source, self.env(), data, partition)

    # -- quarantine ------------------------------------------------------------------------------------------------

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

    # -- features --------------------------------------------------------------------------------------------------

    def as_of_join(
        self,
        spine: pl.DataFrame,
        features: Sequence[str],
        versions: Mapping[str, int] | None = None,
        *,
        pins: Mapping[str, int] | None = None,
        known_at: "KnownAt" = "event",
        skip_nulls: bool = False,
    ) -> pl.DataFrame:
        """The spine with, per row, the features' values as of its `event_time`.

        Args:
            spine: The entities' keys and `event_time` (with a time zone), one row per answer.
            features: References such as `customer_activity:tickets_7d`.
            versions: Table name → version to read; other tables are read at their latest version.
            pins: The former name of `versions`.
            known_at: `known` also demands that the value was known by then.
            skip_nulls: Serve the latest value that is not null.

        Raises:
            AssayError: For unknown features or tables, a spine without usable times, or both `versions` and `pins`.
        """
        from assay.features.serving.as_of_join import as_of_join

        return as_of_join(
            spine, features, lake=self.lake, versions=versions, pins=pins, known_at=known_at, skip_nulls=skip_nulls
        )

    def training_set(
        self,
        name: str,
        *,
        spine: pl.DataFrame,
        features: Sequence[str],
        versions: Mapping[str, int] | None = None,
        pins: Mapping[str, int] | None = None,
        known_at: "KnownAt" = "event",
        skip_nulls: bool = False,
    ) -> "TrainingSetVersion":
        """Materialise an as-of join as a versioned, pinned training set. For the arguments see `as_of_join`."""
        from assay.features.serving.training import create_training_set

        return create_training_set(
            self.lake,
            self.recorder,
            name,
            spine,
            features,
            versions=versions,
            pins=pins,
            known_at=known_at,
            skip_nulls=skip_nulls,
        )

    def load_training_set(self, training_set_id: str) -> "TrainingSetVersion":
        """The same rows as when it was made, or an error that says exactly why not."""
        from assay.features.serving.training import load_training_set

        return load_training_set(self.lake, training_set_id)

    def online(self, features: "str | Sequence[str] | TrainingSetVersion") -> "Online":
        """Latest values: of a view (by name), of a list of references, or of what a training set was joined by.

        >>> store.online("customer_activity").get({"customer_id": "C1"})                         # doctest: +SKIP
        """
        from assay.features.serving.online import Online

        return Online(self.lake, features)

    # -- models ----------------------------------------------------------------------------------------------------

    def log_model(
        self,
        name: str,
        fitted: Any,
        *,
        training_set: "TrainingSetVersion | str | None",
        metrics: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        outputs: Sequence[str] = (),
        inputs: "Sequence[Input]" = (),
        format: str | None = None,
        save: "Save | None" = None,
        load: "Load | None" = None,
        trusted: Sequence[str | type] = (),
        code_version: str = "",
    ) -> "ModelVersion":
        """Store a fitted model as a version of `models/<name>`, as a declared `Model` does.

        The same bytes from the same training set are the same version, which stays as it is.

        Args:
            name: The model's name: letters, digits and `_`.
            fitted: A scikit-learn estimator (stored by skops), a dict of arrays or tensors (safetensors), an ONNX model or
                its bytes (`format="onnx"`), or anything for which there is `save`.
            training_set: What it was fitted on, as `training_set(…)` gave it or by its id; None for a model from elsewhere.
            metrics: Numbers by name, of rows that the model has not seen.
            params: What was chosen for this model.
            outputs: The columns that it predicts.
            inputs: Snapshots that it was made from besides the training set.
            format: `skops`, `onnx`, `safetensors` or `bytes`. Default: the one that fits the type. Never pickle.
            save: Fitted model to bytes, the same for the same model.
            load: Bytes to fitted model, for what `save` wrote: it is tried at once.
            trusted: Types that a skops artefact may make besides those that skops trusts itself.
            code_version: What decided the result, for the record.

        Returns:
            The version: `.version`, `.sha256`, `.metrics`, `.load()`.

        Raises:
            AssayError: No safe format fits, the bytes are a pickle or cannot be read again, a package is missing, or an
                input is not what it was.
        """
        from assay.features.serving.models import log_model

        return log_model(
            self.lake,
            self.recorder,
            name,
            fitted,
            training_set=training_set,
            metrics=metrics,
            params=params,
            outputs=outputs,
            inputs=inputs,
            format=format,
            save=save,
            load=load,
            trusted=trusted,
            code_version=code_version,
        )

    def model(self, name: str, version: str | int | None = None) -> "ModelVersion":
        """What is recorded of a stored model: metrics, training set, outputs, SHA-256.

        Args:
            name: The model's name.
            version: Default: the newest.

        Raises:
            AssayError: There is no such model or version.
        """
        from assay.features.serving.models import find_model

        return find_model(self.lake, name, version)

    def load_model(
        self,
        name: str,
        version: str | int | None = None,
        *,
        load: "Load | None" = None,
        trusted: Sequence[str | type] = (),
    ) -> Any:
        """A stored model, ready to predict, once its bytes have the recorded SHA-256.

        Args:
            name: The model's name.
            version: Default: the newest.
            load: Reads the bytes, for a model that was stored by a `save` of its own.
            trusted: Types that a skops artefact may make besides those that skops trusts itself.

        Returns:
            What was fitted; for ONNX an `onnxruntime.InferenceSession`.

        Raises:
            AssayError: There is no such version, it was changed after it was stored, it makes a type that is not trusted, a
                package is missing, or `load` is.
        """
        return self.model(name, version).load(load=load, trusted=trusted)

    # -- lineage ---------------------------------------------------------------------------------------------------

    def log_predictions(
        self,
        *,
        model: str,
        model_version: "str | ModelVersion",
        frame: pl.DataFrame,
        inputs: "Sequence[Input]" = (),
        outputs: Sequence[str] | None = None,
        keys: Sequence[str] | None = None,
        features: Sequence[str] = (),
        feature_columns: Sequence[str] = (),
        partition: str | None = None,
        run: Run | None = None,
        code_version: str = "",
    ) -> list[str]:
        """Append predictions to `predictions/<model>`, with the exact snapshots they came from.

        Logging the same predictions again adds nothing.

        Args:
            model: The model's name.
            model_version: A `ModelVersion`, or its number as text. One that is stored in `models/<model>` becomes an input
                of its own accord, so that a trace leads on to its training set.
            frame: One row per prediction: the keys, `event_time` (with a zone), the outputs, and optionally `confidence`
                (0 to 1), `explanation`, `prompt_version` and `retrieval` (see `assay.lineage.predictions.attachments`).
            inputs: What it was predicted from: snapshots, slices, versions of training sets or models.
            outputs: The columns with the model's answers. Default: those of the stored model, else all columns that have no
                other role.
            keys: Columns that say whom a prediction is about. Default: the keys of the feature views among the inputs.
            features: The references that the features were joined by, such as `weather:wind_1d`, so that they can be
                verified.
            feature_columns: Columns that the model saw. They are digested into `feature_digest`, and not stored.
            partition: One partition for all rows. Default: the day of each row's `event_time`.
            run: The run that this belongs to. Default: one of its own.
            code_version: What decided the result, for the record.

        Returns:
            The ids, in the frame's order. The same prediction has the same id.

        Raises:
            AssayError: The frame cannot be logged (the message names the column), or an input is not what it was.
        """
        from assay.lineage.predictions.prediction_log import log_predictions

        return log_predictions(
            self.lake,
            self.recorder,
            model=model,
            model_version=model_version,
            frame=frame,
            inputs=inputs,
            outputs=outputs,
            keys=keys,
            features=features,
            feature_columns=feature_columns,
            partition=partition,
            run=run,
            code_version=code_version,
        )

    def trace(self, prediction_id: str) -> "Trace":
        """From a prediction to the source bytes."""
        from assay.lineage.tracing.trace import trace

        return trace(self.lake, prediction_id)

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
        references: bool = False,
    ) -> "Impact":
        """Everything downstream of a table, or of one version, partition or column of it.

        Args:
            table: Name of the table, such as `raw/tickets`.
            version: Only what read rows that this version wrote; None: whatever the table ever held.
            partition: Only what read this partition.
            column: Only what came from this column.
            references: Follow lookups, too.
        """
        from assay.lineage.tracing.impact import impact

        return impact(self.lake, table, version, partition=partition, column=column, references=references)


def _source(name: str) -> "Source":
    from assay.assets.declarations import source

    return source(name)


def open_store(
    lake: str | Path | None = None, *, home: str | Path | None = None, guard: Guard = ALLOW_ALL, **settings: Any
) -> Store:
    """A store from `ASSAY_*` settings; arguments win over the environment. `guard` is asked at every read and write."""
    known = [*Settings.model_fields, "guard"]
    for name in settings:
        if name not in known:
            raise AssayError(f"There is no setting {name!r}.{nearest(name, known) or known_names(known)}")
    given = {key: value for key, value in {"lake": lake and str(lake), "home": home, **settings}.items() if value}
    try:
        return Store(Settings(**given), guard)
    except SettingsError as problem:  # without its cause, which holds the text
        raise AssayError(f"Settings cannot be read: {str(problem).partition(' from source')[0]}; is it JSON?") from None
    except ValidationError as problem:
        # Without the value: it may be a password.
        (first, *_) = problem.errors(include_input=False, include_url=False)
        raise AssayError(f"Setting {'.'.join(map(str, first['loc']))!r} cannot be used: {first['msg']}.") from None
