"""Runs that were killed before they published anything: ended where it is certain, and otherwise left alone."""

import io
import json
import signal
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from assay.features.tables.lake import Lake
from assay.features.tables.run_record import NullRecorder, Run, Work
from assay.features.tables.transaction import transaction
from assay.lineage.delivery.ndjson import export_events, import_events
from assay.lineage.delivery.recorder import SPOOL, EventRecorder
from assay.lineage.events import events
from assay.lineage.events.process import Process, this_process
from assay.lineage.events.serialize import to_bytes
from assay.lineage.store.lineage_store import LineageStore, open_lineage_store
from tests.forked import run_forked

Official = Callable[[Mapping[str, Any]], list[str]]
NOW = timedelta(0)
ELSEWHERE = Process("0" * 32, 1, 1)

KILLED = """
import os, signal, sys
from datetime import UTC, datetime
from assay.features.tables.lake import open_lake
from assay.features.tables.transaction import transaction
from assay.features.tables.run_record import Run, Work
from assay.lineage.delivery.recorder import EventRecorder
from assay.lineage.store.lineage_store import open_lineage_store

home = sys.argv[1]
work = Work("clean/t", "2026-09-01", run=Run(sys.argv[2], datetime.now(UTC)), description="Rows that hold.")
with transaction(open_lake(home + "/lake"), EventRecorder(open_lineage_store(home + "/lineage.db")), work) as tx:
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def gone() -> Process:
    """A process of this machine that is not there any more."""
    process = this_process()
    if process is None:
        pytest.skip("this system does not tell which process is which")
    return replace(process, started=process.started - 1)


def start(store: LineageStore, process: Process | None, parent_id: str | None = None, age: float = 0) -> Work:
    """A run of which only the START was recorded, `age` seconds ago."""
    run = Run(str(uuid.uuid4()), datetime.now(UTC) - timedelta(seconds=age), parent_id, parent_id and "daily")
    work = Work("clean/t", "2026-09-01", run=run)
    store.put(to_bytes(events.started(work, "assay", process)), once=True)
    return work


def publish(lake: Lake, recorder: Any, work: Work) -> None:
    with transaction(lake, recorder, work) as tx:
        tx.write("clean/t", pl.DataFrame({"a": [1]}))


def state(store: LineageStore, work: Work) -> str:
    found = store.run(work.run.id)
    assert found is not None
    return found.state


def test_a_run_killed_before_its_first_commit_is_aborted_once(
    lake: Lake, tmp_path: Path, store: LineageStore, recorder: EventRecorder, official: Official
) -> None:
    if this_process() is None:
        pytest.skip("this system does not tell which process is which")
    run_id = str(uuid.uuid4())
    assert run_forked("-c", KILLED, str(tmp_path), run_id).code == -signal.SIGKILL
    assert recorder.recover(lake) == []  # it is not long ago
    assert recorder.recover(lake, quiet=NOW) == [run_id]
    started, aborted = [item.data for item in store.events()]
    assert (started["eventType"], aborted["eventType"]) == ("START", "ABORT")
    assert official(started) + official(aborted) == []
    assert aborted["job"] == started["job"]
    assert aborted["run"]["facets"]["nominalTime"] == started["run"]["facets"]["nominalTime"]
    assert aborted["run"]["facets"]["errorMessage"]["message"] == events.ABORTED
    assert recorder.recover(lake, quiet=NOW) == []
    assert len(store.events()) == 2


def test_a_run_whose_process_is_there_is_never_aborted(
    lake: Lake, store: LineageStore, recorder: EventRecorder
) -> None:
    start(store, this_process(), str(uuid.uuid4()), age=9999)
    assert recorder.recover(lake, quiet=NOW, over=lambda parent_id: True, abandoned=NOW) == []


def test_a_run_of_another_machine_is_aborted_when_its_parent_is_over_or_it_is_too_old(
    lake: Lake, store: LineageStore, recorder: EventRecorder
) -> None:
    parent = str(uuid.uuid4())
    step, other, alone = (start(store, ELSEWHERE, of, age=3600) for of in (parent, str(uuid.uuid4()), None))
    unknown = start(store, None, age=60)
    assert recorder.recover(lake, quiet=NOW) == []
    assert recorder.recover(lake, quiet=NOW, over=lambda found: found == parent) == [step.run.id]
    assert set(recorder.recover(lake, quiet=NOW, abandoned=timedelta(minutes=30))) == {other.run.id, alone.run.id}
    assert [state(store, work) for work in (step, other, alone, unknown)] == ["ABORT"] * 3 + ["START"]


@pytest.mark.parametrize("told", ["by itself", "by its commits"])
def test_what_a_run_says_after_it_was_given_up_stands(
    lake: Lake, store: LineageStore, recorder: EventRecorder, told: str
) -> None:
    work = start(store, ELSEWHERE, age=3600)
    assert recorder.recover(lake, quiet=NOW, abandoned=NOW) == [work.run.id]
    publish(lake, recorder if told == "by itself" else NullRecorder(), work)
    recorder.recover(lake, quiet=NOW, abandoned=NOW)
    assert state(store, work) == "COMPLETE"
    assert [use.role for use in store.uses(work.run.id)] == ["output"]
    lines = io.BytesIO()
    export_events(store, lines)
    for order in (1, -1):
        copy = open_lineage_store(store.home / f"copy{order}.db")
        import_events(copy, lines.getvalue().splitlines()[::order])
        assert state(copy, work) == "COMPLETE"
        copy.close()


def test_an_end_that_waits_in_the_spool_is_an_end(
    lake: Lake, tmp_path: Path, store: LineageStore, recorder: EventRecorder, gone: Process
) -> None:
    work = start(store, gone)
    (tmp_path / "file").write_text("")
    spooling = EventRecorder(
        open_lineage_store(tmp_path / "file" / "lineage.db", home=tmp_path)
    )  # a folder that cannot be
    with pytest.raises(ZeroDivisionError), transaction(lake, spooling, work):
        raise ZeroDivisionError
    assert (tmp_path / SPOOL).stat().st_size > 0
    assert recorder.recover(lake, quiet=NOW) == []
    assert state(store, work) == "FAIL"


def test_where_a_commit_cannot_be_read_nobody_is_said_to_have_published_nothing(
    lake: Lake, store: LineageStore, recorder: EventRecorder, gone: Process
) -> None:
    publish(lake, recorder, Work("clean/t"))
    start(store, gone)
    lake.storage.put("clean/t/_delta_log/00000000000000000002.json", b"{half")
    assert recorder.recover(lake, quiet=NOW) == []


def test_runs_of_others_are_their_own_business(lake: Lake, store: LineageStore, recorder: EventRecorder) -> None:
    other = {"eventType": "START", "eventTime": "2020-09-01T10:00:00Z", "run": {"runId": str(uuid.uuid4())}}
    store.put(json.dumps(other | {"job": {"namespace": "airflow", "name": "j"}, "producer": "urn:x"}).encode())
    elsewhere = EventRecorder(store, deployment="elsewhere")
    elsewhere.started(Work("clean/t"))
    assert recorder.recover(lake, quiet=NOW, abandoned=NOW) == []


def test_two_that_recover_at_once_abort_once(
    lake: Lake, store: LineageStore, recorder: EventRecorder, gone: Process
) -> None:
    work = start(store, gone)
    (begun,) = store.events()
    recorder.recover(lake, quiet=NOW)
    assert not store.put(to_bytes(events.aborted(begun.data)))
    assert [item.kind for item in store.events(work.run.id)] == ["START", "ABORT"]
