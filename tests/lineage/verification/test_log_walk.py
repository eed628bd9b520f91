"""A walk says what a replay of the whole log says, reads few commits for it, and believes no index."""

from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.features.storage.commit_metadata import Commit
from assay.features.storage.delta_log import commit_path
from assay.features.storage.index_store import index_store
from assay.features.tables.lake import Lake, open_lake
from assay.features.tables.log_replay import LogReplay, replay_log
from assay.features.tables.run_record import CheckResult, NullRecorder, Work
from assay.features.tables.transaction import transaction
from assay.lineage.verification.log_walk import LogWalk, Unproven, walk_log
from tests.conftest import SOAK

NAME = "clean/t"
READS: tuple[Any, ...] = ((None, ()), (None, ("a",)), (("a",), ()), (("b", "c"), ()), ((), ()))


@pytest.fixture
def lake(tmp_path: Any) -> Lake:
    return open_lake(tmp_path / "lake")


def write(lake: Lake, partition: str, value: int, *, mode: Any = "replace", check: bool = True) -> None:
    with transaction(lake, NullRecorder(), Work(NAME, partition)) as tx:
        tx.write(NAME, pl.DataFrame({"n": [value]}), mode=mode)
        tx.check(CheckResult("rule", NAME, check, severity="warn"))


def walked(lake: Lake) -> LogWalk:
    return walk_log(lake, NAME)


STEPS = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 2), st.sampled_from(["replace", "append"]), st.booleans()),
    min_size=1,
    max_size=10,
)


@settings(max_examples=100 if SOAK else 5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_files_writers_and_digests_are_those_of_the_replayed_log(tmp_path_factory: Any, steps: Any) -> None:
    lake = open_lake(tmp_path_factory.mktemp("lake"))
    for partition, value, mode, check in steps:
        write(lake, partition, value, mode=mode, check=check)
    log = replay_log(lake, NAME)
    assert log is not None
    for version in range(log.latest + 1):
        walk, state = walked(lake), lake.table(NAME).at(version)
        assert walk.table_id == log.table_id and walk.has(state.snapshot) and walk.is_whole(version)
        for partitions, excluded in READS:
            asked = (version, partitions, excluded)
            assert walk.files(*asked) == log.files(*asked) and walk.added_by(*asked) == log.added_by(*asked)
            read = state.slice(partitions, excluded=excluded)
            assert walk.digest(read) == read.digest
            if _all_by_writers(log, *asked):
                assert walk.writers(*asked) == log.writers(*asked)
        way = walk.walk([version])
        assert way[0] == log.latest and version in way and set(way) >= {entry.version for entry in walk._read.values()}
        for earlier, later in zip(way[1:], way, strict=False):
            assert any(str(earlier) in _commit(walk, number).previous for number in way if number >= later) or not later


def _all_by_writers(log: LogReplay, *asked: Any) -> bool:
    """Whether each commit that wrote rows of a slice added files that it holds, or confirms who did, and nobody else did. A day
    that is replaced by a part of its own files is no such case."""
    writers, added = log.writers(*asked), set(log.added_by(*asked))
    known = {version for commit in writers for version in (commit.version, commit.confirms)}
    return added <= known and all(added & {commit.version, commit.confirms} for commit in writers if commit.rows)


def _commit(walk: LogWalk, version: int) -> Commit:
    entry = walk.entry(version)
    assert entry is not None and entry.commit is not None
    return entry.commit


LIES = {
    "a file of another commit": "UPDATE files SET since = since - 1 WHERE partition = 'a'",
    "a file that nobody added": "UPDATE files SET path = 'partition_key=a/other.parquet' WHERE partition = 'a'",
    "a file less, of a commit that wrote it": "DELETE FROM files WHERE partition = 'a'",
    "a commit more": "UPDATE commits SET until = 4611686018427387904",
    "a commit less": "UPDATE commits SET until = version WHERE partition = 'b'",
    "another partition": "UPDATE commits SET partition = 'b' WHERE partition = 'a'",
    "columns by another commit": "UPDATE metadata SET version = 1",
}


@pytest.mark.parametrize("lie", LIES)
def test_an_index_that_lies_is_found_out(lake: Lake, lie: str) -> None:
    write(lake, "b", 1)
    write(lake, "a", 2)
    write(lake, "a", 3)
    write(lake, "b", 4)
    index_store(lake.storage).write(lambda index: index.execute(LIES[lie]))
    with pytest.raises(Unproven):
        walk = walked(lake)
        assert walk.table_id and [walk.writers(walk.latest, parts) for parts in (("a",), ("b",), None)]


def test_a_log_with_a_gap_or_damage_on_the_way_is_not_walked(lake: Lake) -> None:
    for value in range(3):
        write(lake, "a", value)
    path = commit_path(NAME, 2)
    content = lake.storage.get(path)
    lake.storage.put(path, content[:-30])
    with pytest.raises(Unproven, match="damaged"):
        walked(lake).walk([1])
    lake.storage.delete(path)
    with pytest.raises(Unproven, match="not there"):
        walked(lake).walk([1])
    with pytest.raises(Unproven, match="not whole"):
        walk_log(lake, "clean/other")
