"""Long windows: a full backfill, and one more day, with parts that are kept and by reading all events. Prints a Markdown table.

    python -m benchmarks.features --events 10000000 --days 400 --customers 20000

Events of customers, the same number each day, in one partition a day; a view counts and adds them up over 1, 7, 30 and 365 days.
The backfill makes day after day, as `assay materialize` does; a day more is planned and made at several lengths of the history.
CPU is user and system of this process, with all its threads. The lake is in a temporary folder.
"""

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from assay.assets.planning.plan import planned_runs
from assay.assets.steps.features import view_step
from assay.assets.steps.step import Resources, Step, execute
from assay.features import Entity, FeatureView, Partitioning, windows
from assay.features.tables.run_record import NullRecorder, Work
from assay.features.tables.transaction import transaction
from assay.features.window_parts.partials import Partials
from assay.store import open_store

FIRST = date(2025, 1, 1)
DAILY = Partitioning.daily(FIRST)
AMOUNT = pl.col("amount")


def activity(name: str, widths: Sequence[str]) -> FeatureView:
    return FeatureView(
        name,
        entity=Entity("customer", ["customer_id"]),
        event_time="event_time",
        features=windows(
            list(widths), source="clean/events", time="at", n=pl.len(), spent=AMOUNT.sum(), most=AMOUNT.max()
        ),
    )


@dataclass
class Lake:
    env: Resources
    step: Step
    rows: int
    customers: int

    def deliver(self, key: str) -> None:
        """A day of events, the same whenever it is made."""
        random = np.random.default_rng(int(key.replace("-", "")))
        begin = int(DAILY.bounds(key)[0].timestamp()) * 1_000_000
        at = np.sort(random.integers(0, 86_400_000_000, self.rows)) + begin
        frame = pl.DataFrame(
            {
                "customer_id": random.integers(0, self.customers, self.rows),
                "at": pl.Series(at).cast(pl.Datetime("us", "UTC")),
                "amount": np.round(random.gamma(2, 20, self.rows), 2),
            }
        )
        with transaction(self.env.lake, NullRecorder(), Work("clean/events", key)) as tx:
            tx.write("clean/events", frame)

    def materialize(self) -> float:
        """What is due, planned and made; CPU s."""
        begin = time.process_time()
        for unit in planned_runs([self.step], self.env):
            for step in unit.steps:
                execute(step, self.env, unit.partition)
        return time.process_time() - begin


def opened() -> dict[str, int]:
    """How many files of events and kept blocks are opened from now on."""
    counts = {"events": 0, "blocks": 0}
    scan, kept = Partials._scan, Partials._kept_rows

    def scanned(self: Partials, files: Sequence[object], *span: datetime) -> pl.LazyFrame:
        counts["events"] += len(files)
        return scan(self, files, *span)  # pyright: ignore[reportArgumentType]

    def taken(self: Partials, block: object) -> pl.DataFrame | None:
        rows = kept(self, block)  # pyright: ignore[reportArgumentType]
        counts["blocks"] += rows is not None
        return rows

    Partials._scan, Partials._kept_rows = scanned, taken  # pyright: ignore[reportAttributeAccessIssue]
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--days", type=int, default=400)
    parser.add_argument("--customers", type=int, default=2_000)
    given = parser.parse_args()
    counts = opened()
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(home=folder)
        env = replace(store.env(), recorder=NullRecorder())
        lake = Lake(env, view_step(activity("activity", ["1d", "7d", "30d", "365d"]), DAILY), 0, given.customers)
        lake.rows = given.events // given.days
        keys = DAILY.overlapping(*(datetime(2025, 1, 1, tzinfo=UTC) + timedelta(days=n) for n in (0, given.days + 4)))
        print(f"{given.events:,} events, {given.days} days, {given.customers:,} customers\n")
        print(
            "| history | CPU s of the backfill since | one more day, CPU s (median of 3) | files of events | kept blocks |"
        )
        print("|---|---|---|---|---|")
        total, made = 0.0, 0
        for length in (given.days // 4, given.days // 2, given.days):
            for key in keys[made:length]:
                lake.deliver(key)
            since = lake.materialize()
            more: list[float] = []
            for key in keys[length : length + 3]:
                lake.deliver(key)
                counts |= dict.fromkeys(counts, 0)
                more.append(lake.materialize())
            total, made = total + since + sum(more), length + 3
            day = statistics.median(more)
            print(f"| {length} days | {since:.1f} | {day:.2f} | {counts['events']} | {counts['blocks']} |", flush=True)
        print(f"\nFull backfill {total:.1f} CPU s; one more day is {100 * day / total:.2f} % of it.")
        begin = time.process_time()
        frames = {"clean/events": env.lake.table("clean/events").scan()}
        rows = activity("activity", ["1d", "7d", "30d", "365d"]).compute(frames, at=DAILY.end_of(keys[made - 1]))
        print(f"The same day of all events in its windows: {time.process_time() - begin:.2f} CPU s.")
        table = env.lake.table("features/activity").at()
        kept = table.scan([keys[made - 1]]).drop("partition_key").collect().sort("customer_id")
        exact = [name for name in rows.columns if not name.startswith("spent")]
        assert kept.select(exact).equals(rows.select(exact).cast(kept.select(exact).schema))
        size = sum(file.stat().st_size for file in Path(folder).glob("lake/partials/**/*.parquet")) / 1e6
        source = sum(file.stat().st_size for file in Path(folder).glob("lake/clean/**/*.parquet")) / 1e6
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"Kept parts {size:.0f} MB of {source:.0f} MB of events; peak memory {peak:.0f} MB.")


if __name__ == "__main__":
    main()
