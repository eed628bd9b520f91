"""A small support desk with everything recorded: days of tickets, a model, predictions; and the console on it."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from assay.features.storage.commit_metadata import SourceFile
from assay.features.tables.lake import Lake, open_lake
from assay.features.tables.run_record import CheckResult, Work
from assay.features.tables.transaction import transaction
from assay.lineage.delivery.recorder import EventRecorder
from assay.lineage.predictions.prediction_log import stage_predictions
from assay.lineage.store.lineage_store import LineageStore, open_lineage_store
from assay.web import create_router
from tests.chromium import chromium

DAYS = ["2026-09-01", "2026-09-02", "2026-09-03"]


@dataclass(frozen=True)
class Desk:
    lake: Lake
    store: LineageStore
    app: Starlette
    predictions: tuple[str, ...]


def build(folder: Path) -> Desk:
    lake = open_lake(folder / "lake")
    store = open_lineage_store(folder / "lineage.db")
    recorder = EventRecorder(store)

    def work(asset: str, partition: str | None = None) -> Any:
        return transaction(lake, recorder, Work(asset, partition, code_version=f"code of {asset}"))

    for day in DAYS:
        _tickets(lake, work, day)
    with work("training/router") as tx:
        tx.write("training/router", tx.read("features/ticket").collect().drop("partition_key"))
    with work("models/router") as tx:
        tx.read("training/router")
        artifact = b"weights"
        row = {
            "model_version": "1",
            "sha256": hashlib.sha256(artifact).hexdigest(),
            "artifact": artifact,
            "training_set": "router@1",
            "metrics": json.dumps({"accuracy": 0.91}),
            "created_at": datetime(2026, 9, 4, tzinfo=UTC),
        }
        tx.write("models/router", pl.DataFrame([row]), mode="append")
    with work("predictions/router", DAYS[-1]) as tx:
        tx.read("models/router")
        found = tx.read("features/ticket", [DAYS[-1]]).collect().drop("partition_key").sort("ticket_id")
        frame = found.with_columns(
            event_time=pl.lit(datetime.fromisoformat(DAYS[-1]).replace(tzinfo=UTC) + timedelta(hours=9)),
            intent=pl.lit("lost_card"),
            confidence=pl.lit(0.875),
        )
        ids = stage_predictions(
            tx, model="router", model_version="1", frame=frame, keys=["ticket_id"], feature_columns=["length"]
        )
    recorder.close()
    app = Starlette(routes=[Mount("/", create_router(store, lake))])
    return Desk(lake, store, app, tuple(ids))


def _tickets(lake: Lake, work: Any, day: str) -> None:
    content = "\n".join(f"t-{day}-{number},{'x' * number}" for number in range(1, 5)).encode()
    sha256 = hashlib.sha256(content).hexdigest()
    kept = f"_landing/{sha256[:2]}/{sha256}"
    lake.storage.put_once(kept, content)
    rows = [line.split(",") for line in content.decode().splitlines()]
    raw = pl.DataFrame(rows, schema=["ticket_id", "text"], orient="row")
    with work("raw/tickets", day) as tx:
        tx.sources.append(SourceFile(f"tickets/{day}/drop.csv", sha256, len(content), len(rows), kept))
        tx.write("raw/tickets", raw)
    with work("clean/tickets", day) as tx:
        frame = tx.read("raw/tickets", [day]).collect().drop("partition_key")
        declared = b'{"columns": []}'  # it knows no column, so that all are masked
        digest = hashlib.sha256(declared).hexdigest()
        lake.storage.put_once(f"_contracts/{digest}.json", declared)
        tx.contract = {"name": "Tickets", "version": "1.2", "digest": digest}
        tx.check(CheckResult("ticket_id.unique", "clean/tickets", True, evaluated=4))
        late = day == DAYS[1]
        tx.check(CheckResult("text.not_null", "clean/tickets", not late, evaluated=4, invalid=int(late)))
        said = {
            "ticket_id": {"direct": [("raw/tickets", "ticket_id")]},
            "text": {"direct": [("raw/tickets", "text")], "indirect": [("raw/tickets", "ticket_id")]},
        }
        tx.write("clean/tickets", frame, column_lineage=said)
    with work("features/ticket", day) as tx:
        read = tx.read("clean/tickets", [day])
        made = read.select("ticket_id", pl.col("text").str.len_chars().alias("length")).collect()
        tx.write("features/ticket", made, column_lineage={"length": {"direct": [("clean/tickets", "text")]}})


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Only to be read."""
    made = build(tmp_path_factory.mktemp("console"))
    yield made
    made.store.close()


@pytest.fixture
def own_desk(tmp_path: Path) -> Iterator[Desk]:
    """To be damaged."""
    made = build(tmp_path)
    yield made
    made.store.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


@pytest.fixture
def client(desk: Desk) -> TestClient:
    return TestClient(desk.app, follow_redirects=False)
