"""What was read is remembered for the same question alone."""

from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from assay.features.storage.snapshot import Slice
from assay.features.tables.lake import Lake, TableState
from assay.features.tables.run_record import NullRecorder, Work
from assay.features.tables.transaction import transaction
from assay.lineage.tracing.rows_read import RowsRead, rows_where

COLUMNS = ("key", "number", "partition_key")


def test_each_question_gets_its_own_rows_and_is_read_once(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, day in enumerate(("d1", "d2", "d1")):
        with transaction(lake, NullRecorder(), Work("clean/t", day, "test")) as tx:
            tx.write("clean/t", pl.DataFrame({"key": ["a", "b"], "number": [number, number]}))
    scanned: list[int] = []
    scan = TableState.scan

    def counted(self: TableState, *given: Any) -> pl.LazyFrame:
        scanned.append(self.version)
        return scan(self, *given)

    latest = lake.table("clean/t").at().version
    questions = [
        (state, Slice(state.snapshot, read, ""), pl.col("key") == key, columns)
        for state in (lake.table("clean/t").at(version) for version in (latest - 1, latest))
        for read in (None, ("d1",), ("d2",))
        for key in ("a", "b")
        for columns in (COLUMNS, ("key",), ("key", "number"), None)
    ]
    remembered = RowsRead()
    for again in (False, True):
        for state, read, condition, columns in questions:
            expected = rows_where(None, state, read, condition, columns).select(columns or COLUMNS).collect()
            with monkeypatch.context() as patch:
                patch.setattr(TableState, "scan", counted)
                found = rows_where(remembered, state, read, condition, columns).select(columns or COLUMNS).collect()
            assert_frame_equal(found, expected)
        assert len(scanned) == len(questions) // 4, f"all columns were asked for first ({again=})"
