"""The commands on a small real lake, and the public API that they stand on."""

import json
import random
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import assay
from assay.errors import AssayError
from assay.lineage.predictions.find_prediction import find_prediction
from assay.store import Store

Run = Callable[..., Any]
DAYS = ["2026-09-23", "2026-09-24"]


@pytest.fixture
def store(two_days: Any) -> Store:
    return assay.open(home=two_days.home, embedding_model=two_days.settings["ASSAY_EMBEDDING_MODEL"])


@pytest.fixture
def prediction(store: Store) -> str:
    return store.table("predictions/router").scan().select("prediction_id").collect().sample(1).item()


def test_tables_are_listed_with_rows_and_versions(desk: Run, store: Store) -> None:
    listed = {item["name"]: item for item in desk("tables", "--json").data}
    assert {"raw/tickets", "clean/customers", "embeddings/ticket_text", "predictions/router"} <= listed.keys()
    tickets = listed["clean/tickets"]
    assert tickets["rows"] == store.table("clean/tickets").scan().select(pl.len()).collect().item()
    assert tickets["version"] == store.snapshot("clean/tickets").version
    assert tickets["partitions"] == 2
    assert f"{tickets['rows']:,}" in desk("tables").out


def test_a_tables_versions_say_what_was_read(desk: Run) -> None:
    commits = [commit for commit in desk("tables", "clean/tickets", "--json").data if commit["run_id"]]
    assert [commit["partition"] for commit in commits] == DAYS
    assert all(any(text.startswith("raw/tickets@") for text in commit["inputs"]) for commit in commits)
    assert DAYS[0] in desk("tables", "clean/tickets").out


def test_quarantine_counts_by_rule_and_shows_masked_rows(desk: Run, store: Store, two_days: Any) -> None:
    truth = json.loads((two_days.home / "landing.truth.json").read_bytes())
    planted = {
        (row["partition"], row["rule"])
        for row in truth["rows"]
        if row["partition"] in DAYS and row["source"] == "tickets"
    }
    counts = desk("quarantine", "list", "--json").data
    assert {(row["partition"], row["rule"]) for row in counts if row["source"] == "tickets"} == planted
    assert planted

    shown = desk("quarantine", "show", "tickets", "--json").data
    frame = store.table("quarantine/tickets").scan().collect()
    assert len(shown) == frame.height
    assert all(row["_rules"] and row["_source_file"] and row["_row_number"] for row in shown)
    texts = [text for text in frame["text"].drop_nulls() if text.strip()]
    masked, whole = (
        desk("quarantine", "show", "tickets").out,
        desk("quarantine", "show", "tickets", "--unmask", "--json"),
    )
    assert texts
    assert not any(text in masked or text in json.dumps(shown) for text in texts)
    assert {row["text"] for row in whole.data} == set(frame["text"])

    rule = frame["_rules"].list.first()[0]
    filtered = desk("quarantine", "show", "tickets", "--rule", rule, "--json").data
    assert filtered
    assert all(rule in row["_rules"] for row in filtered)


def test_customers_in_quarantine_show_no_personal_data(desk: Run, store: Store) -> None:
    frame = store.table("quarantine/customers").scan().collect()
    said = desk("quarantine", "show", "customers").out + desk("quarantine", "show", "customers", "--json").out
    assert frame["customer_id"][0] in said
    for column in ("name", "email", "phone"):
        assert not any(value in said for value in frame[column])


def test_features_are_served_as_of_a_moment(desk: Run, store: Store) -> None:
    rows = store.table("features/customer_activity").scan().filter(partition_key=DAYS[0]).collect()
    one = rows.row(0, named=True)
    key = f"customer_id={one['customer_id']}"
    (served,) = desk("features", "get", "customer_activity", key, "--at", "2026-09-24T12:00:00", "--json").data
    assert served["tickets_7d"] == one["tickets_7d"]
    assert served["card_events_30d"] == one["card_events_30d"]
    frame = store.online("customer_activity").get(
        {"customer_id": [one["customer_id"]]}, at=datetime(2026, 9, 24, 12, tzinfo=UTC)
    )
    assert frame["tickets_7d"].to_list() == [one["tickets_7d"]]
    (late,) = desk("features", "get", "customer_activity", key, "--at", "2026-10-24", "--json").data
    assert late["tickets_7d"] is None, "older than the view's max_age"
    assert desk("features", "get", "customer_activity", "account=1").code == 1


def test_the_training_sets_manifest_names_every_input(desk: Run, store: Store) -> None:
    made = store.table("models/router").scan().collect()["training_set"][0]
    manifest = desk("features", "training-set", made, "--json").data
    assert {item["name"] for item in manifest["inputs"]} >= {
        "clean/tickets",
        "features/ticket",
        "embeddings/ticket_text",
    }
    assert all(Path(item["uri"]).is_dir() and isinstance(item["version"], int) for item in manifest["inputs"])
    assert "clean/tickets" in desk("features", "training-set", made).out
    assert store.load_training_set(made).frame().height == manifest["rows"]
    with pytest.raises(AssayError, match="no version 999"):
        store.load_training_set("router@999")


def test_trace_as_tree_as_data_with_rows_and_verified(desk: Run, store: Store, prediction: str) -> None:
    tree = desk("trace", prediction)
    assert tree.code == 0
    for text in ("training/router", "clean/tickets", "raw/tickets", "tickets/2026-09-24/tickets-"):
        assert text in tree.out
    answer = desk("trace", prediction, "--json", "--rows", "--verify")
    assert answer.code == 0
    assert answer.data["verification"]["outcome"] == "verified"
    assert answer.data["root"]["kind"] == "prediction"
    shown, stored = answer.data["root"], store.trace(prediction).to_dict()["root"]
    assert (shown["details"].pop("length"), stored["details"].pop("length") > 0) == ("‹number›", True), "of a text"
    assert shown == stored
    assert {row["table"] for row in answer.data["rows"]} >= {"clean/tickets", "clean/customers"}


def test_verify_says_which_file_was_changed(desk: Run, store: Store, prediction: str) -> None:
    state = store.table("clean/tickets").at()
    damaged = Path(state.table.uri) / random.choice(state.files).path
    before = damaged.read_bytes()
    at = random.randrange(len(before))
    try:
        damaged.write_bytes(before[:at] + bytes([before[at] ^ 1]) + before[at + 1 :])
        answer = desk("trace", prediction, "--verify")
    finally:
        damaged.write_bytes(before)
    assert answer.code == 3
    assert damaged.name[:16] in answer.out
    assert desk("trace", prediction, "--verify").code == 0


def test_a_prediction_whose_file_is_gone_is_answered_with_what_is_known(
    desk: Run, store: Store, prediction: str, tmp_path: Path
) -> None:
    file = Path(store.table("predictions/router").at().table.uri) / find_prediction(store.lake, prediction).file
    try:
        shutil.move(file, tmp_path / "kept")
        answer, shown = desk("trace", prediction, "--json"), desk("trace", prediction, "--verify")
        why = desk("why", prediction)
        exported = desk("trace", prediction, "--export", str(tmp_path / "b.zip"))
    finally:
        shutil.move(tmp_path / "kept", file)
    assert (answer.code, shown.code, answer.data["traced"], answer.data["outcome"]) == (3, 3, False, "incomplete")
    (finding,) = answer.data["findings"]
    assert file.name in finding["what"] and "nobody recorded its removal" in finding["detail"]
    assert any(commit["job"] == "predictions/router" and commit["reads"] for commit in answer.data["commits"])
    assert file.name[:16] in shown.out and "it may be of" in shown.out
    assert why.code == 3 and file.name[:16] in why.out, "as much as a trace says, with the same exit code"
    assert exported.code == 3 and "No bundle was written" in exported.out and not (tmp_path / "b.zip").exists()
    assert desk("trace", "0199aaaa-0000-7000-8000-000000000000").code == 1, "there is no such prediction"


def test_columns_are_followed_both_ways(desk: Run) -> None:
    up = desk("lineage", "columns", "features/ticket", "words", "--json").data
    steps = {(edge["source"]["table"], edge["source"]["column"], edge["direct"]) for edge in up["edges"]}
    assert {("clean/tickets", "text", True), ("raw/tickets", "text", True)} <= steps
    assert {("clean/tickets", "ticket_id", False), ("raw/tickets", "ticket_id", True)} <= steps
    assert not {name for _, name, _ in steps} - {"text", "ticket_id", "created_at"}
    down = desk("lineage", "columns", "clean/tickets@1", "text", "--down")
    assert "features/ticket.words" in down.out and "embeddings/ticket_text.text_key" in down.out
    affected = {
        item["table"]: item for item in desk("impact", "clean/tickets@1", "--column", "text", "--json").data["affected"]
    }
    assert affected["embeddings/ticket_text"]["columns"] == ["text_key", "vector"]
    assert "features/customer_activity" not in affected


def test_versions_are_compared_and_found_by_name(desk: Run, store: Store) -> None:
    found = desk("lineage", "search", "clean/tick", "--json").data
    named = [(node["kind"], node["facts"].get("table") or node["name"]) for node in found]
    assert named[:2] == [("dataset", "clean/tickets"), ("job", "clean/tickets")]
    assert {kind for kind, _ in named[2:]} <= {"column", "contract", "rule", "owner", "tag"}
    assert found[0]["id"] in desk("lineage", "search", "clean/tick", "--kind", "dataset").out.replace("\n", "")
    assert "Nothing has that name" in desk("lineage", "search", "nothing-like-it").out
    one, other = (f"clean/tickets@{commit.version}" for commit in store.table("clean/tickets").history()[-2:])
    differ = desk("lineage", "diff", one, other, "--json").data
    assert differ["inputs"]["raw/tickets"] and differ["rows"] and not differ["code"] and not differ["unknown"]
    assert "raw/tickets" in desk("lineage", "diff", one, found[0]["id"]).out
    assert "no known difference" in desk("lineage", "diff", one, one).out


def test_impact_goes_down_to_the_predictions(desk: Run) -> None:
    answer = desk("impact", "raw/tickets", "--json").data
    found = json.dumps(answer)
    downstream = ("clean/tickets", "features/ticket", "embeddings/ticket_text", "training/router", "predictions/router")
    for table in downstream:
        assert table in found
    nothing = json.dumps(desk("impact", "predictions/router", "--json").data)
    assert "clean/tickets" not in nothing
    assert "predictions/router" in desk("impact", "raw/tickets", "--partition", DAYS[1]).out


def test_pins_keep_and_vacuum_says_what_would_go(desk: Run, store: Store) -> None:
    before = {pin["name"] for pin in desk("pin", "list", "--json").data}
    assert any(name.startswith("training-router@") for name in before)
    assert desk("pin", "add", "audit", "clean/tickets", "--owner", "governance", "--reason", "complaint").code == 0
    (made,) = [pin for pin in desk("pin", "list", "--json").data if pin["name"] == "audit"]
    assert made["snapshots"][0]["version"] == store.snapshot("clean/tickets").version
    assert "audit" in desk("pin", "list").out
    assert desk("pin", "remove", "audit").code == 0
    assert {pin["name"] for pin in desk("pin", "list", "--json").data} == before

    files = sorted(Path(store.lake.storage.root).rglob("*.parquet"))
    reports = desk("vacuum", "--keep-days", "0", "--json").data
    assert {report["table"] for report in reports} == set(store.lake.tables())
    assert "Nothing was deleted" in desk("vacuum").out
    assert sorted(Path(store.lake.storage.root).rglob("*.parquet")) == files


def test_materialize_says_what_it_would_do_and_that_nothing_is_to_be_done(desk: Run) -> None:
    assert desk("materialize", "--range", ":".join(DAYS), "--dry-run").out.endswith("Everything is up to date.\n")
    planned = desk("materialize", "--dry-run", "--json").data
    assert {unit["partition"] for unit in planned} >= {"2026-09-01", "2026-09-22"}
    assert "2026-09-22: raw/card_events" in desk("materialize", "--dry-run").out


def test_events_are_exported_as_lines(desk: Run, tmp_path: Path) -> None:
    file = tmp_path / "events.ndjson"
    assert desk("lineage", "export", "--output", str(file)).code == 0
    events = [json.loads(line) for line in file.read_text().splitlines()]
    assert {event["eventType"] for event in events} == {"START", "COMPLETE"}
    run = events[0]["run"]["runId"]
    one = desk("lineage", "export", "--run", run, "--output", str(file))
    assert one.code == 0
    assert {json.loads(line)["run"]["runId"] for line in file.read_text().splitlines()} == {run}


def test_refused_batches_are_exit_code_3_and_the_rest_goes_on(cli: Run) -> None:
    assert cli("demo", "--until", "2026-09-12", "--json").data["until"] == "2026-09-12"
    arguments = ("materialize", "--range", "2026-09-11:2026-09-12", "raw/card_events")
    answer = cli(*arguments)
    assert answer.code == 3
    assert "card_events/2026-09-12/events.parquet, column amount" in answer.err
    assert "run `assay materialize` again" in answer.out
    as_data = cli(*arguments, "--json")
    assert as_data.code == 3
    (run,) = as_data.data["runs"]
    assert (run["success"], run["partition"], as_data.data["failed"]) == (False, "2026-09-12", 1)
    assert [item["partitions"] for item in cli("tables", "--json").data] == [1], "day 11 is there"
    cli("demo")
    assert cli(*arguments).code == 0, "the corrected file has come"


def test_work_of_ones_own_is_written_and_traced(store: Store) -> None:
    with store.transaction("reports/channels") as tx:
        rows = tx.read("clean/tickets", DAYS).group_by("channel").len().collect()
        tx.write("reports/channels", rows.cast({"len": pl.Int64}))
    assert store.table("reports/channels").scan().collect().height == rows.height
    assert [str(item.snapshot) for item in store.table("reports/channels").history()[-1].inputs] == [
        str(store.snapshot("clean/tickets"))
    ]
    assert "reports/channels" in json.dumps(store.impact("clean/tickets").to_dict())


def test_as_of_join_and_training_set_from_the_front_door(store: Store) -> None:
    tickets = store.table("clean/tickets").scan().filter(partition_key=DAYS[1]).collect()
    spine = tickets.select("ticket_id", "customer_id", event_time="created_at")
    wanted = ["customer_activity:tickets_7d", "ticket:words"]
    joined = store.as_of_join(spine, wanted)
    assert joined.height == spine.height
    assert joined["words"].to_list() == tickets["text"].str.count_matches(r"\S+").to_list()
    made = store.training_set("words", spine=spine, features=wanted)
    assert store.training_set("words", spine=spine, features=wanted).id == made.id
    assert made.frame().height == spine.height


def test_predictions_of_ones_own_are_logged_and_traced(store: Store) -> None:
    frame = pl.DataFrame(
        {"ticket_id": ["T1"], "event_time": [datetime(2026, 9, 24, tzinfo=UTC)], "score": [0.5], "confidence": [0.9]}
    )
    inputs = [store.snapshot("clean/tickets")]
    (made,) = store.log_predictions(model="urgency", model_version="1", frame=frame, inputs=inputs, keys=["ticket_id"])
    assert store.log_predictions(
        model="urgency", model_version="1", frame=frame, inputs=inputs, keys=["ticket_id"]
    ) == [made]
    trace = store.trace(made)
    assert {"clean/tickets", "raw/tickets"} <= {node.table for node in trace.nodes}
    assert store.table("predictions/urgency").scan().collect().height == 1


def test_quarantined_rows_are_tried_and_released_and_rejected_with_who_and_why(
    cli: Run, store: Store, two_days: Any, new_place: Run, tmp_path: Path
) -> None:
    shutil.copytree(two_days.folder, tmp_path / "desk")
    place = new_place(tmp_path / "desk", two_days.settings)
    bad = store.table("quarantine/tickets").scan().explode("_rules").collect()
    named = bad.select("_rules", pl.format("{}:{}", pl.col("_source_sha256").str.head(12), "_row_number")).rows()
    first, second = dict(named)["created_at.dtype"], dict(named)["text.not_empty"]
    why = ("--reason", "typed by hand", "--by", "kim")
    fix = ("quarantine", "release", "tickets", "--row", first, "--set", "created_at=2026-09-24T10:00:00Z", *why)

    tried = cli(*fix, "--json", place=place)
    assert (tried.code, tried.data["dry_run"], [row["fits"] for row in tried.data["rows"]]) == (0, True, [True])
    wrong = cli("quarantine", "release", "tickets", "--row", first, "--set", "created_at=teatime", *why, place=place)
    assert wrong.code == 3
    assert "stays: created_at.dtype" in wrong.out
    assert "Nothing was changed: add --yes to do it." in wrong.out
    assert "teatime" not in wrong.out

    before = cli("tables", "--json", place=place).data
    done = cli(*fix, "--yes", "--json", place=place)
    assert (done.code, done.data["dry_run"]) == (0, False)
    rejected = cli("quarantine", "reject", "tickets", "--row", second, *why, "--yes", place=place)
    assert "1 of 1 row rejected" in rejected.out
    after = {item["name"]: item["rows"] for item in cli("tables", "--json", place=place).data}
    rows = {item["name"]: item["rows"] for item in before}
    assert after["clean/tickets"] == rows["clean/tickets"] + 1
    assert after["quarantine/tickets"] == rows["quarantine/tickets"]
    shown = {
        row["_row"]: row for row in cli("quarantine", "show", "tickets", "--limit", "99", "--json", place=place).data
    }
    assert (shown[first]["_status"], shown[first]["_decided_by"], shown[first]["_reason"]) == (
        "released",
        "kim",
        "typed by hand",
    )
    assert shown[first]["_decision_id"] == done.data["decision_id"]
    assert shown[second]["_status"] == "rejected"
    assert all(row["_contract"] and row["_read"].startswith("raw/tickets@") for row in shown.values())
    again = cli(*fix, "--yes", place=place)
    assert again.code == 1
    assert "1 are already released or rejected" in again.err
    counted = cli("quarantine", "list", "--json", place=place).data
    assert {(row["rule"], row["status"]) for row in counted} >= {
        ("created_at.dtype", "released"),
        ("text.not_empty", "rejected"),
        ("customer_id.exists", "held"),
    }


def test_decisions_can_be_tried_from_a_notebook(store: Store) -> None:
    tried = store.release("tickets", rule="text.not_empty", edits={"text": "my card?"}, reason="call back", by="kim")
    assert [(row.partition, row.fits) for row in tried.rows] == [(DAYS[1], True)]
    refused = store.reject("tickets", partition=DAYS[0], reason="unknown customer", by="kim")
    assert (refused.id, refused.partitions) == (None, [DAYS[0]])
    assert "releases/tickets" not in store.lake.tables()
    with pytest.raises(AssayError, match="There is no source 'ticket'"):
        store.reject("ticket", reason="unknown", by="kim")
