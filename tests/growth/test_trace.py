"""What is read for a trace, an impact, a verification, a bundle: as much after 120 commits (in a soak 300) as after 30, or a few
steps more."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from deltalake import DeltaTable

from assay.features.storage.log_entry import DataFile
from assay.features.storage.storage import Storage
from assay.features.storage.table_index import TableIndex
from assay.features.tables.lake import Lake, TableState, open_lake
from assay.lineage.evidence.bundle import export
from assay.lineage.evidence.verifier.findings import outcome
from assay.lineage.evidence.verifier.verify import verify as bundle_verify
from assay.lineage.predictions.latest import latest_predictions
from assay.lineage.tracing.impact import impact
from assay.lineage.tracing.other_answers import answers_to_the_same
from assay.lineage.tracing.trace import trace
from assay.lineage.verification.compared import Compared
from assay.lineage.verification.verify import verify
from assay.why.explain import why
from benchmarks.aged_log import add_commits
from benchmarks.impact import key, make_day
from tests.conftest import SOAK
from tests.growth.calls import count_calls

TABLES = ("raw/tickets", "clean/tickets", "features/activity", "features/ticket", "predictions/router")
FEW, MANY = 30, 300 if SOAK else 120


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Files read, folders listed, tables opened by delta-rs, rows of the index and data files looked at."""
    found: Counter[str] = Counter()

    count_calls(monkeypatch, found, Storage, "get", "files read")
    count_calls(monkeypatch, found, Storage, "list", "folders listed")
    count_calls(monkeypatch, found, os, "listdir", "folders listed")
    count_calls(monkeypatch, found, DeltaTable, "__init__", "tables opened")
    ask, scan = TableIndex._rows, TableState.scan_files  # pyright: ignore[reportPrivateUsage]

    def asked(self: TableIndex, *given: Any, **named: Any) -> list[Any]:
        rows = ask(self, *given, **named)
        found["rows of the index"] += len(rows)
        return rows

    def scanned(self: TableState, files: Sequence[DataFile]) -> pl.LazyFrame:
        found["data files scanned"] += len(files)
        return scan(self, files)

    monkeypatch.setattr(TableIndex, "_rows", asked)
    monkeypatch.setattr(TableState, "scan_files", scanned)
    return found


def lake_of(folder: Path, commits: int) -> Lake:
    """Four days of tickets, with so many other commits after the second in each table."""
    lake, chosen = open_lake(folder), np.random.default_rng(1)
    for day in range(4):
        make_day(lake, day, 20, chosen, 10)
        if day == 1:
            for table in TABLES:
                add_commits(lake, table, commits, datetime(2001, 1, 1, tzinfo=UTC))
    return lake


@pytest.fixture(scope="module")
def young(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """With few of them. Only to be read."""
    return lake_of(tmp_path_factory.mktemp("young"), FEW)


def test_few_commits_are_read_whatever_the_age_of_the_tables(tmp_path: Path, young: Lake, counts: Counter[str]) -> None:
    costs: dict[str, list[Counter[str]]] = {}
    for lake in (young, lake_of(tmp_path, MANY)):
        compared = Compared()
        for day in (0, 3):
            rows = lake.table("predictions/router").at().scan([key(day)]).select("prediction_id").collect()
            prediction = rows.to_series()[0]
            traced = trace(lake, prediction)
            asked: dict[str, Callable[[], object]] = {
                f"trace of day {day}": partial(trace, lake, prediction),
                f"impact of day {day}": partial(impact, lake, "raw/tickets", partition=key(day)),
                f"verification of day {day}": partial(verify, lake, traced, compared=compared),
                f"bundle of day {day}": partial(export, lake, traced, compared=compared),
                f"other answers of day {day}": partial(answers_to_the_same, lake, traced),
                f"newest predictions, day {day}": partial(latest_predictions, lake, limit=5),
                f"explanation of day {day}": partial(why, lake, traced),
            }
            for name, ask in asked.items():
                ask()
                counts.clear()
                ask()
                costs.setdefault(name, []).append(Counter(counts))
    for name, (few, many) in costs.items():
        steps = len(TABLES) * 2 * (MANY // FEW).bit_length() if name.startswith(("verification", "bundle")) else 0
        steps *= 2 if name.startswith("bundle") else 1  # a commit is read once more to be put into it
        assert many["files read"] <= few["files read"] + steps, name
        grows = {"files read", *({"rows of the index"} if steps else ())}
        assert {what: few[what] for what in few if what not in grows} == {
            what: many[what] for what in many if what not in grows
        }, name
        assert many["rows of the index"] <= few["rows of the index"] + 2 * steps, name
        assert not few["tables opened"], name
        # A log is listed once, until it changes, by whoever keeps what was compared; a bundle names the release that made it.
        # Of features that were not there, what was refused may say why: those are in a folder of their own.
        most = len(TABLES) + 1 if name.startswith(("verification", "bundle")) else name.startswith("explanation")
        assert few["folders listed"] <= most, name


def test_a_verification_says_how_many_commits_it_looked_at(young: Lake) -> None:
    lake = young
    rows = lake.table("predictions/router").at().scan([key(0)]).select("prediction_id").collect()
    traced = trace(lake, rows.to_series()[0])
    found = verify(lake, traced)
    (looked,) = (check.detail for check in found.checks if check.what == "commits looked at")
    read, total = (int(number) for number in looked.split(":")[0].split(" of "))
    assert found.ok and total == len(TABLES) * (FEW + 5) and 5 * len(TABLES) < read < total / 2
    assert f"{total - read} on which nothing here depends were not read" in looked
    assert verify(lake, traced, whole_logs=True).ok


def test_a_bundle_has_the_commits_in_question_only_and_they_suffice(young: Lake) -> None:
    lake = young
    rows = lake.table("predictions/router").at().scan([key(3)]).select("prediction_id").collect()
    traced = trace(lake, rows.to_series()[0])
    few, all_of_them = (export(lake, traced, whole_logs=whole_logs) for whole_logs in (False, True))
    assert few.missing == all_of_them.missing
    for bundle, whole in ((few, False), (all_of_them, True)):
        findings = bundle_verify(dict(bundle.files))
        assert outcome(findings) == "verified", findings
        count = sum("_delta_log" in name for name in bundle.files)
        assert count == len(TABLES) * (FEW + 5) if whole else 5 * len(TABLES) < count < len(TABLES) * FEW / 2
