"""What a day, a tick, a plan, a trace and a page cost after 30 days and after years. Prints Markdown tables.

    python -m benchmarks.growth FOLDER --days 30 365
    python -m benchmarks.growth FOLDER --days 30 365 1500 5000 --sources 200 --source-days 90

The lakes are made below FOLDER by `benchmarks.long_lake`, and used again by the next call. Each measurement is a process of
its own, which does the same once before in a lake of three days, so that imports and first uses are not measured; the
median of three counts. Opened files are counted under strace, in a fourth process, where it is installed. Each measurement of a
new day adds one to the lake.
"""

import argparse
import contextlib
import hashlib
import json
import os
import re
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.long_lake import LongLake, day_of, long_lake

WARM_DAYS = 3
REPEATS = 3
BEGIN, END = "/assay-growth-begin", "/assay-growth-end"  # opened (they are not there) to be seen by strace
VIEW, RAW = "habits_000", "raw/visits_000"

Operation = Callable[[], object]


# -- what is measured --------------------------------------------------------------------------------------------------


def _new_day(lake: LongLake) -> Operation:
    from assay.assets.steps.step import execute

    day, env = lake.deliver(lake.days()), lake.store.env()
    steps = [step for step in lake.steps if step.outputs[0].endswith("_000")]
    others = [step for step in lake.steps if step not in steps]  # or something would be due afterwards
    for step in others:
        execute(step, env, day)
    return lambda: [execute(step, env, day) for step in steps]


def _tick(lake: LongLake) -> Operation:
    from assay.assets.dagster.run_requests import look
    from assay.assets.dagster.sensors import LATEST
    from assay.assets.planning.pending import waiting_steps

    steps = lake.steps  # a daemon has loaded them before its first tick

    def tick() -> None:
        env = lake.store.env()
        assert look(steps, env, {}, lambda asked: "unknown").requests == []
        assert waiting_steps(steps, env, latest=LATEST) == []

    return tick


def _second_tick(lake: LongLake) -> Operation:
    tick = _tick(lake)
    tick()
    return tick


def _plan(lake: LongLake) -> Operation:
    from assay.assets.planning.plan import planned_runs, stages

    def plan() -> None:
        env = lake.store.env(recording=False)
        assert [unit for stage in stages(lake.steps) for unit in planned_runs(stage, env)] == []

    return plan


def _tables(lake: LongLake) -> Operation:
    return lambda: lake.store.tables()


def _recover(lake: LongLake) -> Operation:
    return lambda: lake.store.recover_events(over=lambda parent: True)


def _trace(lake: LongLake) -> Operation:
    """Of a prediction from the features of the latest day."""
    prediction = _prediction(lake)
    return lambda: lake.store.trace(prediction)


def _prediction(lake: LongLake) -> str:
    table, day = f"features/{VIEW}", day_of(lake.days() - 1)
    read = lake.store.table(table).at().slice([day])
    features = lake.store.table(table).scan().filter(pl.col("partition_key") == day).sort("visitor_id").head(5)
    frame = features.select("visitor_id", "event_time", pl.col("visits_7d").alias("score")).collect()
    return lake.store.log_predictions(
        model="score", model_version="1", frame=frame, inputs=[read], outputs=["score"], keys=["visitor_id"]
    )[0]


def _impact(lake: LongLake) -> Operation:
    return lambda: lake.store.impact(RAW, partition=day_of(0))


def _online(lake: LongLake) -> Operation:
    return lambda: lake.store.online(VIEW).get({"visitor_id": "U1"})


def _doctor(lake: LongLake) -> Operation:
    from assay.diagnosis import diagnose

    return lambda: diagnose(lake.store)


def _page(address: Callable[[LongLake], str]) -> Callable[[LongLake], Operation]:
    def prepared(lake: LongLake) -> Operation:
        from starlette.testclient import TestClient

        from assay.lineage.api import create_app
        from assay.web import create_router

        store, where = lake.store, address(lake)
        client = TestClient(
            create_app(store.lineage_store, store.lake, console=create_router(store.lineage_store, store.lake)),
            base_url="http://127.0.0.1",
        )

        def get() -> None:
            answer = client.get(where)
            assert answer.status_code == 200, f"{where}: {answer.status_code}"

        return get

    return prepared


def _graph(lake: LongLake) -> str:
    from assay.web.node_labels import dataset_id

    return f"/graph?focus={dataset_id(RAW)}"


OPERATIONS: dict[str, tuple[str, Callable[[LongLake], Operation]]] = {
    "day": ("one new day, three steps", _new_day),
    "tick": ("sensor tick, nothing new", _tick),
    "again": ("the same, second in its process", _second_tick),
    "plan": ("planning, nothing new", _plan),
    "tables": ("`tables`", _tables),
    "recover": ("recover at a start", _recover),
    "trace": ("trace of a prediction", _trace),
    "impact": ("impact of the first day", _impact),
    "online": ("online read", _online),
    "doctor": ("doctor", _doctor),
    "home": ("page: first", _page(lambda lake: "/")),
    "versions": ("page: versions", _page(lambda lake: f"/versions/{RAW}")),
    "downstream": ("page: impact", _page(lambda lake: f"/impact/{RAW}")),
    "graph": ("page: graph", _page(_graph)),
    "traced": ("page: trace", _page(lambda lake: f"/trace/{_prediction(lake)}")),
}


# -- measuring, in a process of its own --------------------------------------------------------------------------------


class Hashed:
    """Bytes that went through SHA-256 in this process."""

    bytes = 0

    @classmethod
    def watch(cls) -> None:
        sha256, file_digest = hashlib.sha256, hashlib.file_digest

        class Counting:
            def __init__(self, data: Any = b"", **options: Any) -> None:
                cls.bytes += len(data)
                self._real = sha256(data, **options)

            def update(self, data: Any) -> None:
                cls.bytes += len(data)
                self._real.update(data)

            def __getattr__(self, name: str) -> Any:
                return getattr(self._real, name)

        def of_file(stream: Any, name: Any, /, **options: Any) -> Any:
            try:
                return file_digest(stream, name if isinstance(name, str) else sha256, **options)
            finally:
                cls.bytes += stream.tell()

        hashlib.sha256, hashlib.file_digest = Counting, of_file  # type: ignore[assignment]


def measure(name: str, lake: LongLake, warm: Path) -> dict[str, float]:
    """The costs of an operation in this process, which has done it before in a copy of a small lake."""
    _, prepare = OPERATIONS[name]
    with tempfile.TemporaryDirectory(prefix="assay-growth-") as folder, _quiet():
        small = shutil.copytree(warm, Path(folder) / "warm")
        prepare(LongLake(small))()
        operation = prepare(lake)
        _marker(BEGIN)
        hashed, read, cpu, wall = Hashed.bytes, _bytes_read(), time.process_time(), time.perf_counter()
        operation()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        result = {"cpu": cpu, "wall": wall, "read": _bytes_read() - read, "hashed": Hashed.bytes - hashed}
        _marker(END)
    return result


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Standard output is for the result."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


def _marker(path: str) -> None:
    with contextlib.suppress(OSError):
        os.open(path, os.O_RDONLY)


def _bytes_read() -> int:
    """Bytes that read calls gave this process, from files and elsewhere; 0 where the system does not count them."""
    try:
        return int(Path("/proc/self/io").read_text().split()[1])
    except OSError:
        return 0


# -- the parent --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Column:
    """A lake, and what was measured in it: by operation, and once for the lake."""

    title: str
    by_operation: dict[str, dict[str, float]]
    facts: dict[str, float]


def measured(title: str, lake: LongLake, warm: Path, names: Sequence[str]) -> Column:
    found: dict[str, dict[str, float]] = {}
    for name in names:
        print(f"{title}: {name}", file=sys.stderr, flush=True)
        runs = [_in_a_process(name, lake, warm) for _ in range(REPEATS)]
        found[name] = {key: statistics.median(run[key] for run in runs) for key in runs[0]} | _opened(name, lake, warm)
    return Column(title, found, facts(lake))


def _command(name: str, lake: LongLake, warm: Path) -> list[str]:
    own = [sys.executable, "-m", "benchmarks.growth", str(lake.folder), "--measure", name]
    return [*own, "--sources", str(lake.sources), "--warm", str(warm)]


def _in_a_process(name: str, lake: LongLake, warm: Path) -> dict[str, float]:
    done = subprocess.run(_command(name, lake, warm), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _opened(name: str, lake: LongLake, warm: Path) -> dict[str, float]:
    """Files of the project that were opened, and how many of these were commits of Delta logs."""
    strace = shutil.which("strace")
    if strace is None:
        return {}
    with tempfile.NamedTemporaryFile(prefix="assay-growth-", suffix=".strace") as log:
        watched = [strace, "-f", "-qq", "-s", "400", "-e", "trace=open,openat", "-o", log.name]
        subprocess.run([*watched, *_command(name, lake, warm)], capture_output=True, check=False)
        text = Path(log.name).read_text(errors="replace")
    inside = text.partition(BEGIN)[2].partition(END)[0]
    calls = re.findall(r'\bopen(?:at)?\([^"\n]*"([^"\n]+)"(?!.* = -1 )', inside)
    paths = [path for path in calls if str(lake.folder.resolve()) in path]
    return {"opened": len(paths), "commits": sum(bool(re.search(r"_delta_log/\d{20}\.json", path)) for path in paths)}


def facts(lake: LongLake) -> dict[str, float]:
    """Sizes of what grows with the lake."""
    home = lake.folder / "var"
    database = home / "lineage.db"
    with contextlib.closing(sqlite3.connect(database)) as connection:
        (edges,) = connection.execute("select count(*) from edges").fetchone()
        (events,) = connection.execute("select count(*) from events").fetchone()
    logs = sum(file.stat().st_size for file in (home / "lake").glob("*/*/_delta_log/*.json"))
    return {
        "days": lake.days(),
        "lineage edges": edges,
        "lineage events": events,
        "lineage database, MB": database.stat().st_size / 1e6,
        "commits of all Delta logs, MB": logs / 1e6,
    }


def as_tables(columns: Sequence[Column]) -> str:
    """CPU seconds with the ratio to the first lake, then everything else."""
    first, names = columns[0], list(columns[0].by_operation)
    ratios = [f"ratio {column.title}" for column in columns[1:]]
    lines = [_row("CPU seconds", *(column.title for column in columns), *ratios), _row(*["---"] * (2 * len(columns)))]
    for name in names:
        values = [column.by_operation[name]["cpu"] for column in columns]
        times = [f"{value / values[0]:.1f}" if values[0] else "" for value in values[1:]]
        lines.append(_row(OPERATIONS[name][0], *(f"{value:.3f}" for value in values), *times))
    lines += ["", _row("wall s / files opened / of these commits / MB read / kB hashed", *(c.title for c in columns))]
    lines.append(_row(*["---"] * (1 + len(columns))))
    for name in names:
        lines.append(_row(OPERATIONS[name][0], *(_counts(column.by_operation[name]) for column in columns)))
    lines += ["", _row("the lake", *(column.title for column in columns)), _row(*["---"] * (1 + len(columns)))]
    lines += [_row(what, *(f"{column.facts[what]:,.6g}" for column in columns)) for what in first.facts]
    return "\n".join(lines)


def _counts(found: dict[str, float]) -> str:
    opened = (f"{found[key]:,.0f}" if key in found else "?" for key in ("opened", "commits"))
    return " / ".join([f"{found['wall']:.3f}", *opened, f"{found['read'] / 1e6:.2f}", f"{found['hashed'] / 1e3:,.1f}"])


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--days", type=int, nargs="*", default=[30, 365])
    parser.add_argument("--sources", type=int, default=0, help="also a lake of so many sources, of five tables each")
    parser.add_argument("--source-days", type=int, default=90)
    parser.add_argument("--only", nargs="*", choices=OPERATIONS, default=list(OPERATIONS))
    parser.add_argument("--measure", choices=OPERATIONS, help=argparse.SUPPRESS)
    parser.add_argument("--warm", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measure(given.measure, LongLake(given.folder, given.sources), given.warm)))
        return
    warm = long_lake(given.folder / "warm", WARM_DAYS).folder
    made = {f"{days:,} days": long_lake(given.folder / str(days), days, telling=True) for days in given.days}
    if given.sources:
        title = f"{given.sources * 5:,} tables × {given.source_days} days"
        folder = given.folder / f"{given.sources}x{given.source_days}"
        made[title] = long_lake(folder, given.source_days, given.sources, telling=True)
    print(as_tables([measured(title, lake, warm, given.only) for title, lake in made.items()]))


if __name__ == "__main__":
    Hashed.watch()
    main()
