"""What a checkpoint says of files, as text or in columns of their own types, is compared with what commits say."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake

from assay.features.storage.log_entry import read_entry
from assay.lineage.verification.checkpoint_file import (
    Statistics,
    differing_statistics,
    read_checkpoint,
    read_statistics,
)

MOMENT = datetime(2026, 3, 1, 5, 0, 0, 123456, tzinfo=UTC)
ROWS = {
    "n": [1, 7],
    "x": [0.5, None],
    "s": ["a", "b"],
    "at": [MOMENT, MOMENT + timedelta(hours=1)],
    "day": [date(2026, 3, 1), date(2026, 3, 2)],
    "price": pl.Series([Decimal("1.50"), Decimal("2.25")]),
    "partition_key": ["p", "q"],
}


def test_those_in_columns_of_another_writer_are_those_of_the_commits(tmp_path: Path) -> None:
    settings = {"delta.checkpoint.writeStatsAsStruct": "true"}
    write_deltalake(
        str(tmp_path), pl.DataFrame(ROWS).to_arrow(), partition_by=["partition_key"], configuration=settings
    )
    DeltaTable(str(tmp_path)).create_checkpoint()
    log = tmp_path / "_delta_log"
    content = (log / f"{0:020d}.checkpoint.parquet").read_bytes()
    committed = read_entry("t", 0, (log / f"{0:020d}.json").read_bytes()).statistics
    found = read_statistics(content, committed)
    assert len(found) == 2 and all(item.typed and item.typed["minValues"]["at"] for item in found.values())
    assert differing_statistics(found, committed) == [] and not read_checkpoint(content).hides
    for path, statistics in found.items():
        typed: Any = statistics.typed
        for column, value in typed["minValues"].items():
            other = {"n": 99, "x": 9.5, "s": "z", "at": MOMENT + timedelta(days=9), "day": date(2027, 1, 1)}
            if value is not None:
                lie = {**typed, "minValues": {**typed["minValues"], column: other.get(column, Decimal("0.01"))}}
                assert differing_statistics({path: Statistics(None, lie)}, committed) == [path], column


@pytest.mark.parametrize(
    ("text", "typed", "same"),
    [
        (None, None, True),
        ('{"numRecords": 2}', None, True),
        ('{"numRecords":3}', None, False),
        ("no JSON", None, False),
        (None, {"numRecords": 2, "minValues": {"n": None}, "tightBounds": True}, True),
        (None, {"numRecords": 2, "minValues": {"n": 1}}, False),
        ('{"numRecords":2}', {"numRecords": 1}, False),
    ],
)
def test_what_is_not_there_says_nothing(text: str | None, typed: Any, same: bool) -> None:
    assert Statistics(text, typed).are(json.dumps({"numRecords": 2})) is same
