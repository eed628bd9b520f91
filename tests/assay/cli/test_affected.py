"""`assay impact --file`, `--rows`, `--list` and `--output`, on two days of the shipped domain."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

import assay
from assay.lineage.tracing.row_provenance import LOOKED_UP, source_rows

Run = Callable[..., Any]


def test_a_files_predictions_are_listed_one_by_one(desk: Run, two_days: Any, tmp_path: Path) -> None:
    store = assay.open(home=two_days.home)
    every = store.table("predictions/router").scan().select("prediction_id").collect().to_series().sort()
    chosen = random.Random(3).sample(every.to_list(), 20)
    behind = {name: source_rows(store.lake, store.trace(name)) for name in chosen}
    for table in ("raw/card_events", "raw/tickets"):
        source = next(item for commit in store.table(table).history() for item in commit.sources if "09-2" in item.path)
        whole = desk("impact", "--file", source.path, "--output", str(tmp_path / "list.csv"), "--json").data
        assert whole["complete"] and whole["notes"] == []
        rows = pl.read_csv(tmp_path / "list.csv", infer_schema=False)
        assert rows.height == whole["listed"] == whole["predictions"]["direct"]
        for name, delivered in behind.items():
            taken = any(row.sha256 == source.sha256 for row in delivered if not row.because.startswith(LOOKED_UP))
            assert taken == (name in set(rows["prediction_id"])), (table, name)
        assert 0 < rows.height < every.len() or table == "raw/tickets"
        assert set(rows["owner"]) <= {"support-ml"}
        assert all(set(json.loads(keys)) == {"ticket_id", "customer_id"} for keys in rows["keys"])


def test_rows_of_a_table_are_listed_on_screen_and_as_json(desk: Run, two_days: Any) -> None:
    ticket = (
        assay.open(home=two_days.home).table("predictions/router").scan().select("ticket_id").head(1).collect().item()
    )
    asked = ("impact", "clean/tickets", "--rows", f"ticket_id = '{ticket}'", "--list")
    answer = desk(*asked, "--json").data
    assert [row["keys"]["ticket_id"] for row in answer["predictions"]] == [ticket]
    assert answer["impact"]["predictions"]["direct"] == 1
    shown = desk(*asked).out
    assert ticket in shown and "1 prediction took affected rows" in shown and "complete" in shown


def test_neither_table_nor_file_or_a_version_of_a_file_is_refused(desk: Run) -> None:
    for wrong in ((), ("--list",), ("--file", "a.csv", "--version", "3")):
        assert desk("impact", *wrong).code == 2
