"""A model whose outputs are `risk_class` and `score`: its answer is shown in the trace, the evidence bundle and the console."""

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from assay.features.tables.lake import Lake, open_lake
from assay.features.tables.run_record import Work
from assay.features.tables.transaction import transaction
from assay.lineage.delivery.recorder import EventRecorder
from assay.lineage.evidence.bundle import export
from assay.lineage.evidence.verifier.verify import verify
from assay.lineage.predictions.prediction_log import log_predictions
from assay.lineage.store.lineage_store import LineageStore
from assay.lineage.tracing.trace import trace
from assay.web import create_router

SUMMARY = "Mr Quagmire has paid late three times, and his employer has written to say that he has left the firm."


class Made(NamedTuple):
    lake: Lake
    store: LineageStore
    prediction: str


@pytest.fixture
def made(tmp_path: Path, store: LineageStore) -> Iterator[Made]:
    lake = open_lake(tmp_path / "lake")
    recorder = EventRecorder(store)
    with transaction(lake, recorder, Work("clean/loans")) as tx:
        tx.write("clean/loans", pl.DataFrame({"loan": ["L1"], "amount": [700]}))
    row: dict[str, Any] = {
        "loan": ["L1"],
        "event_time": [datetime(2026, 3, 1, 12, tzinfo=UTC)],
        "risk_class": ["HIGH"],
        "score": [0.8125],
        "summary": [SUMMARY],
        "confidence": [0.75],
        "explanation": ["arrears"],
    }
    (prediction,) = log_predictions(
        lake,
        recorder,
        model="loans",
        model_version="4",
        frame=pl.DataFrame(row),
        inputs=[lake.table("clean/loans").at().snapshot],
        keys=["loan"],
        outputs=["risk_class", "score", "summary"],
    )
    yield Made(lake, store, prediction)
    recorder.close()


def test_the_trace_shows_every_output(made: Made) -> None:
    found = trace(made.lake, made.prediction)
    assert str(found).splitlines()[0] == (
        f"prediction {made.prediction} of loans 4: risk_class HIGH, score 0.8125, summary {SUMMARY}, confidence 0.75"
    )
    details = json.loads(json.dumps(found.to_dict()))["root"]["details"]
    assert details["outputs"] == ["risk_class", "score", "summary"]
    assert (details["risk_class"], details["score"], details["confidence"]) == ("HIGH", 0.8125, 0.75)


def test_the_bundle_shows_labels_and_numbers_and_no_prose(made: Made, tmp_path: Path) -> None:
    bundle = export(made.lake, trace(made.lake, made.prediction), made.store)
    row = json.loads(bundle.files["prediction.json"])
    assert row["shown"] == {"risk_class": "HIGH", "score": 0.8125, "confidence": 0.75}
    assert set(row["withheld"]) == {"summary", "explanation"}
    assert not any(b"Quagmire" in content for content in bundle.files.values())
    hidden = export(made.lake, trace(made.lake, made.prediction), made.store, withhold=["risk_class"])
    assert json.loads(hidden.files["prediction.json"])["shown"] == {"score": 0.8125, "confidence": 0.75}
    bundle.write(tmp_path / "bundle.zip")
    (tmp_path / "verify.py").write_bytes(bundle.files["verify.py"])
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(tmp_path / "verify.py"), str(tmp_path / "bundle.zip")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert "prediction outputs: are those that the commit names" in done.stdout


def test_outputs_that_the_commit_does_not_name_are_found_by_the_offline_verifier(made: Made) -> None:
    files = dict(export(made.lake, trace(made.lake, made.prediction), made.store).files)
    row = json.loads(files["prediction.json"])
    for wrong in ({"outputs": ["score"]}, {"shown": {"score": 0.8125}}):
        forged = files | {"prediction.json": json.dumps(row | wrong).encode()}
        broken = {item.what: item.ok for item in verify(forged)}
        assert broken["prediction outputs"] is False


def test_the_console_shows_them_on_both_pages(made: Made) -> None:
    client = TestClient(Starlette(routes=[Mount("/", create_router(made.store, made.lake))]))
    home, page = client.get("/").text, client.get(f"/trace/{made.prediction}").text
    assert "risk_class HIGH · score 0.8125" in home
    assert "risk_class HIGH · score 0.8125" in page
    assert "<dt>confidence</dt><dd>0.75</dd>" in page
