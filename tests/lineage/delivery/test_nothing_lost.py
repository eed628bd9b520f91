"""The store is disposable: deleted, and made again from the lake, it answers every question as it did before."""

import io
import random
import shutil
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from assay.features.storage.commit_metadata import SourceFile
from assay.features.tables.lake import open_lake
from assay.features.tables.run_record import CheckResult, Run, RunResult, Work
from assay.features.tables.transaction import AuditFailed, transaction
from assay.lineage.delivery.ndjson import export_events, import_events
from assay.lineage.delivery.rebuild import rebuild
from assay.lineage.delivery.recorder import EventRecorder
from assay.lineage.delivery.run_records import fold_records, read_records
from assay.lineage.events import events
from assay.lineage.events.process import this_process
from assay.lineage.events.serialize import to_bytes
from assay.lineage.queries.walk import graph_hash
from assay.lineage.store.lineage_store import LineageStore, open_lineage_store
from tests.conftest import SOAK
from tests.lineage.conftest import Wild, day, midnight
from tests.lineage.everything import answers, difference

NOW = timedelta(0)


class Killed(EventRecorder):
    """Of a process that is killed when its work is done, before it can report."""

    def finished(self, done: RunResult) -> None:
        pass


class History:
    """Random runs of all kinds: what `Wild` does well, and between it everything that goes wrong."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.lake, self.chance = folder, open_lake(folder / "lake"), random.Random(seed)
        self.store = open_lineage_store(folder / "lineage.db")
        self.recorder = EventRecorder(self.store, lake=self.lake.storage)
        self.wild = Wild(self.lake, self.chance, self.recorder)
        self.kinds: list[Callable[[], None]] = [
            self.fails,
            self.is_refused,
            self.finds_nothing,
            self.changes_nothing,
            self.changes_one_of_two,
            self.fails_after_its_commit,
            self.is_killed_early,
            self.is_killed_late,
            self.gets_a_column,
            self.is_part_of_a_job,
        ]

    def go_on(self, steps: int) -> None:
        for _ in range(steps):
            self.chance.choice([self.wild.step, self.chance.choice(self.kinds)])()

    def work(self, asset: str = "side/t", partition: str | None = None, **about: Any) -> Work:
        run = Run(
            str(uuid.uuid4()), datetime.now(UTC), *self.chance.choice([(None, None), (str(uuid.uuid4()), "daily")])
        )
        return Work(asset, partition, "1", run, description="What it is for.", owner="ops", **about)

    def frame(self, rows: int = 2) -> pl.DataFrame:
        rows_of = {"n": [self.chance.random() for _ in range(rows)], "deep": [[1.5]] * rows}
        return pl.DataFrame(rows_of, schema={"n": pl.Float64, "deep": pl.List(pl.Float64)})

    def fails(self) -> None:
        with pytest.raises(ValueError, match="s3cret"), transaction(self.lake, self.recorder, self.work()) as tx:
            self.wild.read(tx, "raw/a")
            raise ValueError("s3cret")

    def is_refused(self) -> None:
        work = self.work("side/t", source_location="side/t.py:12")
        with pytest.raises(AuditFailed), transaction(self.lake, self.recorder, work) as tx:
            tx.sources.append(SourceFile("side/t.csv", "ab" * 32, 10, 1))
            tx.check(CheckResult("n.range", "side/t", False, "block", "n", 2, 1, 0, "n is out of its range"))
            tx.write("side/t", self.frame())

    def finds_nothing(self) -> None:
        with transaction(self.lake, self.recorder, self.work(actor="ada")) as tx:
            self.wild.read(tx, "clean/a", lookup=True)

    def changes_nothing(self) -> None:
        for _ in range(2):
            with transaction(self.lake, self.recorder, self.work("side/same", "x")) as tx:
                tx.check(CheckResult("n.set", "side/same", True, evaluated=1))
                tx.write("side/same", pl.DataFrame({"n": [1]}))

    def changes_one_of_two(self) -> None:
        with transaction(self.lake, self.recorder, self.work("side/one", day(1))) as tx:
            tx.contract = {"name": "One", "version": "1.0", "owner": "somebody else"}
            tx.write("side/one", self.frame())
            tx.write("side/same_here", pl.DataFrame({"n": [1]}))

    def fails_after_its_commit(self) -> None:
        def fall(_done: RunResult) -> None:
            raise ValueError("then")

        with pytest.raises(ValueError, match="then"), transaction(self.lake, self.recorder, self.work("side/t")) as tx:
            tx.write("side/t", self.frame())
            tx.then(fall)

    def is_killed_early(self) -> None:
        process = this_process()
        assert process is not None
        gone = replace(process, started=process.started - 1)
        self.store.put(to_bytes(events.started(self.work("side/t"), "assay", gone)), once=True)

    def is_killed_late(self) -> None:
        with transaction(self.lake, Killed(self.store, lake=self.lake.storage), self.work("side/t")) as tx:
            self.wild.read(tx, "raw/b")
            tx.write("side/t", self.frame())

    def gets_a_column(self) -> None:
        name = f"c{self.chance.randrange(4)}"
        with transaction(self.lake, self.recorder, self.work("side/wide", day(2))) as tx:
            columns = {name: {"direct": [("raw/a", "n")], "indirect": []}}
            frame = pl.DataFrame({name: [self.chance.random()], "n": [1]})
            tx.write("side/wide", frame, mode="append", column_lineage=columns)

    def is_part_of_a_job(self) -> None:
        work = self.work("side/t", period=(midnight(0), midnight(3)))
        with transaction(self.lake, self.recorder, work) as tx:
            tx.check(CheckResult("n.none", "side/t", True, "warn", "n", 0, 0, 2), CheckResult("rows", "side/t", True))
            tx.write("side/t", self.frame(0))


@pytest.fixture(scope="module", params=range(10 if SOAK else 1))
def history(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[History]:
    if this_process() is None:
        pytest.skip("this system does not tell which process is which")
    made = History(tmp_path_factory.mktemp("history"), request.param)
    made.go_on(25)
    made.recorder.recover(made.lake, quiet=NOW)
    for kind in made.kinds:  # each of them once at least
        kind()
    made.go_on(10)
    made.recorder.recover(made.lake, quiet=NOW)
    yield made
    made.recorder.close()


@pytest.fixture(scope="module")
def before(history: History) -> dict[str, Any]:
    return answers(history.store, history.lake)


@pytest.fixture
def again(tmp_path: Path) -> Iterator[LineageStore]:
    made = open_lineage_store(tmp_path / "again.db")
    yield made
    made.close()


def test_deleted_and_rebuilt_it_answers_the_same(history: History, before: dict[str, Any], again: LineageStore) -> None:
    states = {run.state for run in history.store.runs()}
    assert states == {"COMPLETE", "FAIL", "ABORT"}
    found = rebuild(again, history.lake)
    assert found.ok
    assert found.runs == len(history.store.runs())
    assert 0 < found.records < found.runs
    assert difference(before, answers(again, history.lake)) == {}


def test_every_end_is_the_same_byte_by_byte(history: History, again: LineageStore) -> None:
    rebuild(again, history.lake)
    ends, restored = (
        [item.body for item in store.events() if item.kind != "START"] for store in (history.store, again)
    )
    assert sorted(ends) == sorted(restored)


def test_folded_days_hold_the_same(history: History, again: LineageStore, tmp_path: Path) -> None:
    copy = open_lake(shutil.copytree(history.folder / "lake", tmp_path / "copy"))
    before = read_records(copy.storage)
    assert fold_records(copy.storage, datetime.now(UTC).date() + timedelta(days=3)) == len(before.records)
    assert len(copy.storage.walk("_runs")) <= 2  # the runs began today, or before midnight
    assert read_records(copy.storage) == before
    assert rebuild(again, copy).runs == len(history.store.runs())
    assert str(history.folder / "lake") not in str([event.data for event in again.events()])  # it has moved
    assert rebuild(history.store, copy).ok


def test_what_is_there_stays_and_what_is_missing_comes(
    history: History, before: dict[str, Any], again: LineageStore
) -> None:
    lines = io.BytesIO()
    export_events(history.store, lines)
    some = [line for line in lines.getvalue().splitlines() if history.chance.random() < 0.5]
    import_events(again, some)
    assert rebuild(again, history.lake).ok
    assert difference(before, answers(again, history.lake)) == {}
    count = len(again.events())
    assert rebuild(again, history.lake).runs == 0
    assert len(again.events()) == count
    import_events(again, lines.getvalue().splitlines())
    assert graph_hash(again) == before["hash"]


def test_the_record_holds_no_values_and_no_secrets(history: History) -> None:
    content = b"".join(map(history.lake.storage.get, history.lake.storage.walk("_runs")))
    assert b"errorMessage" in content
    assert b"s3cret" not in content
