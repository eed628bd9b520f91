"""A model's outputs are named in the commit of its predictions, whatever they are called."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from assay.errors import AssayError
from assay.features.tables.lake import Lake, open_lake
from assay.features.tables.run_record import NullRecorder, Work
from assay.features.tables.transaction import transaction
from assay.lineage.predictions.outputs import outputs_of
from assay.lineage.predictions.prediction_log import log_predictions
from assay.lineage.tracing.trace import trace


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    made = open_lake(tmp_path)
    with transaction(made, NullRecorder(), Work("clean/flights")) as tx:
        tx.write("clean/flights", pl.DataFrame({"flight": ["A1"]}))
    return made


def log(lake: Lake, **options: Any) -> str:
    frame = pl.DataFrame(
        {
            "flight": ["A1"],
            "event_time": [datetime(2026, 3, 1, 12, tzinfo=UTC)],
            "miles": [700],
            "late": [True],
            "minutes": [12.5],
            "confidence": [0.75],
            "explanation": ["fog"],
        }
    )
    inputs = [lake.table("clean/flights").at().snapshot]
    given = {"model": "delay", "model_version": "1", "keys": ["flight"], "feature_columns": ["miles"], **options}
    (made,) = log_predictions(lake, NullRecorder(), frame=frame, inputs=inputs, **given)
    return made


def recorded(lake: Lake) -> Any:
    return lake.table("predictions/delay").at().commits[-1]


def test_what_has_no_other_role_is_an_output(lake: Lake) -> None:
    log(lake)
    assert recorded(lake).predictions.outputs == ("late", "minutes")


def test_declared_outputs_are_recorded_and_told_by_the_trace(lake: Lake) -> None:
    made = log(lake, outputs=["minutes"])
    assert recorded(lake).predictions.outputs == ("minutes",)
    assert trace(lake, made).to_dict()["root"]["details"]["outputs"] == ["minutes"]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("latte", "is not there"),
        ("flight", "has another role"),
        ("confidence", "has another role"),
        ("miles", "is not"),
    ],
)
def test_what_cannot_be_an_output_is_refused_before_anything_is_written(lake: Lake, name: str, problem: str) -> None:
    with pytest.raises(AssayError, match=rf"output '{name}' {problem}.*late, minutes"):
        log(lake, outputs=["late", name])
    assert not lake.table("predictions/delay").exists()


def test_commits_from_before_outputs_were_recorded_tell_them_too(lake: Lake) -> None:
    log(lake)
    commit = recorded(lake)
    columns = lake.table("predictions/delay").at().schema.names()
    old = replace(commit, predictions=replace(commit.predictions, outputs=()))
    assert outputs_of(old, columns) == outputs_of(commit, columns) == ("late", "minutes")
    assert outputs_of(commit, ["prediction_id", "late"]) == ("late",), "only what the table still has"
