"""Lakes written by earlier formats are read, traced and verified for ever.

Each archive here was written by the commit in its name; `expected-<commit>.json` is what that code said of it, and the script
beside it made both. A later format joins by another archive and its name in LAKES.
"""

import contextlib
import json
import sqlite3
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import assay
from assay.features.retention.availability import snapshot_status
from assay.features.retention.pins import pins
from assay.features.serving.training import load_training_set
from assay.features.storage.delta_log import commit_path
from assay.features.tables.digest import content_digest
from assay.lineage.delivery.rebuild import rebuild
from assay.lineage.store.lineage_store import LineageStore, open_lineage_store
from assay.lineage.tracing.row_provenance import source_rows
from assay.store import Store
from tests.conftest import SOAK

HERE = Path(__file__).parent
LAKES = ("7187fa5",)
PLAIN = ("view", "serving", "manifest", "column_lineage", "profile", "code", "decision", "report")
COUNTED = ("events", "jobs", "runs", "datasets", "dataset_versions", "edges", "checks")


def unpacked(name: str, folder: Path) -> Store:
    with tarfile.open(HERE / f"lake-{name}.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    return assay.open(folder / "lake", home=folder)


@pytest.fixture(scope="module", params=LAKES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def store(name: str, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Unpacked somewhere else than where it was written. Only read."""
    return unpacked(name, tmp_path_factory.mktemp("lake"))


@pytest.fixture(scope="module")
def expected(name: str) -> dict[str, Any]:
    return json.loads((HERE / f"expected-{name}.json").read_text(encoding="utf-8"))


@contextlib.contextmanager
def lineage_store(folder: Path) -> Iterator[LineageStore]:
    index = open_lineage_store(f"sqlite:///{folder / 'rebuilt.db'}", folder)
    try:
        yield index
    finally:
        index.close()


def test_every_version_of_every_table_is_what_it_was(store: Store, expected: dict[str, Any]) -> None:
    assert [info.name for info in store.tables()] == sorted(expected["tables"])
    for table, said in expected["tables"].items():
        latest, history = store.table(table).at(), store.table(table).history()
        assert (latest.snapshot.table_id, latest.version, latest.rows()) == (
            said["table_id"],
            said["latest"],
            said["rows"],
        )
        assert [file.path for file in latest.files] == said["live_files"]
        for commit, then in zip(history, said["versions"], strict=True):
            state = store.table(table).at(commit.version)
            assert (state.snapshot.commit_sha256, state.snapshot.digest) == (
                then["commit_sha256"],
                then["snapshot_digest"],
            )
            assert (commit.run_id, commit.asset, commit.partition, commit.mode, commit.rows) == (
                then["run_id"],
                then["asset"],
                then["partition"],
                then["mode"],
                then["rows_written"],
            )
            assert snapshot_status(store.lake, state.snapshot) == then["status"]
            if then["status"] == "readable":
                assert content_digest(state.scan().collect()) == then["assay_content_digest"], (
                    f"{table}@{commit.version}"
                )


# What the sections of a commit were called when all of them stood in one untyped `extra`.
def test_what_stood_in_extra_is_read_into_sections(store: Store, expected: dict[str, Any]) -> None:
    for table, said in expected["tables"].items():
        for commit, then in zip(store.table(table).history(), said["versions"], strict=True):
            there = {
                section
                for section in ("view", "serving", "manifest", "column_lineage", "profile", "code")
                if getattr(commit, section)
            }
            there |= {section for section in ("decision", "report") if getattr(commit, section)}
            if commit.predictions:
                there |= {"model", "features"}
            if commit.embedding:
                there |= {"model", *({"engine", "dimensions"} & set(then["extra"]))}
            assert there | set(commit.extra) == set(then["extra"]), f"{table}@{commit.version}"
            assert set(commit.extra) == set(), f"{table}@{commit.version}"


def test_training_sets_load_with_the_rows_of_then(store: Store, expected: dict[str, Any]) -> None:
    for identifier, said in expected["training_sets"].items():
        made = load_training_set(store.lake, identifier)
        assert content_digest(made.frame()) == made.manifest["content_digest"] == said["content_digest"]
        assert made.manifest["feature_set"] == said["feature_set"]
        assert sorted(f"{item['table']}@{item['version']}" for item in made.manifest["inputs"]) == said["inputs"]


NEW_CHECKS = {"answer", "the lineage store"}  # which decide nothing here


def newest_commit(store: Store, table: str) -> str:
    return commit_path(table, store.table(table).at().version)


def test_every_prediction_is_traced_and_verified_as_it_was(store: Store, expected: dict[str, Any]) -> None:
    brief = [said for said in expected["predictions"] if said.get("brief")]  # of which only the verdict is compared
    whole = [said for said in expected["predictions"] if not said.get("brief")]
    assert whole and brief
    for said in [*whole, *brief] if SOAK else [*whole[::2], *brief[::5]]:
        trace = store.trace(said["prediction_id"], lookups=True)
        found = store.verify(trace, embed=False)
        # The newest commit of a table had nobody who vouched for it, before there were seals and witnesses.
        alone = [item for item in found.checks if item.detail.startswith("nobody vouches")]
        assert {item.what for item in alone} <= {newest_commit(store, trace.root.table)}
        then = said["verify"]["without_model"]["outcome"]
        assert found.outcome == ("incomplete" if alone and then == "verified" else then)
        others = [item for item in found.checks if item not in alone and item.what not in NEW_CHECKS]
        named = [[item.what, item.ok, item.required] for item in others if not item.ok]
        assert named == [item[:3] for item in said["verify"]["without_model"]["not_ok"]]
        if said.get("brief"):
            assert len(trace.nodes) == said["trace_nodes"]["count"]
            continue
        nodes = [
            [node.kind, node.name, node.table, node.snapshot.version, list(node.versions_read), node.status]
            for node in trace.nodes
        ]
        assert nodes == [[*item[:5], item[7]] for item in said["trace_nodes"]]
        files = sorted([item.path, item.sha256, item.size, item.rows] for item in trace.files())
        assert files == said["files"]
        if said["source_rows"] is None:  # of what was vacuumed
            continue
        rows = [
            [row.table, row.file, row.sha256, row.row_number, row.because] for row in source_rows(store.lake, trace)
        ]
        assert rows == said["source_rows"]


def test_impact_reaches_what_it_reached(store: Store, expected: dict[str, Any]) -> None:
    names = {"references": "lookups"}  # what the argument was called then
    told = ("table", "version", "complete", "affected", "lookups", "columns", "training_sets", "models", "predictions")
    for said in expected["impact"]:
        found = store.impact(
            said["table"],
            said["version"],
            **{names.get(key, key): value for key, value in said.items() if key not in told},
        )
        affected = sorted(f"{item.table}@{number}" for item in found.affected for number in item.versions)
        assert (affected, found.complete) == (said["affected"], said["complete"])
        models = [name.partition("@")[2] for name in found.models]  # they had no name then
        assert (list(found.training_sets), models, found.predictions) == (
            said["training_sets"],
            said["models"],
            said["predictions"],
        )


def test_the_lineage_store_is_rebuilt_from_the_lake_alone(
    store: Store, expected: dict[str, Any], tmp_path: Path
) -> None:
    said = expected["rebuilt_lineage"]
    with lineage_store(tmp_path) as index:
        made = rebuild(index, store.lake)
    assert (made.commits, made.runs, list(made.damaged)) == (said["commits"], said["runs"], said["damaged"])
    with contextlib.closing(sqlite3.connect(tmp_path / "rebuilt.db")) as database:
        counts = {table: database.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in COUNTED}
    assert counts == said["store"], "as at its first place: names do not depend on where the lake lies"


def test_pins_keep_what_they_kept(store: Store, expected: dict[str, Any]) -> None:
    found = {item.name: item for item in pins(store.lake)}
    assert sorted(found) == sorted(expected["pins"])
    for item in found.values():
        assert {snapshot_status(store.lake, kept) for kept in item.snapshots} == {"readable"}


def test_new_work_goes_on_where_the_old_stopped(name: str, expected: dict[str, Any], tmp_path: Path) -> None:
    store = unpacked(name, tmp_path)
    old = store.table("features/question").at()
    with store.transaction("reports/topics", "2026-03-05", code_version="1") as tx:
        rows = tx.read("clean/questions", ["2026-03-05"]).select("question_id", "topic").collect()
        tx.write("reports/topics", rows)
    with store.transaction("features/question", "2026-03-06", code_version="1") as tx:
        before = tx.read("features/question", ["2026-03-05"], version=old.version).drop("partition_key").collect()
        tx.describe(view=old.commits[-1].view, serving=old.commits[-1].serving)
        tx.write("features/question", before.with_columns(pl.col("asked_at") + pl.duration(days=1)))
    commits = store.table("features/question").history()
    assert [commit.format for commit in commits[-2:]] == [0, 1]
    assert store.table("features/question").at().rows() == old.rows() + before.height
    impact = store.impact("raw/questions")
    assert tuple(
        next(item.table for item in impact.affected if item.table == table)
        for table in ("reports/topics", "features/question")
    ) == ("reports/topics", "features/question")
    said = expected["predictions"][-1]
    trace = store.trace(said["prediction_id"])
    inputs = [store.snapshot("features/question")]
    frame = pl.DataFrame(
        {"question_id": ["new"], "event_time": [datetime(2026, 3, 6, 12, tzinfo=UTC)], "answer": ["yes"]}
    )
    (made,) = store.log_predictions(
        model="answers", model_version="2", frame=frame, inputs=inputs, keys=["question_id"]
    )
    assert store.verify(store.trace(made), embed=False).ok
    found = store.verify(trace, embed=False)
    outcomes = {said["verify"]["without_model"]["outcome"]} | (
        {"incomplete"} if "nobody vouches" in str(found) else set()
    )
    assert found.outcome in outcomes
    assert trace.prediction_id == said["prediction_id"]
