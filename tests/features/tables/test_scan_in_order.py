"""A table's rows in the order in which they are scanned, a part at a time."""

import polars as pl
import pytest

from assay.features.storage import parquet_files
from assay.features.tables import scan_in_order as module
from assay.features.tables.lake import Lake
from assay.features.tables.scan_in_order import scan_in_order


def test_the_rows_of_a_scan_in_its_order(any_lake: Lake, write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_files, "ROWS_PER_FILE", 5)
    monkeypatch.setattr(module, "ROWS", 2)
    first = pl.DataFrame({"a": range(13)})
    write(any_lake, "raw/t", first, "d1")
    write(any_lake, "raw/t", first.with_columns(b=pl.lit("later")), "d2")
    write(any_lake, "raw/t", first[:3], "d1", mode="append")
    state = any_lake.table("raw/t").at()
    for days in (["d1"], ["d2"], ["d2", "d1"], ["d3"]):
        rows = scan_in_order(state, days).lazy()
        assert rows.collect().equals(state.scan(days).collect())
        assert rows.select("b").collect(engine="streaming").equals(state.scan(days).select("b").collect())


def test_a_part_is_read_at_a_time(lake: Lake, write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROWS", 2)
    write(lake, "raw/t", pl.DataFrame({"a": range(7)}), "d1")
    rows, heights, collect = scan_in_order(lake.table("raw/t").at(), ["d1"]), [], pl.LazyFrame.collect

    def counted(query: pl.LazyFrame) -> pl.DataFrame:
        frame = collect(query)
        assert isinstance(frame, pl.DataFrame)
        heights.append(frame.height)
        return frame

    monkeypatch.setattr(pl.LazyFrame, "collect", counted)
    assert sum(frame.height for frame in rows.frames()) == 7
    assert heights == [2, 2, 2, 1, 0]
