"""The latest predictions: those that a sort of the whole table gives, from the files that hold them only."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from assay.errors import AssayError
from assay.features.tables.lake import open_lake
from assay.features.tables.run_record import NullRecorder, Work
from assay.features.tables.transaction import transaction
from assay.lineage.predictions.latest import latest_predictions
from assay.lineage.predictions.prediction_log import log_predictions

FIRST = datetime(2026, 9, 1, 12, tzinfo=UTC)


@pytest.fixture
def lake(tmp_path: Path) -> Any:
    lake = open_lake(tmp_path)
    with transaction(lake, NullRecorder(), Work("clean/x")) as tx:
        tx.write("clean/x", pl.DataFrame({"id": [1]}))
    for part in range(4):  # each day is a file, and the last one comes late
        times = [FIRST + timedelta(days=part, hours=hour) for hour in range(3)]
        frame = pl.DataFrame({"id": [f"{part}{n}" for n in range(3)], "event_time": times, "label": ["a", "b", "c"]})
        log_predictions(
            lake,
            NullRecorder(),
            model="m",
            model_version="1",
            frame=frame.with_columns(pl.col("event_time").cast(pl.Datetime("us", "UTC"))),
            inputs=[lake.table("clean/x").at().snapshot],
            keys=["id"],
        )
    return lake


def test_the_newest_come_first_and_the_rest_of_the_files_is_not_opened(lake: Any) -> None:
    rows = lake.table("predictions/m").scan().collect().sort("event_time", descending=True)
    for since, until, limit in (
        (None, None, 4),
        (None, None, 100),
        (FIRST + timedelta(days=1, hours=1), FIRST + timedelta(days=3), 100),
        (FIRST + timedelta(days=9), None, 5),
    ):
        inside = rows
        if since is not None:
            inside = inside.filter(pl.col("event_time") >= since)
        if until is not None:
            inside = inside.filter(pl.col("event_time") < until)
        found = latest_predictions(lake, "m", since=since, until=until, limit=limit)
        assert [item.id for item in found] == inside["prediction_id"].head(limit).to_list()
        assert [item.answer for item in found] == [{"label": label} for label in inside["label"].head(limit)]
    state = lake.table("predictions/m").at()
    for file in state.files:
        if file.partition in ("2026-09-01", "2026-09-02"):
            Path(state.table.uri, file.path).unlink()
    assert len(latest_predictions(lake, "m", limit=5)) == 5, "older files are not opened"
    assert len(latest_predictions(lake, "m", since=FIRST + timedelta(days=2))) == 6


def test_a_model_without_predictions_is_refused_with_the_nearest(lake: Any) -> None:
    with pytest.raises(AssayError, match=r"No predictions of 'n' were logged\. There are: m"):
        latest_predictions(lake, "n")
