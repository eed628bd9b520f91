"""The lineage store at size: ingestion of validated events, trace and impact of random nodes. Prints a Markdown table.

    python -m benchmarks.lineage --edges 1000000
    python -m benchmarks.lineage --edges 200000 --postgres postgresql:///bench   # an empty database of its own

The history is that of daily pipelines: days × tables, every run reads one to four partitions of earlier tables at their
latest version and replaces one partition of its own. Events are what a batch request brings: JSON that is checked, hashed,
stored as it is and read into the index; every dataset carries a schema, as producers' do.
"""

import argparse
import json
import os
import platform
import random
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from assay.lineage.api.ingest import put_batch
from assay.lineage.queries.walk import Subgraph, downstream, neighbourhood, upstream
from assay.lineage.store.lineage_store import LineageStore, open_lineage_store

TABLES = 40  # in a pipeline; each pipeline is for itself
DAYS = 25
BATCH = 500
ASKED = 200
SCHEMA = {"fields": [{"name": f"column_{number}", "type": "Float64"} for number in range(8)]}


def _use(pipeline: int, number: int, version: int, day: int, role: str) -> dict[str, Any]:
    name = f"p{pipeline}/t{number}"
    snapshot = {"table": name, "table_id": f"id-{name}", "version": version, "commit_sha256": "ab" * 32, "role": role}
    snapshot |= {"partitions": [f"day-{day:03d}"], "mode": "replace"}
    facets = {"version": {"datasetVersion": str(version)}, "assay_snapshot": snapshot, "schema": SCHEMA}
    return {"namespace": "file", "name": f"/lake/{name}", "facets": facets}


def history(edges: int, chosen: random.Random) -> Iterator[bytes]:
    """COMPLETE events with this many edges in all."""
    made, pipeline = 0, 0
    while made < edges:
        for day in range(DAYS):
            for number in range(TABLES):
                sources = chosen.sample(range(number), min(number, chosen.randint(1, 4)))
                inputs = [
                    _use(pipeline, source, day + 1, chosen.randint(max(0, day - 2), day), "input") for source in sources
                ]
                event = {
                    "eventType": "COMPLETE",
                    "eventTime": f"2026-09-01T{day % 24:02d}:{number:02d}:00Z",
                    "run": {"runId": str(uuid.UUID(int=chosen.getrandbits(128)))},
                    "job": {"namespace": "bench", "name": f"p{pipeline}/t{number}"},
                    "inputs": inputs,
                    "outputs": [_use(pipeline, number, day + 1, day, "output")],
                }
                made += len(inputs) + 1
                yield json.dumps(event).encode()
        pipeline += 1


def _ingest(store: LineageStore, edges: int) -> tuple[int, int, float, float]:
    """(events, pipelines, seconds, bytes an event)"""
    count, size, seconds = 0, 0, 0.0
    source = history(edges, random.Random(1))
    while bodies := list(islice(source, BATCH)):
        begin = time.perf_counter()
        result = put_batch(store, bodies)
        seconds += time.perf_counter() - begin
        assert result.summary.failed == 0
        count, size = count + len(bodies), size + sum(map(len, bodies))
    return count, count // (DAYS * TABLES), seconds, size / count


def _ask(store: LineageStore, pipelines: int, question: Callable[[str], Subgraph]) -> tuple[float, float, float]:
    """(p50 ms, p95 ms, mean nodes) over random versions."""
    chosen, taken, sizes = random.Random(2), [], []
    for _ in range(ASKED):
        name = f"p{chosen.randrange(pipelines)}/t{chosen.randrange(TABLES)}"
        node_id = f"dataset:file:/lake/{name}@{chosen.randint(1, DAYS)}"
        begin = time.perf_counter()
        sizes.append(len(question(node_id).nodes))
        taken.append((time.perf_counter() - begin) * 1000)
    return statistics.median(taken), statistics.quantiles(taken, n=20)[-1], statistics.mean(sizes)


def measure(store: LineageStore, edges: int) -> list[str]:
    events, pipelines, seconds, size = _ingest(store, edges)
    backend = store.url.get_backend_name()
    rate = f"{events / seconds:,.0f} events/s | {edges / seconds:,.0f} edges/s"
    rows = [f"| {backend} | ingestion, batches of {BATCH} | {rate} | {size:,.0f} bytes each |"]
    long_ago = datetime(2026, 9, 1, 12, tzinfo=UTC)
    questions: dict[str, Callable[[str], Subgraph]] = {
        "trace: all upstream": lambda node_id: upstream(store, node_id),
        "impact: all downstream": lambda node_id: downstream(store, node_id),
        "all upstream, as of a time": lambda node_id: upstream(store, node_id, as_of=long_ago),
        "neighbourhood, 2 up 2 down": lambda node_id: neighbourhood(store, node_id, up=2, down=2),
    }
    for name, question in questions.items():
        p50, p95, nodes = _ask(store, pipelines, question)
        rows.append(f"| {backend} | {name} | p50 {p50:.1f} ms | p95 {p95:.1f} ms | {nodes:,.0f} nodes |")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edges", type=int, default=1_000_000)
    parser.add_argument("--postgres", metavar="URL", help="also measure on this empty database")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        urls = [str(Path(folder, "lineage.db")), *([given.postgres] if given.postgres else [])]
        rows = []
        for url in urls:
            store = open_lineage_store(url, folder, busy_seconds=30)
            rows += measure(store, given.edges)
            store.close()
    print(f"{given.edges:,} edges; {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    print("| database | what | | | answer |\n|---|---|---|---|---|")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
