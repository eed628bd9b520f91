"""What a store gives goes to worker processes: without secrets, which are read again there, and without what was opened."""

import os
import pickle
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

import assay
from assay.errors import AssayError
from assay.features.storage.storage import Storage
from assay.features.tables.lake import open_lake
from tests.forked import run_forked

WHEN = datetime(2026, 1, 1, tzinfo=UTC)
WORKER = """
import os, pickle, sys
store, lake, snapshot, made, model, online = pickle.load(sys.stdin.buffer)
assert store.settings.lineage_db.get_secret_value() == os.environ["ASSAY_LINEAGE_DB"]
assert store.actor == "ada" == lake.actor
assert store.snapshot("features/people") == snapshot
assert made.frame().height == 1 and made.lake == lake
assert model.artifact().content == b"weights"
assert online.get({"person": "Ada"})["age"].to_list() == [36]
print(len(lake.tables()))
"""


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> assay.Store:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASSAY_LINEAGE_DB", f"sqlite:///{tmp_path}/sesame.db")
    return assay.open(home="var", actor="ada")


def test_objects_of_a_store_go_to_another_process(store: assay.Store, tmp_path: Path) -> None:
    with store.transaction("features/people") as tx:
        tx.describe(serving={"entity": "p", "keys": ["person"], "event_time": "event_time", "known_time": None,
                             "max_age_us": None})  # fmt: skip
        tx.write("features/people", pl.DataFrame({"person": ["Ada"], "event_time": [WHEN], "age": [36]}))
    made = store.training_set(
        "people", spine=pl.DataFrame({"person": ["Ada"], "event_time": [WHEN]}), features=["people:age"]
    )
    model = store.log_model("m", b"weights", training_set=made, save=bytes, load=bytes)
    store.recorder.close()
    content = pickle.dumps((store, store.lake, store.snapshot("features/people"), made, model, store.online("people")))
    assert b"sesame" not in content
    done = run_forked("-c", WORKER, given=content, folder=Path("/"))
    assert done.code == 0, done.err
    assert int(done.out) == len(store.lake.tables())


def test_secrets_that_were_arguments_are_refused_by_name(store: assay.Store) -> None:
    other = assay.open(home="var", lineage_db="sqlite:///open-sesame.db")
    with pytest.raises(AssayError, match=r"lineage_db may be secret.*ASSAY_LINEAGE_DB") as refused:
        pickle.dumps(other)
    assert "sesame" not in str(refused.value)


def test_options_of_an_object_store_are_not_pickled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_STORAGE_OPTIONS", '{"AWS_SECRET_ACCESS_KEY": "sesame"}')
    lake = assay.open(lake="s3://bucket/lake").lake
    content = pickle.dumps(lake)
    assert b"sesame" not in content
    assert pickle.loads(content).storage.options == {"AWS_SECRET_ACCESS_KEY": "sesame"}
    monkeypatch.setenv("ASSAY_STORAGE_OPTIONS", '{"AWS_SECRET_ACCESS_KEY": "another"}')
    assert pickle.loads(content).storage.options == {"AWS_SECRET_ACCESS_KEY": "another"}
    for given in (lake, open_lake("s3://bucket/lake", {"AWS_SECRET_ACCESS_KEY": "sesame"})):
        with pytest.raises(AssayError, match="ASSAY_STORAGE_OPTIONS") as refused:
            pickle.dumps(given)
        assert "sesame" not in str(refused.value)
    assert pickle.loads(pickle.dumps(Storage("/lake"))) == Storage("/lake")
    assert os.environ["ASSAY_STORAGE_OPTIONS"]


def test_a_remembering_lake_remembers_nothing_of_the_other_process(tmp_path: Path) -> None:
    lake = open_lake(tmp_path).remembering()
    again = pickle.loads(pickle.dumps(lake))
    assert again == lake
    assert again._latest == {}
