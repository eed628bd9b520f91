"""Traces lead to the right files by the right versions: against an oracle over random lakes, and on a small desk."""

from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import product
from typing import Any

import polars as pl
import pytest

from assay.errors import AssayError
from assay.features.storage.commit_metadata import Commit, SourceFile
from assay.features.tables.lake import Lake, open_lake
from assay.features.tables.log_replay import replay_log
from assay.features.tables.run_record import CheckResult, NullRecorder, Work
from assay.features.tables.table_log import read_log
from assay.features.tables.transaction import transaction
from assay.lineage.predictions.prediction_log import log_predictions
from assay.lineage.tracing.features_seen import equal
from assay.lineage.tracing.row_provenance import source_rows
from assay.lineage.tracing.trace import _file_line, trace
from assay.lineage.tracing.trace_node import Node

AT = datetime(2026, 3, 1, tzinfo=UTC)


def files_of(tree: dict[str, Any]) -> set[str]:
    own = {item["sha256"] for item in tree["files"]}
    return own.union(*(files_of(item) for item in tree["inputs"] if not item["reference"]))


def named(tree: dict[str, Any], *names: str) -> dict[str, Any]:
    for name in names:
        tree = next(item for item in tree["inputs"] if item["name"] == name and not item["reference"])
    return tree


def test_every_prediction_of_a_random_lake_leads_to_exactly_its_files(wild: Any) -> None:
    for prediction, made in wild.predictions.items():
        expected = {token for token in wild.made[made] if isinstance(token, str)}
        found = trace(wild.lake, prediction)
        assert {item.sha256 for item in found.files()} == expected
        assert files_of(found.to_dict()["root"]) == expected


def test_a_log_says_the_same_as_the_table(wild: Any) -> None:
    for name, read in product(wild.lake.tables(), (read_log, replay_log)):
        log = read(wild.lake, name)
        assert log is not None
        for version in range(log.latest + 1):
            state = wild.lake.table(name).at(version)
            for partitions in (None, state.partitions()[:2]) if state.partitioned else (None,):
                item = state.slice(partitions)
                assert log.writers(version, partitions) == state.writers(partitions)
                assert tuple(log.files(version, partitions)) == state.files_of(partitions)
                assert log.digest(item) == item.digest
                assert log.has(item.snapshot)


def test_a_large_trace_names_repeated_subtrees_instead_of_writing_them_again(
    wild: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    prediction = max(wild.predictions, key=lambda item: len(wild.made[wild.predictions[item]]))
    found = trace(wild.lake, prediction)
    whole = files_of(found.to_dict()["root"])
    monkeypatch.setattr("assay.lineage.tracing.trace.EXPANDED", 0)
    assert files_of(found.to_dict()["root"]) == whole

    def count(tree: dict[str, Any]) -> int:
        return ("see" not in tree) + sum(count(item) for item in tree["inputs"])

    assert count(found.to_dict()["root"]) == len(found.nodes)


def test_the_whole_way_of_a_prediction(desk: Any) -> None:
    desk.until(4)
    desk.train("1", range(2))
    desk.train("2", range(3))
    first, *_ = desk.predict(4, "2")
    desk.deliver(0, note="again")  # what comes later is no part of it
    desk.clean(0)
    desk.train("3", range(4))
    found = trace(desk.lake, first)
    tree = found.to_dict()["root"]

    assert (tree["kind"], tree["name"], tree["status"]) == ("prediction", first, "readable")
    assert tree["details"]["intent"] == "card"
    assert [item["kind"] for item in tree["inputs"]] == ["model", "features", "features", "embeddings", "clean"]
    model = named(tree, "models/router 2")
    assert model["details"]["training_set"] == "router@2"
    assert model["details"]["metrics"] == {"accuracy": 0.9}
    assert "artifact" not in model["details"]
    learnt = named(model, "training/router", "features/ticket")
    assert learnt["partitions"] == ["2026-09-01", "2026-09-02", "2026-09-03"]
    clean = named(learnt, "clean/tickets")
    assert clean["contract"]["version"] == "1.2"
    assert clean["contracts"] == [{"name": "Tickets", "version": "1.2"}]
    assert clean["code_version"] == "code of clean/tickets"
    assert [commit["checks"] for commit in clean["commits"]] == [
        {"passed": 2, "not_judged": [], "set_aside": [], "warned": [], "failed": []},
        {"passed": 1, "not_judged": [], "set_aside": ["text.not_null"], "warned": [], "failed": []},
        {"passed": 2, "not_judged": [], "set_aside": [], "warned": [], "failed": []},
    ]
    unique = next(check for check in clean["checks"] if check["name"] == "ticket_id.unique")
    assert (unique["passed"], unique["evaluated"]) == (True, 12)
    raw = named(clean, "raw/tickets")
    assert [item["path"] for item in raw["files"]] == [f"tickets/2026-09-0{n}/drop.csv" for n in (1, 2, 3)]

    assert [item["sha256"] for item in raw["files"]] == [
        sha256
        for sha256, path in desk.delivered.items()
        if path.name == "drop.csv" and path.parent.name <= "2026-09-03"
    ]
    assert {path.parent.name for sha256, path in desk.delivered.items() if path.name == "drop.csv"} == {
        item.path.split("/")[1] for item in found.files()
    }
    assert not any("again" in item.path for item in found.files(lookups=True))


def test_what_was_only_looked_up_is_shown_but_no_source_of_the_data(desk: Any) -> None:
    desk.until(2)
    desk.train("1", range(1))
    prediction = desk.predict(2, "1")[0]
    found = trace(desk.lake, prediction)
    clean = named(found.to_dict()["root"], "clean/tickets")
    looked_up = {item["name"]: item for item in clean["inputs"] if item["reference"]}
    assert set(looked_up) == {"clean/customers", "clean/tickets"}
    assert {name: (item["inputs"], item["held"]["commits"]) for name, item in looked_up.items()} == {
        "clean/customers": ([], 1),
        "clean/tickets": ([], 2),
    }
    assert "looked up: clean/customers@1  all of it" in str(found) and "held 2 partitions by 2 commits" in str(found)
    followed = trace(desk.lake, prediction, lookups=True)
    assert followed.to_dict() == found.with_lookups.to_dict()
    clean = named(followed.to_dict()["root"], "clean/tickets")
    looked_up = {item["name"]: item for item in clean["inputs"] if item["reference"]}
    customers = named(looked_up["clean/customers"], "raw/customers")
    assert [item["path"] for item in customers["files"]] == ["customers/000001.csv"]
    assert not looked_up["clean/tickets"]["inputs"], "a table's look at its own rows is not followed"
    assert looked_up["clean/tickets"]["commits"]
    assert "customers/000001.csv" not in {item.path for item in found.files()}
    assert "customers/000001.csv" in {item.path for item in found.files(lookups=True)}


def test_gone_and_recreated_tables_are_said_to_be(desk: Any, tmp_path: Any) -> None:
    desk.until(2)
    desk.train("1", range(1))
    prediction = desk.predict(2, "1")[0]
    for file in (tmp_path / "lake" / "features" / "ticket").rglob("partition_key=2026-09-03/*.parquet"):
        file.unlink()
    found = trace(desk.lake, prediction)
    status = {(node.name, node.partitions): node.status for node in found.nodes if not node.lookup}
    assert status["features/ticket", ("2026-09-03",)] == "vacuumed"
    assert status["features/ticket", ("2026-09-01",)] == "readable"
    assert len(found.files()) == 3, "the log still knows the way"

    (tmp_path / "lake" / "clean" / "tickets").rename(tmp_path / "old")
    gone = trace(desk.lake, prediction)
    assert {node.status for node in gone.nodes if node.table == "clean/tickets"} == {"erased"}
    desk.clean(0)
    again = trace(desk.lake, prediction)
    assert {node.status for node in again.nodes if node.table == "clean/tickets"} == {"erased"}
    assert not again.files()


def test_the_tree_for_people(desk: Any) -> None:
    desk.until(4)
    desk.train("1", range(4))
    found = trace(desk.lake, desk.predict(4, "1")[0])
    text = str(found)
    assert f"prediction {found.prediction_id} of router 1: intent card, confidence 0.75" in text
    assert "predictions/router@1  2026-09-05" in text
    assert "4 days 2026-09-01 … 2026-09-04" in text
    assert "contract Tickets 1.2" in text
    assert "set aside: text.not_null" in text
    assert "failed:" not in text
    for item in found.files():
        assert f"{item.path}  sha256 {item.sha256}" in text
    details = {**found.root.details, "outputs": ["urgent"]}
    frame = found.prediction.frame.with_columns(urgent=pl.lit(True))
    answered = replace(
        found, prediction=replace(found.prediction, frame=frame), root=replace(found.root, details=details)
    )
    assert "urgent yes" in str(answered)


def test_the_rows_behind_a_prediction(desk: Any) -> None:
    desk.until(4)
    desk.train("1", range(2))
    found = trace(desk.lake, desk.predict(4, "1")[1])  # ticket t4-1 of customer c1, served features of day 3's end
    at = {(item.table, item.file.split("/")[1], item.row_number) for item in source_rows(desk.lake, found)}
    expected = {
        ("clean/tickets", f"2026-09-0{n}", row) for n in (2, 3, 4) for row in (2, 4)
    }  # its window of three days
    expected |= {("clean/tickets", "2026-09-05", 2), ("clean/customers", "000001.csv", 2)}
    assert at == expected
    for item in (row.to_dict() for row in source_rows(desk.lake, found)):
        if item["table"] == "clean/tickets":
            line = desk.delivered[item["sha256"]].read_text().splitlines()[item["row_number"] - 1]
            assert line.split(",")[1] == "c1"


def test_rows_are_found_by_keys_that_are_of_another_type_there(lake: Lake) -> None:
    link = {"_source_file": "parcels.csv", "_source_sha256": "0" * 64}
    held = pl.DataFrame({"parcel": ["1", "03", "x", None], "sent": ["2026-03-01"] * 4, "_row_number": [1, 2, 3, 4]})
    clean = pl.DataFrame({"parcel": [1, 3], "sent": [date(2026, 3, 1)] * 2, "_row_number": [5, 6]})
    for table, rows in (("quarantine/parcels", held), ("clean/parcels", clean)):
        with transaction(lake, NullRecorder(), Work(table, "a")) as tx:
            if table == "clean/parcels":
                tx.read("quarantine/parcels", lookup=True)
            tx.write(table, rows.with_columns(pl.lit(value).alias(name) for name, value in link.items()))
    for parcel, expected in ((1, [5, 1]), (3, [6, 2])):
        asked = pl.DataFrame({"parcel": [parcel], "sent": [date(2026, 3, 1)], "event_time": [AT], "late": [True]})
        (made,) = log_predictions(
            lake,
            NullRecorder(),
            model="late",
            model_version="1",
            frame=asked,
            inputs=[lake.table("clean/parcels").at().snapshot],
            keys=["parcel", "sent"],
        )
        assert [row.row_number for row in source_rows(lake, trace(lake, made))] == expected


@pytest.mark.parametrize(
    ("value", "column", "expected"),
    [
        (2, pl.Series(["2", "2.5", "b", None]), [True, False, False, False]),
        (2.5, pl.Series(["2", "2.50", "b", None]), [False, True, False, False]),
        ("2", pl.Series([2, 3, None]), [True, False, False]),
        (2, pl.Series([2.0, 2.5]), [True, False]),
        (date(2026, 3, 1), pl.Series(["2026-03-01", "1 March"]), [True, False]),
        ("2026-03-01", pl.Series([date(2026, 3, 1)]), [True]),
        (AT, pl.Series([AT.replace(tzinfo=None)]), [False]),
        ("a", pl.Series(["a", "b"], dtype=pl.Enum(["a", "b"])), [True, False]),
        (b"a", pl.Series(["a"]), [True]),
        (True, pl.Series(["true", "1"]), [True, False]),
    ],
)
def test_keys_are_compared_whatever_their_types(value: Any, column: pl.Series, expected: list[bool]) -> None:
    rows = pl.DataFrame({"key": column})
    found = rows.select(equal({"key": value}, ["key"], rows.schema)).to_series()
    assert found.fill_null(False).to_list() == expected


def test_unknown_and_malformed_ids(desk: Any, tmp_path: Any) -> None:
    unknown = "01990b3c-5c00-7abc-8def-0123456789ab"
    with pytest.raises(AssayError, match="no predictions have been logged"):
        trace(open_lake(tmp_path / "empty"), unknown)
    desk.until(1)
    desk.train("1", range(1))
    desk.predict(1, "1")
    with pytest.raises(AssayError, match=r"no prediction .*predictions/router"):
        trace(desk.lake, unknown)
    for text in ("", "7", "nonsense", "2f0c7f53-6a43-4d2c-9a44-0f4b7b4b1a52"):
        with pytest.raises(AssayError, match="not a prediction id"):
            trace(desk.lake, text)


def test_a_check_without_a_verdict_is_not_counted_as_passed() -> None:
    checks = (
        CheckResult("text.not_null", "clean/t", True, evaluated=4),
        CheckResult("volume", "clean/t", True, "warn", unknown=1),
    )
    at = datetime(2026, 9, 1, tzinfo=UTC)
    commit = Commit("clean/t", 3, at, "WRITE", checks=tuple(check.to_dict() for check in checks))
    node = Node("clean", "clean/t", "clean/t", (), "readable", (commit,))
    assert "".join(span.text for span in node.facts).endswith("1 of 2 checks held, not judged: volume")
    later = replace(commit, checks=(checks[0].to_dict(), {**checks[1].to_dict(), "evaluated": 4, "unknown": 0}))
    node = Node("clean", "clean/t", "clean/t", (), "readable", (commit, later))
    assert "".join(span.text for span in node.facts).endswith("2 of 2 checks held"), "it was judged"


def test_a_file_of_an_object_store_is_named_with_the_state_that_was_read() -> None:
    file = SourceFile("s3://drops/a.csv", "ab12", 4, 1, "_landing/ab/ab12", '"9dd4"', "v7")
    assert (
        "".join(span.text for span in _file_line(file))
        == 's3://drops/a.csv  sha256 ab12  1 rows, etag "9dd4", version v7'
    )
    assert SourceFile(**file.to_dict()) == file
    plain = replace(file, etag="", version_id="")
    assert "etag" not in plain.to_dict() and _file_line(plain)[-1].text == "  1 rows"
