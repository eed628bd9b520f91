"""On-demand views in a project: defined by the pipeline, learnt from, predicted with, verified."""

import importlib
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from assay.assets.declarations import declared_in, steps_of
from assay.assets.steps.models import Model
from assay.assets.steps.step import NotReady, execute
from assay.lineage.tracing.features_seen import features_seen
from assay.lineage.tracing.row_provenance import source_rows
from assay.lineage.verification.verify import verify
from assay.store_methods.predicted_again import predicted_again

SHARED = '''
"""A model that reads what is computed when it is asked."""

import json

import polars as pl

from assay import Entity, Feature, FeatureSet, FeatureView, LabelView, Model, OnDemandView, Spine, TrainingSet

trip = OnDemandView(
    "trip",
    [
        Feature("effort", pl.col("miles") * pl.col("gusts"), "How hard a flight it is.", "mi"),
        Feature("share", pl.col("miles") / pl.col("flights_1d")),
    ],
    inputs={"miles": int},
    uses=["flight:gusts", "carrier:flights_1d"],
    owner="airline-ml",
)
rank = OnDemandView("rank", [Feature("hard", pl.col("effort") > FACTOR)], uses=["trip:effort"])

busy = FeatureView(
    "busy",
    entity=Entity("carrier", ["carrier"]),
    event_time="event_time",
    max_age="1d",
    source="features/carrier",
    features=[Feature("growth", 2 * pl.col("flights_1d").cast(pl.Int64) - pl.col("flights_2d"))],
)
arrived = LabelView(
    "arrived",
    entity=Entity("flight", ["flight"]),
    event_time="departs",
    source="clean/flights",
    horizon="1d",
    features=[Feature("minutes", pl.col("minutes"))],
)

efforts = TrainingSet(
    "efforts",
    Spine(
        source="clean/flights",
        keys=["flight", "carrier"],
        event_time="departs",
        inputs={"miles": pl.col("miles") + 0},
    ),
    features=FeatureSet("efforts", [trip, rank]),
    label=arrived,
    until="2026-03-05",
)


def predict_hard(fitted, frame):
    return pl.DataFrame({"hard_one": frame["hard"], "confidence": frame["share"].fill_null(0.0) * 0})


hard = Model("hard", efforts, lambda frame: {}, predict_hard, outputs=["hard_one"], held_back=0,
             save=lambda fitted: json.dumps(fitted).encode(), load=json.loads)
'''


def declare(airline: Any, factor: int) -> None:
    file = Path(str(airline.package.__file__)).with_name("shared.py")
    file.write_text(SHARED.replace("FACTOR", str(factor)))
    importlib.invalidate_caches()
    sys.modules.pop(f"{airline.package.__name__}.shared", None)


def test_a_model_learns_and_predicts_with_what_is_computed_when_it_is_read(airline: Any) -> None:
    declare(airline, 100)
    airline.run()
    assert airline.run() == []
    assert airline.frame("features/trip").height == 1
    rows, flights = airline.frame("training/efforts"), airline.frame("clean/flights")
    assert rows.columns[:7] == ["flight", "carrier", "event_time", "miles", "effort", "share", "hard"]
    assert rows.columns[7:] == ["minutes", "label_known"]
    own = rows.join(flights.select("flight", due="minutes"), on="flight", maintain_order="left")
    assert own["minutes"].to_list() == own["due"].to_list()
    assert (rows["label_known"] - rows["event_time"]).unique().to_list() == [timedelta(days=1)]
    carrier, busy = airline.frame("features/carrier"), airline.frame("features/busy")
    both = busy.join(carrier, on=["carrier", "event_time"], validate="1:1")
    assert both.height == carrier.height > 0, "features of features of one table, stored"
    assert (both["growth"] == 2 * both["flights_1d"].cast(pl.Int64) - both["flights_2d"]).all()
    own = rows.join(flights.select("flight", "wind"), on="flight", maintain_order="left")
    assert (own["effort"] - own["miles"] * own["wind"]).abs().max() == 0
    assert rows["hard"].to_list() == (rows["effort"] > 100).to_list()
    info = airline.store.feature("trip:effort")
    assert (info.kind, info.unit, info.owner, info.uses.models) == ("on-demand", "mi", "airline-ml", ("hard 1",))
    assert airline.store.feature("flight:gusts").uses.predictions == ("predictions/hard", "predictions/late")

    predictions = airline.frame("predictions/hard")
    assert predictions["miles"].null_count() == 0, "kept, so that the features can be computed again"
    declared = [item for name in ("flights", "shared") for item in declared_in(airline.module(name))]
    predict = predicted_again(
        airline.store.lake, [item for item in declared if isinstance(item, Model)], steps_of(declared)
    )
    trace = airline.store.trace(predictions["prediction_id"][0])
    found = verify(airline.store.lake, trace, predict=predict)
    assert (found.outcome, found.answer) == ("verified", "checked"), str(found)
    assert "feature row" in [check.what for check in found.checks if check.ok]
    assert any(row.table == "clean/flights" for row in source_rows(airline.store.lake, trace))
    seen = {one.view: one.values for one in features_seen(airline.store.lake, trace)}
    assert list(seen) == ["trip", "rank", "flight", "carrier"]
    assert seen["trip"]["effort"] == predictions["miles"][0] * seen["flight"]["gusts"]

    online = airline.store.online(airline.module("shared").efforts.features)
    got = online.get({"flight": "F1-3", "carrier": "C0", "miles": 10}, rows.filter(flight="F1-3")["event_time"][0])
    assert got["effort"].to_list() == [10 * flights.filter(flight="F1-3")["wind"][0]]


def test_another_definition_makes_anew_what_was_computed_by_it(airline: Any) -> None:
    declare(airline, 100)
    airline.run()
    before = airline.versions()
    declare(airline, 10)
    made = {result.step.outputs[0] for result in airline.run() if result.changed}
    assert made >= {"features/rank", "training/efforts"}
    assert "features/trip" not in made
    assert airline.versions()["features/trip"] == before["features/trip"]
    rows = airline.frame("training/efforts")
    assert rows["hard"].to_list() == (rows["effort"] > 10).to_list()


def test_it_waits_for_what_it_uses(new_airline: Any) -> None:
    declare(new_airline, 100)
    step = new_airline.step("features/trip")
    assert set(step.references) == {"features/flight", "features/carrier"}
    assert new_airline.step("features/rank").reads == ("features/trip",)
    with pytest.raises(NotReady, match="features/flight does not exist yet"):
        execute(step, new_airline.env, None)
    assert not new_airline.store.table("features/trip").exists()
