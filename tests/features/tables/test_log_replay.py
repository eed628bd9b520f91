"""The log read once says the same as the table opened at every version."""

import json

import polars as pl
import pytest

from assay.errors import AssayError
from assay.features.retention.vacuum import plan_vacuum
from assay.features.storage.delta_log import commit_path
from assay.features.tables.lake import Lake
from assay.features.tables.log_replay import replay_log


def _history(lake: Lake, write) -> None:
    for number, (partition, mode, values) in enumerate(
        [
            ("a", "replace", [1]),
            ("b", "replace", [2]),
            ("a", "append", [3]),
            ("a", "replace", [4]),
            ("b", "append", [5]),
            ("a", "replace", [1]),  # a file that comes back
        ]
    ):
        rows = pl.DataFrame({"n": values} | ({"m": values} if number == 4 else {}))
        write(lake, "clean/t", rows, partition, mode=mode)


def test_files_writers_columns_and_digests_are_those_of_the_table_at_every_version(lake: Lake, write) -> None:
    _history(lake, write)
    log = replay_log(lake, "clean/t")
    assert log is not None and not log.damaged
    for version in range(log.latest + 1):
        state = lake.table("clean/t").at(version)
        assert log.snapshot(version) == state.snapshot and log.has(state.snapshot)
        assert set(log.columns(version)) == set(state.schema)
        for partitions in (None, ["a"], ["b"], ["a", "b"], ["c"]):
            assert log.files(version, partitions) == list(state.files_of(partitions))
            assert log.writers(version, partitions) == state.writers(partitions)
            assert log.digest(state.slice(partitions)) == state.slice(partitions).digest
        held = {life.file.path for life in log.lives() if life.holds(version)}
        assert held == {file.path for file in state.files}


def test_a_damaged_commit_is_told_and_nothing_is_vacuumed(lake: Lake, write) -> None:
    _history(lake, write)
    path = commit_path("clean/t", 3)
    lake.storage.put(path, lake.storage.get(path)[:-40])
    log = replay_log(lake, "clean/t")
    assert log is not None and [entry.version for entry in log.damaged] == [3]
    with pytest.raises(AssayError, match="its log is damaged"):
        plan_vacuum(lake, "clean/t")


def test_a_commit_in_a_later_format_is_refused_by_its_number(lake: Lake, write) -> None:
    write(lake, "clean/t", pl.DataFrame({"n": [1]}))
    path = commit_path("clean/t", 1)
    actions = [json.loads(line) for line in lake.storage.get(path).splitlines()]
    for action in actions:
        if "commitInfo" in action:
            assert action["commitInfo"]["assay.format"] == "1"
            action["commitInfo"]["assay.format"] = "2"
    lake.storage.put(path, "\n".join(map(json.dumps, actions)).encode())
    with pytest.raises(
        AssayError, match="clean/t@1 is written in commit format 2; this release of Assay reads up to 1"
    ):
        replay_log(lake, "clean/t")
