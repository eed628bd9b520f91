"""What a trace, an impact, a page and a verification cost in young tables and in old ones. Prints a Markdown table.

    python -m benchmarks.trace FOLDER --commits 100 10000 100000
    python -m benchmarks.trace FOLDER --commits 100 10000 100000 --empty --predictions 18000

A pipeline of tickets (raw, clean, two feature views, predictions; see `benchmarks.impact`) of nine days; before the fourth day
and before the seventh each of its five tables gets half of the other commits (see `benchmarks.aged_log`): each adds the file of
another hour, or nothing (`--empty`). Asked is about predictions of all nine days. The lakes are made below FOLDER and used again.

Each line is measured in a process of its own, which has asked once before, for each of 36 predictions (verifications and
bundles: 9, each asked before, so that the checkpoints that it meets are known); the command is a new process each time. CPU is
that of the process and its threads.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from assay.lineage.verification import checkpoint_view
from assay.store import Store, open_store
from benchmarks.aged_log import add_commits, without_unread_keys
from benchmarks.impact import key, make_day

TABLES = ("raw/tickets", "clean/tickets", "features/activity", "features/ticket", "predictions/router")
DAYS = 9
A_DAY = 4  # predictions that are asked about

Ask = Callable[[], object]


class AgedLake:
    """The lake in a folder, and what is asked of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def store(self) -> Store:
        return open_store(home=self.folder, actor="benchmark")

    def make(self, commits: int, predictions: int, *, files: bool) -> None:
        lake, chosen = self.store.lake, np.random.default_rng(1)
        for day in range(DAYS):
            if day in (3, 6):
                first = datetime(1990 if day == 3 else 2005, 1, 1, tzinfo=UTC)
                for table in TABLES:
                    add_commits(lake, table, commits // 2, first, files=files)
            make_day(lake, day, predictions // DAYS, chosen, max(10, predictions // 10))
        for table in TABLES:
            lake.table(table).at()  # carries the index on
        without_unread_keys(lake)
        (self.folder / "made").touch()

    @cached_property
    def predictions(self) -> list[str]:
        """Some of each day, shuffled."""
        found: list[str] = []
        for day in range(DAYS):
            rows = self.store.table("predictions/router").at().scan([key(day)]).select("prediction_id").collect()
            found += rows.to_series().sample(A_DAY, seed=day).to_list()
        return np.random.default_rng(2).permutation(found).tolist()

    @cached_property
    def client(self) -> Any:
        from starlette.testclient import TestClient

        from assay.lineage.api import create_app
        from assay.web import create_router

        store = self.store
        console = create_router(store.lineage_store, store.lake)
        app = create_app(store.lineage_store, store.lake, console=console)
        return TestClient(app, base_url="http://127.0.0.1")

    def page(self, address: str) -> None:
        answer = self.client.get(address)
        assert answer.status_code == 200, f"{address}: {answer.status_code}"

    def bundle(self, prediction: str) -> None:
        bundle = self.store.export_evidence(self.store.trace(prediction))
        assert bundle.to_bytes() and all(not item.required for item in bundle.missing), bundle.missing

    def verify(self, prediction: str) -> None:
        found = self.store.verify(self.store.trace(prediction), embed=False, predict=False)
        wrong = [check for check in found.checks if check.ok is False]
        assert found.ok and not wrong, str(found)


def _each(lake: AgedLake, ask: Callable[[str], object]) -> list[Ask]:
    return [partial(ask, prediction) for prediction in lake.predictions]


def _impacts(lake: AgedLake) -> list[Ask]:
    return [partial(lake.store.impact, table, partition=key(day)) for table in TABLES[:2] for day in range(DAYS)]


OPERATIONS: dict[str, tuple[str, Callable[[AgedLake], list[Ask]]]] = {
    "trace": ("`store.trace`", lambda lake: _each(lake, lake.store.trace)),
    "impact": ("`store.impact` of a day", _impacts),
    "why": ("`store.why`, trace included", lambda lake: _each(lake, lambda one: lake.store.why(lake.store.trace(one)))),
    "page": ("page of a prediction", lambda lake: _each(lake, lambda one: lake.page(f"/trace/{one}"))),
    "impact page": (
        "page of an impact",
        lambda lake: [partial(lake.page, f"/impact/{table}") for table in TABLES[:4]] * 5,
    ),
    "home": ("first page", lambda lake: [partial(lake.page, "/")] * 20),
    "verify": ("trace and `store.verify`", lambda lake: _each(lake, lake.verify)[::A_DAY]),
    "beyond": ("the same, beyond hashing checkpoints", lambda lake: _each(lake, lake.verify)[::A_DAY]),
    "bundle": ("trace and evidence bundle", lambda lake: _each(lake, lake.bundle)[::A_DAY]),
}


def measure(name: str, lake: AgedLake) -> dict[str, list[float]]:
    """Milliseconds of each question in this process, which has asked the first one before."""
    asks = OPERATIONS[name][1](lake)
    hashing = _hashing() if name == "beyond" else None
    asks[0]()
    if name in ("verify", "beyond", "bundle"):  # whatever checkpoint is met is known then
        for ask in asks:
            ask()
    found: dict[str, list[float]] = {"cpu": [], "wall": []}
    for ask in asks:
        cpu, wall, hashed = time.process_time(), time.perf_counter(), sum(hashing or ())
        ask()
        spent = sum(hashing or ()) - hashed
        found["cpu"].append(1000 * (time.process_time() - cpu - spent))
        found["wall"].append(1000 * (time.perf_counter() - wall))
    return found


def _hashing() -> list[float]:
    """The CPU seconds of each checkpoint that is hashed from now on."""
    spent: list[float] = []
    real = checkpoint_view._sha256  # pyright: ignore[reportPrivateUsage]

    def timed(*given: Any) -> str:
        begin = time.process_time()
        digest = real(*given)
        spent.append(time.process_time() - begin)
        return digest

    checkpoint_view._sha256 = timed  # pyright: ignore[reportPrivateUsage]
    return spent


def command(lake: AgedLake) -> dict[str, list[float]]:
    """The same of `assay trace`, a new process each time, of which most is its start."""
    found: dict[str, list[float]] = {"cpu": [], "wall": []}
    for prediction in lake.predictions[:10]:
        before, begin = os.times(), time.perf_counter()
        own = [Path(sys.executable).with_name("assay"), "trace", prediction, "--json"]
        subprocess.run(own, check=True, capture_output=True, env={**os.environ, "ASSAY_HOME": str(lake.folder)})
        after = os.times()
        used = after.children_user + after.children_system - before.children_user - before.children_system
        found["cpu"].append(1000 * used)
        found["wall"].append(1000 * (time.perf_counter() - begin))
    return found


def _in_a_process(name: str, folder: Path) -> dict[str, list[float]]:
    own = [sys.executable, "-m", "benchmarks.trace", str(folder), "--measure", name]
    done = subprocess.run(own, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _p95(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--commits", type=int, nargs="*", default=[100, 10_000], help="of each table, besides nine days"
    )
    parser.add_argument("--predictions", type=int, default=1_000_000)
    parser.add_argument("--empty", action="store_true", help="the other commits add no files")
    parser.add_argument("--only", nargs="*", choices=[*OPERATIONS, "command"], default=[*OPERATIONS, "command"])
    parser.add_argument("--measure", choices=OPERATIONS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measure(given.measure, AgedLake(given.folder))))
        return
    lakes = {}
    for commits in given.commits:
        lake = AgedLake(given.folder / f"{commits}-{given.predictions}{'-empty' if given.empty else ''}")
        if not (lake.folder / "made").exists():
            begin = time.perf_counter()
            lake.make(commits, given.predictions, files=not given.empty)
            print(f"{lake.folder}: made in {time.perf_counter() - begin:.0f} s", file=sys.stderr, flush=True)
        lakes[f"{commits:,}"] = lake
    print(
        f"{given.predictions:,} predictions; {platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n"
    )
    ratios = [f"× {title}" for title in list(lakes)[1:]]
    print(f"| CPU ms, p50 / p95 (wall p95), at commits a table | {' | '.join([*lakes, *ratios])} |")
    print(f"| --- |{' ---: |' * (len(lakes) + len(ratios))}", flush=True)
    for name in given.only:
        found = [command(lake) if name == "command" else _in_a_process(name, lake.folder) for lake in lakes.values()]
        middles = [statistics.median(one["cpu"]) for one in found]
        cells = [
            f"{middle:.1f} / {_p95(one['cpu']):.1f} ({_p95(one['wall']):.0f})"
            for middle, one in zip(middles, found, strict=True)
        ]
        cells += [f"{middle / middles[0]:.2f}" for middle in middles[1:]]
        what = "`assay trace`, a new process" if name == "command" else OPERATIONS[name][0]
        print(f"| {what} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
