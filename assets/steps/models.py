"""Models, declared: a training set, how to fit and how to predict. They make `models/<name>` and `predictions/<name>`."""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl

from assay.assets.callable_digest import callable_digest
from assay.assets.steps.clean import batches_of
from assay.assets.steps.column_notes import MODEL_NOTES
from assay.assets.steps.embeddings import Embedding
from assay.assets.steps.held_back import Metrics, default_metrics, first_held_back
from assay.assets.steps.hold import ON_CHANGE, check_rule, hold_of
from assay.assets.steps.step import NotReady, Resources, Step, available, require
from assay.assets.steps.training import (
    EVENT_TIME,
    Joined,
    TrainingSet,
    Upstream,
    feature_tables,
    identity_of_text,
    spine_rows,
)
from assay.assets.steps.watched import Concern, Trust, Watched, same_partition
from assay.errors import AssayError
from assay.features.serving.by_definition import open_named
from assay.features.serving.feature_refs import join, resolve
from assay.features.serving.model_formats import FORMATS, Artifact, Load, Save, from_artifact, to_artifact
from assay.features.serving.models import ModelVersion, model_of_state, stage_model
from assay.features.serving.references import Reference
from assay.features.tables.kinds import Kind
from assay.features.tables.lake import TableMissing
from assay.features.tables.partitioning import Partitioning, midnight, shared
from assay.features.tables.transaction import Transaction
from assay.features.views.feature_view import FeatureView
from assay.features.views.timestamps import parse_duration
from assay.lineage.predictions import attachments
from assay.lineage.predictions.outputs import CONFIDENCE, role_of
from assay.lineage.predictions.prediction_log import stage_predictions
from assay.stable_text import stable_text

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A model, declared: makes `models/<name>`, a row per version with its artefact, and `predictions/<name>`, one partition
    per partition of the spine's source.

    `fit` and `predict` see a frame with the spine's keys, `event_time`, the features by their names, embeddings as lists in
    `vector` (and their `text_key`); `fit` also sees the label.

    Args:
        name: Names the tables.
        training_set: What it learns from; its spine and features are also those of the predictions.
        fit: Frame to fitted model.
        predict: Fitted model and frame to a frame of the outputs, row for row, and optionally `confidence` (0 to 1),
            `explanation`, `prompt_version` and `retrieval`.
        outputs: The columns with the model's answers. They are recorded with each commit of predictions.
        start: The first partition that is predicted. Default: the training set's `until`.
        held_back: What `metrics` are measured on: the latest share of the training set's rows, or its rows from a day on. A
            model fitted on the earlier rows predicts them; then the model that is stored is fitted on all rows. 0 measures
            nothing.
        metrics: Held-back rows (with the label) and their predictions to numbers by name. Default: accuracy, or RMSE and
            MAE where numbers with a fraction are predicted.
        format: How the fitted model is stored: `skops`, `onnx`, `safetensors` or `bytes`. Default: the one that fits its
            type. Never pickle.
        save: For everything else: fitted model to bytes, the same for the same model. Needs `load`.
        load: Bytes to fitted model.
        trusted: Types that a skops artefact may make besides those that skops trusts itself.
        retrain: What makes the training set and the model again: `on_change` (default), any changed input; `manual`, only
            `assay materialize models/<name> --force`; or a cron expression in UTC such as `0 3 * * mon`, a changed input
            once that moment has passed. Unless it is `on_change`, predictions that were made stay as they were issued.
            Changed code always counts.
        params: What was chosen for this model, such as the strength of regularisation: recorded with each version.
        version: Change it when something changes that the code of `fit`, `predict`, `save` and `load` does not show.
        kinds: Labels of the technology, shown in Dagster.
        owner: The team that answers for it.
        description: One sentence for people.

    Raises:
        AssayError: The declaration is incomplete or contradicts itself.
    """

    name: str
    training_set: TrainingSet
    fit: Callable[[pl.DataFrame], Any]
    predict: Callable[[Any, pl.DataFrame], pl.DataFrame]
    outputs: Sequence[str]
    start: date | None = None
    held_back: float | date = 0.2
    metrics: Metrics | None = None
    format: str | None = None
    save: Save | None = None
    load: Load | None = None
    trusted: Sequence[str | type] = ()
    retrain: str = ON_CHANGE
    params: Mapping[str, Any] = field(default_factory=dict)
    version: str = ""
    kinds: Sequence[str] = ()
    owner: str = ""
    description: str = ""

    def __post_init__(self) -> None:
        where = f"Model {self.name!r}"
        if not _NAME.fullmatch(self.name):
            raise AssayError(f"Model name {self.name!r}: use letters, digits and '_'; it names tables.")
        if not self.outputs or isinstance(self.outputs, str):
            raise AssayError(f"{where} needs outputs: a list of the columns that predict gives.")
        for name in self.outputs:
            if role := role_of(name, self.training_set.spine.keys):
                raise AssayError(f"{where}: output {name!r} has another role: {role}. Leave it out of outputs.")
        if (self.save is None) != (self.load is None):
            raise AssayError(f"{where}: save and load belong together; one of them is missing.")
        if self.format is not None and self.format not in FORMATS:
            raise AssayError(
                f"{where}: there is no format {self.format!r}. There are: {', '.join(FORMATS)}. Never pickle."
            )
        check_rule(self.retrain, where)
        if not isinstance(self.held_back, date) and not 0 <= self.held_back < 1:
            raise AssayError(f"{where}: held_back is a share of at least 0 and less than 1, or a day.")

    @property
    def table(self) -> str:
        return Kind.MODELS.table(self.name)

    @property
    def predictions(self) -> str:
        return Kind.PREDICTIONS.table(self.name)

    @property
    def first_predicted(self) -> date:
        return self.start or date.fromisoformat(self.training_set.first_held_back)

    def read(self, stored: ModelVersion) -> Any:
        """The fitted model of a stored version, as `predict` takes it."""
        return stored.load(load=self.load, trusted=self.trusted)


# -- fitting -----------------------------------------------------------------------------------------------------------


def model_step(model: Model) -> Step:
    """The step that makes `models/<name>`."""
    code = callable_digest(model.fit, model.predict, model.metrics, model.save, model.load)
    chosen = (
        model.held_back,
        model.format,
        dict(model.params),
        model.version,
        list(model.outputs),
        list(model.trusted),
    )
    return Step(
        outputs=(model.table,),
        prepare=lambda tx, env: _prepare_model(model, tx),
        compute=lambda tx, env, rows: _compute_model(model, tx, env, rows),
        code_version=hashlib.sha256(f"model-2 {stable_text(chosen)} {code}".encode()).hexdigest()[:16],
        reads=(model.training_set.table,),
        watched=Watched(same_partition(model.training_set.table, model.table)),
        hold=hold_of([model.retrain]),
        group=model.training_set.group,
        kinds=tuple(model.kinds),
        owner=model.owner or model.training_set.owner,
        columns={model.table: MODEL_NOTES},
        description=model.description or f"Versions of {model.name}, each fitted on {model.training_set.table}.",
    )


def _prepare_model(model: Model, tx: Transaction) -> pl.LazyFrame:
    available(tx, model.training_set.table)
    return tx.read(model.training_set.table)


def _compute_model(model: Model, tx: Transaction, env: Resources, training_set: pl.LazyFrame) -> Mapping[str, Any]:
    frame = training_set.collect()
    metrics = _measure(model, frame, env)
    env.progress(f"fitting {model.name}", 1, 2)
    artifact, _ = _fitted(model, frame)
    env.progress(f"fitting {model.name}", 2, 2)
    version = stage_model(
        tx,
        model.name,
        artifact,
        training_set=_training_set_id(model.training_set, tx),
        outputs=model.outputs,
        metrics=metrics,
        params=model.params,
        newest=True,
    )
    return {"model_version": version, "format": artifact.format, "sha256": artifact.sha256, **metrics}


def _training_set_id(made: TrainingSet, tx: Transaction) -> str:
    state = tx.state(made.table)
    writer = state.writer_of(None)
    return f"{made.name}@{state.version if writer is None else writer.version}"


def _fitted(model: Model, frame: pl.DataFrame) -> tuple[Artifact, Any]:
    """A fitted model as it will be stored, and as it will be read again: what cannot be read is never stored."""
    artifact = to_artifact(model.fit(frame), model.table, format=model.format, save=model.save)
    return artifact, from_artifact(artifact, artifact.sha256, model.table, load=model.load, trusted=model.trusted)


def _measure(model: Model, frame: pl.DataFrame, env: Resources) -> dict[str, Any]:
    """The metrics on held-back rows, and on how many rows they rest."""
    cut = first_held_back(frame[EVENT_TIME], model.held_back)
    metrics: dict[str, Any] = {"training_rows": frame.height}
    if cut is None:
        return metrics
    env.progress(f"fitting {model.name}", 0, 2)
    earlier, later = frame.filter(pl.col(EVENT_TIME) < cut), frame.filter(pl.col(EVENT_TIME) >= cut)
    try:
        _, fitted = _fitted(model, earlier)
    except Exception as problem:
        problem.add_note(
            f"This was a fit on the rows before {cut}, to be measured on the others. held_back=0 does without."
        )
        raise
    label = model.training_set.label_column
    predicted = predict_rows(model, fitted, later.drop(model.training_set.label_columns))
    if model.metrics is not None:
        measured = dict(model.metrics(later, predicted))
    else:
        measured = default_metrics(label, later, predicted.select(model.outputs))
    rounded = {name: round(value, 6) if isinstance(value, float) else value for name, value in measured.items()}
    return metrics | {"held_back_rows": later.height, "held_back_from": cut.isoformat(), **rounded}


def predict_rows(model: Model, fitted: Any, rows: pl.DataFrame) -> pl.DataFrame:
    """What `predict` gives, once it is what was declared."""
    where = f"predict of model {model.name!r}"
    frame = model.predict(fitted, rows)
    if not isinstance(frame, pl.DataFrame):
        raise AssayError(f"{where} must give a polars DataFrame of {list(model.outputs)}, not {type(frame).__name__}.")
    if frame.height != rows.height:
        raise AssayError(
            f"{where} gave {frame.height} rows for {rows.height}: one for each is needed, in the same order."
        )
    missing = [name for name in model.outputs if name not in frame.columns]
    if missing:
        raise AssayError(
            f"{where} did not give the outputs {missing}. It gave: {', '.join(frame.columns) or 'nothing'}."
        )
    allowed = {*model.outputs, CONFIDENCE, *attachments.COLUMNS}
    more = [name for name in frame.columns if name not in allowed]
    if more:
        raise AssayError(f"{where} gave {more}, which is not declared. Add it to outputs, or leave it out.")
    return frame


# -- predicting --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _ToPredict:
    joined: Joined
    model: ModelVersion


def prediction_step(model: Model, upstream: Upstream) -> Step:
    """The step that fills `predictions/<name>`, a partition for each of the spine's source.

    Args:
        model: The declaration.
        upstream: What the project declares of the tables that it reads.
    """
    made = model.training_set
    tables = feature_tables(made, upstream)
    partitioning = _predicted_partitions(model, upstream.cut(made.spine.source))
    code = callable_digest(model.predict, model.load)
    chosen = (made.spine.digest(), made.references, made.text, model.version, list(model.outputs))
    needed = (made.spine.source, *made.spine.lookups, *tables, model.table)
    # Features that are cut differently are read as of each row's moment too, but not partition by partition.
    other = tuple(table for table in needed if _is_cut_differently(upstream.cut(table), partitioning))
    return Step(
        outputs=(model.predictions,),
        prepare=lambda tx, env: _prepare_predictions(model, partitioning, tables, tx, env),
        compute=lambda tx, env, prepared: _compute_predictions(model, tx, prepared),
        code_version=hashlib.sha256(f"predictions-2 {chosen} {code}".encode()).hexdigest()[:16],
        reads=tuple(table for table in needed if table not in other),
        references=other,
        partitioning=partitioning,
        batches=None if partitioning.is_partitioned else lambda env: batches_of(made.spine.source, env),
        group=made.group,
        kinds=tuple(model.kinds),
        owner=model.owner or made.owner,
        description=f"{', '.join(model.outputs)} of each partition of {made.spine.source}, predicted by {model.name}.",
        watched=_watched(model, tables, other),
        hold=hold_of([model.retrain], for_good=True),
        lookback=max((_reach(item, partitioning) for item in tables.values()), default=0),
    )


def _watched(model: Model, tables: Mapping[str, Any], cut_differently: Sequence[str]) -> Watched:
    made = model.training_set
    watched = same_partition(made.spine.source, model.predictions)
    watched |= dict.fromkeys((*made.spine.lookups, model.table), Concern(reach=None))
    for table, item in tables.items():
        if isinstance(item, FeatureView):
            watched[table] = Concern(reach=None, time=item.event_time)
        else:  # a text's vector is there once; who adds vectors has seen which ones there were
            of_the_rows = table not in cut_differently and _from_the_same_rows(item, made.spine.source)
            watched[table] = Concern(reach=None, grows=of_the_rows)
    return Watched(watched, settings=identity_of_text(made), trust=_until_later_features)


def _until_later_features(prepared: "_ToPredict") -> Trust:
    latest = prepared.joined.spine[EVENT_TIME].max()
    assert isinstance(latest, datetime)
    return Trust(latest=latest)


def _predicted_partitions(model: Model, partitioning: Partitioning) -> Partitioning:
    """The source's partitions from the model's start on: the first that begins then or later."""
    if not partitioning.is_timed:
        return partitioning
    start = max(midnight(model.first_predicted.isoformat(), partitioning), partitioning.bounds(partitioning.start)[0])
    keys = partitioning.overlapping(start, start + timedelta(days=32))
    first = next((key for key in keys if partitioning.bounds(key)[0] >= start), None)
    if first is None:
        raise AssayError(
            f"Model {model.name!r} predicts from {model.first_predicted} on; {model.training_set.spine.source} has "
            f"{partitioning} until {partitioning.end}."
        )
    return replace(partitioning, start=first)


def _is_cut_differently(one: Partitioning, other: Partitioning) -> bool:
    return one.is_partitioned and other.is_partitioned and shared([one, other]) is None


def _reach(item: Any, partitioning: Partitioning) -> int:
    """How many earlier partitions of a view can hold a value for a row. What is computed over windows holds from a
    partition's end on, so that its value for a partition's first moment is at least one partition older."""
    if not isinstance(item, FeatureView) or not partitioning.is_timed:
        return 0
    windowed = 1 if item.lookback() else 0
    if item.max_age is None:
        return windowed
    return partitioning.reach(parse_duration(item.max_age, "max_age")) + 1 + windowed


def _prepare_predictions(
    model: Model, partitioning: Partitioning, tables: Mapping[str, Any], tx: Transaction, env: Resources
) -> _ToPredict:
    made, key = model.training_set, tx.work.partition or ""
    open_named(tx, made.references)
    require(tx, made.spine.source, key)
    for table, item in tables.items():
        # What is computed from the same rows is there when they are; other features hold from before.
        if _from_the_same_rows(item, made.spine.source):
            require(tx, table, key)
        else:
            available(tx, table)
    try:
        tx.note(model.table)
        stored = model_of_state(tx.state(model.table), model.name)
    except TableMissing:
        raise NotReady(f"{model.table} does not exist yet: materialise it first.", table=model.table) from None
    spine = spine_rows(made, tx, env, [key], with_label=False)
    if not partitioning.is_timed:  # its partitions do not say which rows are held back
        spine = spine.filter(pl.col(EVENT_TIME) >= midnight(model.first_predicted.isoformat(), partitioning))
    if spine.is_empty():
        raise NotReady(f"{made.spine.source} has no rows to predict in {key}.")
    return _ToPredict(Joined(spine, resolve(tx, made.references, spine, options=made.options)), stored)


def _from_the_same_rows(item: Any, source: str) -> bool:
    if isinstance(item, FeatureView):
        return not item.lookback() and item.sources() == (source,)
    return isinstance(item, Embedding) and item.source == source


def _compute_predictions(model: Model, tx: Transaction, prepared: _ToPredict) -> Mapping[str, Any]:
    made, resolved = model.training_set, prepared.joined.features
    rows = join(prepared.joined.spine, resolved)
    predicted = predict_rows(model, model.read(prepared.model), rows)
    taken = [name for name in predicted.columns if name in rows.columns]
    if taken:
        raise AssayError(
            f"Model {model.name!r}: its outputs {taken} are also columns that it reads. Rename one of them."
        )
    looked_up = [column for lookup in resolved.lookups for column in lookup.outputs.values() if column in rows.columns]
    embedded = {lookup.name for lookup in resolved.lookups}  # by the names of their roles
    frame = pl.concat([rows.drop(looked_up), predicted], how="horizontal")
    stage_predictions(
        tx,
        model=model.name,
        model_version=prepared.model.version,
        frame=frame,
        keys=made.spine.keys,
        features=[text for text in made.references if Reference.parse(text).join not in embedded],
        feature_columns=[
            feature["column"]
            for item in resolved.described
            if item["serving"].get("kind") != "lookup"
            for feature in item["features"]
        ],
        outputs=model.outputs,
        joined=made.options.to_dict(),
        spine=made.spine.described(),
    )
    summary: dict[str, Any] = {"model_version": prepared.model.version}
    preview = [made.spine.keys[0], *model.outputs]
    if CONFIDENCE in frame.columns:
        summary["mean_confidence"] = frame[CONFIDENCE].mean()
        frame = frame.with_columns(pl.col(CONFIDENCE).round(3))
        preview.append(CONFIDENCE)
    return summary | {"preview": frame.select(preview).head(10)}
