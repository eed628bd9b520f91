"""Checkpoints that readers would open are compared, at the cost of what is in question; what is otherwise is not decided here."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from deltalake import DeltaTable

from assay.features.tables.lake import Lake, open_lake
from assay.lineage.tracing.trace import Trace, trace
from assay.lineage.verification import checkpoint_view
from assay.lineage.verification.checkpoint_view import check_checkpoints
from assay.lineage.verification.log_walk import Unproven, walk_log
from benchmarks.impact import key, make_day

TABLE = "clean/tickets"


@pytest.fixture
def desk(tmp_path: Path) -> tuple[Lake, Trace]:
    """Three days; asked is about the second."""
    lake, chosen = open_lake(tmp_path), np.random.default_rng(1)
    for day in range(3):
        make_day(lake, day, 5, chosen, 5)
    rows = lake.table("predictions/router").at().scan([key(1)]).select("prediction_id").collect()
    return lake, trace(lake, rows.to_series()[0])


def seen(desk: tuple[Lake, Trace]) -> str:
    lake, traced = desk
    logs = {table: walk_log(lake, table) for table in sorted({node.table for node in traced.nodes})}
    (finding,) = check_checkpoints(lake, traced, logs)
    assert finding.ok
    return finding.detail


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
LIES: dict[str, Callable[[pl.DataFrame], pl.DataFrame]] = {
    "a file less": lambda rows: rows.filter(~_ADD.field("path").str.contains(key(0)).fill_null(False)),
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
    with pytest.raises(Unproven):
        seen(desk)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(Unproven, match="cannot be read"):
        seen(desk)


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
