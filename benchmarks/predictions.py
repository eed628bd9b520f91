"""Looking up predictions by id in a table of millions. Prints a Markdown table.

    python -m benchmarks.predictions --rows 20000000 --commits 2000

The table is written by real transactions, five a day. A few of them are large (a day scored again at once, files of a
million rows); one in a hundred goes to a partition of its own with predictions of all days so far, so that the time in an
id leads elsewhere. Every answer is checked to be the row that was asked for. Files are in the system's cache.
"""

import argparse
import os
import platform
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from assay.errors import AssayError
from assay.features.tables.lake import Lake, open_lake
from assay.features.tables.run_record import NullRecorder, Work
from assay.features.tables.transaction import transaction
from assay.lineage.predictions.find_prediction import find_prediction

TABLE = "predictions/router"
FIRST = datetime(2025, 1, 1, tzinfo=UTC)
A_DAY = 5  # commits
LARGE = 1_000_000  # rows in a large commit; at most a quarter of all rows is in such
SAMPLE = 2  # ids remembered per commit


@dataclass
class Sample:
    """Ids that are in the table, by the kind of commit that wrote them."""

    ids: dict[str, list[str]] = field(default_factory=lambda: {"usual": [], "large": [], "late": []})

    def add(self, kind: str, frame: pl.DataFrame, seed: int) -> None:
        self.ids[kind] += frame["prediction_id"].sample(min(SAMPLE, frame.height), seed=seed).to_list()


def _ids(milliseconds: np.ndarray, chosen: np.random.Generator) -> pl.Series:
    """UUIDv7s of these times, as text."""
    random_bits = chosen.integers(0, 1 << 62, (len(milliseconds), 2), dtype=np.uint64)
    high = milliseconds.astype(np.uint64) << 16 | np.uint64(7 << 12) | random_bits[:, 0] & np.uint64(0xFFF)
    low = random_bits[:, 1] | np.uint64(1 << 63)
    text = np.stack([high, low], axis=1).astype(">u8").tobytes().hex()
    whole = pl.Series([text]).str.extract_all("[0-9a-f]{32}").explode()
    parts = [whole.str.slice(start, length) for start, length in ((0, 8), (8, 4), (12, 4), (16, 4), (20, 12))]
    return pl.select(pl.concat_str(parts, separator="-").alias("prediction_id")).to_series()


def _frame(times: np.ndarray, chosen: np.random.Generator) -> pl.DataFrame:
    """Predictions as `log_predictions` stores them, at these times (ms)."""
    count = len(times)
    digests = chosen.bytes(32 * count).hex()
    snapshot = {"table": "features/ticket", "table_id": "0" * 36, "version": 1, "commit_sha256": "ab" * 32}
    return pl.DataFrame(
        {
            "prediction_id": _ids(times, chosen),
            "ticket_id": pl.select(pl.format("t{}", pl.Series(chosen.integers(0, 1 << 40, count)))).to_series(),
            "event_time": pl.Series(times).cast(pl.Datetime("ms")).dt.cast_time_unit("us").dt.replace_time_zone("UTC"),
            "intent": pl.Series(chosen.integers(0, 77, count)).cast(pl.String),
            "confidence": chosen.random(count),
            "feature_digest": pl.Series([digests]).str.extract_all("[0-9a-f]{64}").explode(),
        }
    ).with_columns(
        pl.lit("3").alias("model_version"),
        pl.lit(pl.Series([[snapshot]])).first().alias("inputs"),
        pl.lit("01990b3c-5c00-7abc-8def-0123456789ab").alias("run_id"),
    )


def _plan(rows: int, commits: int) -> Iterator[tuple[str, int]]:
    """(kind, rows) of each commit."""
    large = {commits * n // 6 for n in range(1, min(5, rows // (4 * LARGE)) + 1)}
    late = set(range(99, commits, 100)) - large
    usual = (rows - LARGE * len(large)) // (commits - len(large))
    for number in range(commits):
        kind = "large" if number in large else "late" if number in late else "usual"
        yield kind, LARGE if kind == "large" else usual


def build(lake: Lake, rows: int, commits: int) -> Sample:
    """Write the table; some ids to look up."""
    chosen, sample = np.random.default_rng(1), Sample()
    with transaction(lake, NullRecorder(), Work("features/ticket", "2025-01-01")) as tx:
        tx.write("features/ticket", pl.DataFrame({"ticket_id": ["t1"], "length": [3]}))
    start = int(FIRST.timestamp() * 1000)
    for number, (kind, count) in enumerate(_plan(rows, commits)):
        begin = start + number * 86_400_000 // A_DAY
        span = (start, begin + 1) if kind == "late" else (begin, begin + 86_400_000 // A_DAY)
        frame = _frame(np.sort(chosen.integers(*span, count)), chosen).sort("prediction_id")
        day = (FIRST + timedelta(days=number // A_DAY)).strftime("%Y-%m-%d")
        with transaction(lake, NullRecorder(), Work(TABLE, "late" if kind == "late" else day)) as tx:
            tx.read("features/ticket")
            tx.write(TABLE, frame, mode="append", statistics=("prediction_id",))
        sample.add(kind, frame, number)
    return sample


def _timed(ask: Callable[[str], None], ids: list[str]) -> str:
    taken = []
    for item in ids:
        begin = time.perf_counter()
        ask(item)
        taken.append((time.perf_counter() - begin) * 1000)
    return f"{statistics.median(taken):.0f} ms | {statistics.quantiles(taken, n=20)[-1]:.0f} ms"


def _hit(lake: Callable[[], Lake]) -> Callable[[str], None]:
    def ask(item: str) -> None:
        found = find_prediction(lake(), item)
        if found.row["prediction_id"] != item:
            raise AssertionError(f"asked for {item}, got {found.row['prediction_id']}")

    return ask


def _miss(lake: Callable[[], Lake]) -> Callable[[str], None]:
    def ask(item: str) -> None:
        try:
            find_prediction(lake(), item)
        except AssayError as problem:
            if "There is no prediction" in str(problem):
                return
        raise AssertionError(f"{item} is not in the table")

    return ask


def measure(folder: Path, sample: Sample, asked: int) -> list[str]:
    """Rows of the table: what was asked for, p50, p95."""
    chosen = random.Random(2)
    absent = [item[:-12] + f"{chosen.getrandbits(48):012x}" for item in sample.ids["usual"]]
    kept = open_lake(folder).remembering()
    ways: dict[str, Callable[[], Lake]] = {"new lake object": lambda: open_lake(folder), "kept": lambda: kept}
    rows = []
    for way, lake in ways.items():
        for kind, ids in sample.ids.items():
            if ids:
                rows.append(f"| {kind} | {way} | {_timed(_hit(lake), chosen.choices(ids, k=asked))} |")
        rows.append(f"| not there | {way} | {_timed(_miss(lake), chosen.choices(absent, k=asked))} |")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--commits", type=int, default=2_000)
    parser.add_argument("--asked", type=int, default=100, help="lookups per line of the table")
    parser.add_argument(
        "--folder", type=Path, help="where the table is built (default: a temporary folder; 130 bytes a row)"
    )
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        begin = time.perf_counter()
        sample = build(open_lake(folder), given.rows, given.commits)
        seconds = time.perf_counter() - begin
        size = sum(item.stat().st_size for item in folder.rglob("*.parquet"))
        log = folder / TABLE / "_delta_log"
        print(
            f"{given.rows:,} predictions in {given.commits:,} commits, {size / 1e9:.1f} GB, written in {seconds:.0f} s; "
            f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n"
        )
        print("| prediction | lake | p50 | p95 |\n|---|---|---|---|", flush=True)
        print("\n".join(measure(folder, sample, given.asked)))
        for item in [*log.glob("*.checkpoint*.parquet"), log / "_last_checkpoint"]:
            item.unlink(missing_ok=True)
        print("\nThe same without checkpoints in the log:\n")
        print("| prediction | lake | p50 | p95 |\n|---|---|---|---|", flush=True)
        print("\n".join(measure(folder, sample, given.asked)))


if __name__ == "__main__":
    main()
