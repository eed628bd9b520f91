"""The console at size: CPU of its pages over a lake of many tables, warm. Prints a Markdown table.

    python -m benchmarks.console --sources 100 --days 30      # 300 tables of the pipeline, and predictions

A source has a raw and a clean table and a feature view, a commit a day. One is made by the library; the others are copies of it
under other names and ids, so that thousands of commits need no hour. Operations are reads of the lake's files.
"""

import argparse
import platform
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from assay.features.storage.commit_metadata import SourceFile
from assay.features.storage.storage import Storage
from assay.features.tables.lake import Lake, open_lake
from assay.features.tables.run_record import NullRecorder, Work
from assay.features.tables.transaction import transaction
from assay.lineage.predictions.prediction_log import stage_predictions
from assay.lineage.store.lineage_store import open_lineage_store
from assay.web import create_router

FIRST = datetime(2026, 3, 1, tzinfo=UTC)
ASKED = 30
KINDS = ("raw", "clean", "features")
ORIGINAL = "source_000"


def made(folder: Path, sources: int, days: int) -> tuple[Lake, str]:
    """The lake, and the id of a prediction."""
    lake, day = open_lake(folder), ""
    for number in range(days):
        day = f"{FIRST + timedelta(days=number):%Y-%m-%d}"
        rows = pl.DataFrame(
            {
                "customer_id": ["c0", "c1"],
                "created_at": [FIRST + timedelta(days=number)] * 2,
                "amount": [1.0, 2.0],
                "_source_file": f"{ORIGINAL}/{day}.csv",
                "_source_sha256": f"{number:064x}",
                "_row_number": [1, 2],
            }
        )
        for kind, before in zip(KINDS, (None, *KINDS), strict=False):
            table = f"{kind}/{ORIGINAL}"
            with transaction(lake, NullRecorder(), Work(table, day)) as tx:
                if before is None:
                    tx.sources.append(SourceFile(f"{ORIGINAL}/{day}.csv", f"{number:064x}", 1, 2))
                else:
                    rows = tx.read(f"{before}/{ORIGINAL}", [day]).collect().drop("partition_key")
                lineage = {name: {"direct": [(f"{before}/{ORIGINAL}", name)], "indirect": []} for name in rows.columns}
                tx.write(table, rows, column_lineage=lineage if before else {})
    with transaction(lake, NullRecorder(), Work("predictions/router", day)) as tx:
        spine = tx.read(f"clean/{ORIGINAL}", [day]).collect().select("customer_id", event_time="created_at")
        (one, *_) = stage_predictions(
            tx, model="router", model_version="1", frame=spine.with_columns(intent=pl.lit("card")), keys=["customer_id"]
        )
    ids = [lake.table(f"{kind}/{ORIGINAL}").at().snapshot.table_id for kind in KINDS]
    for number in range(1, sources):
        for kind in KINDS:
            copy(folder / kind, f"source_{number:03}", {name: f"{number:04}{name[4:]}" for name in ids})
    return lake, one


def copy(folder: Path, name: str, ids: dict[str, str]) -> None:
    """The table under another name, and with another id, in what it is and in what it read."""
    source, target = folder / ORIGINAL, folder / name
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.crc", "_last_checkpoint", "*.checkpoint.parquet"))
    for file in sorted((target / "_delta_log").glob("*.json")):
        text = file.read_text().replace(ORIGINAL, name)
        for before, after in ids.items():
            text = text.replace(before, after)
        file.write_text(text)


def measured(ask: Callable[[], object]) -> tuple[list[float], list[float], float]:
    """Milliseconds that passed, those of CPU, and reads of the lake's files; after one answer that is not counted."""
    ask()
    passed, computed, reads = [], [], counted()
    before = sum(reads.values())
    for _ in range(ASKED):
        began, at = time.perf_counter(), time.process_time()
        ask()
        passed.append(1_000 * (time.perf_counter() - began))
        computed.append(1_000 * (time.process_time() - at))
    return passed, computed, (sum(reads.values()) - before) / ASKED


_READS: dict[str, int] = {}


def counted() -> dict[str, int]:
    """Counts what is asked of the lake's storage from now on."""
    for name in ("get", "list", "size"):
        real = getattr(Storage, name)
        if getattr(real, "counts", False):
            continue

        def counting(
            self: Storage, *args: object, _real: Callable[..., object] = real, _name: str = name, **kw: object
        ) -> object:
            _READS[_name] = _READS.get(_name, 0) + 1
            return _real(self, *args, **kw)

        counting.counts = True  # pyright: ignore[reportFunctionMemberAccess]
        setattr(Storage, name, counting)
    return _READS


def report(folder: Path, sources: int, days: int) -> None:
    lake, one = made(folder / "lake", sources, days)
    store = open_lineage_store(folder / "lineage.db")
    client = TestClient(Starlette(routes=[Mount("/", create_router(store, lake))]))

    def page(address: str) -> Callable[[], object]:
        def ask() -> object:
            answer = client.get(address)
            assert answer.status_code == 200, (address, answer.status_code)
            return answer

        return ask

    pages = {
        "home": "/",
        "pipeline": "/pipeline",
        "pipeline around a table": f"/pipeline?table=clean/{ORIGINAL}",
        "versions of a table": f"/versions/clean/{ORIGINAL}",
        "prediction": f"/trace/{one}",
        "impact of a table": f"/impact/raw/{ORIGINAL}",
        "impact, row by row": f"/impact/raw/{ORIGINAL}?list=1",
        "impact of a file": f"/impact?file={ORIGINAL}/2026-03-01.csv",
    }
    began = time.process_time()
    page("/")()
    first = time.process_time() - began
    print(f"\n{len(lake.tables()):,} tables, {days} commits each; the first page of all took {first:.1f} s of CPU\n")
    print("| page | p50 ms | p95 ms | p50 of CPU | p95 of CPU | reads |")
    print("|---|---|---|---|---|---|")
    for name, address in pages.items():
        passed, computed, reads = measured(page(address))
        print(f"| {name} | {_both(passed)} | {_both(computed)} | {reads:.0f} |", flush=True)
    store.close()


def _both(times: list[float]) -> str:
    return f"{statistics.median(times):.1f} | {sorted(times)[int(0.95 * len(times)) - 1]:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sources", type=int, default=100)
    parser.add_argument("--days", type=int, default=30)
    asked = parser.parse_args()
    print(f"Python {platform.python_version()}, {platform.machine()}")
    with tempfile.TemporaryDirectory() as folder:
        report(Path(folder), asked.sources, asked.days)


if __name__ == "__main__":
    main()
