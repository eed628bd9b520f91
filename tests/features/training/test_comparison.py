"""Two training sets side by side: what was added, removed, changed, redefined, and from which versions."""

import json
from dataclasses import replace
from datetime import timedelta

import polars as pl
import pytest

from assay.errors import AssayError
from assay.features.serving.training import TrainingSetVersion, create_training_set
from assay.features.tables.lake import Lake
from assay.features.tables.run_record import NullRecorder, Work
from assay.features.tables.transaction import transaction
from assay.features.views.feature_view import FeatureView
from assay.features.views.windowed import Windowed
from tests.features.training.conftest import ACTIVITY, spine
from tests.features.training.rows import at


def test_a_set_equals_itself(made: TrainingSetVersion) -> None:
    found = made.compare(made)
    assert found.equal
    assert found.rows.same == found.rows.rows[0] == 13 * 30
    assert not found.inputs and not found.schema and not found.settings
    assert set(found.shifts.values()) == {0.0}
    assert str(found).startswith("bought@1 and bought@1: equal\nrows by customer_id, event_time: 390 equal")


@pytest.fixture(scope="module")
def other(lake: Lake, made: TrainingSetVersion) -> TrainingSetVersion:
    """One customer and one day less, a day more; another label of three rows; the view computed otherwise and one day of it
    corrected."""
    redefined = FeatureView(
        ACTIVITY.name, ACTIVITY.entity, ACTIVITY.event_time,
        [replace(item, expr=item.expr + 0) if isinstance(item, Windowed) and item.name == "spent_1d" else item
         for item in ACTIVITY.features],
    )  # fmt: skip
    with transaction(lake, NullRecorder(), Work("features/activity")) as tx:
        rows = redefined.compute({"clean/tickets": tx.read("clean/tickets")}, at=[at(day) for day in range(31)])
        tx.describe(**redefined.metadata())
        corrected = pl.when(pl.col("event_time") == at(10)).then(pl.col("tickets_1d") + 100).otherwise("tickets_1d")
        tx.write("features/activity", rows.with_columns(corrected.alias("tickets_1d")))
    rows = spine(31).filter(pl.col("customer_id") != "c3", pl.col("event_time") > at(1))
    changed = pl.col("event_time").is_between(at(5), at(6)) & pl.col("customer_id").is_in(["c0", "c1", "c2"])
    rows = rows.with_columns(bought=pl.col("bought") ^ changed, note=pl.lit("x"))
    features = ["activity:tickets_1d", "activity:spent_1d"]
    return create_training_set(lake, NullRecorder(), "bought", rows, features, skip_nulls=True)


def test_what_differs_is_named(made: TrainingSetVersion, other: TrainingSetVersion) -> None:
    found = made.compare(other)
    assert not found.equal
    # 13 customers on the first day and c3 on 29 others; 12 on the day that is new
    assert found.rows.only == (13 + 29, 12)
    # the label of three; the corrected value of eleven (the twelfth customer is new to the view)
    assert found.rows.columns == {"bought": 3, "tickets_1d": 11}
    assert found.features == {
        "added": (),
        "removed": ("activity:spent_7d", "activity:tickets_7d"),
        "redefined": ("activity:spent_1d",),
    }
    assert found.inputs == {"features/activity": (1, 2)}
    types = dict(made.frame().schema)
    lost = {name: (str(types[name]), None) for name in ("tickets_7d", "spent_7d")}
    assert found.schema == {"note": (None, "String"), **lost}
    assert found.settings == {"skip_nulls": (False, True)}
    back = other.compare(made)
    assert back.rows.only == (12, 13 + 29) and back.features["added"] == found.features["removed"]


def test_the_answer_is_json_without_cells(made: TrainingSetVersion, other: TrainingSetVersion) -> None:
    found = made.compare(other)
    text = json.dumps(found.to_dict())
    assert "c3" not in text and "customer_id" in text
    assert found.distributions["tickets_1d"][1].summary["max"] == pytest.approx(102)
    assert "customer_id" not in found.distributions
    personal = made.compare(other, classes={"tickets_1d": "phone", "bought": None})
    assert personal.distributions["tickets_1d"][0].to_dict().keys() == {"rows", "nulls", "distinct"}
    assert personal.distributions["bought"][0].shares.keys() == {"true", "false"}
    assert personal.shifts == found.shifts


def test_rows_are_matched_by_what_one_says(made: TrainingSetVersion, other: TrainingSetVersion) -> None:
    assert made.compare(other, key=["customer_id"]).rows.repeated == (13, 12)
    assert other.frame()["event_time"].max() == at(30) + timedelta(hours=12)
    with pytest.raises(AssayError, match="no column 'nobody'"):
        made.compare(other, key=["nobody"])


def test_sets_without_a_common_key_ask_for_one(made: TrainingSetVersion) -> None:
    stranger = replace(made, manifest={**made.manifest, "features": []})
    with pytest.raises(AssayError, match=r"key=\['ticket_id'\]"):
        stranger.compare(stranger)
