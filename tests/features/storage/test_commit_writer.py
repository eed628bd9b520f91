"""Commits of our own writer are those of delta-rs: every reader finds the same rows, files and metadata."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable

from assay.features.storage.commit_writer import CHECKPOINT_EVERY, is_plain
from assay.features.storage.delta_log import read_commit
from assay.features.tables import delta_commit
from assay.features.tables.lake import Lake, open_lake
from assay.features.tables.run_record import NullRecorder, Work
from assay.features.tables.transaction import transaction

TABLE = "clean/t"
HISTORY = [
    ("a", [1, 2], "replace"),
    ("b", [3], "append"),
    ("a", [2], "replace"),
    ("b", [4], "append"),
    ("c-1_d.e", [5], "replace"),
]


def write(lake: Lake, partition: str | None, values: list[int], mode: str = "replace") -> None:
    work = Work(asset=TABLE, partition=partition, code_version=str(values))
    with transaction(lake, NullRecorder(), work) as tx:
        tx.write(TABLE, pl.DataFrame({"x": values, "w": ["é\u2028\n"] * len(values)}), mode=mode)  # type: ignore[arg-type]


def engines(lake: Lake) -> list[str]:
    """Who wrote each commit with rows."""
    latest = lake.table(TABLE).at().version
    infos = [read_commit(lake.storage, TABLE, version)[0]["commitInfo"] for version in range(1, latest + 1)]
    return [info["engineInfo"].partition(":")[0] for info in infos if info["operation"] == "WRITE"]


def actions(lake: Lake, version: int) -> list[Any]:
    """What a commit says, without times and ids, and without what other tools write as null."""
    left_out = ("timestamp", "modificationTime", "deletionTimestamp", "engineInfo", "clientVersion")
    known: list[Any] = []
    for action in read_commit(lake.storage, TABLE, version):
        ((kind, body),) = action.items()
        plain = {key: value for key, value in body.items() if key not in left_out and value is not None}
        known.append((kind, {key: value for key, value in plain.items() if not key.startswith("assay.")}))
        if kind == "commitInfo":
            assert json.loads(body["assay.rows"]) >= 0 if "assay.rows" in body else True
    return sorted(known, key=str)


def test_the_log_is_the_one_that_delta_rs_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = open_lake(tmp_path / "ours"), open_lake(tmp_path / "theirs")
    for partition, values, mode in HISTORY:
        write(ours, partition, values, mode)
    with monkeypatch.context() as patch:
        patch.setattr(delta_commit, "is_plain", lambda *_: False)
        for partition, values, mode in HISTORY:
            write(theirs, partition, values, mode)
    assert set(engines(ours)) == {"assay"}
    assert set(engines(theirs)) == {"delta-rs"}
    for version in range(1, len(HISTORY) + 1):
        assert actions(ours, version) == actions(theirs, version)
    tables = [DeltaTable(lake.table(TABLE).uri) for lake in (ours, theirs)]
    frames = [pl.DataFrame(table.scan()).sort("x") for table in tables]
    assert frames[0].equals(frames[1])
    assert pl.scan_delta(tables[0]).collect().sort("x")["x"].to_list() == [2, 3, 4, 5]
    assert [item["operation"] for item in tables[0].history()] == [item["operation"] for item in tables[1].history()]


def test_the_log_is_summed_up_every_so_often(tmp_path: Path) -> None:
    lake = open_lake(tmp_path / "lake")
    for number in range(CHECKPOINT_EVERY + 2):
        write(lake, f"{number:03}", [number])
    log = tmp_path / "lake" / TABLE / "_delta_log"
    assert [file.name for file in log.glob("*.checkpoint.parquet")] == [f"{CHECKPOINT_EVERY:020}.checkpoint.parquet"]
    assert DeltaTable(lake.table(TABLE).uri).count() == CHECKPOINT_EVERY + 2


def test_the_log_of_a_table_made_when_that_was_rare_is_summed_up_as_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where delta-rs commits, which goes by the setting that the table was made with."""
    lake = open_lake(tmp_path / "lake")
    write(lake, "a", [0])
    DeltaTable(lake.table(TABLE).uri).alter.set_table_properties({"delta.checkpointInterval": "100"})
    monkeypatch.setattr(delta_commit, "is_plain", lambda *_: False)
    while lake.table(TABLE).at().version < CHECKPOINT_EVERY + 1:
        write(lake, "a", [lake.table(TABLE).at().version])
    assert engines(lake)[-1] == "delta-rs"
    log = tmp_path / "lake" / TABLE / "_delta_log"
    assert [file.name for file in log.glob("*.checkpoint.parquet")] == [f"{CHECKPOINT_EVERY:020}.checkpoint.parquet"]


def test_a_table_that_asks_more_of_its_writers_is_left_to_delta_rs(tmp_path: Path) -> None:
    lake = open_lake(tmp_path / "lake")
    write(lake, "a", [1])
    DeltaTable(lake.table(TABLE).uri).alter.set_table_properties({"delta.appendOnly": "true"})
    write(lake, "b", [2])
    assert engines(lake)[-1] == "delta-rs"


def test_names_that_must_be_escaped_are_left_to_delta_rs() -> None:
    protocol = {"minReaderVersion": 1, "minWriterVersion": 2}
    assert is_plain(protocol, {}, ["partition_key=2026-09-01/0a.parquet"])
    assert not is_plain(protocol, {}, ["partition_key=a b/0a.parquet"])
    assert not is_plain(protocol, {}, ["partition_key=a%20b/0a.parquet"])
    assert not is_plain({}, {}, []), "where the log does not say"


def test_a_file_system_without_links_is_left_to_delta_rs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = open_lake(tmp_path / "lake")
    write(lake, "a", [1])

    def refused(*_: object, **__: object) -> None:
        raise OSError(95, "Operation not supported")

    with monkeypatch.context() as patch:
        patch.setattr("os.link", refused)
        write(lake, "b", [2])
    assert lake.table(TABLE).at().scan().collect().height == 2
    assert not list((tmp_path / "lake" / TABLE / "_delta_log").glob("_*.tmp"))


def test_a_version_is_written_once(tmp_path: Path) -> None:
    lake = open_lake(tmp_path / "lake")
    write(lake, "a", [1])
    path = f"{TABLE}/_delta_log/{1:020}.json"
    before = lake.storage.get(path)
    assert lake.storage.put_new(path, b"other") is False
    assert lake.storage.get(path) == before
