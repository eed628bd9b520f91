"""Listing the predictions that bad rows touched, row by row. Prints a Markdown table.

    python -m benchmarks.impact --predictions 1000000 --days 30

A file of tickets a day, cleaned, counted per customer in windows of seven days, described one by one, and predicted with the
features as of each ticket's moment. Asked is about all raw rows (every prediction is listed), 99 % of them, one file, and a
thousandth of its rows; each by a process of its own, whose peak memory is its largest resident set.
"""

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from assay.features.serving.feature_refs import join, resolve
from assay.features.storage.commit_metadata import SourceFile
from assay.features.tables.lake import Lake, open_lake
from assay.features.tables.run_record import NullRecorder, Work
from assay.features.tables.transaction import transaction
from assay.features.views.entity import Entity
from assay.features.views.feature_view import FeatureView
from assay.features.views.row_wise import Feature
from assay.features.views.windowed import windows
from assay.lineage.predictions.prediction_log import stage_predictions

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
ACTIVITY = FeatureView(
    "activity",
    Entity("customer", ["customer_id"]),
    "event_time",
    windows(["1d", "7d"], source="clean/tickets", time="created_at", n=pl.len(), spent=pl.col("amount").sum()),
    max_age="3d",
)
OWN = FeatureView(
    "ticket",
    Entity("ticket", ["ticket_id"]),
    "created_at",
    [Feature("twice", pl.col("amount") * 2)],
    "clean/tickets",
    max_age="3d",
)
REFERENCES = ["activity:n_1d", "activity:spent_7d", "ticket:twice"]


def key(day: int) -> str:
    return (FIRST + timedelta(days=day)).strftime("%Y-%m-%d")


def make(lake: Lake, rows: int, days: int, customers: int) -> None:
    chosen = np.random.default_rng(1)
    for day in range(days):
        make_day(lake, day, rows // days, chosen, customers)


def make_day(lake: Lake, day: int, count: int, chosen: np.random.Generator, customers: int) -> None:
    """A day's tickets, from the file to the predictions."""
    begin, path = FIRST + timedelta(days=day), f"tickets/{key(day)}.csv"
    sha = hashlib.sha256(path.encode()).hexdigest()
    raw = pl.DataFrame(
        {"customer": chosen.integers(0, customers, count), "at": chosen.integers(0, 86_400, count)}
    ).select(
        pl.format("T{}-{}", pl.lit(day), pl.int_range(pl.len())).alias("ticket_id"),
        pl.format("C{}", "customer").alias("customer_id"),
        (pl.lit(begin).dt.cast_time_unit("us") + pl.duration(seconds="at")).alias("created_at"),
        pl.Series("amount", chosen.random(count) * 100),
        pl.lit(path).alias("_source_file"),
        pl.lit(sha).alias("_source_sha256"),
        (pl.int_range(pl.len()) + 1).alias("_row_number"),
    )

    def work(table: str) -> Any:
        return transaction(lake, NullRecorder(), Work(table, key(day), code_version="1"))

    with work("raw/tickets") as tx:
        tx.sources.append(SourceFile(path, sha, 1, count))
        tx.write("raw/tickets", raw)
    with work("clean/tickets") as tx:
        clean = tx.read("raw/tickets", [key(day)]).collect().drop("partition_key")
        lineage = {name: {"direct": [("raw/tickets", name)], "indirect": []} for name in clean.columns}
        tx.write("clean/tickets", clean, column_lineage=lineage)
    for view in (ACTIVITY, OWN):
        read = [key(n) for n in range(max(0, day - 7), day + 1)] if view.lookback() else [key(day)]
        with work(f"features/{view.name}") as tx:
            frame = tx.read("clean/tickets", read)
            tx.describe(**view.metadata())
            rows = view.compute({"clean/tickets": frame}, at=begin + timedelta(days=1))
            tx.write(f"features/{view.name}", rows.sort(view.event_time, *view.entity.keys))
    with work("predictions/router") as tx:
        tickets = tx.read("clean/tickets", [key(day)])
        spine = tickets.select("ticket_id", "customer_id", event_time="created_at").collect().sort("event_time")
        rows = join(spine, resolve(tx, REFERENCES, spine))
        stage_predictions(
            tx,
            model="router",
            model_version="1",
            frame=rows.with_columns(intent=pl.lit("card"), confidence=pl.lit(0.75)),
            keys=["ticket_id", "customer_id"],
            features=REFERENCES,
            feature_columns=["n_1d", "spent_7d", "twice"],
            outputs=["intent"],
            joined={"known_at": "event", "skip_nulls": False},
            spine={"table": "clean/tickets", "event_time": "created_at"},
        )


ASK = """
import json, resource, sys, time
from pathlib import Path
from assay.features.tables.lake import open_lake
from assay.lineage.affected.answer import affected_predictions
from assay.lineage.affected.export import write_list
from assay.lineage.affected.origin import Origin
asked = json.loads(sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
begin = time.perf_counter()
found = affected_predictions(open_lake(asked["lake"]), Origin(**asked["origin"]))
rows = write_list(found, Path(asked["output"]))
seconds, used = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([rows, seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, found.complete, list(found.notes)]))
"""


def ask(lake: Path, origin: dict[str, Any], output: Path) -> list[Any]:
    asked = json.dumps({"lake": str(lake), "origin": origin, "output": str(output)})
    done = subprocess.run([sys.executable, "-c", ASK, asked], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--predictions", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--customers", type=int, default=100_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        begin, lake = time.perf_counter(), Path(folder, "lake")
        make(open_lake(lake), given.predictions, given.days, given.customers)
        print(f"made in {time.perf_counter() - begin:.0f} s; {platform.machine()}, {os.cpu_count()} cores\n")
        print("| rows of | list | predictions | seconds | CPU s | peak MB |\n| --- | --- | ---: | ---: | ---: | ---: |")
        file = f"tickets/{key(given.days // 2)}.csv"
        asked: list[tuple[str, dict[str, Any], str]] = [
            *(("raw/tickets, all of it", {"table": "raw/tickets"}, suffix) for suffix in ("csv", "parquet", "json")),
            ("raw/tickets, amount < 99", {"table": "raw/tickets", "rows": "amount < 99"}, "csv"),
            ("one file", {"file": file}, "csv"),
            ("a thousandth of a file", {"file": file, "rows": "amount < 0.1"}, "csv"),
        ]
        for what, origin, suffix in asked:
            rows, seconds, cpu, peak, complete, notes = ask(lake, origin, Path(folder, f"list.{suffix}"))
            assert complete and not notes
            print(f"| {what} | {suffix} | {rows:,} | {seconds:.1f} | {cpu:.1f} | {peak:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
