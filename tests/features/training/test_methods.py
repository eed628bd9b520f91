"""The methods of a training set in a lake: what its views recorded decides, and models record what they were fitted on."""

from datetime import timedelta

import polars as pl
import pytest

import assay
from assay.features.serving.training import TrainingSetVersion, create_training_set
from assay.features.tables.lake import Lake
from assay.features.tables.run_record import NullRecorder
from assay.features.training.leaks import SplitLeaks
from tests.features.training.conftest import spine


def test_the_lookback_is_that_of_the_features_that_were_taken(lake: Lake, made: TrainingSetVersion) -> None:
    assert [(item.view, item.back) for item in made.lookbacks()] == [("activity", timedelta(days=8))]
    with pytest.raises(SplitLeaks, match="'activity' looks 8d back, but train and test are only 2d apart"):
        made.split(by_time="2026-01-20", embargo="1d")
    train, test = made.split(by_time="2026-01-20", embargo="8d")
    assert (train.height, test.height) == (13 * 11, 13 * 11)
    daily = create_training_set(lake, NullRecorder(), "daily", spine(), ["activity:tickets_1d"])
    assert daily.split(by_time="2026-01-20", embargo="2d")


def test_a_view_that_recorded_nothing_has_no_known_lookback(lake: Lake, write) -> None:
    rows = spine().select("customer_id", "event_time", n=1)
    serving = {
        "entity": "c",
        "keys": ["customer_id"],
        "event_time": "event_time",
        "known_time": None,
        "max_age_us": None,
    }
    write(lake, "features/bare", rows, extra={"serving": serving})
    made = create_training_set(lake, NullRecorder(), "bare", spine(), ["bare:n"])
    with pytest.raises(SplitLeaks, match="'bare' does not record how far back"):
        made.split(by_time="2026-01-20")
    assert made.split(by_time="2026-01-20", lookback="0d").test.height == 13 * 11


def test_folds_of_a_training_set(made: TrainingSetVersion) -> None:
    folds = made.folds(3, embargo="8d")
    assert sum(fold.test.height for fold in folds) == made.manifest["rows"]


def test_a_model_records_the_split_that_it_was_fitted_on(lake: Lake, made: TrainingSetVersion) -> None:
    store = assay.open(lake=lake.storage.root, home=f"{lake.storage.root}/../home")
    cut = made.split(by_entity="customer_id", test=0.3, seed=2)
    logged = store.log_model("m", b"weights", training_set=cut, save=bytes, load=bytes)
    assert logged.training_set == made.id
    assert logged.split == cut.definition == store.model("m").split == logged.to_dict()["split"]
    commit = store.table("models/m").at().last_commit
    assert commit.model is not None
    assert commit.model.split["digest"] == cut.definition["digest"]
    assert made.snapshot in [item.snapshot for item in commit.inputs]
    again = store.load_training_set(logged.training_set).split_again(logged.split)
    assert again.test.equals(cut.test)
    whole = store.log_model("m", b"others", training_set=made, save=bytes, load=bytes)
    assert whole.split == {}
    store.recorder.close()


def test_a_model_table_of_before_splits_is_read_and_grows(lake: Lake, write) -> None:
    row = {
        "model_version": "1", "sha256": "00", "artifact": b"x", "format": "bytes", "training_set": "a@1", "outputs": ["y"],
        "metrics": "{}", "params": "{}", "created_at": spine()["event_time"][0],
    }  # fmt: skip
    write(lake, "models/older", pl.DataFrame([row]), mode="append")
    store = assay.open(lake=lake.storage.root, home=f"{lake.storage.root}/../home")
    assert store.model("older").split == {}
    assert store.log_model("older", b"weights", training_set=None, save=bytes, load=bytes).version == "2"
    assert store.model("older", 1).split == {}
    store.recorder.close()
