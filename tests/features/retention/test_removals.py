"""What a vacuum deletes is recorded before it goes: who, when, why, which files."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from assay.features.retention.removals import FOLDER, record_removal, removals
from assay.features.retention.vacuum import vacuum
from assay.features.storage.storage import open_storage
from assay.features.tables.lake import open_lake
from assay.features.tables.run_record import NullRecorder, Work
from assay.features.tables.transaction import transaction


def test_a_vacuum_is_recorded_and_a_dry_run_is_not(tmp_path: Path) -> None:
    lake = open_lake(tmp_path, actor="Ada")
    for value in (1, 2):
        with transaction(lake, NullRecorder(), Work("clean/orders", "2026-09-01")) as tx:
            tx.write("clean/orders", pl.DataFrame({"id": [value]}))
    free = {"keep_days": 0, "grace": timedelta(0)}
    assert vacuum(lake, "clean/orders", **free).files == 1
    assert removals(lake.storage, "clean/orders") == []
    done = vacuum(lake, "clean/orders", dry_run=False, reason="the supplier left", **free)
    (found,) = removals(lake.storage, "clean/orders")
    assert (found.paths, found.by, found.reason) == (done.paths, "Ada", "the supplier left")
    assert abs(datetime.now(UTC) - found.at) < timedelta(minutes=1)
    assert str(found).endswith("UTC: the supplier left")
    assert str(found).startswith("vacuumed by Ada on 20")
    vacuum(lake, "clean/orders", dry_run=False, **free)
    assert len(removals(lake.storage, "clean/orders")) == 1, "nothing was deleted, so nothing is recorded"


def test_the_reason_is_said_without_being_given(tmp_path: Path) -> None:
    storage = open_storage(tmp_path)
    record_removal(storage, "clean/orders", ["a.parquet"], by="", reason="no version needs it")
    record_removal(storage, "clean/orders", ["b.parquet"], by="Bob", reason="again")
    first, second = removals(storage, "clean/orders")
    assert str(first).startswith("vacuumed on ")
    assert (first.paths, second.paths) == (("a.parquet",), ("b.parquet",))


def test_damaged_records_and_those_of_other_tables_say_nothing(tmp_path: Path) -> None:
    storage = open_storage(tmp_path)
    record_removal(storage, "clean/orders", ["a.parquet"], by="Ada", reason="r")
    (made,) = storage.list(f"{FOLDER}/clean/orders")
    storage.put(f"{FOLDER}/clean/orders/20260101-x.json", b"{")
    storage.put(f"{FOLDER}/clean/orders/20260101-y.json", b'{"table": "clean/orders"}')
    storage.put(f"{FOLDER}/clean/others/20260101-z.json", storage.get(made))
    assert [item.paths for item in removals(storage, "clean/orders")] == [("a.parquet",)]
    assert removals(storage, "clean/others") == []
