import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from assay.cli import main
from assay.errors import AssayError
from assay.features.tables.lake import Lake
from assay.features.tables.run_record import Work
from assay.features.tables.transaction import transaction
from assay.lineage.delivery.outbox import Drain, backlog, retry_parked
from assay.lineage.delivery.recorder import EventRecorder
from assay.lineage.store.lineage_store import LineageStore, open_lineage_store
from tests.lineage.backend import Backend


@pytest.fixture
def backend() -> Iterator[Backend]:
    made = Backend()
    yield made
    made.stop()


def event(kind: str, run_id: str, second: int = 0) -> bytes:
    value = {"eventType": kind, "eventTime": f"2026-09-01T10:00:{second:02d}Z", "run": {"runId": run_id}}
    return json.dumps(value | {"job": {"namespace": "n", "name": "j"}}).encode()


def fill(store: LineageStore, count: int) -> list[tuple[str, str]]:
    """Runs whose events are interleaved: all starts, then all ends."""
    ids = [str(uuid.UUID(int=number)) for number in range(count)]
    expected = [(run_id, kind) for kind in ("START", "COMPLETE") for run_id in ids]
    store.put_all([event(kind, run_id) for run_id, kind in expected], forward=True)
    return expected


def drain_of(store: LineageStore, url: str, **options: Any) -> Drain:
    return Drain(store, url, **({"timeout": 2.0, "backoff": 0.02, "longest": 0.2} | options))


def in_order_per_run(order: list[tuple[str, str]]) -> bool:
    return all(
        [kind for run_id, kind in dict.fromkeys(order) if run_id == wanted] == ["START", "COMPLETE"]
        for wanted, _ in order
    )


def test_everything_is_delivered_once_in_order(any_store: LineageStore, backend: Backend) -> None:
    expected = fill(any_store, 5)
    assert backlog(any_store).pending == 10
    delivered = drain_of(any_store, backend.url).drain()
    assert (delivered.sent, delivered.failed, delivered.parked) == (10, 0, 0)
    assert backend.order == expected
    assert backend.paths == {"/api/v1/lineage"}
    assert backend.taken[0] == any_store.events()[0].data
    assert backlog(any_store).pending == 0
    assert drain_of(any_store, backend.url).drain().sent == 0


def test_only_events_to_be_forwarded_wait(store: LineageStore) -> None:
    store.put(event("START", str(uuid.uuid4())))
    assert backlog(store).pending == 0


def test_down_then_failing_then_up(store: LineageStore, backend: Backend) -> None:
    expected = fill(store, 3)
    drain = drain_of(store, backend.url)
    backend.stop()
    down = drain.drain(deadline=0.3)
    assert (down.sent, down.parked) == (0, 0)
    assert down.failed >= 1
    state = backlog(store)
    assert (state.pending, state.parked) == (6, 0)
    assert state.retrying >= 1
    assert state.problem == "ConnectionError"
    backend.answer = lambda _event: 503
    backend.start()
    assert drain.drain(deadline=0.5).sent == 0
    assert backlog(store).problem == "HTTP 503"
    assert backlog(store).pending == 6
    backend.answer = lambda _event: 200
    assert drain.drain().sent == 6
    assert sorted(backend.order) == sorted(expected)
    assert in_order_per_run(backend.order)


def test_an_endpoint_that_fails_at_random_gets_everything_in_order(store: LineageStore, backend: Backend) -> None:
    expected = fill(store, 10)
    answers = iter([500, 200, 429, 401, 200, 502] * 100)
    backend.answer = lambda _event: next(answers)
    assert drain_of(store, backend.url).drain(deadline=30).sent == 20
    assert sorted(backend.order) == sorted(expected)
    assert in_order_per_run(backend.order)


def test_a_refused_event_is_parked_and_holds_up_nothing(store: LineageStore, backend: Backend) -> None:
    poison = str(uuid.UUID(int=1))
    expected = fill(store, 3)
    backend.answer = lambda found: 422 if found["run"]["runId"] == poison and found["eventType"] == "START" else 200
    delivered = drain_of(store, backend.url).drain()
    assert (delivered.sent, delivered.parked, delivered.failed) == (5, 1, 0)
    assert backend.order == [item for item in expected if item != (poison, "START")]
    state = backlog(store)
    assert (state.pending, state.parked, state.problem) == (0, 1, "HTTP 422")
    backend.answer = lambda _event: 200
    assert drain_of(store, backend.url).drain().sent == 0
    assert retry_parked(store) == 1
    assert drain_of(store, backend.url).drain().sent == 1
    assert (poison, "START") in backend.order


def forward(*options: str, ended: int) -> None:
    with pytest.raises(SystemExit) as left:
        main(["lineage", "forward", *options])
    assert left.value.code == ended


def test_the_command_delivers_and_tries_refused_events_again(
    backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path))
    monkeypatch.setenv("ASSAY_OPENLINEAGE_URL", backend.url)
    store = open_lineage_store(tmp_path / "lineage.db")
    expected = fill(store, 1)
    store.close()
    backend.answer = lambda _event: 422
    forward(ended=0)
    backend.answer = lambda _event: 200
    forward(ended=0)
    assert backend.order == []
    forward("--refused", ended=0)
    assert sorted(backend.order) == sorted(expected)
    assert "Nothing waits" in capsys.readouterr().out


def test_limit_and_deadline_are_kept(store: LineageStore, backend: Backend) -> None:
    fill(store, 4)
    drain = drain_of(store, backend.url, backoff=30.0, longest=30.0)
    assert drain.drain(limit=3).sent == 3
    backend.answer = lambda _event: 500
    started = time.monotonic()
    assert drain.drain(deadline=1.0).sent == 0
    assert time.monotonic() - started < 20  # and not the 30 seconds of the backoff


def test_backoff_grows_and_is_jittered(store: LineageStore) -> None:
    drain = Drain(store, "http://127.0.0.1:1", backoff=1.0, longest=60.0)
    for attempts, full in [(0, 1), (1, 2), (4, 16), (6, 60), (1000, 60)]:
        delays = {drain._delay(attempts) for _ in range(50)}
        assert len(delays) > 1
        assert all(full / 2 <= delay <= full for delay in delays)


def test_recording_does_not_wait_for_a_slow_endpoint(lake: Lake, tmp_path: Path, backend: Backend) -> None:
    store = open_lineage_store(tmp_path / "lineage.db")
    backend.seconds = 2.0
    recorder = EventRecorder(store, forward_to=backend.url)
    recorder.started(Work("warm"))  # libraries are loaded, the thread runs and is waiting for the endpoint
    started = time.monotonic()
    for day in range(1, 6):
        recorder.started(Work("a", f"2026-09-0{day}"))
    assert time.monotonic() - started < 5  # five answers would take 10 s
    with transaction(lake, recorder, Work("clean/t")) as tx:
        tx.write("clean/t", pl.DataFrame({"a": [1]}))
    backend.seconds = 0.0
    wait_until(lambda: backlog(store).pending == 0)
    assert sorted(backend.order) == sorted((item.run_id or "", item.kind) for item in store.events())
    recorder.close()


def test_the_thread_survives_an_outage(tmp_path: Path, backend: Backend) -> None:
    store = open_lineage_store(tmp_path / "lineage.db")
    backend.stop()
    drain = drain_of(store, backend.url, idle=0.02)
    drain.start()
    expected = fill(store, 2)
    wait_until(lambda: backlog(store).retrying > 0)
    backend.start()
    wait_until(lambda: backlog(store).pending == 0)
    drain.stop()
    assert sorted(backend.order) == sorted(expected)
    assert in_order_per_run(backend.order)
    store.close()


DRAINING = """
import sys
from assay.lineage.delivery.outbox import Drain
from assay.lineage.store.lineage_store import open_lineage_store
Drain(open_lineage_store(sys.argv[1]), sys.argv[2], timeout=0.5, backoff=0.02).drain(deadline=60)
"""


def test_a_drain_killed_in_the_middle_loses_nothing(tmp_path: Path, backend: Backend) -> None:
    """Killed at some moment again and again, while it is sending: at least once, and in order per run."""
    store = open_lineage_store(tmp_path / "lineage.db")
    expected = fill(store, 12)
    backend.seconds = 0.02
    for extra in (1, 6):
        before = backend.asked
        process = subprocess.Popen([sys.executable, "-c", DRAINING, str(tmp_path / "lineage.db"), backend.url])
        wait_until(lambda wanted=before + extra: backend.asked >= wanted)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)
    waiting = backlog(store).pending
    assert 0 < waiting < len(expected)
    assert drain_of(store, backend.url).drain(deadline=30).sent == waiting
    assert set(backend.order) == set(expected)
    assert in_order_per_run(backend.order)
    assert backlog(store).pending == 0
    store.close()


def test_several_drains_share_the_work(store: LineageStore, backend: Backend) -> None:
    expected = fill(store, 10)
    backend.seconds = 0.01
    counts: list[int] = []
    crew = [
        threading.Thread(target=lambda: counts.append(drain_of(store, backend.url).drain(deadline=20).sent))
        for _ in range(3)
    ]
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join(30)
    assert sum(counts) == len(expected)
    assert sorted(backend.order) == sorted(expected)
    assert in_order_per_run(backend.order)


def test_a_url_with_a_path_is_the_endpoint(store: LineageStore, backend: Backend) -> None:
    fill(store, 1)
    assert drain_of(store, f"{backend.url}/hooks/lineage?key=1").drain().sent == 2
    assert backend.paths == {"/hooks/lineage?key=1"}


def test_the_environment_does_not_redirect_events(
    store: LineageStore, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENLINEAGE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__TYPE", "console")
    monkeypatch.setenv("OPENLINEAGE_DISABLED", "true")
    fill(store, 1)
    assert drain_of(store, backend.url).drain().sent == 2


def test_passwords_in_the_url_are_told_to_nobody(
    store: LineageStore, caplog: pytest.LogCaptureFixture, lake: Lake
) -> None:
    fill(store, 1)
    with caplog.at_level(logging.INFO):
        drain_of(store, "http://u:s3cret@127.0.0.1:1").drain(deadline=0.1)
        recorder = EventRecorder(store, forward_to="ftp://u:s3cret@host")
        with transaction(lake, recorder, Work("clean/t")) as tx:  # a bad URL is no reason to fail either
            tx.write("clean/t", pl.DataFrame({"a": [1]}))
    with pytest.raises(AssayError) as refused:
        Drain(store, "ftp://u:s3cret@host")
    assert "s3cret" not in caplog.text + str(refused.value) + backlog(store).problem
    assert [item.kind for item in store.events()][2:] == ["START", "COMPLETE"]


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def test_draining_waits_for_what_somebody_else_is_sending(any_store: LineageStore, backend: Backend) -> None:
    any_store.put_all([event("START", str(uuid.UUID(int=1)))], forward=True)
    one, other = drain_of(any_store, backend.url, timeout=60.0), drain_of(any_store, backend.url)  # a long lease
    send, begun, go_on = one._channel.send, threading.Event(), threading.Event()

    def slow(body: bytes) -> None:
        begun.set()
        go_on.wait(20)
        send(body)

    one._channel.send = slow
    thread = threading.Thread(target=one.drain, kwargs={"limit": 1})
    thread.start()
    assert begun.wait(20)
    threading.Timer(0.3, go_on.set).start()
    assert other.drain(deadline=20).sent == 0
    assert backlog(any_store).pending == 0
    thread.join(20)
    one.stop()
    other.stop()
