"""The router: a training set, a model that names a ticket's intent, and its predictions, each pinned to what it read."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl

from assay.assets.steps.embeddings import embedding_keys
from assay.assets.steps.step import NotReady, Resources, Step, available, require
from assay.assets.support.card_events import customer_activity
from assay.assets.support.linear import fit, from_bytes, to_bytes
from assay.assets.support.tickets import ticket, ticket_text, tickets
from assay.assets.support.upstream.calendar import TEST_FIRST_DAY
from assay.features.serving.feature_refs import Resolved, join, resolve
from assay.features.serving.training import pin_training_set, published, stage_training_set
from assay.features.tables.lake import TableMissing
from assay.features.tables.partitioning import Partitioning
from assay.features.tables.transaction import Transaction
from assay.lineage.predictions.prediction_log import stage_predictions

NAME = "router"
TRAINING, MODEL, PREDICTIONS = f"training/{NAME}", f"models/{NAME}", f"predictions/{NAME}"
TICKETS, ACTIVITY, STATISTICS = "clean/tickets", "features/customer_activity", "features/ticket"
LABEL = "intent"
# Days from here on are for testing: their labels exist, but the model must not have seen them.
TRAIN_UNTIL = TEST_FIRST_DAY.isoformat()
INVERSE_REGULARISATION = 10.0

NUMBERS = [*(feature.name for feature in ticket.features), *(feature.name for feature in customer_activity.features)]
FEATURES = [
    *(f"{ticket.name}:{feature.name}" for feature in ticket.features),
    *(f"{customer_activity.name}:{feature.name}" for feature in customer_activity.features),
    f"{ticket_text.name}:vector",
]
VECTOR = "vector"


def _spine(tickets: pl.LazyFrame, env: Resources) -> pl.DataFrame:
    """One row per ticket: whom it is about, when, and the key of its text's vector."""
    rows = tickets.select("ticket_id", "customer_id", pl.col("created_at").alias("event_time"), "text", LABEL).collect()
    return rows.with_columns(embedding_keys(env, rows["text"])).drop("text").sort("event_time", "ticket_id")


# -- training set ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Joined:
    """What to join: the spine, and the features resolved to the versions and partitions that matter to it."""

    spine: pl.DataFrame
    features: Resolved
    models: pl.LazyFrame | None = None


def _prepare_training(tx: Transaction, env: Resources) -> _Joined:
    days = [day for day in available(tx, TICKETS) if day < TRAIN_UNTIL]
    (last,) = tickets.partitioning.before(TRAIN_UNTIL, 1)
    for table in (TICKETS, STATISTICS, ticket_text.table, ACTIVITY):
        require(tx, table, last)
    # Also when it is found to be current: a kill between its commit and its pins must not leave it without them.
    tx.then(lambda done: pin_training_set(env.lake, published(env.lake, NAME, done)))
    spine = _spine(tx.read(TICKETS, days), env).filter(pl.col(LABEL).is_not_null())
    return _Joined(spine, resolve(tx, FEATURES, spine))


def _compute_training(tx: Transaction, env: Resources, joined: _Joined) -> Mapping[str, Any]:
    del env
    rows = stage_training_set(tx, NAME, joined.spine, joined.features)
    return {"rows": rows.height, "classes": rows[LABEL].n_unique(), "features": len(rows.columns)}


training = Step(
    outputs=(TRAINING,),
    prepare=_prepare_training,
    compute=_compute_training,
    code_version=hashlib.sha256(f"training-1 {TRAIN_UNTIL} {FEATURES}".encode()).hexdigest()[:16],
    reads=(TICKETS, STATISTICS, ACTIVITY, ticket_text.table),
    group="model",
    kinds=("polars",),
    owner="support-ml",
    description=f"Labelled tickets before {TRAIN_UNTIL} with every feature as of the ticket's moment.",
)


# -- model -------------------------------------------------------------------------------------------------------------


def _prepare_model(tx: Transaction, env: Resources) -> pl.LazyFrame:
    del env
    try:
        return tx.read(TRAINING)
    except TableMissing:
        raise NotReady(f"{TRAINING} does not exist yet: materialise it first.") from None


def _compute_model(tx: Transaction, env: Resources, training_set: pl.LazyFrame) -> Mapping[str, Any]:
    frame = training_set.collect()
    env.progress(f"fitting {NAME}", 0, 1)
    model = fit(frame, NUMBERS, VECTOR, LABEL, INVERSE_REGULARISATION)
    env.progress(f"fitting {NAME}", 1, 1)
    content = to_bytes(model)
    predicted, _ = model.predict(frame)
    metrics = {
        "training_rows": frame.height,
        "classes": len(model.classes),
        "training_accuracy": round(float(np.mean(np.array(predicted) == frame[LABEL].to_numpy())), 4),
    }
    sha256, made_from = hashlib.sha256(content).hexdigest(), f"{NAME}@{tx.state(TRAINING).version}"
    try:
        known = tx.read(MODEL, lookup=True).select("model_version", "sha256", "training_set").collect()
    except TableMissing:
        known = pl.DataFrame(schema=["model_version", "sha256", "training_set"])
    same = known.filter(sha256=sha256, training_set=made_from)["model_version"].to_list()
    row = {
        "model_version": same[0] if same else str(known.height + 1),
        "sha256": sha256,
        "artifact": content,
        "training_set": made_from,
        "metrics": json.dumps(metrics, sort_keys=True),
        "params": json.dumps({"c": INVERSE_REGULARISATION, "features": NUMBERS, "vector": VECTOR}, sort_keys=True),
        "created_at": datetime.now(UTC),
    }
    rows = pl.DataFrame([row], schema_overrides={"created_at": pl.Datetime("us", "UTC")})
    tx.write(MODEL, rows.clear() if same else rows, mode="append")
    return {"model_version": row["model_version"], "sha256": row["sha256"], **metrics}


model = Step(
    outputs=(MODEL,),
    prepare=_prepare_model,
    compute=_compute_model,
    code_version=hashlib.sha256(f"model-1 {INVERSE_REGULARISATION} {NUMBERS}".encode()).hexdigest()[:16],
    reads=(TRAINING,),
    group="model",
    kinds=("scikitlearn",),
    owner="support-ml",
    description="Multinomial logistic regression over the text's vector and the features, stored without pickle.",
)


# -- predictions -------------------------------------------------------------------------------------------------------


def _prepare_predictions(tx: Transaction, env: Resources) -> _Joined:
    day = tx.work.partition or ""
    for table in (TICKETS, STATISTICS, ticket_text.table):
        require(tx, table, day)
    available(tx, ACTIVITY)
    try:
        models = tx.read(MODEL)
    except TableMissing:
        raise NotReady(f"{MODEL} does not exist yet: materialise it first.") from None
    spine = _spine(tx.read(TICKETS, [day]), env).drop(LABEL)
    return _Joined(spine, resolve(tx, FEATURES, spine), models)


def _compute_predictions(tx: Transaction, env: Resources, joined: _Joined) -> Mapping[str, Any]:
    del env
    if joined.models is None:
        raise AssertionError("predictions are prepared with a model")
    stored = joined.models.sort("created_at").collect().row(-1, named=True)
    router = from_bytes(stored["artifact"], stored["sha256"])
    rows = join(joined.spine, joined.features)
    intents, confidence = router.predict(rows)
    frame = rows.with_columns(pl.Series(LABEL, intents, pl.String), pl.Series("confidence", confidence)).drop(VECTOR)
    stage_predictions(
        tx,
        model=NAME,
        model_version=stored["model_version"],
        frame=frame,
        keys=["ticket_id", "customer_id"],
        features=[name for name in FEATURES if not name.endswith(":vector")],
        feature_columns=NUMBERS,
        outputs=[LABEL],
    )
    shown = frame.select("ticket_id", LABEL, pl.col("confidence").round(3)).head(10)
    return {"model_version": stored["model_version"], "mean_confidence": float(confidence.mean()), "preview": shown}


predictions = Step(
    outputs=(PREDICTIONS,),
    prepare=_prepare_predictions,
    compute=_compute_predictions,
    code_version=hashlib.sha256(f"predictions-1 {FEATURES}".encode()).hexdigest()[:16],
    reads=(TICKETS, STATISTICS, ACTIVITY, ticket_text.table, MODEL),
    partitioning=Partitioning.daily(TEST_FIRST_DAY),
    group="model",
    kinds=("scikitlearn",),
    owner="support-ml",
    description="The intent of each day's tickets, with confidence and the exact snapshots behind it.",
    lookback=2,
)
