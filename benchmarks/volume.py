"""One large CSV file through raw and clean, beside plain Polars. Prints a Markdown table.

    python -m benchmarks.volume                     # 5 M rows × 12 columns
    python -m benchmarks.volume --rows 500000

The file holds the orders of `benchmarks.contracts`: 12 columns, every kind of defect planted in 0.1 % of the rows. Plain Polars
reads it with the types it infers and writes Parquet. Assay's steps run without Dagster, by the real write path: raw keeps the
file and writes every record with the way back to its bytes; clean validates 16 rules, and writes clean rows, quarantine and
profile. Each line is a process of its own; CPU is user and system of the whole process, imports included; clean's line is for
clean alone.
"""

import argparse
import hashlib
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

import polars as pl

ROWS = 5_000_000
DAY = "2026-01-01"
AT_ONCE = 500_000  # rows, when the file is made
LANDED = f"var/landing/orders/{DAY}/orders.csv"
PROJECT = '[project]\nname = "volume"\n\n[tool.assay]\ndomains = ["benchmarks.volume"]\n'


def make(folder: Path, rows: int) -> None:
    """The project's folder, with the delivered file."""
    from benchmarks.contracts import orders

    file = folder / LANDED
    file.parent.mkdir(parents=True)
    (folder / "pyproject.toml").write_text(PROJECT)
    with file.open("wb") as stream:
        for first in range(0, rows, AT_ONCE):
            part = orders(first, min(AT_ONCE, rows - first))
            part.write_csv(stream, include_header=first == 0, datetime_format="%Y-%m-%dT%H:%M:%SZ")


def plain(folder: Path) -> int:
    frame = pl.read_csv(folder / LANDED, try_parse_dates=True)
    frame.write_parquet(folder / "plain.parquet", compression="zstd", compression_level=3)
    return frame.height


def by_records(folder: Path) -> int:
    from assay.assets.sources.csv_records import read_records

    return read_records(LANDED, (folder / LANDED).read_bytes()).height


def in_blocks(folder: Path) -> int:
    from assay.assets.sources.csv import csv_blocks
    from assay.assets.sources.deliveries import Delivery

    file = folder / LANDED
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    delivery = Delivery(LANDED, file, digest, file.stat().st_size, DAY)
    return sum(frame.height for frame in csv_blocks(LANDED, delivery.pieces()))


def step(folder: Path, position: int) -> int:
    """Run the first or the second step of the source; the rows of its first table."""
    import assay
    from assay.assets.declarations import steps_of
    from assay.assets.steps.step import execute
    from assay.features.tables.partitioning import Partitioning
    from benchmarks.contracts import Orders

    source = assay.Source(
        name="orders",
        reader=assay.Files("orders/{day}/*", (".csv",)),
        contract=Orders,
        key=("order_id",),
        event_time="ordered_at",
        partitioning=Partitioning.daily(date.fromisoformat(DAY)),
    )
    env = assay.open(project=str(folder), home=folder / "var", actor="benchmark").env()
    made = steps_of([source])[position]
    execute(made, env, DAY)
    return env.lake.table(made.outputs[0]).at().rows()


WORK: dict[str, Callable[[Path], int]] = {
    "plain Polars, read and write": plain,
    "the record reader alone, no writing": by_records,
    "the reader of blocks alone, no writing": in_blocks,
    "raw": lambda folder: step(folder, 0),
    "clean, quarantine, profile": lambda folder: step(folder, 1),
}


def measure(folder: Path, work: str) -> None:
    """Do one piece of work in this process, and print what it took."""
    rows = WORK[work](folder)
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"rows": rows, "cpu": used.ru_utime + used.ru_stime, "mb": used.ru_maxrss / 1024}))


def table(folder: Path, rows: int, works: Sequence[str]) -> None:
    size = (folder / LANDED).stat().st_size
    load, cores = os.getloadavg()[0], os.cpu_count()
    print(
        f"{rows:,} rows × 12 columns, {size / 1e6:,.0f} MB; {cores} × {platform.machine()}, load {load:.1f} at the start.\n"
    )
    print("| what | CPU s | × plain | peak MB | rows |\n|---|---|---|---|---|", flush=True)
    base = None
    for work in works:
        command = [sys.executable, "-m", "benchmarks.volume", "--work", work, "--folder", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"| {work} | failed: {done.stderr.strip().splitlines()[-1]} | | | |", flush=True)
            continue
        took = json.loads(done.stdout.splitlines()[-1])
        base = base or took["cpu"]
        print(
            f"| {work} | {took['cpu']:.1f} | {took['cpu'] / base:.1f} | {took['mb']:,.0f} | {took['rows']:,} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--without-records", action="store_true", help="leave out the record reader, which is slow")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        measure(given.folder, given.work)
        return
    works = [work for work in WORK if not (given.without_records and WORK[work] is by_records)]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "volume"
        # Made elsewhere: the peak of a process that is started from a large one is at least as large.
        code = (
            f"from pathlib import Path; from benchmarks.volume import make; make(Path({str(folder)!r}), {given.rows})"
        )
        subprocess.run([sys.executable, "-c", code], check=True)
        table(folder, given.rows, works)


if __name__ == "__main__":
    main()
