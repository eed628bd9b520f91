"""What a project lacks is kept once in the lake, written when it changes, and gone when nothing lacks."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from assay.features.storage.missing_settings import (
    AGAIN,
    FOLDER,
    FORGOTTEN,
    MissingSetting,
    keep_missing_settings,
    missing_settings,
)
from assay.features.tables.lake import Lake

NOW = datetime(2026, 9, 1, 8, tzinfo=UTC)
ERP, CRM = "orders cannot be read. Set ERP.", "people cannot be read. Set CRM."


TABLES = ("raw/orders", "raw/people")


def test_what_is_missing_is_kept_with_its_first_and_its_last_time_until_nothing_is(any_lake: Lake) -> None:
    storage = any_lake.storage
    keep_missing_settings(storage, {}, TABLES, NOW)
    assert storage.walk(FOLDER) == [] and missing_settings(storage, NOW) == {}
    keep_missing_settings(storage, {"raw/orders": ERP}, TABLES, NOW)
    keep_missing_settings(storage, {"raw/tickets": "Set DESK."}, ["raw/tickets"], NOW)
    later = NOW + AGAIN
    keep_missing_settings(storage, {"raw/people": CRM, "raw/orders": ERP}, TABLES, later)
    assert missing_settings(storage, later) == {
        "raw/orders": MissingSetting("raw/orders", ERP, NOW, later),
        "raw/people": MissingSetting("raw/people", CRM, later, later),
        "raw/tickets": MissingSetting("raw/tickets", "Set DESK.", NOW, NOW),
    }
    assert any_lake.tables() == [], "it is no table"
    keep_missing_settings(storage, {}, TABLES, later)
    assert list(missing_settings(storage, later)) == ["raw/tickets"], "of another project"
    assert storage.walk(FOLDER) == [f"{FOLDER}/raw/tickets.json"]


def test_what_nobody_has_found_lacking_for_a_day_is_forgotten(lake: Lake) -> None:
    keep_missing_settings(lake.storage, {"raw/orders": ERP}, TABLES, NOW)
    before, after = NOW + FORGOTTEN - timedelta(seconds=1), NOW + FORGOTTEN
    assert list(missing_settings(lake.storage, before)) == ["raw/orders"]
    assert missing_settings(lake.storage, after) == {}, "shown no more"
    keep_missing_settings(lake.storage, {}, ["raw/tickets"], before)
    assert lake.storage.walk(FOLDER)
    keep_missing_settings(lake.storage, {}, ["raw/tickets"], after)
    assert lake.storage.walk(FOLDER) == []


def test_it_is_written_when_it_changes_and_once_an_hour(lake: Lake) -> None:
    def written(sentence: str, minutes: int) -> int:
        keep_missing_settings(lake.storage, {"raw/orders": sentence}, TABLES, NOW + timedelta(minutes=minutes))
        (path,) = lake.storage.walk(FOLDER)
        return Path(lake.storage.root, path).stat().st_ino

    first = written(ERP, 0)
    assert written(ERP, 1) == written(ERP, 59) == first
    hourly = written(ERP, 60)
    assert hourly != first and written(ERP, 61) == hourly
    assert written(CRM, 62) != hourly


@pytest.mark.parametrize("path", ["shop", "raw/orders"])
@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[1]", b'[{"table": "raw/orders"}]', b'{"table": "raw/orders"}', b"\xff"]
)
def test_a_document_of_another_form_is_none_and_goes(lake: Lake, content: bytes, path: str) -> None:
    lake.storage.put(f"{FOLDER}/{path}.json", content)
    assert missing_settings(lake.storage, NOW) == {}
    keep_missing_settings(lake.storage, {"raw/orders": ERP}, TABLES, NOW)
    assert list(missing_settings(lake.storage, NOW)) == ["raw/orders"]
    assert lake.storage.walk(FOLDER) == [f"{FOLDER}/raw/orders.json"]


def test_a_lake_that_cannot_be_written_is_no_reason_to_fail(lake: Lake) -> None:
    lake.storage.put(FOLDER, b"a file where the folder would be")
    keep_missing_settings(lake.storage, {"raw/orders": ERP}, TABLES, NOW)
