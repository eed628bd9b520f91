"""Models in a notebook: logged by the store, they are versions like declared ones, and a trace leads through them."""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import write_deltalake
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from assay import AssayError, Entity, Feature, FeatureView
from assay.store import Store, open_store
from assay.web import create_router

FLIGHT = FeatureView(
    "flight", Entity("flight", ["flight"]), "departs", [Feature("wind", pl.col("wind"))], "clean/flights"
)
SAVE: dict[str, Any] = {"save": lambda fitted: json.dumps(fitted, sort_keys=True).encode(), "load": json.loads}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A day of flights and their features."""
    made = open_store(home=str(tmp_path))
    rows = pl.DataFrame(
        {
            "flight": [f"F{number}" for number in range(8)],
            "departs": [datetime(2026, 3, 1, hour, tzinfo=UTC) for hour in range(8)],
            "wind": [number / 8 for number in range(8)],
        }
    )
    with made.transaction("clean/flights", "2026-03-01") as tx:
        tx.write("clean/flights", rows)
    with made.transaction("features/flight", "2026-03-01") as tx:
        features = FLIGHT.compute({"clean/flights": tx.read("clean/flights", ["2026-03-01"])})
        tx.describe(**FLIGHT.metadata())
        tx.write("features/flight", features, column_lineage=FLIGHT.column_lineage())
    return made


@pytest.fixture
def spine(store: Store) -> pl.DataFrame:
    rows = store.table("clean/flights").scan().collect()
    return rows.select("flight", event_time="departs", late=pl.col("wind") > 0.5)


def test_a_prediction_of_a_logged_model_is_traced_through_it_to_the_clean_table(
    store: Store, spine: pl.DataFrame
) -> None:
    made = store.training_set("delays", spine=spine, features=["flight:wind"])
    logged = store.log_model(
        "delay",
        {"limit": 0.5},
        training_set=made,
        metrics={"accuracy": 0.75},
        params={"c": 1},
        outputs=["late"],
        **SAVE,
    )
    assert (logged.version, logged.training_set, logged.metrics) == ("1", "delays@1", {"accuracy": 0.75})
    rows = store.as_of_join(spine.drop("late"), ["flight:wind"])
    fitted = store.load_model("delay", load=json.loads)
    said = rows.with_columns(late=pl.col("wind") > fitted["limit"])
    ids = store.log_predictions(
        model="delay",
        model_version=logged,
        frame=said,
        inputs=[store.snapshot("features/flight")],
        features=["flight:wind"],
        feature_columns=["wind"],
    )
    trace = store.trace(ids[5])
    (model,) = [node for node in trace.root.inputs if node.kind == "model"]
    assert (model.name, model.details["metrics"]) == ("models/delay 1", {"accuracy": 0.75})
    (training,) = model.inputs
    assert (training.name, [node.name for node in training.inputs]) == ("training/delays", ["features/flight"])
    assert [node.name for node in training.inputs[0].inputs] == ["clean/flights"]
    assert trace.root.details["outputs"] == ["late"]
    assert store.verify(trace, embed=False).outcome == "verified"
    # The same by name: what the lake has is linked, and logging again adds nothing.
    again = store.log_predictions(
        model="delay",
        model_version="1",
        frame=said,
        inputs=[store.snapshot("features/flight")],
        features=["flight:wind"],
        feature_columns=["wind"],
    )
    assert again == ids
    assert store.table("predictions/delay").at().rows() == 8


def test_the_console_shows_it_as_a_declared_one(store: Store, spine: pl.DataFrame) -> None:
    made = store.training_set("delays", spine=spine, features=["flight:wind"])
    logged = store.log_model("delay", {"limit": 0.5}, training_set=made, metrics={"accuracy": 0.75}, **SAVE)
    frame = spine.rename({"late": "answer"})
    (one, *_) = store.log_predictions(model="delay", model_version=logged, frame=frame, keys=["flight"])
    client = TestClient(Starlette(routes=[Mount("/", create_router(store.lineage_store, store.lake))]))
    home, trace = client.get("/").text, client.get(f"/trace/{one}").text
    for part in ("delays@1", "accuracy 0.75", "predictions/delay", one):
        assert part in home
    for part in ("models/delay", "training/delays", "features/flight", "clean/flights"):
        assert part in trace


def test_a_training_set_and_a_model_are_inputs_too(store: Store, spine: pl.DataFrame) -> None:
    made = store.training_set("delays", spine=spine, features=["flight:wind"])
    logged = store.log_model(
        "delay", {"limit": 0.5}, training_set=made.id, inputs=[store.snapshot("clean/flights")], **SAVE
    )
    frame = spine.rename({"late": "answer"})
    (one, *_) = store.log_predictions(
        model="rival",
        model_version="9",
        frame=frame,
        keys=["flight"],
        inputs=[made, logged, store.snapshot("clean/flights")],
    )
    inputs = {node.name for node in store.trace(one).root.inputs}
    assert inputs == {"training/delays", "models/delay", "clean/flights"}
    with pytest.raises(AssayError, match="predictions/rival: models/delay 1 is a version of another model"):
        store.log_predictions(model="rival", model_version=logged, frame=frame, keys=["flight"])
    with pytest.raises(AssayError, match="str cannot be an input"):
        store.log_predictions(model="rival", model_version="9", frame=frame, keys=["flight"], inputs=["delays@1"])  # type: ignore[list-item]


def test_versions_count_and_the_same_model_is_the_same_version(store: Store, spine: pl.DataFrame) -> None:
    made = store.training_set("delays", spine=spine, features=["flight:wind"])
    logged = [store.log_model("delay", {"limit": limit}, training_set=made, **SAVE) for limit in (0.5, 0.6, 0.5)]
    assert [item.version for item in logged] == ["1", "2", "1"]
    assert store.table("models/delay").at().rows() == 2
    elsewhere = store.log_model("delay", {"limit": 0.5}, training_set=None, **SAVE)
    assert (elsewhere.version, elsewhere.training_set) == ("3", ""), "from another training set it is another model"
    assert store.model("delay").version == "3"
    assert store.load_model("delay", 2, load=json.loads) == {"limit": 0.6}
    assert json.loads(json.dumps(store.model("delay", "1").to_dict()))["training_set"] == "delays@1"
    with pytest.raises(AssayError, match=r"models/delay has no version '4'\. There are: 1, 2, 3"):
        store.model("delay", 4)
    with pytest.raises(AssayError, match=r"There is no table models/other"):
        store.load_model("other")


def test_a_version_that_was_never_logged_predicts_nothing_unless_the_model_is_kept_elsewhere(
    store: Store, spine: pl.DataFrame
) -> None:
    store.log_model("delay", {"limit": 0.5}, training_set=None, **SAVE)
    given = {"frame": spine, "keys": ["flight"], "inputs": [store.snapshot("clean/flights")]}
    with pytest.raises(AssayError, match=r"models/delay has no version '99'\. There are: 1\."):
        store.log_predictions(model="delay", model_version="99", **given)
    assert not store.table("predictions/delay").exists()
    assert len(store.log_predictions(model="foreign", model_version="99", **given)) == spine.height


def test_a_changed_artefact_is_refused(store: Store) -> None:
    logged = store.log_model("delay", {"limit": 0.5}, training_set=None, **SAVE)
    (file,) = store.table("models/delay").at().files
    path = Path(store.table("models/delay").at().table.uri, file.path)
    content = path.read_bytes()
    path.write_bytes(content[:40] + bytes([content[40] ^ 1]) + content[41:])
    with pytest.raises(AssayError, match=r"models/delay 1 is refused: .* was changed after it was committed"):
        store.load_model("delay", load=json.loads)
    path.write_bytes(content)
    # A row that somebody wrote past `log_model`, with bytes that are not those of its digest.
    with store.transaction("models/delay") as tx:
        row = tx.read("models/delay", lookup=True).collect()
        forged = row.with_columns(pl.lit("2").alias("model_version"), pl.lit(b'{"limit": 9}').alias("artifact"))
        tx.write("models/delay", forged, mode="append")
    with pytest.raises(AssayError, match="models/delay 2: its bytes do not have the recorded SHA-256"):
        store.load_model("delay", "2", load=json.loads)
    assert logged.load(load=json.loads) == {"limit": 0.5}


def test_a_model_that_another_tool_put_into_another_file_is_the_same_model(store: Store) -> None:
    first, second = (store.log_model("delay", {"limit": limit}, training_set=None, **SAVE) for limit in (0.5, 0.7))
    table = store.table("models/delay")
    table.opened().optimize.compact()
    assert store.load_model("delay", first.version, load=json.loads) == {"limit": 0.5}
    assert store.load_model("delay", second.version, load=json.loads) == {"limit": 0.7}
    # It is taken as what a run recorded, not as what the row says of itself.
    rows = (
        table.scan()
        .collect()
        .with_columns(
            pl.lit(b'{"limit": 9}').alias("artifact"),
            pl.lit(hashlib.sha256(b'{"limit": 9}').hexdigest()).alias("sha256"),
        )
    )
    write_deltalake(table.at().table.uri, rows, mode="overwrite")
    with pytest.raises(AssayError, match="models/delay 1 is refused: it lies in a file that another tool wrote"):
        store.load_model("delay", first.version, load=json.loads)


def test_what_is_recorded_must_be_json(store: Store) -> None:
    import numpy as np

    made = store.log_model("delay", {}, training_set=None, metrics={"f1": np.float32(0.5), "n": np.int64(3)}, **SAVE)
    assert made.metrics == {"f1": 0.5, "n": 3}
    for metrics in ({"f1": float("nan")}, {"f1": object()}):
        with pytest.raises(AssayError, match=r"models/delay: metrics must be finite numbers"):
            store.log_model("delay", {}, training_set=None, metrics=metrics, **SAVE)
    with pytest.raises(AssayError, match="not a model's name"):
        store.log_model("../delay", {}, training_set=None, **SAVE)


def test_a_model_whose_file_was_cut_off_or_is_gone_is_refused(store: Store) -> None:
    with pytest.raises(AssayError, match=r"outputs is a list of columns: write outputs=\['late'\]"):
        store.log_model("delay", {"limit": 0.5}, training_set=None, outputs="late", **SAVE)
    store.log_model("delay", {"limit": 0.5}, training_set=None, **SAVE)
    (file,) = Path(store.lake.storage.root, "models/delay").glob("*.parquet")
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(AssayError, match="is gone, or was changed after it was committed"):
        store.load_model("delay", load=json.loads)
    file.unlink()
    with pytest.raises(AssayError, match="is gone, or was changed after it was committed"):
        store.model("delay")
