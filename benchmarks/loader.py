"""Loading a training set into torch: rows a second, CPU seconds, peak memory. Prints a Markdown table.

    python -m benchmarks.loader --rows 3000000 --columns 20

A training set of float features in a local lake is read as batches of 1,024 rows: in order, shuffled, and shuffled by two worker
processes (whose start, about that of importing torch, is not counted). Beside it a plain loop over the same Parquet files (Polars
to numpy to torch, no shuffle, no digest). Each is a process of its own; the median of three.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from assay.features.serving.training import create_training_set, load_training_set
from assay.features.tables.lake import open_lake
from assay.features.tables.run_record import NullRecorder, Work
from assay.features.tables.transaction import transaction

WAYS = ("plain loop over the files", "in order", "shuffled", "shuffled, 2 workers")
BATCH = 1024


def make(root: Path, rows: int, columns: int) -> None:
    """A training set `numbers@1` whose features are random numbers."""
    lake, chance = open_lake(root), np.random.default_rng(7)
    keys = {"k": np.arange(rows), "event_time": pl.Series([datetime(2026, 1, 1, tzinfo=UTC)] * 1).extend_constant(
        datetime(2026, 1, 1, tzinfo=UTC), rows - 1)}  # fmt: skip
    frame = pl.DataFrame(keys).cast({"event_time": pl.Datetime("us", "UTC")})
    features = frame.with_columns(
        pl.Series(f"f{number}", chance.standard_normal(rows), dtype=pl.Float64) for number in range(columns)
    )
    serving = {"entity": "k", "keys": ["k"], "event_time": "event_time", "known_time": None, "max_age_us": None}
    with transaction(lake, NullRecorder(), Work("features/numbers")) as tx:
        tx.describe(serving=serving)
        tx.write("features/numbers", features)
    spine = frame.with_columns(label=pl.col("k") % 2)
    create_training_set(lake, NullRecorder(), "numbers", spine, ["numbers:*"])


def read(root: Path, way: str) -> dict[str, float]:
    """One epoch, measured."""
    import torch

    made = load_training_set(open_lake(root), "numbers@1")
    names = made.feature_columns
    rows = 0
    loader: Any
    if way == WAYS[0]:
        paths = [root / "training" / "numbers" / file.path for file in made.row_files()]
        begun = time.perf_counter(), time.process_time()
        for path in paths:
            frame = pl.read_parquet(path, columns=[*names, "label"])
            features = torch.from_numpy(frame.select(names).cast(pl.Float32).to_numpy())
            rows += sum(len(features[first : first + BATCH]) for first in range(0, len(features), BATCH))
    else:
        seed = None if way == WAYS[1] else 1
        data = made.torch(label="label", batch_size=BATCH, shuffle_seed=seed)
        loader = iter(data.loader(num_workers=2 if "workers" in way else 0))
        begun = time.perf_counter(), time.process_time()
        if "workers" in way:
            rows += len(next(loader)[0])
            begun = time.perf_counter(), time.process_time()
        for features, _ in loader:
            rows += len(features)
    wall, cpu = time.perf_counter() - begun[0], time.process_time() - begun[1]
    # Not ru_maxrss, which a process has from the one that started it.
    (peak,) = (
        line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")
    )
    return {"rows": rows, "wall": wall, "cpu": cpu, "peak_mb": int(peak) / 1024}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=3_000_000)
    parser.add_argument("--columns", type=int, default=20)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--read", nargs=2, metavar=("ROOT", "WAY"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        print(json.dumps(read(Path(options.read[0]), options.read[1])))
        return
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "lake"
        make(root, options.rows, options.columns)
        load = os.getloadavg()[0]
        measured: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
        for _ in range(options.times):
            for way, found in measured.items():
                command = [sys.executable, "-m", "benchmarks.loader", "--read", str(root), way]
                found.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    print(f"{options.rows:,} rows, {options.columns} columns, batches of {BATCH}; {os.cpu_count()} cores, Python "
          f"{platform.python_version()}, load {load:.1f} before")  # fmt: skip
    print("\n| | rows/s | CPU s | peak MB |\n|---|---|---|---|")
    for way, found in measured.items():
        middle = {name: statistics.median(item[name] for item in found) for name in found[0]}
        assert middle["rows"] == options.rows
        print(f"| {way} | {middle['rows'] / middle['wall']:,.0f} | {middle['cpu']:.2f} | {middle['peak_mb']:,.0f} |")


if __name__ == "__main__":
    main()
