"""What a new version of a model and a new day of vectors look at does not depend on how many there were before."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from assay.assets.steps.embeddings import Embedding, embedding_step
from assay.assets.steps.step import execute
from assay.features.serving.relevant_partitions import partitions_with
from assay.features.storage.storage import Storage
from assay.features.tables.lake import TableState
from assay.features.tables.partitioning import Partitioning
from assay.features.tables.serving import Serving
from assay.lineage.tracing.impact import impact
from assay.store import Store, open_store

AT = datetime(2026, 9, 1, tzinfo=UTC)
SAVE: dict[str, Any] = {"save": lambda fitted: json.dumps(fitted, sort_keys=True).encode(), "load": json.loads}


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any], str], int]:
    """Data files below a folder that an action opens: those that it scans, and those that it reads whole."""
    opened: list[str] = []
    scan, get = TableState.scan_files, Storage.get

    def scan_files(state: TableState, files: Any) -> pl.LazyFrame:
        opened.extend(f"{state.table.name}/{file.path}" for file in files)
        return scan(state, files)

    def read(storage: Storage, path: str) -> bytes:
        opened.append(path)
        return get(storage, path)

    monkeypatch.setattr(TableState, "scan_files", scan_files)
    monkeypatch.setattr(Storage, "get", read)

    def count(action: Callable[[], Any], folder: str) -> int:
        opened.clear()
        action()
        return sum(path.startswith(folder) for path in opened)

    return count


def _logged(store: Store, number: int) -> None:
    store.log_model("score", {"limit": number}, training_set=None, outputs=["late"], inputs=[_read(store)], **SAVE)


def _read(store: Store) -> Any:
    return store.table("clean/t").at().snapshot


def test_a_version_of_a_model_costs_as_much_after_many_as_after_few(tmp_path: Path, looked_at: Any) -> None:
    store = open_store(home=str(tmp_path))
    with store.transaction("clean/t", "d") as tx:
        tx.write("clean/t", pl.DataFrame({"id": [1]}))
    costs = []
    for number in range(1, 13):
        if number not in (4, 12):
            _logged(store, number)
            continue
        made = looked_at(lambda: _logged(store, number), "models/score/")  # noqa: B023 (called at once)
        found = looked_at(lambda: store.model("score"), "models/score/")
        loaded = looked_at(lambda: store.model("score").load(load=json.loads), "models/score/")
        frame = pl.DataFrame({"id": [number], "event_time": [AT], "late": [True]})
        (prediction,) = store.log_predictions(
            model="score", model_version=store.model("score"), frame=frame, inputs=[_read(store)], keys=["id"]
        )
        traced = looked_at(lambda: store.trace(prediction), "models/score/")  # noqa: B023
        costs.append((made, found, loaded, traced))
        assert store.model("score").version == str(number)
        node = next(node for node in store.trace(prediction).nodes if node.table == "models/score")
        assert (node.name, node.status, len(node.commits)) == (f"models/score {number}", "readable", 1)
    assert costs[0] == costs[1]
    # Older ones are still there, and a model that is logged again is still the same.
    for number in (1, 7):
        assert store.model("score", number).load(load=json.loads) == {"limit": number}
        _logged(store, number)
    assert store.model("score").version == "12"
    assert any("predictions/score" in item.table for item in impact(store.lake, "clean/t").affected)


def test_the_partitions_of_a_key_are_found_without_a_look_at_the_others(tmp_path: Path, looked_at: Any) -> None:
    store = open_store(home=str(tmp_path))
    for day in range(20):
        with store.transaction("embeddings/v", f"d{day:02d}") as tx:
            tx.write("embeddings/v", pl.DataFrame({"key": [f"k{day}", f"k{day // 2}x"], "value": [day, day]}))
    state, serving = store.table("embeddings/v").at(), Serving.lookup(["key"])

    def found(*keys: str | None) -> list[str] | None:
        return partitions_with(state, serving, pl.DataFrame({"key": keys}, schema={"key": pl.String}))

    assert found("k3") == ["d03"] and found("k4x") == ["d08", "d09"] and found(None, "nobody") == []
    assert found("k0", None, "k19", "k0x") == ["d00", "d01", "d19"]
    assert looked_at(lambda: found("k3"), "embeddings/v/partition_key=") == 1


def test_a_day_of_texts_looks_at_the_days_that_had_the_same_texts(
    tmp_path: Path, quick_model: Path, looked_at: Any
) -> None:
    store = open_store(home=str(tmp_path), embedding_model=str(quick_model))
    step = embedding_step(Embedding("t", "clean/t", "text"), Partitioning.daily(AT.date()))
    env, costs = store.env(), []
    for day in range(1, 9):
        key = f"2026-09-{day:02d}"
        texts = ["the same every day", f"text of day {day}", None]
        with store.transaction("clean/t", key) as tx:
            tx.write("clean/t", pl.DataFrame({"text": texts}))
        costs.append(looked_at(lambda: execute(step, env, key), "embeddings/t/partition_key="))  # noqa: B023
    assert costs[2] == costs[-1] == 1
    vectors = store.table("embeddings/t").at()
    assert vectors.rows() == 9, "each text is there once"
    assert len(vectors.files) == 8
