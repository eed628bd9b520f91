"""Write, audit, publish: idempotent, whole, and told to the recorder."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from assay.errors import AssayError
from assay.features.storage import parquet_files
from assay.features.storage.commit_metadata import SourceFile
from assay.features.storage.spool import Spool
from assay.features.tables.delta_commit import Conflict
from assay.features.tables.lake import Lake, TableMissing
from assay.features.tables.run_record import CheckResult, NullRecorder, RunResult, Work
from assay.features.tables.transaction import AuditFailed, Transaction, run, transaction

ONE, TWO, THREE = (pl.DataFrame({"a": [number]}) for number in (1, 2, 3))


class Told(NullRecorder):
    """A recorder that remembers."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Any]] = []

    def started(self, work: Work) -> None:
        self.events.append(("started", work))

    def finished(self, done: RunResult) -> None:
        self.events.append(("finished", done))

    def failed(self, done: RunResult, error: BaseException) -> None:
        self.events.append(("failed", (done, error)))

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.events]


def derive(lake: Lake, day: str, *, code: str = "1", params: Mapping[str, Any] | None = None) -> tuple[bool, RunResult]:
    """clean/t of a day from raw/t of that day, doubled; says whether it had to compute."""

    def body(tx: Transaction) -> bool:
        rows = tx.read("raw/t", [day])
        if tx.current("clean/t"):
            return False
        tx.write("clean/t", rows.select(pl.col("a") * 2).collect())
        return True

    return run(lake, NullRecorder(), Work("clean/t", day, code, params=params or {}), body)


def test_the_same_inputs_make_no_new_version(any_lake: Lake, write) -> None:
    write(any_lake, "raw/t", ONE, "d1")
    computed, first = derive(any_lake, "d1")
    assert computed and first.changed
    again, second = derive(any_lake, "d1")
    assert not again and not second.changed
    assert second.writes[0].snapshot == first.writes[0].snapshot
    assert second.writes[0].schema == first.writes[0].schema == {"a": "Int64"}


def test_a_new_day_leaves_the_others_current(lake: Lake, write) -> None:
    write(lake, "raw/t", ONE, "d1")
    derive(lake, "d1")
    write(lake, "raw/t", TWO, "d2")
    assert derive(lake, "d1")[0] is False
    assert derive(lake, "d2")[0] is True
    write(lake, "raw/t", THREE, "d1")
    assert derive(lake, "d1")[0] is True and derive(lake, "d2")[0] is False


def test_whatever_decides_the_result_makes_it_stale(lake: Lake, write) -> None:
    write(lake, "raw/t", ONE, "d1")
    assert derive(lake, "d1")[0]
    assert derive(lake, "d1", code="2")[0]
    assert derive(lake, "d1", code="2", params={"k": 1})[0]
    assert not derive(lake, "d1", code="2", params={"k": 1})[0]


def test_other_inputs_with_the_same_result_make_no_version_and_are_current_afterwards(lake: Lake, write) -> None:
    write(lake, "raw/t", ONE, "d1")
    _, first = derive(lake, "d1")
    write(lake, "raw/t", ONE.with_columns(unused=pl.lit("x")), "d1")
    computed, second = derive(lake, "d1")
    assert computed and not second.changed and second.writes[0].snapshot == first.writes[0].snapshot
    assert derive(lake, "d1")[0] is False
    write(lake, "raw/t", TWO, "d1")
    assert derive(lake, "d1")[1].changed, "the note of what is current does not outlive the version it is about"
    write(lake, "raw/t", ONE.with_columns(unused=pl.lit("x")), "d1")
    computed, back = derive(lake, "d1")
    assert computed and back.changed
    assert lake.table("clean/t").scan().collect()["a"].to_list() == [2]


def test_the_same_rows_with_another_verdict_are_a_version_that_says_so(any_lake: Lake, write) -> None:
    """Whoever asks later reads the commit; what was noted beside the table is only ever a note."""

    def judged(invalid: int, rows: pl.DataFrame = ONE) -> tuple[bool, RunResult]:
        def body(tx: Transaction) -> bool:
            if tx.current("clean/t"):
                return False
            tx.write("clean/t", rows)
            tx.check(CheckResult("a.ge", "clean/t", not invalid, evaluated=1 + invalid, invalid=invalid))
            tx.check(CheckResult("other", "quarantine/t", passed=True, evaluated=invalid))
            return True

        return run(any_lake, NullRecorder(), Work("clean/t", "d1", "1", params={"late": invalid}), body)

    def verdict() -> tuple[int, int]:
        commit = any_lake.table("clean/t").at().writer_of("d1")
        assert commit is not None
        return commit.version, commit.checks[0]["invalid"]

    _, first = judged(0)
    files = any_lake.table("clean/t").at().files
    computed, second = judged(2)
    assert computed and second.writes[0].snapshot.version == verdict()[0] == first.writes[0].snapshot.version + 1
    assert verdict()[1] == 2
    assert any_lake.table("clean/t").at().files == files
    again, third = judged(2)
    assert not again and third.checks[0].invalid == 2
    judged(1)
    state = any_lake.table("clean/t").at()
    commit = state.writer_of("d1")
    assert commit is not None and commit.confirms == first.writes[0].snapshot.version
    assert state.rows(["d1"]) == 1 and state.scan().collect()["a"].to_list() == [1]
    assert state.index.changes(first.writes[0].snapshot.version, state.version) == [], "the data did not change"
    judged(0, TWO)
    commit = any_lake.table("clean/t").at().writer_of("d1")
    assert commit is not None and commit.confirms is None


def test_all_outputs_must_be_current_together(lake: Lake) -> None:
    def both(tx: Transaction, *tables: str) -> bool:
        if tx.current("clean/t", "quarantine/t"):
            return False
        for table in tables:
            tx.write(table, ONE)
        return True

    work = Work("clean/t", "d1", "1")
    run(lake, NullRecorder(), work, lambda tx: both(tx, "clean/t"))  # as after a kill between the two commits
    computed, done = run(lake, NullRecorder(), work, lambda tx: both(tx, "clean/t", "quarantine/t"))
    assert computed and [written.changed for written in done.writes] == [False, True]
    assert run(lake, NullRecorder(), work, lambda tx: both(tx, "clean/t", "quarantine/t"))[0] is False


def test_replace_swaps_its_partition_and_append_adds(any_lake: Lake, write) -> None:
    def rows() -> list[tuple[str, int]]:
        frame = any_lake.table("clean/t").scan().collect()
        return sorted(zip(frame["partition_key"], frame["a"], strict=True))

    write(any_lake, "clean/t", ONE, "d1")
    write(any_lake, "clean/t", TWO, "d2")
    assert write(any_lake, "clean/t", THREE, "d1").writes[0].replaced
    assert rows() == [("d1", 3), ("d2", 2)]
    write(any_lake, "clean/t", TWO, "d1", mode="append")
    assert rows() == [("d1", 2), ("d1", 3), ("d2", 2)]
    version = any_lake.table("clean/t").at().version
    assert not write(any_lake, "clean/t", TWO, "d1", mode="append").changed, "the same rows again are the same file"
    assert any_lake.table("clean/t").at().version == version
    write(any_lake, "clean/t", TWO.clear(), "d1")
    assert rows() == [("d2", 2)] and "d1" in any_lake.table("clean/t").at().partitions()


def test_a_replaced_table_without_partitions_holds_the_last_rows(lake: Lake, write) -> None:
    write(lake, "training/t", ONE)
    write(lake, "training/t", TWO)
    assert_frame_equal(lake.table("training/t").scan().collect(), TWO)
    assert_frame_equal(lake.table("training/t").scan(1).collect(), ONE)


def test_new_columns_are_added_and_older_rows_have_nulls(lake: Lake, write) -> None:
    write(lake, "clean/t", ONE, "d1")
    write(lake, "clean/t", pl.DataFrame({"b": [[1.5]], "a": [2]}), "d2")
    write(lake, "clean/t", THREE, "d3")
    expected = pl.DataFrame(
        {"a": [1, 2, 3], "partition_key": ["d1", "d2", "d3"], "b": [None, [1.5], None]},
        schema_overrides={"b": pl.List(pl.Float64)},
    )
    assert_frame_equal(lake.table("clean/t").scan().collect().sort("a"), expected)
    assert lake.table("clean/t").scan(1).collect().columns == ["a", "partition_key"], "a version keeps its shape"


def test_columns_that_differ_only_in_case_are_refused_also_against_the_table(lake: Lake, write) -> None:
    with pytest.raises(AssayError, match="the rows for clean/x: columns 'Id' and 'id' differ only in case"):
        write(lake, "clean/x", pl.DataFrame({"Id": [1], "id": [1]}))
    write(lake, "clean/x", pl.DataFrame({"id": [1]}))
    with pytest.raises(AssayError, match="clean/x, with the new rows: columns 'id' and 'ID' differ only in case"):
        write(lake, "clean/x", pl.DataFrame({"ID": [1]}))


@pytest.mark.parametrize("column", [pl.Series([1], dtype=pl.Int32), pl.Series(["1"]), pl.Series([1.0])])
def test_a_changed_type_is_refused_and_the_table_untouched(lake: Lake, write, column: pl.Series) -> None:
    write(lake, "clean/t", ONE, "d1")
    with pytest.raises(AssayError, match="column 'a' is Int64 in the table"):
        write(lake, "clean/t", pl.DataFrame({"a": column}), "d2")
    assert lake.table("clean/t").at().version == 1


def test_partitioned_or_not_is_settled_by_the_first_write(lake: Lake, write) -> None:
    write(lake, "clean/t", ONE, "d1")
    write(lake, "clean/u", ONE)
    with pytest.raises(AssayError, match="clean/t is partitioned"):
        write(lake, "clean/t", ONE)
    with pytest.raises(AssayError, match="clean/u is not partitioned"):
        write(lake, "clean/u", ONE, "d1")


@pytest.mark.parametrize("key", ["", "a/b", "../x", "a b", "ü", "a=b", "%41", "x" * 200])
def test_a_partition_key_that_cannot_be_a_folder_is_refused(key: str) -> None:
    with pytest.raises(AssayError, match="cannot be a partition key"):
        Work("clean/t", key)


def test_constraints_hold_for_every_later_writer(lake: Lake, write) -> None:
    def vectors(*rows: list[float]) -> pl.DataFrame:
        return pl.DataFrame({"v": rows}, schema={"v": pl.List(pl.Float32)})

    rule = {"dimension": "array_length(v) = 2"}
    with (
        pytest.raises(AssayError, match="1 of 2 new rows break its constraint 'dimension'"),
        transaction(lake, NullRecorder(), Work("e/t", "d1")) as tx,
    ):
        tx.write("e/t", vectors([1, 2], [1, 2, 3]), constraints=rule)
    assert lake.tables() == []
    with transaction(lake, NullRecorder(), Work("e/t", "d1")) as tx:
        tx.write("e/t", vectors([1, 2]), constraints=rule)
    with pytest.raises(AssayError, match="constraint 'dimension'"):
        write(lake, "e/t", vectors([1, 2, 3]), "d2")
    write(lake, "e/t", vectors([3, 4]), "d2")
    assert lake.table("e/t").at().rows() == 2


def test_a_blocking_check_publishes_nothing(lake: Lake) -> None:
    told = Told()
    with pytest.raises(AuditFailed, match="too few rows"), transaction(lake, told, Work("clean/t", "d1")) as tx:
        tx.write("clean/t", ONE)
        tx.check(CheckResult("volume", "clean/t", False, "block", message="clean/t: too few rows"))
    assert lake.tables() == [] and lake.storage.walk() == []
    assert told.kinds == ["started", "failed"]
    with transaction(lake, told, Work("clean/t", "d1")) as tx:
        tx.write("clean/t", ONE)
        tx.check(CheckResult("volume", "clean/t", False, "warn"))
    assert tx.done is not None and tx.done.changed


def test_an_error_in_the_work_publishes_nothing_and_goes_on(lake: Lake) -> None:
    told = Told()
    with pytest.raises(ZeroDivisionError), transaction(lake, told, Work("clean/t")) as tx:
        tx.write("clean/t", ONE)
        _ = 1 / 0
    assert lake.tables() == [] and told.kinds == ["started", "failed"]


def test_a_commit_says_where_its_rows_come_from(lake: Lake, write) -> None:
    write(lake, "raw/t", ONE, "d1")
    write(lake, "ref/keys", ONE)
    told = Told()
    with transaction(lake, told, Work("clean/t", "d1", "code", params={"k": 1})) as tx:
        rows = tx.read("raw/t", ["d1"]).select("a").collect()
        tx.read("ref/keys", lookup=True)
        tx.sources.append(SourceFile("landing/x.csv", "ab" * 32, 10, 1, "_landing/ab/" + "ab" * 32))
        tx.contract = {"name": "t", "version": "1", "digest": "cd"}
        tx.extra["note"] = {"of": "all"}
        tx.check(CheckResult("not_null", "clean/t", True, evaluated=1))
        tx.write("clean/t", rows, extra={"own": True})
    done = tx.done
    assert done is not None and told.events[-1] == ("finished", done)
    commit = lake.table("clean/t").at().commits[-1]
    assert commit.inputs == done.reads
    assert [(item.snapshot.table, item.partitions, item.lookup) for item in commit.inputs] == [
        ("raw/t", ("d1",), False),
        ("ref/keys", None, True),
    ]
    assert commit.sources == done.sources and commit.contract == done.contract
    assert commit.run_id == done.work.run.id and commit.run == done.work.run_facts()
    assert (commit.asset, commit.partition, commit.code_version, commit.mode) == ("clean/t", "d1", "code", "replace")
    assert (commit.rows, commit.extra) == (1, {"note": {"of": "all"}, "own": True})
    assert [CheckResult(**check) for check in commit.checks] == list(done.checks)


def test_a_reference_that_changes_makes_nobody_stale(lake: Lake, write) -> None:
    def body(tx: Transaction) -> bool:
        tx.read("ref/keys", lookup=True)
        if tx.current("clean/t"):
            return False
        tx.write("clean/t", ONE)
        return True

    write(lake, "ref/keys", ONE)
    assert run(lake, NullRecorder(), Work("clean/t", "d1"), body)[0]
    write(lake, "ref/keys", TWO)
    assert not run(lake, NullRecorder(), Work("clean/t", "d1"), body)[0]


def test_a_table_asked_twice_is_one_version(lake: Lake, write) -> None:
    write(lake, "raw/t", ONE)
    with transaction(lake, NullRecorder(), Work("x")) as tx:
        before = tx.read("raw/t")
        write(lake, "raw/t", TWO)
        assert_frame_equal(tx.read("raw/t").collect(), before.collect())
        with pytest.raises(AssayError, match="already read at version 1"):
            tx.read("raw/t", version=2)
    assert [item.snapshot.version for item in tx.reads] == [1]


def test_a_run_reads_version_1_while_2_is_the_latest(any_lake: Lake, write) -> None:
    write(any_lake, "raw/t", ONE)
    write(any_lake, "raw/t", TWO)
    with transaction(any_lake, NullRecorder(), Work("clean/t")) as tx:
        tx.write("clean/t", tx.read("raw/t", version=1).collect())
    assert any_lake.table("clean/t").at().commits[-1].inputs[0].snapshot == any_lake.table("raw/t").at(1).snapshot
    assert_frame_equal(any_lake.table("clean/t").scan().collect(), ONE)


def append_unknown(tx: Transaction, keys: list[int]) -> None:
    """Add the keys that the table does not have yet."""
    try:
        known = tx.read("keys/t", lookup=True).select("a").collect()
    except TableMissing:
        known = ONE.clear()
    tx.write("keys/t", pl.DataFrame({"a": keys}).join(known, on="a", how="anti"), mode="append")


@pytest.mark.parametrize("exists", [True, False], ids=["existing table", "no table yet"])
def test_a_decision_on_an_outdated_read_is_not_published(lake: Lake, write, exists: bool) -> None:
    if exists:
        write(lake, "keys/t", ONE)
    with pytest.raises(Conflict, match="keys/t"), transaction(lake, NullRecorder(), Work("keys/t")) as tx:
        append_unknown(tx, [2, 3])
        write(lake, "keys/t", TWO, mode="append")  # somebody else is quicker
    assert sorted(lake.table("keys/t").scan().collect()["a"]) == ([1, 2] if exists else [2])


@pytest.mark.parametrize("exists", [True, False], ids=["existing table", "no table yet"])
def test_run_does_the_work_again_on_the_new_state(lake: Lake, write, exists: bool) -> None:
    if exists:
        write(lake, "keys/t", ONE)
    told, interruptions = Told(), iter([TWO, THREE])

    def body(tx: Transaction) -> None:
        append_unknown(tx, [1, 2, 3, 4])
        if (other := next(interruptions, None)) is not None:
            write(lake, "keys/t", other, mode="append")

    run(lake, told, Work("keys/t"), body)
    assert sorted(lake.table("keys/t").scan().collect()["a"]) == [1, 2, 3, 4]
    assert told.kinds == ["started", "finished"]


def test_a_conflict_is_found_before_other_outputs_are_out(lake: Lake, write) -> None:
    write(lake, "keys/t", ONE)
    with pytest.raises(Conflict), transaction(lake, NullRecorder(), Work("keys/t")) as tx:
        tx.write("clean/t", ONE)
        append_unknown(tx, [2])
        write(lake, "keys/t", TWO, mode="append")
    assert lake.tables() == ["keys/t"]


def test_new_columns_do_not_look_like_another_writer(lake: Lake, write) -> None:
    write(lake, "keys/t", ONE)
    with transaction(lake, NullRecorder(), Work("keys/t")) as tx:
        tx.read("keys/t", lookup=True)
        tx.write("keys/t", TWO.with_columns(b=pl.lit("x")), mode="append")
    assert lake.table("keys/t").at().rows() == 2


def test_endless_conflicts_end_in_an_error(lake: Lake, write) -> None:
    told, number = Told(), iter(range(100))

    def body(tx: Transaction) -> None:
        append_unknown(tx, [-1])
        write(lake, "keys/t", pl.DataFrame({"a": [next(number)]}), mode="append")

    with pytest.raises(Conflict):
        run(lake, told, Work("keys/t"), body, attempts=3)
    assert told.kinds == ["started", "failed"]


def test_numbers_in_a_commit_come_back_as_they_were(lake: Lake) -> None:
    with transaction(lake, NullRecorder(), Work("raw/t")) as tx:
        tx.extra["bounds"] = {"low": 2**100, "mean": math.nan}
        tx.write("raw/t", ONE)
    bounds = lake.table("raw/t").at().commits[-1].extra["bounds"]
    assert bounds["low"] == 2**100 and isinstance(bounds["low"], int)
    assert math.isnan(bounds["mean"])


def test_rows_that_come_frame_by_frame_are_the_same_files_and_nothing_is_left_when_they_are_refused(
    any_lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_files, "ROWS_PER_FILE", 10)
    monkeypatch.setattr(Spool.__init__, "__defaults__", (None, 0))  # all of it waits in a file
    whole = pl.DataFrame({"a": range(25), "text": [f"{number}" * 3 for number in range(25)]})
    with transaction(any_lake, NullRecorder(), Work("raw/whole")) as tx:
        tx.write("raw/whole", whole)
        tx.write("raw/frames", (whole.slice(start, 4) for start in range(0, 25, 4)))
    one, two = (any_lake.table(name).at() for name in ("raw/whole", "raw/frames"))
    assert [file.path for file in one.files] == [file.path for file in two.files]
    assert_frame_equal(two.scan().collect().sort("a"), whole)

    def broken() -> Iterator[pl.DataFrame]:
        yield whole
        raise AssayError("the second half is missing")

    before = any_lake.storage.walk()
    with pytest.raises(AssayError, match="second half"), transaction(any_lake, NullRecorder(), Work("raw/t")) as tx:
        tx.write("raw/t", broken())
    with pytest.raises(AssayError, match="no frame"), transaction(any_lake, NullRecorder(), Work("raw/t")) as tx:
        tx.write("raw/t", iter(()))
    assert any_lake.storage.walk() == before
