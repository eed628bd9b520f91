"""What lineage costs an asset, and how fast it is restored from the tables. Prints a Markdown table.

    python -m benchmarks.emission --runs 2000 --commits 5000
    python -m benchmarks.emission --lake var/lake          # also rebuild from copies of this lake's log

Emission is START and COMPLETE of a run: built, serialized, redacted and stored in SQLite. The run reads two tables and
writes two, with 12 checks and 12 columns. The lake to rebuild is a pipeline of two steps and three tables, made once by
real transactions; its log, like that of the given lake, is copied under other names until there are enough commits.
"""

import argparse
import os
import platform
import re
import statistics
import tempfile
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl

from assay.features.storage.commit_metadata import SourceFile
from assay.features.storage.snapshot import Slice, Snapshot
from assay.features.tables.lake import Lake, open_lake
from assay.features.tables.run_record import CheckResult, NullRecorder, Run, RunResult, TableWrite, Work
from assay.features.tables.transaction import Transaction, run
from assay.lineage.delivery.rebuild import rebuild
from assay.lineage.delivery.recorder import EventRecorder
from assay.lineage.store.lineage_store import open_lineage_store

COLUMNS = [f"column_{number:02d}" for number in range(12)]
DAYS = 25  # in a pipeline
SHA = "ab" * 32
_UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


# -- emission ----------------------------------------------------------------------------------------------------------


def finished_runs(count: int) -> Iterator[RunResult]:
    """A validation of a day, as it is after its commit."""
    schema = dict.fromkeys(COLUMNS, "String")
    sources = {name: {"direct": [("raw/tickets", name)], "indirect": [("raw/tickets", "day")]} for name in COLUMNS}
    checks = tuple(CheckResult(f"{name}.not_null", "clean/tickets", True, "quarantine", name, 500) for name in COLUMNS)
    for number in range(count):
        day = (date(2020, 1, 1) + timedelta(days=number)).isoformat()
        started = datetime.now(UTC)
        parent = str(uuid.UUID(int=number + 1))
        work = Work("clean/tickets", day, "c0de", Run(str(uuid.uuid4()), started, parent, "daily"), owner="support")
        reads = [Snapshot(f"{name}/tickets", f"id-{name}", number + 1, SHA, f"/lake/{name}/tickets") for name in "ab"]
        outputs = [
            Snapshot(f"{name}/tickets", f"id-{name}", number + 1, SHA, f"/lake/{name}/tickets")
            for name in ("clean", "quarantine")
        ]
        yield RunResult(
            work=work,
            reads=(Slice(reads[0], (day,), SHA), Slice(reads[1], None, SHA, lookup=True)),
            sources=(),
            writes=tuple(TableWrite(item.table, item, day, 500, 40_000, True, schema, sources) for item in outputs),
            checks=checks,
            contract={"name": "Tickets", "version": "1.0.0"},
            extra={},
            finished_at=started + timedelta(seconds=1),
        )


def emission(folder: Path, runs: int) -> str:
    store = open_lineage_store(folder / "emission.db")
    recorder = EventRecorder(store)
    taken = []
    for done in finished_runs(runs + 10):
        begin = time.perf_counter()
        recorder.started(done.work)
        recorder.finished(done)
        taken.append((time.perf_counter() - begin) * 1000)
    stored = len(store.events())
    recorder.close()
    if stored != 2 * (runs + 10):
        raise SystemExit(f"{stored} events were stored, not {2 * (runs + 10)}.")
    cuts = statistics.quantiles(taken[10:], n=100)  # the first ones load libraries and make the file
    what = f"emission, START and COMPLETE, {runs:,} runs"
    return f"| {what} | p50 {cuts[49]:.2f} ms | p95 {cuts[94]:.2f} ms, p99 {cuts[98]:.2f} ms |"


# -- rebuild -----------------------------------------------------------------------------------------------------------


def pipeline(lake: Lake) -> None:
    """Two daily steps: files to raw/t, and raw/t to clean/t and quarantine/t."""
    for number in range(DAYS):
        day = (date(2026, 9, 1) + timedelta(days=number)).isoformat()
        frame = pl.DataFrame({"id": [number], "text": ["x"], "day": [day]})

        def ingest(tx: Transaction, day: str = day, frame: pl.DataFrame = frame) -> None:
            tx.sources.append(SourceFile(f"tickets/{day}/part.csv", SHA, 100, 1))
            tx.write("raw/t", frame)

        def validate(tx: Transaction, day: str = day) -> None:
            rows = tx.read("raw/t", [day]).select("id", "text", "day").collect()
            tx.check(
                *(CheckResult(f"{name}.not_null", "clean/t", True, "quarantine", name, 1) for name in rows.columns)
            )
            columns = {name: {"direct": [("raw/t", name)], "indirect": []} for name in rows.columns}
            tx.write("clean/t", rows, column_lineage=columns)
            tx.write("quarantine/t", rows, column_lineage=columns)

        run(lake, NullRecorder(), Work("raw/t", day, "c0de"), ingest)
        run(lake, NullRecorder(), Work("clean/t", day, "c0de"), validate)


def copies(source: Lake, target: Path, commits: int) -> Lake:
    """A lake with this many commits at least: the logs of a lake again and again, under other names and ids."""
    logs = {table: sorted(Path(source.storage.root, table, "_delta_log").glob("*.json")) for table in source.tables()}
    contents = {(table, file.name): file.read_bytes() for table, files in logs.items() for file in files}
    names = re.compile(rb'\b(%s)(?=[\\"])' % b"|".join(re.escape(table.encode()) for table in logs))
    for number in range(-(-commits // len(contents))):
        for (table, name), content in contents.items():
            file = target / f"{table}{number}" / "_delta_log" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            renamed = names.sub(rb"\g<1>%d" % number, content)
            file.write_bytes(_UUID.sub(lambda found, salt=number: _other(found[0], salt), renamed))
    return open_lake(target)


def _other(identifier: bytes, salt: int) -> bytes:
    return str(uuid.uuid5(uuid.UUID(identifier.decode()), str(salt))).encode()


def rebuilt(name: str, folder: Path, lake: Lake) -> str:
    store = open_lineage_store(folder / f"{name}.db")
    store.runs()  # the tables are made
    begin = time.perf_counter()
    found = rebuild(store, lake)
    seconds = time.perf_counter() - begin
    size = statistics.mean(len(event.body) for event in store.events())
    store.close()
    what = f"rebuild, {name}, {found.commits:,} commits of {found.runs:,} runs"
    return f"| {what} | {found.commits / seconds:,.0f} commits/s | events of {size:,.0f} bytes |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000, help="runs whose emission is timed")
    parser.add_argument("--commits", type=int, default=5000, help="commits of the lake that is rebuilt")
    parser.add_argument("--lake", type=Path, help="also rebuild the lineage of copies of this lake's log")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        small = open_lake(folder / "small")
        pipeline(small)
        rows = [emission(folder, given.runs)]
        rows.append(rebuilt("small commits", folder, copies(small, folder / "lake", given.commits)))
        if given.lake is not None:
            rows.append(
                rebuilt(
                    "the given lake's commits", folder, copies(open_lake(given.lake), folder / "given", given.commits)
                )
            )
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, SQLite\n")
    print("| what | | |\n|---|---|---|")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
