"""Pins keep, vacuum frees, and nothing in between is lost."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from assay.errors import AssayError
from assay.features.retention.availability import snapshot_status
from assay.features.retention.pins import Pin, announcement, live_pins, pin, pins, unpin
from assay.features.retention.vacuum import plan_vacuum, vacuum
from assay.features.tables.lake import Lake, open_lake
from assay.features.tables.run_record import NullRecorder, Work
from assay.features.tables.transaction import transaction
from tests.conftest import SOAK

NOW = timedelta(0)


def frame(number: int) -> pl.DataFrame:
    return pl.DataFrame({"a": [number]})


def free(lake: Lake, table: str = "clean/t", **options) -> int:
    return vacuum(lake, table, keep_days=0, grace=NOW, dry_run=False, **options).files


def test_a_pin_is_a_file_that_says_who_why_and_until_when(any_lake: Lake, write) -> None:
    snapshot = write(any_lake, "clean/t", frame(1)).writes[0].snapshot
    until = datetime.now(UTC) + timedelta(days=3)
    made = pin(any_lake, "audit@2026", [snapshot], owner="governance", reason="complaint", expires_at=until)
    assert pins(any_lake) == [made] and made.snapshots == (snapshot,)
    stored = json.loads(any_lake.storage.get("_pins/audit@2026.json"))
    assert stored == made.to_dict() and Pin.from_dict(stored) == made
    assert live_pins(any_lake) == [made] and live_pins(any_lake, until) == []
    unpin(any_lake, "audit@2026")
    assert pins(any_lake) == []
    with pytest.raises(AssayError, match="no pin 'audit@2026'"):
        unpin(any_lake, "audit@2026")


def test_a_pin_that_cannot_be_is_refused(lake: Lake, write) -> None:
    snapshot = write(lake, "clean/t", frame(1)).writes[0].snapshot
    other = write(lake, "clean/t", frame(2)).writes[0].snapshot
    who = {"owner": "o", "reason": "r"}
    for name in ("", "a/b", "../x", "_x", "a b"):
        with pytest.raises(AssayError, match="not a pin name"):
            pin(lake, name, [snapshot], **who)
    with pytest.raises(AssayError, match="names no snapshot"):
        pin(lake, "p", [], **who)
    with pytest.raises(AssayError, match="in the future"):
        pin(lake, "p", [snapshot], expires_at=datetime.now(UTC) - timedelta(days=1), **who)
    pin(lake, "p", [snapshot], **who)
    with pytest.raises(AssayError, match="already keeps other snapshots"):
        pin(lake, "p", [other], **who)
    renewed = pin(lake, "p", [snapshot], expires_at=datetime.now(UTC) + timedelta(days=1), **who)
    assert [item.expires_at for item in pins(lake)] == [renewed.expires_at]


def test_what_is_gone_cannot_be_pinned(lake: Lake, write) -> None:
    old = write(lake, "clean/t", frame(1)).writes[0].snapshot
    write(lake, "clean/t", frame(2))
    assert free(lake) == 1
    with pytest.raises(AssayError, match="clean/t@1, which is vacuumed"):
        pin(lake, "p", [old], owner="o", reason="r")
    assert pins(lake) == []


def test_a_snapshot_is_readable_vacuumed_or_erased(any_lake: Lake, write) -> None:
    old = write(any_lake, "clean/t", frame(1)).writes[0].snapshot
    new = write(any_lake, "clean/t", frame(2)).writes[0].snapshot
    assert snapshot_status(any_lake, old) == snapshot_status(any_lake, new) == "readable"
    free(any_lake)
    assert (snapshot_status(any_lake, old), snapshot_status(any_lake, new)) == ("vacuumed", "readable")
    for path in any_lake.storage.walk("clean/t"):
        any_lake.storage.delete(path)
    assert snapshot_status(any_lake, new) == "erased"
    write(any_lake, "clean/t", frame(1))
    write(any_lake, "clean/t", frame(2))
    assert snapshot_status(any_lake, new) == "erased", "the same address and version, but another table"


def test_a_slice_is_readable_without_the_rest_of_its_version(lake: Lake, write) -> None:
    for day, number in (("d1", 1), ("d2", 2), ("d1", 3), ("d2", 4)):
        write(lake, "clean/t", frame(number), day)
    state = lake.table("clean/t").at(2)
    part, other = state.slice(["d1"]), state.slice(["d2"])
    pin(lake, "p", [part], owner="o", reason="r")
    assert free(lake) == 1
    assert (snapshot_status(lake, part), snapshot_status(lake, other)) == ("readable", "vacuumed")
    assert_frame_equal(lake.table("clean/t").at(2).scan(["d1"]).select("a").collect(), frame(1))


def test_a_dry_run_deletes_nothing(lake: Lake, write) -> None:
    for number in (1, 2, 3):
        write(lake, "clean/t", frame(number))
    before = lake.storage.walk()
    report = vacuum(lake, "clean/t", keep_days=0, grace=NOW)
    assert lake.storage.walk() == before
    assert (report.files, report.deleted, report.keeps) == (2, False, (3,)) and report.bytes > 0
    done = vacuum(lake, "clean/t", keep_days=0, grace=NOW, dry_run=False)
    assert (done.paths, done.bytes, done.deleted) == (report.paths, report.bytes, True)
    assert vacuum(lake, "clean/t", keep_days=0, grace=NOW).files == 0
    assert [path for path in lake.storage.walk() if path.startswith("_vacuum")] == []


def test_recent_versions_and_recent_files_are_kept(lake: Lake, write) -> None:
    for number in (1, 2, 3):
        write(lake, "clean/t", frame(number))
    assert plan_vacuum(lake, "clean/t", keep_days=1, grace=NOW).files == 0
    assert plan_vacuum(lake, "clean/t", keep_days=0).files == 0, "younger than an hour"
    old = (datetime.now(UTC) - timedelta(hours=2)).timestamp()
    for path in Path(lake.storage.root, "clean/t").glob("*.parquet"):
        os.utime(path, (old, old))
    assert plan_vacuum(lake, "clean/t", keep_days=0).files == 2
    write(lake, "clean/t", frame(1))
    report = vacuum(lake, "clean/t", keep_days=0, dry_run=False)
    assert report.files == 2, "what came back to life is young again, and needed"
    assert_frame_equal(lake.table("clean/t").scan().collect(), frame(1))


def test_a_version_that_was_the_latest_yesterday_is_recent_however_old_it_is(lake: Lake, write) -> None:
    for number in (1, 2, 3):
        write(lake, "clean/t", frame(number))
    log = Path(lake.storage.root, "clean/t/_delta_log")
    for version, age in ((0, 100), (1, 100), (2, 50), (3, 1)):
        path = log / f"{version:020d}.json"
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        for line in lines:
            if "commitInfo" in line:
                line["commitInfo"]["timestamp"] = int((datetime.now(UTC) - timedelta(days=age)).timestamp() * 1000)
        path.write_text("\n".join(map(json.dumps, lines)))
    assert plan_vacuum(lake, "clean/t", keep_days=30, grace=NOW).keeps == (2, 3)
    assert plan_vacuum(lake, "clean/t", keep_days=60, grace=NOW).keeps == (1, 2, 3)


def test_an_expired_or_removed_pin_keeps_nothing(lake: Lake, write) -> None:
    first = write(lake, "clean/t", frame(1)).writes[0].snapshot
    second = write(lake, "clean/t", frame(2)).writes[0].snapshot
    write(lake, "clean/t", frame(3))
    pin(lake, "one", [first], owner="o", reason="r")
    pin(lake, "two", [second], owner="o", reason="r", expires_at=datetime.now(UTC) + timedelta(seconds=1))
    assert plan_vacuum(lake, "clean/t", keep_days=0, grace=NOW).pins == ("one", "two")
    assert free(lake) == 0
    expired = json.loads(lake.storage.get("_pins/two.json")) | {"expires_at": "2026-01-01T00:00:00+00:00"}
    lake.storage.put("_pins/two.json", json.dumps(expired).encode())
    assert free(lake) == 1 and snapshot_status(lake, second) == "vacuumed"
    unpin(lake, "one")
    assert free(lake) == 1 and snapshot_status(lake, first) == "vacuumed"


def test_a_pin_and_a_vacuum_at_the_same_moment_cannot_both_win(lake: Lake, write) -> None:
    old = write(lake, "clean/t", frame(1)).writes[0].snapshot
    write(lake, "clean/t", frame(2))
    doomed = plan_vacuum(lake, "clean/t", keep_days=0, grace=NOW).paths
    lake.storage.put(announcement("clean/t"), json.dumps({"files": doomed}).encode())
    with pytest.raises(AssayError, match="is being vacuumed"):
        pin(lake, "p", [old], owner="o", reason="r")
    assert pins(lake) == []
    pin(lake, "latest", [lake.table("clean/t").at().snapshot], owner="o", reason="r")
    assert free(lake) == 1, "a vacuum that was killed is finished by the next one"
    assert lake.storage.size(announcement("clean/t")) is None


def test_a_pin_made_after_the_plan_is_seen_before_anything_is_deleted(
    lake: Lake, write, monkeypatch: pytest.MonkeyPatch
) -> None:
    from assay.features.storage.storage import Storage

    old = write(lake, "clean/t", frame(1)).writes[0].snapshot
    write(lake, "clean/t", frame(2))
    put = Storage.put

    def put_and_be_overtaken(self: Storage, path: str, content: bytes) -> None:
        if path == announcement("clean/t"):
            pin(lake, "quick", [old], owner="o", reason="r")  # between the plan and the announcement
        put(self, path, content)

    monkeypatch.setattr(Storage, "put", put_and_be_overtaken)
    assert free(lake) == 0
    assert snapshot_status(lake, old) == "readable"


def test_foreign_files_stay_and_old_leftovers_of_killed_writers_go(lake: Lake, write) -> None:
    write(lake, "clean/t", frame(1), "d1")
    leftovers = ["clean/t/partition_key=d1/" + "0" * 64 + ".parquet", "clean/t/partition_key=d1/_x1.tmp"]
    foreign = ["clean/t/notes.txt", "clean/t/part-0000.parquet", "clean/t/_delta_log/_tmp"]
    for path in leftovers + foreign:
        lake.storage.put(path, b"x")
    assert free(lake) == 0, "they may belong to a writer at work"
    old = (datetime.now(UTC) - timedelta(days=8)).timestamp()
    for path in leftovers + foreign:
        os.utime(Path(lake.storage.root, path), (old, old))
    assert free(lake) == 2
    assert all(lake.storage.size(path) is None for path in leftovers)
    assert all(lake.storage.size(path) == 1 for path in foreign)


def test_a_file_that_a_vacuum_took_during_a_commit_is_put_back(
    lake: Lake, write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer about to commit a file that an old version had left behind, and a vacuum with no patience."""
    from assay.features.tables import delta_commit as publish

    write(lake, "clean/t", frame(1))
    write(lake, "clean/t", frame(2))
    opened = publish._open_or_create

    def vacuum_first(*args):
        state = opened(*args)
        assert free(lake) == 1
        return state

    monkeypatch.setattr(publish, "_open_or_create", vacuum_first)
    write(lake, "clean/t", frame(1))
    assert_frame_equal(lake.table("clean/t").scan().collect(), frame(1))


def test_a_log_with_gaps_is_not_vacuumed(lake: Lake, write) -> None:
    for number in (1, 2, 3):
        write(lake, "clean/t", frame(number))
    lake.storage.delete("clean/t/_delta_log/00000000000000000001.json")
    with pytest.raises(AssayError):
        free(lake)


WRITES = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 3), st.sampled_from(["replace", "append"])), max_size=12
)
PINS = st.lists(st.tuples(st.integers(0, 12), st.none() | st.sets(st.sampled_from("abc"))), max_size=4)


@settings(max_examples=300 if SOAK else 8)
@given(WRITES, PINS)
def test_exactly_what_nobody_needs_is_freed(tmp_path_factory: pytest.TempPathFactory, writes, kept) -> None:
    """Against the obvious: read every version first, vacuum, then see which files each slice has left."""
    lake = open_lake(tmp_path_factory.mktemp("lake"))
    for day, number, mode in [("a", 0, "replace"), *writes]:
        with transaction(lake, NullRecorder(), Work("clean/t", day)) as tx:
            tx.write("clean/t", frame(number), mode=mode)
    table = lake.table("clean/t")
    latest = table.at().version
    needed = {file.path for file in table.at().files}
    for number, (version, partitions) in enumerate(kept):
        state = table.at(min(version, latest))
        item = state.snapshot if partitions is None else state.slice(sorted(partitions))
        pin(lake, f"p{number}", [item], owner="o", reason="r")
        needed |= {file.path for file in state.files_of(None if partitions is None else sorted(partitions))}
    ever = {file.path for version in range(latest + 1) for file in table.at(version).files}
    assert free(lake) == len(ever - needed)
    there = {path.removeprefix("clean/t/") for path in lake.storage.walk("clean/t") if path.endswith(".parquet")}
    assert there == needed
