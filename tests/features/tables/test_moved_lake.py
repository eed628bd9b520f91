"""A lake that is moved goes on where it stopped: old and new versions are one table, under one name. With exported names only."""

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

import assay
from assay import Store
from assay.features import pin, pins
from assay.lineage import graph

KEYS = ["id"]
TIMES = {"event_time": pl.Datetime("us", "UTC")}


def rows(*values: int) -> pl.DataFrame:
    times = [datetime(2026, 1, value, tzinfo=UTC) for value in values]
    return pl.DataFrame(
        {"id": [str(value) for value in values], "event_time": times, "n": list(values)}, schema_overrides=TIMES
    )


def work(store: Store, day: int) -> str:
    """Raw rows, features of them and a prediction from these."""
    partition = f"2026-01-0{day}"
    with store.transaction("raw/t", partition) as tx:
        tx.write("raw/t", rows(day))
    with store.transaction("features/v", partition) as tx:
        tx.describe(
            serving={"entity": "e", "keys": KEYS, "event_time": "event_time", "known_time": None, "max_age_us": None},
            view={"name": "v", "features": [{"name": "n"}]},
        )
        lineage = {name: {"direct": [("raw/t", name)], "indirect": []} for name in ("id", "event_time", "n")}
        tx.write("features/v", tx.read("raw/t", [partition]).drop("partition_key").collect(), column_lineage=lineage)
    spine = rows(day).drop("n")
    frame = store.as_of_join(spine, ["v:n"]).with_columns(out=pl.col("n") * 2)
    (made,) = store.log_predictions(
        model="m",
        model_version="1",
        frame=frame,
        inputs=[store.snapshot("features/v")],
        keys=KEYS,
        features=["v:n"],
        feature_columns=["n"],
    )
    return made


@pytest.fixture
def moved(tmp_path: Path) -> Iterator[tuple[Store, str]]:
    """The store at its new place, and a prediction from before. Nothing is left at the old one."""
    before = assay.open(tmp_path / "old" / "lake", home=tmp_path / "old")
    made = work(before, 1)
    before.training_set("s", spine=rows(1).drop("n"), features=["v:n"])
    pin(before.lake, "kept", [before.snapshot("raw/t")], owner="o", reason="r")
    before.recorder.close()
    shutil.move(tmp_path / "old", tmp_path / "new")
    store = assay.open(tmp_path / "new" / "lake", home=tmp_path / "new")
    yield store, made
    store.recorder.close()


def test_commits_and_pins_hold_no_address_of_the_lake(moved: tuple[Store, str]) -> None:
    """Of ours: Delta itself notes where it created a table."""
    store, _ = moved
    root = Path(store.lake.storage.root)
    lines = [line for path in root.rglob("_delta_log/*.json") for line in path.read_text(encoding="utf-8").splitlines()]
    ours = [text for line in lines for name, text in json.loads(line).get("commitInfo", {}).items() if "assay" in name]
    ours += [path.read_text(encoding="utf-8") for path in root.glob("_pins/*.json")]
    assert len(ours) > 30
    assert not [text for text in ours if "/old/lake" in text or "/new/lake" in text]


def test_what_was_made_before_is_traced_verified_and_served(moved: tuple[Store, str]) -> None:
    store, made = moved
    trace = store.trace(made)
    assert {node.status for node in trace.nodes} == {"readable"}
    told = trace.to_dict()["root"]
    assert told["actor"] == told["commits"][0]["actor"] == store.actor, "who did it, where it was recorded"
    assert store.verify(trace, embed=False).outcome == "verified"
    assert store.impact("raw/t").predictions == 1
    answer = store.online("v").get({"id": ["1"]}, at=datetime(2026, 1, 2, tzinfo=UTC))
    assert answer["n"].to_list() == [1]


def test_a_manifest_names_addresses_of_the_lake_as_it_was_opened(moved: tuple[Store, str]) -> None:
    store, _ = moved
    manifest = store.load_training_set("s@1").manifest
    for item in (*manifest["inputs"], manifest["table"]):
        assert item["uri"].startswith(store.lake.storage.root)
        assert DeltaTable(item["uri"], version=item["version"]).version() == item["version"]


def test_pins_are_renewed_where_the_lake_is_now(moved: tuple[Store, str]) -> None:
    store, _ = moved
    (kept,) = [item for item in pins(store.lake) if item.name == "kept"]
    pin(store.lake, "kept", [store.snapshot("raw/t")], owner="o", reason="renewed")
    assert kept.snapshots == (store.snapshot("raw/t"),)


def test_versions_of_before_and_after_are_one_dataset(moved: tuple[Store, str]) -> None:
    store, made = moved
    again = work(store, 2)
    assert store.verify(store.trace(again), embed=False).outcome == "verified"
    assert store.verify(store.trace(made), embed=False).outcome == "verified"
    assert store.impact("raw/t").predictions == 2
    nodes = [node for node in graph(store=store.lineage_store).nodes if node.kind == "dataset" and node.version]
    versions = {(node.namespace, node.name, node.version) for node in nodes}
    both = {("assay", name, version) for name in ("features/v", "raw/t", "predictions/m") for version in ("1", "2")}
    assert both <= versions, "versions of before and after stand under one name"
    assert {namespace for namespace, _, _ in versions} == {"assay"}, "and under no address"
