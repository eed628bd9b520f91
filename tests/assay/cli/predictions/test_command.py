"""`assay predictions`: ids as a table and as JSON."""

import json
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

import assay
from assay.cli.predictions.command import predictions


def test_a_list_that_is_cut_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path))
    store = assay.open()
    with store.transaction("clean/x") as tx:
        tx.write("clean/x", pl.DataFrame({"id": [1]}))
    times = [datetime(2026, 9, number, tzinfo=UTC) for number in (1, 2)]
    frame = pl.DataFrame({"id": ["1", "2"], "event_time": times, "label": ["card", "cash"]})
    read = [store.snapshot("clean/x")]
    store.log_predictions(model="m", model_version="7", frame=frame, keys=["id"], inputs=read)
    store.recorder.close()
    for limit, cut in ((1, True), (2, False)):
        done = CliRunner().invoke(predictions, ["--limit", str(limit), "--json"])
        assert len(json.loads(done.stdout)) == limit
        assert ("these are the newest 1" in done.stderr) == cut


def test_ids_come_as_a_table_and_as_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path))
    store = assay.open()
    with store.transaction("clean/x") as tx:
        tx.write("clean/x", pl.DataFrame({"id": [1]}))
    times = pl.Series([datetime(2026, 9, 1, 12, tzinfo=UTC)], dtype=pl.Datetime("us", "UTC"))
    frame = pl.DataFrame({"id": ["1"], "event_time": times, "label": ["card"]})
    (one,) = store.log_predictions(
        model="m", model_version="7", frame=frame, keys=["id"], inputs=[store.snapshot("clean/x")]
    )
    store.recorder.close()
    told = CliRunner().invoke(predictions, ["m", "--since", "2026-09-01", "--json"])
    made = store.table("predictions/m").at().last_commit.timestamp
    assert json.loads(told.output) == [
        {
            "prediction_id": one,
            "event_time": "2026-09-01T12:00:00+00:00",
            "model": "m",
            "model_version": "7",
            "answer": {"label": "card"},
            "made_at": made.isoformat(),
            "replaced": False,
            "about": {"id": "‹text: 1 character, 1 word›"},  # no contract knows the key
        }
    ]
    assert CliRunner().invoke(predictions, ["m", "--until", "2026-09-01", "--json"]).output == "[]\n"
    assert "‹text: 1 character, 1 word›" in CliRunner().invoke(predictions, ["m"]).output
    never = CliRunner().invoke(predictions, ["m", "--since", "2026-09-02", "--until", "2026-09-01"])
    assert (never.exit_code, "no time lies between them" in never.output) == (2, True)
