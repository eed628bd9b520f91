"""The list as a file: the same rows in every form, and what a bad file led to on a small desk."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from assay.errors import AssayError
from assay.features.tables.run_record import NullRecorder, Work
from assay.features.tables.transaction import transaction
from assay.lineage.affected.answer import SCHEMA, affected_predictions
from assay.lineage.affected.export import csv_chunks, write_list
from assay.lineage.affected.origin import Origin, digest_here
from assay.lineage.predictions.find_prediction import ID
from assay.lineage.predictions.prediction_log import stage_predictions
from assay.lineage.tracing.row_provenance import LOOKED_UP, SourceRow, source_rows
from assay.lineage.tracing.trace import trace
from tests.lineage.conftest import day

FILE = "tickets/2026-09-03/drop.csv"
_ROWS: dict[str, Sequence[SourceRow]] = {}


def behind(desk: Any, prediction: str, *, lookups: bool = False) -> set[tuple[str, int]]:
    if prediction not in _ROWS:  # ids are of one desk alone
        _ROWS[prediction] = source_rows(desk.lake, trace(desk.lake, prediction))
    rows = _ROWS[prediction]
    return {(row.file, row.row_number) for row in rows if lookups or not row.because.startswith(LOOKED_UP)}


def predictions(desk: Any) -> list[str]:
    return desk.lake.table("predictions/router").scan().select(ID).collect()[ID].to_list()


def test_a_bad_file_leads_to_the_predictions_whose_windows_hold_its_rows(full_desk: Any) -> None:
    truth: set[str] = set()
    rows = {name: behind(full_desk, name) for name in predictions(full_desk)}
    for number in range(5):
        file = f"tickets/{day(number)}/drop.csv"
        found = affected_predictions(full_desk.lake, Origin(file))
        truth = {name for name, found_rows in rows.items() if any(at[0] == file for at in found_rows)}
        assert set(found.frame()[ID]) == truth
        assert found.complete and not found.notes
    assert 0 < len(truth) < len(predictions(full_desk))


def test_some_rows_of_a_file_lead_to_some_predictions(full_desk: Any) -> None:
    found = affected_predictions(full_desk.lake, Origin(FILE, rows="customer_id = 'c1' AND _row_number > 2"))
    truth = {name for name in predictions(full_desk) if (FILE, 4) in behind(full_desk, name)}
    frame = found.frame()
    assert set(frame[ID]) == truth and 0 < len(truth) < len(predictions(full_desk))
    row = frame.row(0, named=True)
    assert json.loads(row["keys"])["customer_id"] == "c1"
    assert json.loads(row["answer"]) == {"intent": "card", "confidence": 0.75}
    assert (row["affected"], row["through"]) == ("direct", "features/customer_activity")


def test_models_that_learnt_from_it_are_named_and_their_predictions_listed_when_asked(full_desk: Any) -> None:
    found = affected_predictions(full_desk.lake, Origin(FILE))
    assert (found.training_sets, found.models, found.through_models) == (("router@2",), ("router@2",), 4)
    first = affected_predictions(full_desk.lake, Origin("tickets/2026-09-01/drop.csv"))
    direct = first.frame()
    assert first.models == ("router@1", "router@2") and 0 < direct.height < 8
    every = first.frame(through_models=True)
    assert set(every[ID]) == set(predictions(full_desk)) and set(every.filter(affected="direct")[ID]) == set(direct[ID])
    assert set(every.filter(affected="model")["through"]) == {"models/router"}
    assert (first.counts["router"].direct, first.counts["router"].model) == (direct.height, 8 - direct.height)


def test_a_column_leads_only_through_features_made_from_it(full_desk: Any) -> None:
    text = affected_predictions(full_desk.lake, Origin(FILE, column="text", partition="2026-09-03"))
    assert text.frame().is_empty(), "the windows count tickets, whatever their text says"
    who = affected_predictions(full_desk.lake, Origin(FILE, column="customer_id"))
    assert set(who.frame()[ID]) == set(affected_predictions(full_desk.lake, Origin(FILE)).frame()[ID])


def test_lookups_are_followed_when_asked_and_then_it_is_not_exact(full_desk: Any) -> None:
    origin = Origin("customers/000001.csv", rows="customer_id = 'c0'")
    assert affected_predictions(full_desk.lake, origin).frame().is_empty()
    found = affected_predictions(full_desk.lake, origin, lookups=True)
    frame = found.frame()
    truth = {
        name for name in predictions(full_desk) if ("customers/000001.csv", 1) in behind(full_desk, name, lookups=True)
    }
    assert truth <= set(frame[ID]) and truth
    assert not frame["exact"].any()
    assert "what was looked up in clean/customers" in found.notes[0]
    assert found.counts["router"].inexact == frame.height


def test_every_form_has_the_same_rows(full_desk: Any, tmp_path: Path) -> None:
    found = affected_predictions(full_desk.lake, Origin(FILE))
    listed = found.frame()
    assert listed.schema == SCHEMA and listed.height
    for name in ("list.csv", "list.parquet", "list.json"):
        assert write_list(found, tmp_path / name) == listed.height
    assert sorted(path.name for path in tmp_path.iterdir()) == ["list.csv", "list.json", "list.parquet"]
    assert pl.read_parquet(tmp_path / "list.parquet").equals(listed)
    text = pl.read_csv(tmp_path / "list.csv", schema_overrides={"model_version": pl.String})
    same = listed.with_columns(pl.col("event_time").dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")).fill_null("")
    assert text.with_columns(pl.col(pl.String).fill_null("")).equals(same)
    whole = json.loads((tmp_path / "list.json").read_text())
    assert [row[ID] for row in whole["predictions"]] == listed[ID].to_list()
    assert whole["predictions"][0]["keys"] == json.loads(listed["keys"][0])
    assert whole["impact"]["complete"] and whole["impact"]["predictions"]["direct"] == listed.height
    empty = affected_predictions(full_desk.lake, Origin(FILE, rows="_row_number > 99"))
    for name in ("none.csv", "none.parquet", "none.json"):
        assert write_list(empty, tmp_path / name) == 0
    assert json.loads((tmp_path / "none.json").read_text())["predictions"] == []
    assert b"".join(csv_chunks(empty.batches())).decode().split() == [",".join(SCHEMA)]


def test_what_cannot_be_written_is_refused(full_desk: Any, tmp_path: Path) -> None:
    found = affected_predictions(full_desk.lake, Origin(FILE))
    with pytest.raises(AssayError, match=r"\.csv, \.parquet, \.json"):
        write_list(found, tmp_path / "list.xlsx")
    with pytest.raises(AssayError, match="cannot be written"):
        write_list(found, tmp_path / "no" / "list.csv")


def test_the_rows_of_a_file_in_a_clean_table(full_desk: Any) -> None:
    whole, rows = Origin(FILE, rows="customer_id = 'c1'"), Origin(FILE, "clean/tickets", rows="customer_id = 'c1'")
    lists = [affected_predictions(full_desk.lake, origin).frame() for origin in (whole, rows)]
    assert lists[0].equals(lists[1]) and lists[0].height


def test_a_file_is_found_by_its_path_or_its_digest(full_desk: Any) -> None:
    sha256, path = next((sha, path) for sha, path in full_desk.delivered.items() if path.parent.name == "2026-09-03")
    lists = [
        affected_predictions(full_desk.lake, Origin(text)).frame()
        for text in (FILE, "2026-09-03/drop.csv", sha256, sha256[:12], digest_here(str(path)))
    ]
    assert all(one.equals(lists[0]) for one in lists[1:])
    assert digest_here(str(path.parent)) is None and digest_here("no/such.csv") is None


def test_what_is_not_there_is_refused_without_a_word_of_the_condition(full_desk: Any) -> None:
    lake = full_desk.lake
    for text in ("tickets/2027-01-01/drop.csv", "ab" * 32):
        with pytest.raises(AssayError, match="No raw table has rows of"):
            affected_predictions(lake, Origin(text))
    for origin, problem in (({}, "Name a table"), ({"file": "a.csv", "version": 1}, "name the table, too")):
        with pytest.raises(AssayError, match=problem):
            Origin(**origin)
    with pytest.raises(AssayError, match="do not say which file"):
        affected_predictions(lake, Origin(FILE, "features/ticket"))
    with pytest.raises(AssayError, match="no column 'nothing'"):
        affected_predictions(lake, Origin(FILE, column="nothing"))
    for condition in ("email = 'anna@example.org'", "customer_id = ", "len('anna')", "customer_id + 'anna'", "1"):
        with pytest.raises(AssayError, match=r"It has: .*customer_id") as refused:
            affected_predictions(lake, Origin(FILE, rows=condition)).frame()
        assert "anna" not in str(refused.value)


def test_where_the_way_is_not_recorded_all_rows_count_and_the_answer_says_so(desk: Any) -> None:
    desk.until(1)
    with desk.work("features/ticket_sums", day(0)) as tx:  # by some other engine, which does not say what it read
        tx.describe(serving={"entity": "ticket", "keys": ["ticket_id"], "event_time": "created_at"} | NO_TIMES)
        rows = tx.read("clean/tickets", [day(0)]).select("ticket_id", "created_at").collect()
        tx.write("features/ticket_sums", rows.with_columns(n=pl.len()))
    with transaction(desk.lake, NullRecorder(), Work("predictions/sums", day(0), code_version="1")) as tx:
        given = tx.read("features/ticket_sums").collect()
        frame = given.select("ticket_id", "n", pl.col("created_at").alias("event_time"), intent=pl.lit("x"))
        options: dict[str, Any] = {"features": ["ticket_sums:n"], "feature_columns": ["n"], "outputs": ["intent"]}
        ids = stage_predictions(tx, model="sums", model_version="1", frame=frame, **options)
    found = affected_predictions(desk.lake, Origin("tickets/2026-09-01/drop.csv", rows="_row_number = 1"))
    frame = found.frame()
    assert set(frame[ID]) == set(ids)
    assert not frame["exact"].any() and found.complete
    assert found.notes == (
        "it is not recorded which rows of features/ticket_sums were made from which of clean/tickets: all that a commit wrote "
        "count",
    )
    assert "perhaps" in str(found)


NO_TIMES = {"known_time": None, "max_age_us": None}


def test_predictions_whose_file_is_gone_make_the_list_truncated(desk: Any) -> None:
    desk.until(2)
    desk.train("1", range(1))
    desk.predict(1, "1")
    desk.predict(2, "1")
    (file,) = desk.lake.table("predictions/router").at().files_of([day(1)])
    (Path(desk.lake.storage.root) / "predictions/router" / file.path).unlink()
    found = affected_predictions(desk.lake, Origin("tickets/2026-09-01/drop.csv"))
    assert found.frame().height == 4
    assert not found.complete and "predictions/router" in found.reasons[0]


def test_rows_that_are_gone_count_as_affected(desk: Any) -> None:
    desk.until(2)
    desk.train("1", range(1))
    desk.predict(2, "1")
    for file in desk.lake.table("clean/tickets").at().files_of([day(1)]):
        (Path(desk.lake.storage.root) / "clean/tickets" / file.path).unlink()
    found = affected_predictions(desk.lake, Origin("tickets/2026-09-02/drop.csv", rows="customer_id = 'c0'"))
    frame = found.frame()
    assert frame.height == 4 and not frame["exact"].any()
    assert any("cannot be read any more" in note for note in found.notes)


def test_feature_rows_that_are_gone_make_all_count_that_could_have_taken_them(desk: Any) -> None:
    desk.until(3)
    desk.train("1", range(1))
    ids = desk.predict(3, "1")
    origin = Origin("tickets/2026-09-03/drop.csv", rows="_row_number = 1")
    assert 0 < affected_predictions(desk.lake, origin).frame().height < len(ids)
    # A day before the last one: which row is the newest of a customer cannot be seen any more.
    for file in desk.lake.table("features/customer_activity").at().files_of([day(1)]):
        (Path(desk.lake.storage.root) / "features/customer_activity" / file.path).unlink()
    found = affected_predictions(desk.lake, origin)
    frame = found.frame()
    assert set(frame[ID]) == set(ids) and not frame["exact"].all()
    assert any("features/customer_activity that were read are gone" in note for note in found.notes), found.notes
