"""Search at size: what a store of many producers' events is asked for, one text at a time. Prints a Markdown table.

    python -m benchmarks.search --events 200000
    python -m benchmarks.search --events 20000 --postgres postgresql:///bench   # an empty database of its own

Every run reads and writes a few of `events / 12` datasets with ten columns each, half of them shared, and has an owner and rules.
Texts are drawn from what is there: whole names, words in another order, words without separators, with one edit, columns of a
table, rules, owners, beginnings of ids and digests, ids of versions, one letter, and what is not there. Then predictions of three
models are asked for, as the console's search field does: by the beginning of an id, by a key, by a key and a day.
"""

import argparse
import json
import platform
import random
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sized
from datetime import UTC, datetime, timedelta
from itertools import islice, product
from pathlib import Path
from typing import Any

import polars as pl

from assay.features.tables.lake import Lake, open_lake
from assay.features.tables.run_record import NullRecorder, Work
from assay.features.tables.transaction import transaction
from assay.lineage.predictions.about import beginning_with, predictions_matching
from assay.lineage.predictions.prediction_log import stage_predictions
from assay.lineage.queries.search import search_all
from assay.lineage.store.lineage_store import open_lineage_store

BATCH = 500
ASKED = 60  # texts of a kind
SHARED = ["id", "customer_id", "created_at", "amount", "updated_at"]
TOPICS = [
    "orders",
    "tickets",
    "invoices",
    "sessions",
    "payments",
    "shipments",
    "returns",
    "clicks",
    "emails",
    "refunds",
]
LAYERS = ["raw", "clean", "features", "mart", "export"]
TEAMS = ["support-data", "finance-core", "growth", "platform", "risk"]


def _name(number: int) -> str:
    topic, layer = TOPICS[number % len(TOPICS)], LAYERS[number // len(TOPICS) % len(LAYERS)]
    return f"{layer}/{topic}_{number:05}"


def _dataset(number: int, version: int) -> dict[str, Any]:
    columns = [
        *SHARED,
        *(f"{TOPICS[number % len(TOPICS)]}_{what}_{number:05}" for what in ("sum", "count", "last", "min", "max")),
    ]
    facets = {
        "schema": {"fields": [{"name": name, "type": "string"} for name in columns]},
        "version": {"datasetVersion": _digest(number, version)},
        "ownership": {"owners": [{"name": f"team:{TEAMS[number % len(TEAMS)]}"}]},
    }
    return {"namespace": "s3://warehouse", "name": _name(number), "facets": facets}


def _digest(number: int, version: int) -> str:
    return f"{random.Random(number * 1_000_003 + version).getrandbits(256):064x}"


def _run(number: int) -> str:
    return str(uuid.UUID(int=random.Random(number).getrandbits(128), version=4))


def events(count: int, datasets: int) -> Iterator[bytes]:
    for number in range(count):
        out = number % datasets
        assertions = [{"assertion": f"{rule}.{SHARED[number % 5]}", "success": True} for rule in ("not_null", "unique")]
        source = _dataset((out * 7 + 1) % datasets, number // datasets)
        source["inputFacets"] = {"dataQualityAssertions": {"assertions": assertions}}
        event = {
            "eventType": "COMPLETE",
            "eventTime": f"2026-03-{1 + number % 28:02}T{number % 24:02}:00:00Z",
            "run": {"runId": _run(number)},
            "job": {"namespace": "airflow", "name": f"dag_{out % 400}.load_{_name(out).replace('/', '_')}"},
            "inputs": [source],
            "outputs": [_dataset(out, number // datasets)],
        }
        yield json.dumps(event).encode()


def _slip(text: str, chosen: random.Random) -> str:
    place = chosen.randrange(1, len(text) - 1)
    return text[:place] + text[place + 1 :]


def texts(count: int, datasets: int, chosen: random.Random) -> dict[str, Callable[[], str]]:
    def name() -> str:
        return _name(chosen.randrange(datasets))

    return {
        "whole name": name,
        "words in another order": lambda: " ".join(reversed(name().replace("/", "_").split("_"))),
        "without separators": lambda: name().replace("/", "").replace("_", ""),
        "one edit in a word": lambda: _slip(chosen.choice(TOPICS), chosen) + " " + chosen.choice(LAYERS),
        "one edit in a name": lambda: _slip(name().partition("/")[2].replace("_", ""), chosen),
        "a topic (a tenth of all)": lambda: chosen.choice(TOPICS),
        "a shared column (every table has it)": lambda: chosen.choice(SHARED),
        "a column of a table": lambda: f"{name()} {chosen.choice(SHARED)}",
        "a rule": lambda: f"unique {chosen.choice(SHARED)}",
        "an owner": lambda: chosen.choice(TEAMS),
        "a run, 8 characters": lambda: _run(chosen.randrange(count))[:8],
        "a digest, 12 characters": lambda: _digest(chosen.randrange(datasets), 0)[:12],
        "a version by its id": lambda: f"dataset:s3://warehouse:{(at := name())}@{_digest(int(at[-5:]), 0)}",
        "one letter": lambda: chosen.choice("aeiost"),
        "nothing": lambda: f"zz{chosen.randrange(10**6)}qq",
    }


def measured(ask: Callable[[], Sized]) -> tuple[list[float], list[float], float]:
    """Milliseconds that passed, and those of CPU (others may compute, too); and how many questions found something."""
    passed, computed, found = [], [], 0
    for _ in range(ASKED):
        began, before = time.perf_counter(), time.process_time()
        hits = ask()
        passed.append(1_000 * (time.perf_counter() - began))
        computed.append(1_000 * (time.process_time() - before))
        found += bool(len(hits))
    return passed, computed, found / ASKED


# -- predictions -------------------------------------------------------------------------------------------------------

MODELS, DAYS, A_DAY, CUSTOMERS = 3, 60, 500, 5_000


def predictions(folder: Path) -> tuple[Lake, list[str]]:
    """A lake of predictions, a partition a day; and some of their ids."""
    lake, ids, chosen = open_lake(folder), [], random.Random(1)
    with transaction(lake, NullRecorder(), Work("clean/customers")) as tx:
        tx.write("clean/customers", pl.DataFrame({"customer_id": [f"C{number:05}" for number in range(CUSTOMERS)]}))
    for model, number in product(range(MODELS), range(DAYS)):
        day = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(days=number)
        frame = pl.DataFrame(
            {
                "customer_id": [f"C{chosen.randrange(CUSTOMERS):05}" for _ in range(A_DAY)],
                "event_time": [day + timedelta(seconds=100 * place) for place in range(A_DAY)],
                "intent": ["card"] * A_DAY,
            }
        )
        with transaction(lake, NullRecorder(), Work(f"predictions/model_{model}", f"{day:%Y-%m-%d}")) as tx:
            tx.read("clean/customers")
            ids += stage_predictions(tx, model=f"model_{model}", model_version="1", frame=frame, keys=["customer_id"])[
                :5
            ]
    return lake, ids


def report_predictions(folder: Path) -> None:
    lake, ids = predictions(folder)
    remembering, chosen = lake.remembering(), random.Random(7)

    def customer() -> str:
        return f"C{chosen.randrange(CUSTOMERS):05}"

    kinds: dict[str, Callable[[], Sized]] = {
        "an id, 13 characters": lambda: beginning_with(remembering, chosen.choice(ids)[:13]),
        "a key": lambda: predictions_matching(remembering, customer()),
        "a key by its name": lambda: predictions_matching(remembering, f"customer_id={customer()}"),
        "a key and a day": lambda: predictions_matching(
            remembering, f"{customer()} 2026-04-0{chosen.randrange(1, 10)}"
        ),
        "a day": lambda: predictions_matching(remembering, f"2026-04-0{chosen.randrange(1, 10)}"),
        "no key": lambda: predictions_matching(remembering, f"Z{chosen.randrange(10**6)}"),
    }
    print(f"\n{MODELS * DAYS * A_DAY:,} predictions of {MODELS} models, {DAYS} partitions each\n")
    print("| predictions by | p50 ms | p95 ms | p50 of CPU | p95 of CPU | found |")
    print("|---|---|---|---|---|---|")
    for kind, ask in kinds.items():
        passed, computed, found = measured(ask)
        print(f"| {kind} | {_both(passed)} | {_both(computed)} | {found:.0%} |")


def report(url: str | Path, count: int) -> None:
    store, datasets = open_lineage_store(url), max(count // 12, 10)
    began, given = time.perf_counter(), events(count, datasets)
    while batch := list(islice(given, BATCH)):
        store.put_all(batch)
    rate = count / (time.perf_counter() - began)
    backend = store.engine.dialect.name
    print(f"\n{backend}: {count:,} events, {datasets:,} datasets; taken in at {rate:,.0f} events/s\n")
    print("| text | p50 ms | p95 ms | p50 of CPU | p95 of CPU | found |")
    print("|---|---|---|---|---|---|")
    every: list[list[float]] = [[], []]
    for kind, ask in texts(count, datasets, random.Random(7)).items():
        passed, computed, found = measured(lambda ask=ask: search_all(store, ask()).hits)
        every[0] += passed
        every[1] += computed
        print(f"| {kind} | {_both(passed)} | {_both(computed)} | {found:.0%} |")
    print(f"| **all** | {_both(every[0])} | {_both(every[1])} | |")
    store.close()


def _both(times: list[float]) -> str:
    return f"{statistics.median(times):.1f} | {_p95(times):.1f}"


def _p95(times: list[float]) -> float:
    return sorted(times)[int(0.95 * len(times)) - 1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--postgres", help="the URL of an empty database")
    asked = parser.parse_args()
    print(f"Python {platform.python_version()}, {platform.machine()}")
    with tempfile.TemporaryDirectory() as folder:
        report(asked.postgres or Path(folder) / "lineage.db", asked.events)
        report_predictions(Path(folder) / "lake")


if __name__ == "__main__":
    main()
