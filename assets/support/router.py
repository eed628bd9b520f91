"""The router: names a ticket's intent, from the text's vector and what is known of the customer at that moment."""

import polars as pl

from assay.assets.steps.models import Model
from assay.assets.steps.training import Spine, TrainingSet
from assay.assets.support.card_events import customer_activity
from assay.assets.support.linear import LinearModel, fit, from_bytes, to_bytes
from assay.assets.support.tickets import customer_contact, ticket, ticket_text, writing
from assay.assets.support.upstream.calendar import TEST_FIRST_DAY
from assay.features.serving.feature_set import FeatureSet

INVERSE_REGULARISATION = 10.0
NUMBERS = [name for view in (ticket, customer_activity, customer_contact, writing) for name in view.feature_names]

router_features = FeatureSet(
    "router",
    [ticket, customer_activity, customer_contact, writing, ticket_text],
    version="2",
    description="What an intent is recognised by: the ticket's text, and what its customer did lately.",
    owner="support-ml",
)

training = TrainingSet(
    "router",
    spine=Spine(
        source="clean/tickets",
        keys=["ticket_id", "customer_id"],
        event_time="created_at",
        inputs={"length": pl.col("text").str.len_chars()},  # a request brings the length; the text stays where it is
    ),
    features=router_features,
    label="intent",
    until=TEST_FIRST_DAY,  # days from here on are for testing: their labels exist, but the model must not have seen them
    owner="support-ml",
)


def fit_router(frame: pl.DataFrame) -> LinearModel:
    return fit(frame, NUMBERS, "vector", "intent", INVERSE_REGULARISATION)


def predict_intent(model: LinearModel, frame: pl.DataFrame) -> pl.DataFrame:
    intents, confidence = model.predict(frame)
    return pl.DataFrame(
        {"intent": intents, "confidence": confidence}, schema={"intent": pl.String, "confidence": pl.Float64}
    )


router = Model(
    "router",
    training,
    fit=fit_router,
    predict=predict_intent,
    outputs=["intent"],
    save=to_bytes,
    load=from_bytes,
    format="safetensors",
    params={"c": INVERSE_REGULARISATION, "features": NUMBERS},
    kinds=["scikitlearn"],
    description="Multinomial logistic regression over the text's vector and the features, stored without pickle.",
)
