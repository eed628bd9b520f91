"""The digest of answers that a commit carries: it covers id, outputs and confidence of every row, and nothing else."""

from datetime import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from assay.features.tables.lake import open_lake
from assay.features.tables.run_record import NullRecorder, Work
from assay.features.tables.transaction import transaction
from assay.lineage.predictions import merkle
from assay.lineage.predictions.answers import answer_columns, answer_leaves
from assay.lineage.predictions.prediction_log import stage_predictions
from tests.lineage.conftest import day, midnight


def test_a_commit_carries_the_root_of_what_it_stored(desk: Any) -> None:
    desk.until(4)
    desk.train("1", range(2))
    desk.predict(4, "1")
    state = desk.lake.table("predictions/router").at()
    (commit,) = state.writers(None)
    assert commit.predictions.answered == ("confidence", "intent", "prediction_id")
    leaves = answer_leaves(state.scan().collect(), commit.predictions.answered)
    assert merkle.root(leaves).hex() == commit.predictions.answers


ROWS = pl.DataFrame({"prediction_id": ["a", "b"], "answer": ["x", "y"], "confidence": [0.5, 0.25], "note": ["", ""]})


@pytest.mark.parametrize("column", ["prediction_id", "answer", "confidence"])
def test_each_part_of_an_answer_counts(column: str) -> None:
    columns = answer_columns(ROWS.schema, ["answer"])
    assert columns == ["answer", "confidence", "prediction_id"]
    other = ROWS.with_columns(
        pl.when(pl.int_range(2) == 1).then(pl.col(column).first()).otherwise(column).alias(column)
    )
    assert answer_leaves(other, columns)[-1] != answer_leaves(ROWS, columns)[-1]


def test_other_columns_and_the_order_of_rows_do_not() -> None:
    columns = answer_columns(ROWS.schema, ["answer"])
    other = ROWS.with_columns(note=pl.lit("later")).reverse()
    assert answer_leaves(other, columns) == answer_leaves(ROWS, columns)


@pytest.mark.parametrize(
    "values",
    [
        pl.Series([1, None], dtype=pl.UInt32),
        pl.Series(["a", None], dtype=pl.Categorical),
        pl.Series([time(1, 2, 3), None]),
        pl.Series([[1.0, 2.0], None], dtype=pl.Array(pl.Float64, 2)),
        pl.Series([{"a": 1}, None]),
        pl.Series([2**64 - 1, None], dtype=pl.UInt64),
    ],
    ids=str,
)
def test_the_root_is_that_of_the_values_as_a_table_holds_them(tmp_path: Path, values: pl.Series) -> None:
    lake = open_lake(tmp_path)
    with transaction(lake, NullRecorder(), Work("clean/x", day(0))) as tx:
        tx.write("clean/x", pl.DataFrame({"id": [1, 2]}))
    frame = pl.DataFrame({"id": [1, 2], "event_time": [midnight(0)] * 2, "answer": values})
    with transaction(lake, NullRecorder(), Work("predictions/m", day(0))) as tx:
        tx.read("clean/x")
        stage_predictions(tx, model="m", model_version="1", frame=frame, keys=["id"])
    state = lake.table("predictions/m").at()
    (commit,) = state.writers(None)
    described = commit.predictions
    assert described is not None
    assert "answer" in described.answered
    assert merkle.root(answer_leaves(state.scan().collect(), described.answered)).hex() == described.answers
