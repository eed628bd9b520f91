"""What a day, a tick, a plan and a page do, counted: as much after a month as after a week."""

import hashlib
import os
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable

from assay.assets.sources.landing import folder_times
from assay.features.storage import index_upkeep, log_entry, table_index
from assay.features.storage.storage import Storage
from assay.web.pages import versions
from benchmarks.growth import OPERATIONS, Hashed
from benchmarks.long_lake import long_lake
from tests.growth.calls import count_calls

COUNTED = ("day", "tick", "plan", "tables", "recover", "impact", "doctor", "home", "versions", "downstream")
ALREADY_SEEN = ("tick", "recover", "doctor", "home")  # they remember what they saw, or hash something once in a process
FEW, MANY = 9, 18  # more than the widest window, so that each later day reads as much


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Files read, folders listed, commits parsed, tables opened by delta-rs, data files scanned, and bytes hashed."""
    found: Counter[str] = Counter()

    count_calls(monkeypatch, found, Storage, "get", "files read")
    count_calls(monkeypatch, found, os, "scandir", "folders listed")
    count_calls(monkeypatch, found, DeltaTable, "__init__", "tables opened")
    for module in (index_upkeep, log_entry, table_index):
        count_calls(monkeypatch, found, module, "parse_commit", "commits parsed")
    scan_parquet = pl.scan_parquet

    def scanned(source: str | list[str], *given: Any, **named: Any) -> pl.LazyFrame:
        found["data files"] += len(source) if isinstance(source, list) else 1
        return scan_parquet(source, *given, **named)

    monkeypatch.setattr(pl, "scan_parquet", scanned)
    monkeypatch.setattr(hashlib, "sha256", hashlib.sha256)  # both are put back after the test
    monkeypatch.setattr(hashlib, "file_digest", hashlib.file_digest)
    Hashed.watch()
    return found


def test_nothing_is_done_more_often_after_a_month_than_after_a_week(
    tmp_path: Path, counts: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "LISTED", FEW // 2)  # so that there is more than one page
    monkeypatch.setattr(folder_times, "SETTLED_NS", 0)  # here nothing else changes
    found: dict[str, list[dict[str, int]]] = {name: [] for name in COUNTED}
    sizes: dict[str, list[int]] = {name: [] for name in COUNTED}
    for days in (FEW, MANY):
        lake = long_lake(tmp_path, days)
        for name in ALREADY_SEEN:
            OPERATIONS[name][1](lake)()
        for name in COUNTED:
            operation = OPERATIONS[name][1](lake)
            counts.clear()
            hashed = Hashed.bytes
            operation()
            found[name].append(dict(counts))
            sizes[name].append(Hashed.bytes - hashed)
    assert {name: few for name, (few, _) in found.items()} == {name: many for name, (_, many) in found.items()}
    # Numbers of versions have more digits after a month.
    assert {name: both for name, both in sizes.items() if both[1] > both[0] * 1.01 + 100} == {}
    assert found["day"][0]["files read"] > 10 and found["tick"][0]["files read"] > 10
    assert "tables opened" not in found["tick"][0] | found["plan"][0]
