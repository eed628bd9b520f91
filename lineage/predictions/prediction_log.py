"""The log of predictions: a model's answers, with an id that a retry repeats and the exact snapshots they came from."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from assay.errors import AssayError
from assay.features.serving.feature_refs import find_serving, planned_of
from assay.features.serving.inputs import Input, read_input
from assay.features.serving.join_options import JoinOptions, KnownAt
from assay.features.serving.models import ModelMissing, ModelVersion, find_model
from assay.features.serving.references import Reference
from assay.features.serving.request import Features, request
from assay.features.storage.sections import Predictions
from assay.features.storage.snapshot import Snapshot
from assay.features.tables.digest import row_digests
from assay.features.tables.kinds import Kind, own_name
from assay.features.tables.lake import Lake, TableMissing
from assay.features.tables.run_record import Recorder, Run, Work, new_run
from assay.features.tables.transaction import Transaction
from assay.features.tables.transaction import run as transact
from assay.features.views.columns import require_columns
from assay.features.views.timestamps import instant
from assay.lineage.predictions import attachments, merkle
from assay.lineage.predictions.answers import answer_columns, answer_leaves
from assay.lineage.predictions.find_prediction import ID
from assay.lineage.predictions.outputs import BY_DEFAULT, CONFIDENCE, DIGEST, EVENT_TIME, OURS, checked_outputs
from assay.lineage.predictions.uuid7 import uuid7


def prediction_ids(model: str, model_version: str, frame: pl.DataFrame, keys: Sequence[str]) -> pl.Series:
    """One UUIDv7 per row of `frame` (columns: keys, event_time, and feature_digest if there is one).

    Its time is the prediction's event time; the rest is a digest of model, version, keys, event time and feature digest:
    the same prediction made again has the same id, from other features it has another.
    """
    digest = pl.col(DIGEST) if DIGEST in frame.columns else pl.lit(None, dtype=pl.String)
    named = frame.select(
        pl.lit(model).alias("model"),
        pl.lit(model_version).alias("model_version"),
        pl.col(EVENT_TIME),
        digest.alias(DIGEST),
        *(pl.col(key).alias(f"key:{key}") for key in keys),
    )
    times = frame[EVENT_TIME].dt.epoch("ms")
    ids = [uuid7(time, bytes.fromhex(digest)) for time, digest in zip(times, row_digests(named), strict=True)]
    return pl.Series(ID, [str(item) for item in ids], dtype=pl.String)


def log_predictions(
    lake: Lake,
    recorder: Recorder,
    *,
    model: str,
    model_version: str | ModelVersion,
    frame: pl.DataFrame,
    inputs: Sequence[Input] = (),
    keys: Sequence[str] | None = None,
    features: Features = (),
    feature_columns: Sequence[str] = (),
    outputs: Sequence[str] | None = None,
    partition: str | None = None,
    run: Run | None = None,
    code_version: str = "",
    known_at: KnownAt | Mapping[str, KnownAt] | None = None,
    skip_nulls: bool | Mapping[str, bool] | None = None,
    event_time: str = EVENT_TIME,
) -> list[str]:
    """Append predictions to `predictions/<model>`.

    One piece of work per day of event time, or one for all in `partition`. Logging the same predictions again, or some of
    them, adds nothing twice.

    Args:
        lake: Where the tables are.
        recorder: What is given the run for lineage.
        model: Its name.
        model_version: Its version, or what `log_model` returned. A version that is stored in `models/<model>` is an input,
            and its outputs are those of the predictions.
        frame: One row per prediction: keys, `event_time`, the outputs, and optionally `confidence` and attachments.
        inputs: What the predictions were made from: snapshots, slices, training sets, model versions.
        keys: What identifies a prediction. Default: the keys of the feature views among the inputs.
        features: The references and roles that the features were joined by, so that verification can join them again.
        feature_columns: Columns that the model saw: they are digested, and not stored.
        outputs: The model's answers. Default: every column that is nothing else.
        partition: One partition for all rows.
        run: The run that this is a part of. Default: a run of its own.
        code_version: Of the caller's code.
        known_at: How the features were joined, as of `as_of_join`. Default: as those that the model learnt from.
        skip_nulls: Likewise.
        event_time: The frame's column with the moment. The table calls it `event_time` whatever it is called here.

    Returns:
        The ids, in the frame's order.

    Raises:
        AssayError: A column is missing or has the wrong type, or an input is unknown.
    """
    version, stored = _stored_model(lake, model, model_version)
    _refuse_other_types(frame, keys, outputs, Kind.PREDICTIONS.table(model))
    features, joined = _as_joined(features, known_at, skip_nulls)
    frame = _with_its_time(frame, event_time, Kind.PREDICTIONS.table(model))
    if stored is not None:
        inputs = [stored, *(item for item in inputs if _table_of(item) != stored.snapshot.table)]
        outputs = (list(stored.outputs) or None) if outputs is None else outputs
    frame = _checked(frame, Kind.PREDICTIONS.table(model))
    day = pl.col(EVENT_TIME).dt.strftime("%Y-%m-%d") if partition is None else pl.lit(partition)
    days = frame.with_columns(day.alias("__day"))["__day"]
    base = run or new_run()
    ids = pl.Series(ID, [None] * frame.height, dtype=pl.String)
    for one in days.unique().sort():
        # A run has one start and one end, so each day of a longer frame is a run of its own, the same one on a retry.
        own = base if days.n_unique() == 1 else replace(base, id=str(uuid.uuid5(uuid.UUID(base.id), one)))
        work = Work(
            Kind.PREDICTIONS.table(model), one, code_version, own, description=f"What the model {model} predicted."
        )

        def stage(tx: Transaction, rows: pl.DataFrame = frame.filter(days == one)) -> list[str]:  # noqa: B008 (bound now)
            return stage_predictions(
                tx,
                model=model,
                model_version=version,
                frame=rows,
                inputs=inputs,
                keys=keys,
                features=features,
                feature_columns=feature_columns,
                outputs=outputs,
                joined=joined,
            )

        staged, _ = transact(lake, recorder, work, stage)
        ids = ids.scatter((days == one).arg_true(), staged)
    return ids.to_list()


def _stored_model(lake: Lake, model: str, version: str | ModelVersion) -> tuple[str, ModelVersion | None]:
    """The version's name, and the version itself where the lake has it. A model of which the lake holds no version at all is
    kept elsewhere: its name is all that is known. Raises AssayError for a version of another model, and for one that is not
    among those that the lake holds."""
    if isinstance(version, ModelVersion):
        if version.name != model:
            raise AssayError(f"{Kind.PREDICTIONS.table(model)}: {version} is a version of another model.")
        return version.version, version
    name = str(version)
    if version is None or not name:
        raise AssayError(f"{Kind.PREDICTIONS.table(model)}: model_version is empty. Say which version predicted.")
    try:
        return name, find_model(lake, model, name)
    except TableMissing:
        return name, None
    except ModelMissing as missing:
        if missing.known:
            raise
        return name, None


def _as_joined(
    features: Features, known_at: KnownAt | Mapping[str, KnownAt] | None, skip_nulls: bool | Mapping[str, bool] | None
) -> tuple[tuple[str, ...], Mapping[str, Any] | None]:
    """The references as texts, and how they were joined if that was given here."""
    if not features:
        return (), None
    wanted = request(features, JoinOptions.of_given(known_at, skip_nulls))
    given = known_at is not None or skip_nulls is not None or wanted.options != JoinOptions()
    return wanted.texts, wanted.options.to_dict() if given else None


def _with_its_time(frame: pl.DataFrame, event_time: str, table: str) -> pl.DataFrame:
    if event_time == EVENT_TIME:
        return frame
    require_columns(frame.schema, [event_time], f"the frame of {table}")
    if EVENT_TIME in frame.columns:
        raise AssayError(
            f"the frame of {table} has a column {EVENT_TIME!r} beside {event_time!r}, which becomes it: drop or rename it."
        )
    return frame.rename({event_time: EVENT_TIME})


def _refuse_other_types(
    frame: pl.DataFrame, keys: Sequence[str] | None, outputs: Sequence[str] | None, table: str
) -> None:
    """Raises AssayError for what notebooks pass by mistake, before it reads like something else."""
    if not isinstance(frame, pl.DataFrame):
        raise AssayError(f"{table}: the predictions must be a polars DataFrame, not {type(frame).__name__}.")
    for what, given in (("keys", keys), ("outputs", outputs)):
        if isinstance(given, str):
            raise AssayError(f"{table}: {what} is a list of columns: write {what}=[{given!r}].")


def _table_of(item: Input) -> str:
    return item.table if isinstance(item, Snapshot) else getattr(getattr(item, "snapshot", None), "table", "")


def stage_predictions(
    tx: Transaction,
    *,
    model: str,
    model_version: str,
    frame: pl.DataFrame,
    inputs: Sequence[Input] = (),
    keys: Sequence[str] | None = None,
    features: Sequence[str] = (),
    feature_columns: Sequence[str] = (),
    outputs: Sequence[str] | None = None,
    joined: Mapping[str, Any] | None = None,
    spine: Mapping[str, Any] | None = None,
) -> list[str]:
    """Stage predictions in a transaction (whose work has a partition: the day) and return their ids in the frame's order.

    `frame` has the entity keys, `event_time`, the outputs, and optionally `confidence` and what `predictions.attachments`
    describes: `explanation`, `prompt_version`, `retrieval`. `inputs`, and the snapshots that retrievals searched, are read
    in the transaction besides what it has read already. `keys` identify a prediction; by default they are the
    keys of the feature views among the inputs. `feature_columns` are columns of the frame that the model saw: they are
    digested into `feature_digest`, and not stored. `features` are the references they were joined by, such as
    `customer_activity:tickets_7d`, so that `verify` can join them again. `outputs` are the columns with the model's
    answers; by default all that have no other role. They are recorded with the commit, and shown wherever a prediction is.
    `joined` and `spine` are recorded as they are given (see `sections.Predictions`): what is affected by a row is found by them.

    Raises AssayError for a frame that cannot be logged, naming the column.
    """
    table = Kind.PREDICTIONS.table(model)
    frame = _checked(frame, table)
    if tx.work.partition is None:
        raise AssayError(f"{table} is partitioned by day: give the transaction's work a partition.")
    for item in inputs:
        read_input(tx, item)
    for item in attachments.searched(frame):
        if item not in (read.snapshot for read in tx.reads if not read.lookup):
            read_input(tx, item)
    keys = list(dict.fromkeys(keys)) if keys else _keys(tx, frame, table, features)
    require_columns(frame.schema, [*keys, *feature_columns], f"the frame of {table}")
    unknown = frame.filter(pl.any_horizontal(pl.col(keys).is_null())).height
    if unknown:
        raise AssayError(
            f"the frame of {table}: {unknown} of {frame.height} rows have no value in a key ({', '.join(keys)}), so that "
            "nobody could say whom they are about. Leave them out, or give the keys."
        )
    uses, inputs_of_request = _on_demand(tx, features, frame, table)
    kept = [*keys, *inputs_of_request]
    if feature_columns:
        digests = row_digests(frame, feature_columns).alias(DIGEST)
        frame = frame.drop([name for name in feature_columns if name not in kept]).with_columns(digests)
    named_outputs = checked_outputs(outputs, frame.columns, kept, f"the frame of {table}")
    ids = prediction_ids(model, model_version, frame, keys)
    if ids.n_unique() < len(ids):
        raise AssayError(
            f"{table}: {len(ids) - ids.n_unique()} rows repeat another row's keys {keys}, event time and features. "
            "Log each prediction once, or name more `keys`."
        )
    snapshots = sorted({item.snapshot for item in tx.reads if not item.lookup}, key=lambda item: item.table)
    if not snapshots:
        raise AssayError(f"{table}: a prediction without inputs cannot be traced. Pass the snapshots it was made from.")
    named = [attachments.identity(item) for item in snapshots]
    rows = frame.select(
        ids,
        pl.all(),
        pl.lit(model_version).alias("model_version"),
        pl.lit(pl.Series([named], dtype=pl.List(attachments.IDENTITY))).first().alias("inputs"),
        pl.lit(tx.work.run.id).alias("run_id"),
    )
    logged = _known(tx, table, ids)
    new = rows.filter(~pl.col(ID).is_in(logged.to_list())).sort(ID)
    answered = answer_columns(new.schema, named_outputs)
    described = Predictions(
        model=model,
        version=model_version,
        keys=tuple(keys),
        features=tuple(features),
        feature_columns=tuple(feature_columns),
        outputs=tuple(named_outputs),
        outputs_by=BY_DEFAULT if outputs is None else "",
        answered=tuple(answered),
        answers=merkle.root(answer_leaves(new, answered)).hex(),
        joined=dict(joined or {}),
        spine=dict(spine or {}),
        uses=uses,
        request=inputs_of_request,
    )
    tx.write(table, new, mode="append", statistics=(ID,), sections={"predictions": described})
    return ids.to_list()


def _checked(frame: pl.DataFrame, table: str) -> pl.DataFrame:
    """The frame with its event time in µs UTC. Raises AssayError for what would make a prediction untraceable or wrong."""
    where = f"the frame of {table}"
    taken = [name for name in OURS if name in frame.columns]
    if taken:
        raise AssayError(f"{where} has columns {taken}, which Assay writes itself: leave them out or rename them.")
    frame = frame.with_columns(instant(frame.schema, EVENT_TIME, where).alias(EVENT_TIME))
    missing = frame[EVENT_TIME].null_count()
    if missing:
        raise AssayError(f"{where}: {missing} rows have no event_time: say when each prediction's moment was.")
    if (frame[EVENT_TIME].dt.epoch("ms") < 0).any():
        raise AssayError(f"{where}: column 'event_time' holds times before 1970.")
    if CONFIDENCE in frame.columns:
        dtype = frame.schema[CONFIDENCE]
        if not dtype.is_numeric():
            raise AssayError(f"{where}: column 'confidence' is {dtype}, not a number from 0 to 1.")
        outside = frame.filter(~pl.col(CONFIDENCE).is_between(0, 1)).height
        if outside:
            raise AssayError(f"{where}: column 'confidence' is outside 0 … 1, or NaN, in {outside} rows.")
    return attachments.checked(frame, where)


def _keys(tx: Transaction, frame: pl.DataFrame, table: str, features: Sequence[str]) -> list[str]:
    """The keys of the feature views that the transaction read, by the columns that they were joined by, as far as the frame has
    them."""
    from_views: list[str] = []
    references = list(map(Reference.parse, features))
    for item in tx.reads:
        if Kind.FEATURES.holds(item.snapshot.table) and not item.lookup:
            writers = tx.state(item.snapshot.table).writers(item.partitions, item.excluded)
            served = [commit.serving for commit in writers[-1:] if commit.serving]
            view = own_name(item.snapshot.table)
            roles = [dict(reference.on) for reference in references if reference.view == view] or [{}]
            own: list[str] = [key for one in served if one.get("kind") != "lookup" for key in one["keys"]]
            from_views += [role.get(key, key) for role in roles for key in own]
    keys = [key for key in dict.fromkeys(from_views) if key in frame.columns]
    if not keys:
        raise AssayError(f"{table}: it is not known which columns identify a prediction. Pass them as `keys`.")
    return keys


def _on_demand(
    tx: Transaction, features: Sequence[str], frame: pl.DataFrame, table: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What on-demand features among those that were joined use: references, and columns of the frame, which must be there so
    that the features can be computed again."""
    read = {item.snapshot.table for item in tx.reads if not item.lookup}
    views = dict.fromkeys(Reference.parse(text).view for text in features)
    views = [view for view in views if Kind.FEATURES.table(view) in read]
    served = {view: find_serving(tx.state(Kind.FEATURES.table(view))) for view in views}
    computed = [view for view, how in served.items() if how is not None and how[0].kind == "on_demand"]
    if not computed:
        return (), ()
    planned, _ = planned_of(tx, [text for text in features if Reference.parse(text).view in computed])
    missing = [name for name in planned.inputs if name not in frame.columns]
    if missing:
        raise AssayError(
            f"the frame of {table} lacks {missing}, of which {', '.join(computed)} {'is' if len(computed) == 1 else 'are'} "
            "computed: log them too, so that the features can be verified."
        )
    return planned.uses, tuple(planned.inputs)


def _known(tx: Transaction, table: str, ids: pl.Series) -> pl.Series:
    """Which of the ids are in the partition already. Reading makes another writer's commit in between a Conflict, so that
    two retries at once cannot both add them."""
    try:
        rows = tx.read(table, [tx.work.partition or ""], lookup=True)
    except TableMissing:
        return ids.clear()
    return rows.filter(pl.col(ID).is_in(ids.to_list())).select(ID).collect().to_series()
