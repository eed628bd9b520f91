import logging
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from assay.features.tables.lake import Lake, open_lake
from assay.features.tables.run_record import CheckResult, NullRecorder, Run, RunResult, Work, new_run
from assay.features.tables.transaction import run, transaction
from assay.lineage.delivery.recorder import SPOOL, EventRecorder
from assay.lineage.delivery.spool import Spool
from assay.lineage.store.lineage_store import LineageStore, open_lineage_store
from tests.forked import run_forked

Official = Callable[[Mapping[str, Any]], list[str]]
NOW = timedelta(0)


def publish(lake: Lake, recorder: Any, work: Work, value: int = 1) -> RunResult:
    def body(tx: Any) -> None:
        tx.check(CheckResult("a.ge", "clean/t", True, evaluated=1))
        tx.write("clean/t", pl.DataFrame({"a": [value]}), column_lineage={"a": {"direct": [], "indirect": []}})
        tx.write("quarantine/t", pl.DataFrame({"a": [value]}).clear())

    return run(lake, recorder, work, body)[1]


def kinds(store: LineageStore, run_id: str | None = None) -> list[str]:
    return [item.kind for item in store.events(run_id)]


def graph(store: LineageStore) -> set[tuple[Any, ...]]:
    return {
        (info.id, info.job, info.state, info.parent_id, use) for info in store.runs() for use in store.uses(info.id)
    }


# -- one start, one end ------------------------------------------------------------------------------------------------


def test_a_run_has_one_start_and_one_end_even_if_told_twice(
    lake: Lake, store: LineageStore, recorder: EventRecorder
) -> None:
    work = Work("clean/t", "2026-09-01")
    done = publish(lake, recorder, work)
    again = EventRecorder(store)  # as after a restart
    again.started(work)
    again.finished(done)
    again.finished(replace(done, finished_at=done.finished_at + timedelta(seconds=1)))
    again.failed(done, RuntimeError())
    assert kinds(store) == ["START", "COMPLETE"]
    assert [info.state for info in store.runs()] == ["COMPLETE"]


def test_a_failing_run_starts_and_fails_and_the_error_goes_on(
    lake: Lake, store: LineageStore, recorder: EventRecorder
) -> None:
    with pytest.raises(ZeroDivisionError), transaction(lake, recorder, Work("clean/t")):
        raise ZeroDivisionError
    assert kinds(store) == ["START", "FAIL"]
    message = store.events()[-1].data["run"]["facets"]["errorMessage"]["message"]
    assert message.startswith("ZeroDivisionError at ")


def test_what_is_recorded_meets_the_official_schemas(
    lake: Lake, store: LineageStore, recorder: EventRecorder, official: Official
) -> None:
    parent = Run(str(uuid.uuid4()), datetime.now(UTC), str(uuid.uuid4()), "daily")
    publish(lake, recorder, Work("clean/t", "2026-09-01", "c", parent, {}, "d", "team:x", "a.py:1"))
    with pytest.raises(ValueError), transaction(lake, recorder, Work("features/x")) as tx:
        tx.read("clean/t", ["2026-09-01"]).collect()
        raise ValueError
    assert kinds(store) == ["START", "COMPLETE", "START", "FAIL"]
    assert [problem for item in store.events() for problem in official(item.data)] == []


# -- a store that cannot take it ---------------------------------------------------------------------------------------


def test_a_locked_store_neither_fails_nor_delays_and_catches_up(
    lake: Lake, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_lineage_store(tmp_path / "lineage.db", busy_seconds=2)
    recorder = EventRecorder(store)
    publish(lake, recorder, Work("warm"))
    other = sqlite3.connect(tmp_path / "lineage.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    works = [Work("clean/t", f"2026-09-0{day}") for day in (1, 2, 3)]
    with caplog.at_level(logging.WARNING, "assay.lineage"):
        started = time.monotonic()
        for work in works:
            recorder.started(work)
        assert time.monotonic() - started < 5  # one wait of 2 s for the lock, not three
    assert len([record for record in caplog.records if record.name == "assay.lineage"]) == 1
    other.execute("ROLLBACK")
    other.close()
    assert len((tmp_path / SPOOL).read_bytes().splitlines()) == 3
    fresh = EventRecorder(store)
    fresh.started(Work("next"))
    assert kinds(store) == ["START", "COMPLETE", "START", "START", "START", "START"]
    assert [item.run_id for item in store.events()[2:5]] == [work.run.id for work in works]
    assert (tmp_path / SPOOL).read_bytes() == b""
    fresh.close()


def test_a_broken_store_neither_fails_nor_loses(lake: Lake, tmp_path: Path) -> None:
    path = tmp_path / "lineage.db"
    path.write_bytes(b"this is no database " * 100)
    store = open_lineage_store(path)
    recorder = EventRecorder(store)
    work = Work("clean/t")
    publish(lake, recorder, work)
    recorder.close()
    path.unlink()
    store = open_lineage_store(path)
    recorder = EventRecorder(store)
    other = Work("clean/u", partition="p")
    recorder.started(other)
    assert kinds(store, work.run.id) == ["START", "COMPLETE"]
    assert kinds(store, other.run.id) == ["START"]
    recorder.close()


def test_a_dead_server_does_not_hold_up_the_work(lake: Lake, tmp_path: Path) -> None:
    recorder = EventRecorder(open_lineage_store("postgresql://nobody:s3cret@127.0.0.1:1/none", home=tmp_path))
    started = time.monotonic()
    publish(lake, recorder, Work("clean/t"))
    assert time.monotonic() - started < 20
    assert len((tmp_path / SPOOL).read_bytes().splitlines()) == 2
    recorder.close()


def test_nothing_can_be_recorded_at_all_and_the_work_goes_on(
    lake: Lake, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    recorder = EventRecorder(open_lineage_store(tmp_path / "file" / "lineage.db"))  # a folder that cannot be
    with caplog.at_level(logging.WARNING, "assay.lineage"):
        publish(lake, recorder, Work("clean/t"))
    recorder.finished(object())  # type: ignore[arg-type]  # not even an event can be made of this
    assert lake.table("clean/t").at().rows() == 1
    assert "postgresql" not in caplog.text
    assert len(caplog.records) >= 1


def test_a_torn_line_of_the_spool_spoils_nothing(tmp_path: Path, store: LineageStore, recorder: EventRecorder) -> None:
    spool = Spool(tmp_path / SPOOL)
    spool.path.write_bytes(b'{"eventType": "STA')
    spool.append(b'{"eventType":"START","eventTime":"2026-09-01T10:00:00Z","job":{"namespace":"n","name":"spooled"}}')
    recorder.started(Work("next"))
    assert [item.data["job"]["name"] for item in store.events()] == ["spooled", "next"]
    assert (tmp_path / f"{SPOOL}.broken").read_bytes() == b'{"eventType": "STA\n'
    assert spool.path.stat().st_size == 0


def _spool(path: Path, number: int, count: int) -> None:
    for item in range(count):
        Spool(path).append(b'{"writer": %d, "item": %d}' % (number, item))


def test_writers_share_the_spool_while_it_is_emptied(tmp_path: Path) -> None:
    spool, taken = Spool(tmp_path / "spool"), []
    crew = [threading.Thread(target=_spool, args=(spool.path, number, 40)) for number in range(3)]
    for writer in crew:  # each opens the file for itself, as processes do: the lock is the file's
        writer.start()
    while any(writer.is_alive() for writer in crew):
        spool.empty(taken.extend)
    spool.empty(taken.extend)
    assert len(taken) == len(set(taken)) == 120


def test_what_the_taker_refuses_stays_in_the_spool(tmp_path: Path) -> None:
    def refuse(_documents: object) -> None:
        raise OSError

    spool = Spool(tmp_path / "spool")
    spool.append(b"{}")
    with pytest.raises(OSError):
        spool.empty(refuse)
    assert spool.path.read_bytes() == b"{}\n"


# -- killed between commit and event -----------------------------------------------------------------------------------


def test_recovered_runs_have_the_same_graph(lake: Lake, tmp_path: Path, official: Official) -> None:
    """Everything that Assay wrote, made again from the tables alone: the same runs, versions, parts and checks."""
    told, lost = open_lineage_store(tmp_path / "told.db"), open_lineage_store(tmp_path / "lost.db")
    recorder = EventRecorder(told)
    parent = str(uuid.uuid4())
    for day in (1, 2, 1):
        run_of_day = replace(new_run(), parent_id=parent, parent_job="daily")
        publish(lake, recorder, Work("clean/t", f"2026-09-0{day}", "c", run_of_day), value=day)
    with transaction(lake, recorder, Work("features/x", "2026-09-01")) as tx:
        read = tx.read("clean/t", ["2026-09-01"], version=1).collect().select("a")
        tx.write("features/x", read, column_lineage={"a": {"direct": [("clean/t", "a")], "indirect": []}})

    recovered = EventRecorder(lost).recover(lake, quiet=NOW)
    assert len(recovered) == 3  # the third run changed nothing, so it left no commit
    assert graph(lost) == {item for item in graph(told) if item[0] in recovered}
    assert [problem for item in lost.events() for problem in official(item.data)] == []
    for run_id in recovered:
        first, second = (store.events(run_id)[-1].data for store in (told, lost))
        for facet in ("columnLineage", "lineage", "schema", "assay_snapshot", "version"):
            assert [item["facets"].get(facet) for item in _sorted(first["outputs"])] == [
                item["facets"].get(facet) for item in _sorted(second["outputs"])
            ]
        assert first["run"]["facets"].get("test") == second["run"]["facets"].get("test")
        assert {"key": "recovered", "value": "true", "source": "ASSAY"} in second["run"]["facets"]["tags"]["tags"]
    assert EventRecorder(lost).recover(lake, quiet=NOW) == []
    assert kinds(lost) == ["START", "COMPLETE"] * 3
    told.close()
    lost.close()


def _sorted(datasets: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(datasets, key=lambda item: item["name"])


def test_runs_that_may_still_be_going_are_left_alone(lake: Lake, store: LineageStore, recorder: EventRecorder) -> None:
    publish(lake, NullRecorder(), Work("clean/t"))
    assert recorder.recover(lake) == []
    assert len(recorder.recover(lake, quiet=NOW)) == 1


KILLED = """
import os, signal, sys
import polars as pl
from assay.features.tables.lake import open_lake
from assay.features.tables.transaction import transaction
from assay.features.tables.run_record import Run, Work
from assay.lineage.delivery.recorder import EventRecorder
from assay.lineage.store.lineage_store import open_lineage_store
from datetime import UTC, datetime

class Killed(EventRecorder):
    def finished(self, done):
        os.kill(os.getpid(), signal.SIGKILL)

home = sys.argv[1]
recorder = Killed(open_lineage_store(home + "/lineage.db"))
work = Work("clean/t", run=Run(sys.argv[2], datetime.now(UTC)))
with transaction(open_lake(home + "/lake"), recorder, work) as tx:
    tx.write("clean/t", pl.DataFrame({"a": [1]}))
"""


def test_a_process_killed_between_commit_and_event_is_recovered(
    lake: Lake, tmp_path: Path, store: LineageStore, recorder: EventRecorder
) -> None:
    run_id = str(uuid.uuid4())
    assert run_forked("-c", KILLED, str(tmp_path), run_id).code == -signal.SIGKILL
    assert kinds(store) == ["START"]
    assert recorder.recover(open_lake(tmp_path / "lake"), quiet=NOW) == [run_id]
    assert kinds(store) == ["START", "COMPLETE"]
    written = store.run_of(lake.table("clean/t").at().snapshot.table_id, 1)
    assert written is not None
    assert written.id == run_id


def test_importing_the_recorder_is_light() -> None:
    script = "import sys, assay.lineage.delivery.recorder; print('openlineage' in str(sys.modules), 'sqlalchemy' in sys.modules)"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV_")}
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, env=environment)
    assert done.stdout.split() == ["False", "False"]
