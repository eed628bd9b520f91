"""Spines of Polars, pandas and Arrow give the same join."""

from datetime import UTC, datetime
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pytest
from polars.testing import assert_frame_equal

from assay.errors import AssayError
from assay.features.serving.as_of_join import as_of_join
from assay.features.serving.spine_frame import spine_frame
from assay.features.serving.training import create_training_set
from assay.features.tables.lake import Lake
from assay.features.tables.run_record import NullRecorder
from tests.features.serving.travel import SPINE, travel

REFERENCES = ["airport_weather:wind on airport=origin", "rates:usd"]
FORMS: dict[str, Any] = {
    "lazy": SPINE.lazy(),
    "table": SPINE.to_arrow(),
    "batches": pa.Table.from_batches(SPINE.to_arrow().to_batches(max_chunksize=1)),
    "nanoseconds": SPINE.with_columns(pl.col("event_time").dt.cast_time_unit("ns")).to_arrow(),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_spine_of_any_kind_gives_the_same_polars_frame(lake: Lake, write: Any, form: str) -> None:
    travel(lake, write)
    expected = as_of_join(SPINE, REFERENCES, lake=lake)
    assert_frame_equal(as_of_join(FORMS[form], REFERENCES, lake=lake), expected)
    made = create_training_set(lake, NullRecorder(), "t", FORMS[form], REFERENCES)
    assert made.snapshot == create_training_set(lake, NullRecorder(), "t", SPINE, REFERENCES).snapshot


def test_a_reader_and_a_relation_can_be_read_too() -> None:
    reader = pa.RecordBatchReader.from_batches(SPINE.to_arrow().schema, SPINE.to_arrow().to_batches())
    assert_frame_equal(spine_frame(reader, "event_time"), SPINE)
    rows = duckdb.sql("SELECT 1 AS flight, TIMESTAMPTZ '2026-01-01 00:00:00+00' AS event_time")
    assert rows is not None and spine_frame(rows, "event_time")["flight"].to_list() == [1]


def test_an_unnamed_index_of_pandas_is_no_column() -> None:
    table = SPINE.select("flight").to_arrow().append_column("__index_level_0__", pa.array([3, 1, 2, 0]))
    assert spine_frame(table, "event_time").columns == ["flight"]


def test_what_would_need_a_guess_is_refused(lake: Lake, write: Any) -> None:
    travel(lake, write)
    with pytest.raises(AssayError, match="The spine is a list"):
        as_of_join([1], ["rates:usd"], lake=lake)  # pyright: ignore[reportArgumentType]
    parts = pa.table({"event_time": pa.array([1_001], pa.timestamp("ns", "UTC"))})
    with pytest.raises(AssayError, match=r"parts of microseconds.*floor"):
        as_of_join(parts, ["rates:usd"], lake=lake)
    naive = pa.table({"event_time": [datetime(2026, 1, 1)]})  # noqa: DTZ001 (the naive time is the point)
    with pytest.raises(AssayError, match="naive"):
        as_of_join(naive, ["rates:usd"], lake=lake)
    text = pa.table({"event_time": ["2026-01-01"]})
    with pytest.raises(AssayError, match="to_datetime"):
        as_of_join(text, ["rates:usd"], lake=lake)
    whole = pa.table({"event_time": pa.array([datetime(2026, 1, 5, tzinfo=UTC)], pa.timestamp("ns", "UTC"))})
    assert as_of_join(whole, ["rates:usd"], lake=lake)["usd"].to_list() == [1.2]
