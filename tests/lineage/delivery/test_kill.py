"""`kill -9` at random moments while runs are recorded and delivered, and the backend is down half of the time: afterwards
no event is missing and none is there twice."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from assay.features.tables.lake import open_lake
from assay.lineage.delivery.outbox import Drain, backlog
from assay.lineage.delivery.rebuild import rebuild
from assay.lineage.delivery.recorder import EventRecorder
from assay.lineage.queries.walk import graph_hash
from assay.lineage.store.lineage_store import open_lineage_store
from tests.lineage.backend import Backend

KILLS = 200 if os.environ.get("SOAK") else 6
AT_ONCE = 4

pytestmark = pytest.mark.timeout(1800)

# Waits for names on its standard input and forks a worker for each, so that libraries are loaded once. A worker goes on
# until it is killed: of five runs one fails, one finds nothing to do.
WORKERS = """
import os, signal, sys
import polars as pl
import assay.lineage.events.events, assay.lineage.events.serialize
from assay.features.tables.lake import open_lake
from assay.features.tables.transaction import transaction
from assay.features.tables.run_record import Work
from assay.lineage.delivery.outbox import Drain
from assay.lineage.delivery.recorder import EventRecorder
from assay.lineage.store.lineage_store import open_lineage_store

home, url = sys.argv[1:]

def work(name):
    lake, number = open_lake(home + "/lake"), 0
    store = open_lineage_store(home + "/lineage.db", busy_seconds=5)
    recorder = EventRecorder(store, forward_to=url, lake=lake.storage)
    recorder._drain = Drain(recorder.store, url, timeout=0.5, backoff=0.05, longest=0.5)  # quicker than by default
    recorder._drain.start()
    print(os.getpid(), flush=True)
    while True:
        number += 1
        try:
            with transaction(lake, recorder, Work(f"clean/{name}", str(number))) as tx:
                if number % 5 != 3:
                    tx.write(f"clean/{name}", pl.DataFrame({"a": [number]}))
                    tx.write(f"quarantine/{name}", pl.DataFrame({"a": [number]}))
                if number % 5 == 4:
                    raise ValueError
        except ValueError:
            pass

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for line in sys.stdin:
    if os.fork() == 0:
        work(line.strip())
"""


class Workers:
    def __init__(self, home: Path, url: str) -> None:
        command = [sys.executable, "-c", WORKERS, str(home), url]
        self._parent = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._made = 0

    def start(self) -> int:
        """The process id of a worker that is about to begin its first run."""
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        self._made += 1
        print(f"t{self._made}", file=self._parent.stdin, flush=True)
        return int(self._parent.stdout.readline())

    def stop(self) -> None:
        self._parent.kill()
        self._parent.communicate()


def kill(process: int) -> None:
    """Kill a worker, and wait until it is gone: whoever is still ending counts as alive, and its runs are not ended by others."""
    os.kill(process, signal.SIGKILL)
    for _ in range(10_000):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return
        time.sleep(0.001)
    raise AssertionError(f"{process} is still there")


@pytest.fixture
def backend() -> Iterator[Backend]:
    made = Backend()
    yield made
    made.stop()


@pytest.fixture
def workers(tmp_path: Path, backend: Backend) -> Iterator[Workers]:
    made = Workers(tmp_path, backend.url)
    yield made
    made.stop()


def test_no_event_is_missing_or_there_twice(tmp_path: Path, backend: Backend, workers: Workers) -> None:
    seed = random.randrange(10**6)
    chance, is_up = random.Random(seed), True
    print(f"seed {seed}")
    first = workers.start()  # on a busy machine all others may be killed before they have done anything
    for _ in range(6_000):
        if (tmp_path / "lake" / "quarantine" / "t1" / "_delta_log").exists():
            break
        time.sleep(0.01)
    kill(first)
    for _ in range(KILLS // AT_ONCE):
        crew = [workers.start() for _ in range(AT_ONCE)]
        for process in crew:
            time.sleep(chance.uniform(0, 0.6))
            kill(process)
            (backend.stop if is_up else backend.start)()
            is_up = not is_up
    if not is_up:
        backend.start()

    store, lake = open_lineage_store(tmp_path / "lineage.db", busy_seconds=10), open_lake(tmp_path / "lake")
    recorder = EventRecorder(store, forward_to=backend.url, lake=lake.storage)
    recorder.recover(lake, quiet=timedelta(0))
    Drain(store, backend.url, backoff=0.05, longest=0.5).drain(deadline=120)
    assert backlog(store).pending == 0

    events = store.events()
    kinds: dict[Any, Counter[str]] = {}
    for event in events:
        kinds.setdefault(event.run_id, Counter())[event.kind] += 1
    ends = {run_id: sorted(found - Counter(["START"])) for run_id, found in kinds.items()}
    assert {found["START"] for found in kinds.values()} == {1}
    assert {len(found) for found in ends.values()} == {1}
    assert {sum(found.values()) for found in kinds.values()} == {2}
    committed = {
        commit.run_id for table in lake.tables() for commit in lake.table(table).history() if commit.rows is not None
    }
    assert committed == {run_id for run_id, end in ends.items() if end == ["COMPLETE"]} - empty(store)
    assert committed
    assert sorted(set(backend.bodies)) == sorted(event.body for event in events)
    again = open_lineage_store(tmp_path / "again.db")
    assert rebuild(again, lake).ok
    assert graph_hash(again) == graph_hash(store)  # the store could be lost now
    again.close()
    counted = Counter(end[0] for end in ends.values())
    print(f"{KILLS} kills, {len(kinds)} runs {dict(counted)}, {len(backend.bodies) - len(events)} sent again")
    recorder.close()


def empty(store: Any) -> set[str]:
    """Runs that completed and wrote nothing."""
    return {event.run_id for event in store.events() if event.kind == "COMPLETE" and not event.data["outputs"]}
