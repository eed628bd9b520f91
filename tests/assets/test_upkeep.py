"""Upkeep says what there is to do, does it when it is wanted, and loses nothing."""

import sqlite3
import uuid
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
from polars.testing import assert_frame_equal

import assay
from assay.assets.upkeep import keep_up, small
from assay.features.retention.checkpoints import commits_since_checkpoint
from assay.features.tables.run_record import Run
from assay.lineage.delivery.rebuild import rebuild
from assay.lineage.delivery.recorder import SPOOL


def test_a_table_from_before_gets_its_checkpoint_and_keeps_its_log(tmp_path: Path) -> None:
    store = assay.open(home=tmp_path)
    with store.transaction("clean/x") as tx:
        tx.write("clean/x", pl.DataFrame({"x": [0]}))
    for number in range(1, 25):
        with store.transaction("clean/x") as tx:
            tx.write("clean/x", pl.DataFrame({"x": [number]}), mode="append")
    for file in (tmp_path / "lake/clean/x/_delta_log").glob(
        "*checkpoint*"
    ):  # as a table had none for a hundred commits
        file.unlink()
    before = store.table("clean/x").scan().collect()
    log = sorted((tmp_path / "lake/clean/x/_delta_log").glob("*.json"))
    count = len(log)
    assert commits_since_checkpoint(store.lake, "clean/x") == count > 20
    looked, *_ = keep_up(store.env(), do=False)
    assert (looked.what, looked.count, looked.done) == ("checkpoints", 1, False)
    assert commits_since_checkpoint(store.lake, "clean/x") == count
    done, *_, versions = keep_up(store.env(), do=True)
    assert (done.count, done.done) == (1, True)
    assert (versions.what, versions.by) == ("old versions", "assay vacuum --yes")
    assert commits_since_checkpoint(store.lake, "clean/x") == 0
    assert all(file.is_file() for file in log)
    assert_frame_equal(store.table("clean/x").scan().collect().sort("x"), before.sort("x"))
    assert len(store.table("clean/x").at().commits) == count


def test_events_beside_the_lineage_store_are_taken_up(tmp_path: Path) -> None:
    store = assay.open(home=tmp_path)
    with store.transaction("clean/x") as tx:
        tx.write("clean/x", pl.DataFrame({"x": [0]}))
    body = store.lineage_store.events()[0].body
    (tmp_path / SPOOL).write_bytes(body + b"\nno event\n")
    _, looked, *_ = keep_up(store.env(), do=False)
    assert (looked.count, looked.done) == (2, False)
    _, done, *_ = keep_up(store.env(), do=True)
    assert done.done
    _, left, *_ = keep_up(store.env(), do=False)
    assert left.count == 0
    assert ".broken holds lines that are no events" in left.detail


def test_a_database_of_which_much_is_free_is_made_small(tmp_path: Path) -> None:
    file = tmp_path / "plans.db"
    with sqlite3.connect(file) as database:
        database.execute("create table t (x blob)")
        database.executemany("insert into t values (?)", [(b"x" * 4000,)] * 100)
        database.execute("delete from t where rowid > 1")
    database.close()
    size = file.stat().st_size
    assert small([file, tmp_path / "none.db"], do=False).count == 1
    assert file.stat().st_size == size
    assert small([file], do=True).count == 1
    assert file.stat().st_size < size / 10
    assert small([file], do=True).count == 0
    (tmp_path / "damaged.db").write_bytes(b"no database" * 1000)
    assert small([tmp_path / "damaged.db"], do=True).count == 0


def test_records_of_days_that_are_over_become_one_file(tmp_path: Path) -> None:
    store = assay.open(home=tmp_path)
    long_ago = datetime(2026, 1, 1, tzinfo=UTC)
    for _ in range(3):
        with store.transaction("clean/x", run=Run(str(uuid.uuid4()), long_ago)):
            pass
    with store.transaction("clean/x"):
        pass
    for do in (False, True, True):
        (found,) = [one for one in keep_up(store.env(), do=do) if one.what == "run records"]
        left = [path.suffix for path in (tmp_path / "lake/_runs").rglob("*.*")]
        assert (found.count, found.done) in ((3, do), (0, True))
    assert sorted(left) == [".gz", ".ndjson"]
    store.recorder.close()
    (tmp_path / "lineage.db").unlink()
    assert rebuild(assay.open(home=tmp_path).lineage_store, store.lake).runs == 4
