"""What a table did not take is kept beside it until it is written, and shown to nobody who may not read the table."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from assay.features.tables.guard import Action, Denied
from assay.features.tables.lake import Lake
from assay.features.tables.refusals import Refusal, find_refusal, forget_refusal, keep_refusal, refusals

LATER = datetime.now(UTC) + timedelta(hours=1)


def refused(table: str, partition: str | None, at: datetime = LATER) -> Refusal:
    return Refusal(table, partition, "the column is missing", "abc", at, (table, "quarantine/t"), "run", "parent")


def test_refusals_are_kept_by_table_and_partition_until_they_are_forgotten(any_lake: Lake, write: Any) -> None:
    assert refusals(any_lake) == []
    kept = [refused("clean/t", "d1"), refused("raw/t", None), refused("raw/t", "d1"), refused("raw/t", "d2")]
    for refusal in kept:
        keep_refusal(any_lake, refusal)
    write(any_lake, "raw/t", pl.DataFrame({"a": [1]}), "d1")
    assert refusals(any_lake) == kept
    assert refusals(any_lake, "clean/t") == kept[:1]
    assert any_lake.tables() == ["raw/t"], "refusals are no tables"
    again = replace(kept[2], problem="another one")
    keep_refusal(any_lake, again)
    assert find_refusal(any_lake, "raw/t", "d1") == again
    for refusal in kept:
        forget_refusal(any_lake, refusal.table, refusal.partition)
    forget_refusal(any_lake, "raw/t", "never")
    assert (refusals(any_lake), find_refusal(any_lake, "raw/t", "d1")) == ([], None)


def test_what_was_written_since_is_not_refused(lake: Lake, write: Any) -> None:
    keep_refusal(lake, refused("raw/t", "d1", datetime.now(UTC) - timedelta(hours=1)))
    assert len(refusals(lake)) == 1
    write(lake, "raw/t", pl.DataFrame({"a": [1]}), "d2")
    assert len(refusals(lake)) == 1, "another day"
    write(lake, "raw/t", pl.DataFrame({"a": [1]}), "d1")
    assert refusals(lake) == []


def test_who_may_not_read_a_table_is_not_told_what_it_refused(lake: Lake, write: Any) -> None:
    class Nobody:
        def check(self, actor: str, action: Action, table: str) -> None:
            raise Denied(f"{actor} may not {action} {table}.")

    write(lake, "raw/t", pl.DataFrame({"a": [1]}), "d1")
    for table in ("raw/t", "raw/never_made"):
        keep_refusal(lake, refused(table, "d2"))
    assert len(refusals(lake)) == 2
    assert refusals(replace(lake, guard=Nobody())) == []


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"table": 1}', b"\xff"])
def test_a_refusal_that_cannot_be_read_is_none(lake: Lake, content: bytes) -> None:
    keep_refusal(lake, refused("raw/t", "d1"))
    lake.storage.put("_refused/raw/t/d1.json", content)
    assert (refusals(lake), find_refusal(lake, "raw/t", "d1")) == ([], None)
