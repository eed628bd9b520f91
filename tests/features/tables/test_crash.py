"""Several writers at once, and writers that are killed: nothing lost, nothing twice, never half a version."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import polars as pl
import pytest

from assay.features.storage.parquet_files import file_sha256
from assay.features.tables.digest import content_digest
from assay.features.tables.lake import Lake, open_lake

PRELUDE = """
import sys, time
import polars as pl
from assay.features.tables.lake import TableMissing, open_lake
from assay.features.tables.transaction import run, transaction
from assay.features.tables.run_record import NullRecorder, Work
lake, who = open_lake(sys.argv[1]), int(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
"""

WRITER = """
for number in range(15):
    mode = ("append", "replace")[number % 2]
    partition = "shared" if mode == "append" else f"own-{who}"
    with transaction(lake, NullRecorder(), Work("t/t", partition)) as tx:
        tx.write("t/t", pl.DataFrame({"who": [who], "number": [number]}), mode=mode)
    print(tx.done.writes[0].snapshot.version, tx.work.run.id, flush=True)
"""

DEDUPLICATOR = """
def accept(tx, keys):
    try:
        known = tx.read("keys/t", lookup=True).select("key").collect()
    except TableMissing:
        known = pl.DataFrame({"key": []}, schema={"key": pl.Int64})
    new = pl.DataFrame({"key": keys}).join(known, on="key", how="anti")
    tx.write("keys/t", new.with_columns(who=pl.lit(who)), mode="append")

for batch in range(8):
    keys = list(range(batch * 10, batch * 10 + 15))
    run(lake, NullRecorder(), Work("keys/t", f"{batch % 3}"), lambda tx: accept(tx, keys), attempts=20)
"""

PIPELINE = """
def clean(tx, day):
    rows = tx.read("raw/t", [day])
    if tx.current("clean/t", "quarantine/t"):
        return
    rows = rows.select("key", "value").collect()
    try:
        others = [key for key in tx.state("clean/t").partitions() if key != day]
        known = tx.read("clean/t", others, lookup=True).select("key").collect()
    except TableMissing:
        known = rows.select("key").clear()
    fresh = rows.join(known, on="key", how="anti")
    bad = pl.col("value") < 0
    tx.write("clean/t", fresh.filter(~bad).sort("key"))
    tx.write("quarantine/t", fresh.filter(bad).sort("key"))

def log(tx, day):
    rows = tx.read("clean/t", [day])
    if tx.current("log/t"):
        return
    tx.write("log/t", rows.select("key").sort("key").collect(), mode="append")

for day in ("d1", "d2", "d3", "d4"):
    run(lake, NullRecorder(), Work("clean/t", day, "1"), lambda tx: clean(tx, day))
    run(lake, NullRecorder(), Work("log/t", day, "1"), lambda tx: log(tx, day))
"""


@contextmanager
def process(script: str, lake: Lake, who: int = 0) -> Iterator[subprocess.Popen[str]]:
    """A process that has imported everything and waits for a line on its standard input."""
    command = [sys.executable, "-c", PRELUDE + script, lake.storage.root, str(who)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as started:
        try:
            assert started.stdout is not None and started.stdout.readline() == "ready\n"
            yield started
        finally:
            started.kill()


def go(started: subprocess.Popen[str]) -> None:
    assert started.stdin is not None
    started.stdin.write("go\n")
    started.stdin.flush()


def finish(started: subprocess.Popen[str]) -> list[str]:
    assert started.stdout is not None
    lines = started.stdout.read().splitlines()
    assert started.wait() == 0
    return lines


def test_four_processes_lose_nothing_and_know_their_own_versions(lake: Lake) -> None:
    with ExitStack() as stack:
        writers = [stack.enter_context(process(WRITER, lake, who)) for who in range(4)]
        for writer in writers:
            go(writer)
        told = [line.split() for writer in writers for line in finish(writer)]
    state = lake.table("t/t").at()
    versions = {commit.version: commit.run_id for commit in state.commits if commit.run_id}
    assert len(told) == 60 and {int(version): run_id for version, run_id in told} == versions
    assert [commit.version for commit in state.commits] == list(range(state.version + 1))
    rows = state.scan().collect()
    expected = {("shared", who, number) for who in range(4) for number in range(0, 15, 2)}
    expected |= {(f"own-{who}", who, 13) for who in range(4)}
    assert sorted(rows.select("partition_key", "who", "number").iter_rows()) == sorted(expected)
    by_version = [lake.table("t/t").at(version).rows() for version in range(1, state.version + 1)]
    assert by_version == sorted(by_version) and len(by_version) >= 60, "every version holds what was there before it"


def test_two_processes_never_both_accept_a_key(lake: Lake) -> None:
    with process(DEDUPLICATOR, lake, 1) as one, process(DEDUPLICATOR, lake, 2) as two:
        go(one)
        go(two)
        finish(one)
        finish(two)
    keys = lake.table("keys/t").scan().collect()["key"]
    assert sorted(keys) == list(range(85))


def deliver(lake: Lake, write) -> None:
    """Four days of rows; every day repeats some keys of the one before."""
    for number, day in enumerate(("d1", "d2", "d3", "d4")):
        keys = range(number * 80, number * 80 + 100)
        frame = pl.DataFrame({"key": keys, "value": [key % 7 - 1 for key in keys], "day": day})
        write(lake, "raw/t", frame, day)


def content(lake: Lake) -> dict[str, tuple[int, str]]:
    frames = {name: lake.table(name).scan().collect() for name in lake.tables()}
    return {name: (frame.height, content_digest(frame)) for name, frame in frames.items()}


def check_whole(lake: Lake) -> None:
    """Every version of every table names files that are there and are what their names say."""
    checked: set[str] = set()
    for name in lake.tables():
        for version in range(lake.table(name).at().version + 1):
            state = lake.table(name).at(version)
            for file in state.files:
                path = f"{name}/{file.path}"
                if path not in checked:
                    assert hashlib.sha256(lake.storage.get(path)).hexdigest() == file_sha256(path)
                    checked.add(path)
        assert state.scan().collect().height == state.rows()


FORKING = """
import os, sys
import polars, deltalake, assay.features.tables.digest
from assay.features.tables import transaction
from assay.features.tables import lake
PIPELINE = sys.argv[1]
for root in sys.stdin:
    child = os.fork()  # importing takes longer than the work: import once, without starting any thread
    if child == 0:
        sys.argv = ["", root.strip(), "0"]
        exec(PIPELINE, {"__name__": "__main__"})
        os._exit(0)
    print(child, flush=True)
    ended = os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    print(ended.si_status, flush=True)
    if sys.stdin.readline():  # until then the id stays the child's own, so that a late kill hits nobody else
        os.waitpid(child, 0)
"""


class Nursery:
    """Starts pipelines quickly, to be killed."""

    def __init__(self) -> None:
        prelude = PRELUDE.replace('print("ready", flush=True)\nsys.stdin.readline()', "")
        command = [sys.executable, "-c", FORKING, prelude + PIPELINE]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, lake: Lake, kill_after: float | None = None) -> bool:
        """Run the pipeline; whether it came to its end."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(lake.storage.root + "\n")
        self.process.stdin.flush()
        child = int(self.process.stdout.readline())
        if kill_after is not None:
            time.sleep(kill_after)
            os.kill(child, signal.SIGKILL)
        status = int(self.process.stdout.readline())
        self.process.stdin.write("reap\n")
        self.process.stdin.flush()
        assert status in (0, signal.SIGKILL)
        return status == 0

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    nursery = Nursery()
    yield nursery
    nursery.close()


def kill_again_and_again(nursery: Nursery, tmp_path: Path, write, kills: int) -> None:
    undisturbed = open_lake(tmp_path / "undisturbed")
    deliver(undisturbed, write)
    started = time.monotonic()
    assert nursery.run(undisturbed)
    duration = time.monotonic() - started
    expected = content(undisturbed)
    while kills > 0:
        with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
            lake = open_lake(folder)
            deliver(lake, write)
            finished = False
            while not finished and kills > 0:
                finished = nursery.run(lake, random.uniform(0, duration / 2))
                kills -= not finished
                check_whole(lake)
            assert nursery.run(lake)
            assert content(lake) == expected
            check_whole(lake)


def test_killed_at_any_moment_it_ends_as_if_undisturbed(nursery: Nursery, tmp_path: Path, write) -> None:
    kill_again_and_again(nursery, tmp_path, write, kills=10)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.skipif(os.environ.get("SOAK") != "1", reason="300 kills take minutes: SOAK=1")
def test_killed_three_hundred_times(nursery: Nursery, tmp_path: Path, write) -> None:
    kill_again_and_again(nursery, tmp_path, write, kills=300)
