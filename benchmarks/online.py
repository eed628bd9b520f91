"""The online store: materialising, reading in a process, and over HTTP while a generation is swapped. Prints a Markdown table.

    python -m benchmarks.online --entities 100000 --days 10 --seconds 60

A view of 10 features of customers: every customer has a row on the first day, and as many rows as there are customers come each
day after. All is read once (`full`), then one more day of 1,000 rows (`changes`). Over HTTP 32 connections send 200 requests per
second between them, at moments that are set beforehand: a late answer does not put off the next question. In the middle another
process writes a day and materialises it. Each value of an answer is a function of its key and its generation, so that a wrong or
mixed one shows. Server, clients and all else share the machine. The lake is in a temporary folder.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import random
import resource
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from assay.features import FeatureSet
from assay.store import Store, open_store

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
FEATURES = [f"f{number}" for number in range(10)]
SET = FeatureSet("bench", ["activity:*"])
CHANGED = 1_000  # customers with a row on each day after the history
HEAD = b"POST /features HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: "
SHIFT = 1_000_000.0  # that is added to their values each such day


def name_of(customer: int) -> str:
    return f"C{customer:08}"


def put(store: Store, day: int, customers: np.ndarray, shift: float) -> None:
    """Rows of a day. The value of a feature is the customer's number, plus the feature's, plus the shift."""
    moments = np.random.default_rng(day).integers(0, 86_400_000_000, len(customers))
    begin = pl.lit(FIRST + timedelta(days=day)).cast(pl.Datetime("us", "UTC"))
    number = pl.Series("number", customers)
    frame = pl.DataFrame(
        {"customer_id": "C" + number.cast(pl.String).str.zfill(8), "wait": moments, "number": number}
    ).select(
        "customer_id",
        at=begin + pl.duration(microseconds="wait"),
        **{name: pl.col("number") + float(place) + shift for place, name in enumerate(FEATURES)},
    )
    with store.transaction("features/activity", f"{day:05}") as tx:
        tx.write_view("activity", frame, keys=["customer_id"], event_time="at")


def history(home: Path, customers: int, days: int) -> None:
    store, generator = open_store(home=home, lake=home / "lake"), np.random.default_rng(1)
    put(store, 0, np.arange(customers), 0)
    for day in range(1, days):
        put(store, day, generator.integers(0, customers, customers), 0)
    store.recorder.close()


def swap(home: Path, day: int, shift: float) -> None:
    store = open_store(home=home, lake=home / "lake")
    put(store, day, np.arange(CHANGED), shift)
    store.materialize_online(SET)
    store.recorder.close()


@dataclass
class Timed:
    """Times of calls, in ms."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def call(self, work: Callable[[], object]) -> None:
        began, used = time.perf_counter_ns(), time.thread_time_ns()
        work()
        self.cpu.append((time.thread_time_ns() - used) / 1e6)
        self.wall.append((time.perf_counter_ns() - began) / 1e6)


def at_rank(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else float("nan")


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def materialised(store: Store, what: str) -> None:
    before, began, used = peak_mb(), time.perf_counter(), time.process_time()
    made = store.materialize_online(SET)
    wall, cpu = time.perf_counter() - began, time.process_time() - used
    assert made.manifest is not None
    rows, read = made.manifest.rows, sum(one.reads for one in made.plan.streams)
    print(
        f"| {what} ({made.plan.streams[0].action}) | {rows:,} | {read:,} | {wall:.2f} | {cpu:.2f} | {rows / wall:,.0f} | "
        f"{rows / cpu:,.0f} | {before:.0f} → {peak_mb():.0f} | {made.manifest.bytes / 1e6:.0f} |"
    )


def in_process(store: Store, customers: int, calls: int) -> None:
    online, generator = store.online_set("bench"), np.random.default_rng(2)
    for count in (1, 100):
        asked = [
            {"customer_id": [name_of(one) for one in generator.integers(0, customers, count)]} for _ in range(calls)
        ]
        for what, work in (("frame", online.get), ("values", online.answer)):
            timed = Timed()
            for keys in asked[: calls // 10]:
                work(keys)
            for keys in asked:
                timed.call(lambda keys=keys, work=work: work(keys))
            print(
                f"| {count} keys, {what} | {at_rank(timed.wall, 0.5):.3f} | {at_rank(timed.wall, 0.99):.3f} | "
                f"{at_rank(timed.cpu, 0.5):.3f} | {at_rank(timed.cpu, 0.99):.3f} |"
            )


def in_sqlite(home: Path, customers: int, calls: int) -> None:
    """The floor: one wide row per customer in a table of SQLite, found by its key, as tuples. No rule, no state, no types."""
    generator, names = np.random.default_rng(2), ", ".join(FEATURES)
    connection = sqlite3.connect(home / "peer.db")
    connection.execute(f"CREATE TABLE latest (key TEXT PRIMARY KEY, at INTEGER, {names}) WITHOUT ROWID")
    rows = ((name_of(one), 0, *(one + float(place) for place in range(len(FEATURES)))) for one in range(customers))
    connection.executemany(f"INSERT INTO latest VALUES (?, ?{', ?' * len(FEATURES)})", rows)
    connection.commit()
    for count in (1, 100):
        sql, timed = f"SELECT * FROM latest WHERE key IN ({', '.join('?' * count)})", Timed()
        for _ in range(calls):
            keys = [name_of(one) for one in generator.integers(0, customers, count)]
            timed.call(lambda keys=keys, sql=sql: connection.execute(sql, keys).fetchall())
        print(
            f"| {count} keys, wide row in SQLite | {at_rank(timed.wall, 0.5):.3f} | {at_rank(timed.wall, 0.99):.3f} | "
            f"{at_rank(timed.cpu, 0.5):.3f} | {at_rank(timed.cpu, 0.99):.3f} |"
        )
    connection.close()


@dataclass
class Load:
    """What the connections saw."""

    late: list[float] = field(default_factory=list)  # ms from the moment a question was due to its answer
    statuses: dict[int, int] = field(default_factory=dict)
    generations: set[int] = field(default_factory=set)
    wrong: int = 0


def is_wrong(keys: Sequence[int], found: dict, first: int) -> bool:
    """Whether a value is not that of the answer's generation."""
    generation, shift = found["generation"], SHIFT * (found["generation"] - first)
    for place, name in enumerate(FEATURES):
        expected = [key + float(place) + (shift if key < CHANGED and generation > first else 0.0) for key in keys]
        if found["features"][name] != expected:
            return True
    return False


async def connection(port: int, due: list[float], customers: int, count: int, load: Load, first: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for moment in due:
        await asyncio.sleep(max(0.0, moment - time.perf_counter()))
        keys = [random.randrange(CHANGED if number % 2 else customers) for number in range(count)]
        body = json.dumps({"sets": "bench", "keys": {"customer_id": [name_of(key) for key in keys]}}).encode()
        writer.write(HEAD + f"{len(body)}\r\n\r\n".encode() + body)
        answer = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        content = await reader.readexactly(int(answer.partition("content-length: ")[2].split("\r\n")[0]))
        load.late.append((time.perf_counter() - moment) * 1e3)
        status = int(answer.split()[1])
        load.statuses[status] = load.statuses.get(status, 0) + 1
        if status == 200:
            found = json.loads(content)["sets"]["bench@1"]
            load.generations.add(found["generation"])
            load.wrong += is_wrong(keys, found, first)
    writer.close()


async def under_load(
    port: int, customers: int, count: int, options: argparse.Namespace, meanwhile: Callable[[], object]
) -> Load:
    load, begin = Load(), time.perf_counter() + 1
    moments = [begin + number / options.rate for number in range(int(options.rate * options.seconds))]
    first = options.first
    tasks = [
        asyncio.create_task(connection(port, moments[n :: options.clients], customers, count, load, first))
        for n in range(options.clients)
    ]
    await asyncio.sleep(1 + options.seconds / 2)
    meanwhile()
    await asyncio.gather(*tasks)
    return load


def over_http(home: Path, options: argparse.Namespace) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "ASSAY_HOME": str(home), "ASSAY_LAKE": str(home / "lake")}
    code = "from assay.cli import main; main()"
    server = subprocess.Popen(
        [sys.executable, "-c", code, "serve", "--port", str(port)], env=environment, stdout=subprocess.DEVNULL
    )
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.2)
        for place, count in enumerate((1, 100)):
            other = multiprocessing.get_context("spawn").Process(
                target=swap, args=(home, options.days + 10 + place, SHIFT * (place + 1))
            )
            load = asyncio.run(under_load(port, options.entities, count, options, other.start))
            other.join()
            print(
                f"| {count} keys | {len(load.late):,} | {at_rank(load.late, 0.5):.2f} | {at_rank(load.late, 0.99):.2f} | "
                f"{load.statuses} | {sorted(load.generations)} | {load.wrong} | {os.getloadavg()[0]:.1f} |"
            )
    finally:
        server.terminate()
        server.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entities", type=int, default=100_000)
    parser.add_argument("--days", type=int, default=10)
    parser.add_argument("--calls", type=int, default=2_000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--clients", type=int, default=32)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        made = multiprocessing.get_context("spawn").Process(target=history, args=(home, options.entities, options.days))
        made.start()
        made.join()
        store = open_store(home=home, lake=home / "lake")
        print(f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores\n")
        print("| materialised | entities | rows read | s | CPU s | entities/s | entities/CPU s | peak MB | MB |")
        print("|---|---|---|---|---|---|---|---|---|")
        materialised(store, "all")
        put(store, options.days, np.arange(CHANGED), 0)
        materialised(store, f"{CHANGED:,} rows more")
        store.recorder.close()
        options.first = 2
        print(f"\nload {os.getloadavg()[0]:.1f}\n\n| in process | p50 ms | p99 ms | CPU p50 ms | CPU p99 ms |")
        print("|---|---|---|---|---|")
        in_process(store, options.entities, options.calls)
        in_sqlite(home, options.entities, options.calls)
        print(
            "\n| HTTP | requests | p50 ms | p99 ms | statuses | generations | wrong | load |\n|---|---|---|---|---|---|---|---|"
        )
        over_http(home, options)


if __name__ == "__main__":
    main()
