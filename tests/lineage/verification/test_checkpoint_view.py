"""Checkpoints that readers would open are compared, at the cost of what is in question; what is otherwise is not decided here."""

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from deltalake import DeltaTable

from assay.features.tables.lake import Lake, open_lake
from assay.lineage.tracing.trace import Trace, trace
from assay.lineage.verification import checkpoint_view
from assay.lineage.verification.checkpoint_file import read_checkpoint
from assay.lineage.verification.checkpoint_view import check_checkpoints
from assay.lineage.verification.compared import Compared
from assay.lineage.verification.finding import Finding
from assay.lineage.verification.log_walk import Unproven, walk_log
from assay.lineage.verification.verify import verify
from benchmarks.impact import key, make_day
from tests.growth.calls import count_calls

TABLE = "clean/tickets"


@pytest.fixture
def desk(tmp_path: Path, made_once: Callable[..., Path]) -> tuple[Lake, Trace]:
    """Three days, in a copy of the lake that has them; asked is about the second."""

    def make(folder: Path) -> None:
        made, chosen = open_lake(folder), np.random.default_rng(1)
        for day in range(3):
            make_day(made, day, 5, chosen, 5)

    without = shutil.ignore_patterns("_index")  # of a copy it is made anew
    shutil.copytree(made_once("three-days", make), tmp_path, dirs_exist_ok=True, ignore=without)
    lake = open_lake(tmp_path)
    rows = lake.table("predictions/router").at().scan([key(1)]).select("prediction_id").collect()
    return lake, trace(lake, rows.to_series()[0])


def seen(desk: tuple[Lake, Trace], compared: Compared | None = None) -> str:
    found = findings(desk, compared or Compared())
    assert [finding.ok for finding in found] == [True]
    return found[0].detail


def findings(desk: tuple[Lake, Trace], compared: Compared) -> list[Finding]:
    lake, traced = desk
    logs = {table: walk_log(lake, table) for table in sorted({node.table for node in traced.nodes})}
    return list(check_checkpoints(lake, traced, logs, compared))


def checkpoint(lake: Lake, version: int) -> Path:
    DeltaTable(lake.storage.uri(TABLE), version=version).create_checkpoint()
    return Path(lake.storage.root, TABLE, "_delta_log", f"{version:020d}.checkpoint.parquet")


def test_true_ones_are_counted(desk: tuple[Lake, Trace]) -> None:
    assert seen(desk) == "0 checked"
    checkpoint(desk[0], 2)
    assert seen(desk) == "1 checked"
    checkpoint(desk[0], 3)
    assert seen(desk) == "2 checked"


_ADD = pl.col("add").struct


def hiding(rows: pl.DataFrame) -> pl.DataFrame:
    """With a deletion vector for each file."""
    vector = {"storageType": "i", "pathOrInlineDv": "x", "offset": 1, "sizeInBytes": 40, "cardinality": 1}
    dtype = rows.select(_ADD.field("deletionVector")).to_series().dtype
    made = _ADD.with_fields(pl.lit(vector).cast(dtype).alias("deletionVector"))
    return rows.with_columns(pl.when(_ADD.field("path").is_not_null()).then(made).alias("add"))


def elsewhere(rows: pl.DataFrame) -> pl.DataFrame:
    """Without the file of a day that nothing in question depends on."""
    return rows.filter(~_ADD.field("path").str.contains(key(2)).fill_null(False))


LIES: dict[str, Callable[[pl.DataFrame], pl.DataFrame]] = {
    "a file less": lambda rows: rows.filter(~_ADD.field("path").str.contains(key(1)).fill_null(False)),
    "a file twice": lambda rows: pl.concat([rows, rows.filter(_ADD.field("path").str.contains(key(1)))]),
    "rows that are hidden": hiding,
    "another file": lambda rows: rows.with_columns(
        _ADD.with_fields(_ADD.field("path").str.replace(r"=2026-01-02/.", "=2026-01-02/0-")).alias("add")
    ),
    "another table": lambda rows: rows.with_columns(
        pl.col("metaData").struct.with_fields(pl.col("metaData").struct.field("id") + "0").alias("metaData")
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_others_are_left_to_readers(desk: tuple[Lake, Trace], lie: str) -> None:
    path = checkpoint(desk[0], 3)
    rows = pl.read_parquet(path)
    rows.write_parquet(path)
    assert seen(desk) == "1 checked"
    LIES[lie](rows).write_parquet(path)
    with pytest.raises(Unproven, match=r"hides rows|other files|cannot be read"):
        seen(desk)
    assert read_checkpoint(path.read_bytes()).hides == (lie == "rows that are hidden")
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(Unproven, match="cannot be read"):
        seen(desk)


def test_of_partitions_that_nothing_depends_on_it_is_a_note(desk: tuple[Lake, Trace]) -> None:
    path, compared = checkpoint(desk[0], 3), Compared()
    elsewhere(pl.read_parquet(path)).write_parquet(path)
    _, note = findings(desk, compared)
    assert (note.what, note.ok, note.required) == (f"{TABLE}: readers", False, False)
    assert f"partition {key(2)}: nothing" in note.detail and "checkpoint 3" in note.detail
    assert findings(desk, compared)[1:] == [note], "what differs is not remembered"
    lake, traced = desk
    for whole_logs in (False, True):
        found = verify(lake, traced, whole_logs=whole_logs)
        notes = [check for check in found.checks if check.ok is False]
        assert found.outcome == "verified" and [check.detail for check in notes] == [note.detail]


def test_a_checkpoint_is_compared_once_and_again_after_any_change_of_it(
    desk: tuple[Lake, Trace], tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, opened = tmp_path_factory.mktemp("home") / "compared", Counter[str]()
    count_calls(monkeypatch, opened, checkpoint_view, "read_checkpoint", "checkpoints")
    path = checkpoint(desk[0], 3)
    rows = pl.read_parquet(path)
    for _ in range(2):
        assert seen(desk, Compared(folder)) == "1 checked" and opened["checkpoints"] == 1
    rows.write_parquet(path)  # other bytes that say the same
    assert seen(desk, Compared(folder)) == "1 checked" and opened["checkpoints"] == 2
    LIES["another file"](rows).write_parquet(path)
    with pytest.raises(Unproven):
        seen(desk, Compared(folder))
    assert len([file for file in folder.rglob("*") if file.is_file()]) == 4, "its files, and statistics; a lie is not"


def test_a_memory_that_cannot_be_kept_is_none(desk: tuple[Lake, Trace], tmp_path: Path) -> None:
    checkpoint(desk[0], 3)
    (tmp_path / "file").touch()
    assert seen(desk, Compared(tmp_path / "file" / "below")) == "1 checked"


def test_a_hint_that_leads_nowhere_and_old_checkpoints_are_left_to_readers(
    desk: tuple[Lake, Trace], monkeypatch: pytest.MonkeyPatch
) -> None:
    hint = checkpoint(desk[0], 2).with_name("_last_checkpoint")
    monkeypatch.setattr(checkpoint_view, "NEAR", 1)
    with pytest.raises(Unproven, match="near version"):
        seen(desk)
    hint.write_text(json.dumps({"version": 1}))
    with pytest.raises(Unproven, match="no checkpoint 1"):
        seen(desk)
