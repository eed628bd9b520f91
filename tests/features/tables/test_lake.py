"""Versions, snapshots and slices: what is read is exactly what was asked for."""

import json
import os
import shutil
from contextlib import suppress
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from assay.errors import AssayError
from assay.features.storage.commit_metadata import parse_commit
from assay.features.storage.delta_log import commit_info
from assay.features.storage.parquet_files import file_sha256
from assay.features.storage.snapshot import Slice, Snapshot
from assay.features.storage.table_index import open_index
from assay.features.tables.lake import Lake, TableMissing, open_lake

ONE, TWO, THREE = (pl.DataFrame({"a": [number]}) for number in (1, 2, 3))


def test_a_version_reads_the_same_whatever_comes_after_it(any_lake: Lake, write) -> None:
    first = write(any_lake, "clean/t", ONE).writes[0].snapshot
    pinned = any_lake.table("clean/t").at(first.version)
    lazy = pinned.scan()
    write(any_lake, "clean/t", TWO)
    write(any_lake, "clean/t", THREE)
    assert_frame_equal(lazy.collect(), ONE)
    assert_frame_equal(any_lake.table("clean/t").scan(first.version).collect(), ONE)
    assert_frame_equal(any_lake.table("clean/t").scan().collect(), THREE)
    assert any_lake.table("clean/t").at(first.version).snapshot == first == pinned.snapshot


def test_the_log_of_a_version_ends_with_it(any_lake: Lake, write) -> None:
    """deltalake's own history() numbers the newest commits as if they were the pinned version's."""
    dones = [write(any_lake, "clean/t", frame, day) for frame, day in ((ONE, "d1"), (TWO, "d2"), (THREE, "d1"))]
    runs = {done.writes[0].snapshot.version: done.work.run.id for done in dones}
    for version in runs:
        commits = any_lake.table("clean/t").at(version).commits
        assert [commit.version for commit in commits] == list(range(version + 1))
        assert {commit.version: commit.run_id for commit in commits if commit.run_id} == {
            number: run for number, run in runs.items() if number <= version
        }
    assert any_lake.table("clean/t").at(2).writer_of("d1").run_id == dones[0].work.run.id
    assert any_lake.table("clean/t").at(3).writer_of("d1").run_id == dones[2].work.run.id
    assert any_lake.table("clean/t").at().writer_of("d3") is None


def test_a_table_made_anew_is_another_one(lake: Lake, write) -> None:
    old = write(lake, "clean/t", ONE).writes[0].snapshot
    shutil.rmtree(Path(lake.storage.root, "clean/t"))
    new = write(lake, "clean/t", ONE).writes[0].snapshot
    assert old.version == new.version
    assert old.table_id != new.table_id and old.commit_sha256 != new.commit_sha256 and old.digest != new.digest


def test_every_version_has_its_own_identity_and_it_travels(lake: Lake, write) -> None:
    write(lake, "clean/t", ONE, "d1")
    write(lake, "clean/t", TWO, "d2")
    state = lake.table("clean/t").at()
    snapshots = [state.table_snapshot(version) for version in range(state.version + 1)]
    assert len({snapshot.digest for snapshot in snapshots}) == state.version + 1
    assert Snapshot.from_dict(state.snapshot.to_dict()) == state.snapshot
    part = state.slice(["d1"], lookup=True)
    assert Slice.from_dict(part.to_dict()) == part


def test_a_slice_changes_with_its_own_partitions_only(lake: Lake, write) -> None:
    write(lake, "clean/t", ONE, "d1")
    before = lake.table("clean/t").at()
    write(lake, "clean/t", TWO, "d2")
    after = lake.table("clean/t").at()
    assert before.slice(["d1"]).digest == after.slice(["d1"]).digest
    assert before.slice().digest != after.slice().digest
    assert after.slice(["d2", "d1"]).partitions == ("d1", "d2")
    write(lake, "clean/t", THREE, "d1")
    assert lake.table("clean/t").at().slice(["d1"]).digest != after.slice(["d1"]).digest
    assert lake.table("clean/t").at().slice(["d2"]).digest == after.slice(["d2"]).digest


def test_reading_partitions_opens_their_files_only(lake: Lake, write) -> None:
    for day, frame in (("d1", ONE), ("d2", TWO), ("d3", THREE)):
        write(lake, "clean/t", frame, day)
    state = lake.table("clean/t").at()
    (file,) = state.files_of(["d2"])
    lake.storage.delete(f"clean/t/{file.path}")
    assert sorted(state.scan(["d1", "d3"]).collect()["a"]) == [1, 3]
    with pytest.raises(FileNotFoundError):
        state.scan().collect()
    assert state.scan([]).collect().height == state.scan(["d9"]).collect().height == 0
    assert state.partitions() == ["d1", "d2", "d3"] and state.rows(["d1", "d2"]) == 2


def test_files_are_what_their_names_promise(any_lake: Lake, write) -> None:
    import hashlib

    write(any_lake, "clean/t", ONE, "d1")
    (file,) = any_lake.table("clean/t").at().files
    content = any_lake.storage.get(f"clean/t/{file.path}")
    assert (file.rows, file.partition, file.size) == (1, "d1", len(content))
    assert file_sha256(file.path) == hashlib.sha256(content).hexdigest()


def test_the_writers_of_a_slice_are_the_commits_its_rows_came_from(lake: Lake, write) -> None:
    def versions(partitions: list[str] | None) -> list[int]:
        return [commit.version for commit in lake.table("clean/t").at().writers(partitions)]

    for frame, day, mode in (
        (ONE, "d1", "replace"),
        (TWO, "d1", "append"),
        (ONE, "d2", "append"),
        (TWO, "d2", "append"),
    ):
        write(lake, "clean/t", frame, day, mode=mode)
    assert versions(None) == [1, 2, 3, 4] and versions(["d2"]) == [3, 4]
    write(lake, "clean/t", THREE, "d1")
    assert versions(None) == [3, 4, 5] and versions(["d1"]) == [5] and versions([]) == []


def test_what_is_not_there_is_named(any_lake: Lake, write) -> None:
    with pytest.raises(TableMissing, match="no table clean/t"):
        any_lake.table("clean/t").at()
    with pytest.raises(TableMissing):
        any_lake.table("clean/t").at(3)
    write(any_lake, "clean/t", ONE)
    for version in (7, -1):
        with pytest.raises(AssayError, match=f"no version {version}"):
            any_lake.table("clean/t").at(version)
    for name in ("", "/etc", "_pins/x", "../other", "clean/../../x"):
        with pytest.raises(AssayError, match="not a table name"):
            any_lake.table(name)


def test_a_damaged_log_is_not_a_missing_table(lake: Lake, write) -> None:
    write(lake, "clean/t", ONE)
    lake.storage.put("clean/t/_delta_log/00000000000000000001.json", b"{ half a line")
    with pytest.raises(AssayError, match="damaged"):
        lake.table("clean/t").at()


def test_a_lake_lists_its_tables_and_nothing_of_its_own(any_lake: Lake, write) -> None:
    assert any_lake.tables() == []
    for table, day in (("raw/b", "d1"), ("raw/a", None), ("features/x", "d1")):
        write(any_lake, table, ONE, day)
    any_lake.storage.put("_landing/ab/_delta_log/00000000000000000000.json", b"{}")
    assert any_lake.tables() == ["features/x", "raw/a", "raw/b"]


@pytest.mark.parametrize("folder", ["with space", "Grüße 🙂", "50% off", "a[b]*"])
def test_a_lake_may_live_in_any_folder(tmp_path: Path, folder: str, write) -> None:
    lake = open_lake(tmp_path / folder)
    write(lake, "clean/t", ONE, "d1")
    write(lake, "clean/t", TWO.with_columns(b=pl.lit("x")), "d2")
    write(lake, "clean/u", THREE)
    both = pl.DataFrame({"a": [1, 2], "partition_key": ["d1", "d2"], "b": [None, "x"]})
    assert_frame_equal(lake.table("clean/t").scan().collect().sort("a"), both)
    assert_frame_equal(lake.table("clean/t").at().scan(["d1"]).collect(), both.head(1))
    assert lake.table("clean/t").at(0).scan().collect().height == 0
    assert_frame_equal(lake.table("clean/u").scan().collect(), THREE)
    assert lake.tables() == ["clean/t", "clean/u"]


def test_a_remembering_lake_sees_every_new_commit_and_a_table_made_anew(lake: Lake, write) -> None:
    kept = lake.remembering()
    first = write(lake, "clean/t", ONE).writes[0].snapshot
    state = kept.table("clean/t").at()
    assert kept.table("clean/t").at() is state
    assert state.writer_of(None) == lake.table("clean/t").at().writer_of(None)
    second = write(lake, "clean/t", TWO).writes[0].snapshot
    assert kept.table("clean/t").at().snapshot == second != first
    shutil.rmtree(Path(lake.storage.root, "clean"))
    with pytest.raises(TableMissing):
        kept.table("clean/t").at()
    write(lake, "clean/t", THREE)
    again = write(lake, "clean/t", TWO).writes[0].snapshot
    assert again.version == second.version
    assert kept.table("clean/t").at().snapshot == again


def test_what_changed_a_slice_are_the_versions_whose_files_of_it_are_others(lake: Lake, write) -> None:
    for number, day in enumerate(("d1", "d2", "d1", "d3", "d2", "d1")):
        write(lake, "clean/t", pl.DataFrame({"a": [number]}), day)
    latest = lake.table("clean/t").at()
    slices: list[tuple[list[str] | None, list[str]]] = [(None, []), (["d1"], []), (["d2", "d9"], []), (None, ["d1"])]
    for read, excluded in slices:
        held = [lake.table("clean/t").at(version).files_of(read, excluded) for version in range(latest.version + 1)]
        for since in range(latest.version + 1):
            expected = [version for version in range(since + 1, len(held)) if held[version] != held[version - 1]]
            assert latest.changed_since(since, read, excluded) == expected
            assert lake.table("clean/t").at(since).changed_since(since, read, excluded) == []


def test_versions_are_looked_up_as_they_are_taken(lake: Lake, write, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        write(lake, "clean/t", pl.DataFrame({"a": [number]}), "d1")
    state = lake.table("clean/t").at()
    monkeypatch.setattr("assay.features.tables.lake._AT_ONCE", 2)
    assert state.versions() == list(range(state.version, -1, -1))
    made = state.index.commit(2).timestamp
    assert next(state.newest_versions(made)) == max(
        v for v in state.versions() if state.index.commit(v).timestamp <= made
    )


def test_at_one_moment_nothing_moves_and_each_version_is_opened_once(lake: Lake, write) -> None:
    write(lake, "clean/t", ONE)
    now = lake.at_one_moment()
    first = now.table("clean/t").at()
    assert now.table("clean/t").at() is first and now.at_one_moment() is now
    assert now.table("clean/t").at(0) is now.table("clean/t").at(0)
    write(lake, "clean/t", TWO)
    assert now.table("clean/t").at() is first
    assert lake.table("clean/t").at().version > first.version
    with pytest.raises(TableMissing):
        now.table("clean/other").at()
    write(lake, "clean/other", ONE)
    assert_frame_equal(now.table("clean/other").scan().collect(), ONE)


@pytest.mark.parametrize("key, text", [("inputs", "[{"), ("inputs", "[{}]"), ("rows", "many"), ("format", "one")])
def test_a_commit_whose_metadata_is_damaged_is_named(lake: Lake, write, key: str, text: str) -> None:
    write(lake, "t", ONE)
    path = Path(lake.storage.root, "t/_delta_log/00000000000000000001.json")
    actions = [json.loads(line) for line in path.read_text().splitlines()]
    for action in actions:
        action.get("commitInfo", {}).update({f"assay.{key}": text} if "commitInfo" in action else {})
    path.write_text("\n".join(map(json.dumps, actions)))
    with pytest.raises(AssayError, match=r"t@1: .*damaged"):
        lake.table("t").history()


@pytest.mark.parametrize(
    "line",
    [
        '{"commitInfo":{"timestamp":1e400}}',
        '{"commitInfo":{"assay.rows":"%s"}}' % ("9" * 40),
        '{"commitInfo":{"assay.asset":["x"]}}',
        '{"add":{"path":"\\ud800.parquet","size":1}}',
        '{"add":{"path":"a.parquet","size":%s}}' % ("9" * 30),
        '{"add":{"path":"a.parquet","size":1,"stats":"{\\"numRecords\\":1e30}"}}',
        '{"add":5}',
        "[" * 50_000,
        '{"a":' * 50_000 + "1" + "}" * 50_000,
    ],
    ids=range(9),
)
def test_a_commit_that_is_none_takes_nothing_else_down(lake: Lake, write, line: str) -> None:
    write(lake, "other", ONE)
    log = Path(lake.storage.root, "t/_delta_log")
    log.mkdir(parents=True)
    (log / "00000000000000000000.json").write_text(line)
    assert lake.tables() == ["other", "t"]
    with suppress(AssayError):
        lake.table("t").at()
    index = open_index(lake.storage, "t")
    assert index is not None and index.damaged(0) == [0]


def test_what_other_tools_write_where_commits_vouch_says_nothing(lake: Lake, write) -> None:
    write(lake, "t", ONE)
    path = Path(lake.storage.root, "t/_delta_log/00000000000000000001.json")
    actions = [json.loads(line) for line in path.read_text().splitlines()]
    for text in ('{"x": "y", "0": 5, "7": "ab", "٣": "ab"}', "[1]", "5", "null"):
        for action in actions:
            action.get("commitInfo", {}).update({"assay.previous": text} if "commitInfo" in action else {})
        commit = parse_commit("t", commit_info(1, actions))
        assert commit.previous == ({"7": "ab"} if "y" in text else {})


def test_a_table_whose_making_was_killed_is_none(tmp_path: Path) -> None:
    lake = open_lake(tmp_path / "lake")
    log = tmp_path / "lake" / "clean" / "half" / "_delta_log"
    log.mkdir(parents=True)
    (log / "_0.tmp").touch()
    assert lake.tables() == []


def test_listing_tables_does_not_list_what_is_in_them(tmp_path: Path, write, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = open_lake(tmp_path / "lake")
    write(lake, "clean/deep/t", ONE, "d1")
    listed, real = [], os.scandir
    monkeypatch.setattr(os, "scandir", lambda path=".": listed.append(Path(path).name) or real(path))
    assert lake.tables() == lake.tables("clean") == ["clean/deep/t"]
    assert "deep" in listed and "t" not in listed


def test_a_checkpoint_that_names_other_files_is_not_read(lake: Lake, write) -> None:
    """The digest of a read is that of the files in the commits."""
    for frame, day in ((ONE, "d1"), (TWO, "d2")):
        write(lake, "clean/t", frame, day)
    state = lake.table("clean/t").at()
    state.delta.create_checkpoint()
    path = Path(lake.storage.root, "clean/t/_delta_log", f"{state.version:020d}.checkpoint.parquet")
    actions = pl.read_parquet(path)
    file = pl.col("add").struct.field("path")
    actions.filter(file.is_null() | file.str.contains("d1")).write_parquet(path)
    assert pl.read_delta(state.table.uri).height == 1, "it lies"
    assert sorted(lake.table("clean/t").scan().collect()["a"]) == [1, 2]
    assert sorted(lake.table("clean/t").at().scan(excluded=["d1"]).collect()["a"]) == [2]


def test_deletion_vectors_are_refused(lake: Lake, write) -> None:
    """Nothing that a read records would say which rows of a file are gone."""
    before = write(lake, "clean/t", ONE).writes[0].snapshot
    features = {"readerFeatures": ["deletionVectors"], "writerFeatures": ["deletionVectors"]}
    actions = [
        {"commitInfo": {"operation": "DELETE"}},
        {"protocol": {"minReaderVersion": 3, "minWriterVersion": 7} | features},
    ]
    path = Path(lake.storage.root, "clean/t/_delta_log", f"{before.version + 1:020d}.json")
    path.write_text("\n".join(map(json.dumps, actions)))
    for read in (lake.table("clean/t").scan, lake.table("clean/t").at().slice):
        with pytest.raises(AssayError, match="clean/t has deletion vectors"):
            read()
    assert_frame_equal(lake.table("clean/t").scan(before.version).collect(), ONE)
