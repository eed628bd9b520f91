"""Verification proves an untouched trace, and names whatever was changed, down to one byte."""

import hashlib
import random
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
from deltalake import DeltaTable

from assay.features.storage.commit_metadata import SourceFile
from assay.features.storage.index_store import index_store
from assay.features.tables.digest import row_digests
from assay.features.tables.lake import Lake, open_lake
from assay.features.tables.log_replay import replay_log
from assay.lineage.evidence.bundle import export
from assay.lineage.evidence.verifier.findings import outcome
from assay.lineage.evidence.verifier.verify import verify as verify_bundle
from assay.lineage.predictions.find_prediction import find_prediction
from assay.lineage.tracing.trace import Trace, trace
from assay.lineage.verification.files import as_delivered
from assay.lineage.verification.finding import Verification
from assay.lineage.verification.verify import verify
from tests.conftest import SOAK


def test_what_lies_in_an_object_store_is_not_looked_for_in_the_landing_folder(tmp_path: Path) -> None:
    content = b"a,b\n"
    (tmp_path / "a.csv").write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    expected = {
        "a.csv": "same",
        "b.csv": "gone",
        f"file://{tmp_path}/a.csv": "same",
        "s3://bucket/a.csv": "in an object store",
    }
    assert {path: as_delivered(tmp_path, SourceFile(path, sha256, 4, 1)) for path in expected} == expected


def one_prediction(desk: Any) -> str:
    desk.until(4)
    desk.train("1", range(2))
    return desk.predict(4, "1")[1]


def failures(found: Verification) -> dict[str, str]:
    return {check.what: check.detail for check in found.checks if check.ok is False}


def flip(path: Path, chance: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def test_an_untouched_trace_is_verified(desk: Any) -> None:
    found = trace(desk.lake, one_prediction(desk))
    steps: list[str] = []
    result = verify(
        desk.lake, found, embed=desk.embed, landing=desk.landing, progress=lambda what, done, total: steps.append(what)
    )
    assert (result.outcome, failures(result)) == ("verified", {})
    details = {check.what: check.detail for check in result.checks if check.ok}
    assert details["prediction id"] == "follows from the row"
    assert details["feature row"] == "3 features joined again at the versions read"
    assert details["models/router 1 artifact"] == "has its SHA-256"
    assert "cosine 1.0000" in details["embeddings/ticket_text vector"]
    landing = next(check for check in result.checks if "landing" in check.what)
    assert landing.detail == "5 same, 1 gone"  # the batch of customers came from a database
    assert set(steps) == {"hashing data files", "hashing kept files", "computing again"}
    assert result.to_dict()["ok"] is True
    assert str(result).startswith("verified")


def test_an_index_that_names_the_wrong_writers_is_not_believed(desk: Any) -> None:
    prediction = one_prediction(desk)
    first, *_ = desk.lake.table("raw/tickets").at().writers(None)

    def hide(connection: sqlite3.Connection) -> None:
        ((table,),) = connection.execute("SELECT id FROM tables WHERE name = 'raw/tickets'")
        sql = "UPDATE commits SET partition = 'elsewhere' WHERE t = ? AND version = ?"
        connection.execute(sql, (table, first.version))

    index_store(desk.lake.storage).write(hide)
    found = trace(desk.lake, prediction)
    assert failures(verify(desk.lake, found, embed=desk.embed)) == {
        f"raw/tickets@{first.version}": "wrote some of these rows, and is not in the trace"
    }


def test_later_versions_change_nothing(desk: Any) -> None:
    prediction = one_prediction(desk)
    for number in (3, 4):
        desk.deliver(number, note="changed")
        desk.clean(number)
        desk.features(number)
    desk.train("2", range(4))
    assert verify(desk.lake, trace(desk.lake, prediction), embed=desk.embed).ok


def test_a_flipped_bit_in_any_data_file_is_found_and_named(desk: Any, tmp_path: Path) -> None:
    prediction = one_prediction(desk)
    found = trace(desk.lake, prediction)
    used = [
        f"{node.table}/{file.path}"
        for node in found.nodes
        for item in node.slices
        for file in desk.lake.table(node.table).at(item.snapshot.version).files_of(item.partitions)
    ]
    assert {path.split("/")[0] for path in used} > {"raw", "clean", "features", "training", "models", "embeddings"}
    chance = random.Random(7)
    for name in chance.sample(sorted(set(used)), len(set(used)) if SOAK else 4):
        path = tmp_path / "lake" / name
        whole = path.read_bytes()
        flip(path, chance)
        result = verify(desk.lake, found)
        assert result.outcome == "broken"
        assert set(failures(result)) == {name}
        path.write_bytes(whole)


def test_a_flipped_bit_in_a_kept_file_is_found_and_named(desk: Any, tmp_path: Path) -> None:
    found = trace(desk.lake, one_prediction(desk))
    chance = random.Random(8)
    for item in found.files(lookups=True):
        path = tmp_path / "lake" / item.kept
        whole = path.read_bytes()
        flip(path, chance)
        assert set(failures(verify(desk.lake, found))) == {item.path}
        path.write_bytes(whole)


def rests_on(lake: Lake, found: Trace) -> set[tuple[str, int]]:
    """The versions that were read, those that wrote the rows or added the files, and those that made the tables."""
    versions = {(node.table, commit.version) for node in found.with_lookups.nodes for commit in node.commits}
    for node in found.with_lookups.nodes:
        log = replay_log(lake, node.table)
        assert log is not None
        for item in node.slices:
            number = item.snapshot.version
            added = log.added_by(number, item.partitions, item.excluded)
            versions |= {(node.table, version) for version in (0, number, *added)}
    return versions


def test_a_flipped_bit_in_any_commit_is_found_and_named(desk: Any, tmp_path: Path) -> None:
    """Also in commits that nobody read as a version, but whose rows and metadata the trace rests on. In all others, if whole logs
    are asked for, and it decides nothing as long as readers can still open the table."""
    prediction = one_prediction(desk)
    desk.predict(3, "1")  # the last commit of a table is vouched for by its reader, or by the next one
    found = trace(desk.lake, prediction)
    known = rests_on(desk.lake, found)
    newest: dict[str, int] = {}
    for node in found.nodes:
        newest[node.table] = max(newest.get(node.table, 0), *node.versions_read)
    others = {(table, version) for table, last in newest.items() for version in range(last + 1)} - known
    chance = random.Random(9)
    many, few = (len(known), len(others)) if SOAK else (3, min(1, len(others)))
    for table, version in [*chance.sample(sorted(known), many), *chance.sample(sorted(others), few)]:
        path = tmp_path / "lake" / table / "_delta_log" / f"{version:020d}.json"
        whole = path.read_bytes()
        for _ in range(3 if SOAK else 1):
            flip(path, chance)
            result = verify(desk.lake, found, whole_logs=(table, version) in others)
            named = [
                item for item in result.checks if item.ok is False and f"{table}/_delta_log/{path.name}" in str(item)
            ]
            assert named
            assert result.outcome == "broken" or (table, version) in others
            assert any(item.required for item in named) == (result.outcome == "broken")
            path.write_bytes(whole)


def test_tracing_survives_a_damaged_log(desk: Any, tmp_path: Path) -> None:
    prediction = one_prediction(desk)
    path = tmp_path / "lake" / "features" / "ticket" / "_delta_log" / f"{5:020d}.json"
    path.write_bytes(path.read_bytes()[:-20])
    found = trace(desk.lake, prediction)
    assert "damaged" in {node.status for node in found.nodes if node.table == "features/ticket"}
    assert f"features/ticket/_delta_log/{path.name}" in failures(verify(desk.lake, found))


def test_what_is_gone_is_not_called_corrupt(desk: Any, tmp_path: Path) -> None:
    prediction = one_prediction(desk)
    for path in (tmp_path / "lake" / "clean" / "tickets").rglob("partition_key=2026-09-02/*.parquet"):
        path.unlink()
    found = trace(desk.lake, prediction)
    result = verify(desk.lake, found)
    assert (result.outcome, result.ok, failures(result)) == ("incomplete", False, {})
    gone = [check for check in result.checks if check.required and check.ok is None]
    assert [check.what.split("/")[:3] for check in gone] == [["clean", "tickets", "partition_key=2026-09-02"]]
    assert gone[0].detail == "missing: nobody recorded its removal"
    (tmp_path / "lake" / "raw" / "tickets").rename(tmp_path / "old")
    erased = verify(desk.lake, trace(desk.lake, prediction))
    assert erased.outcome == "incomplete"
    assert any("erased" in check.detail for check in erased.checks if check.ok is None)


def test_delivered_files_that_changed_are_reported_but_decide_nothing(desk: Any) -> None:
    found = trace(desk.lake, one_prediction(desk))
    paths = sorted(desk.landing.rglob("*.csv"))
    paths[0].write_text("changed")
    paths[1].unlink()
    result = verify(desk.lake, found, landing=desk.landing)
    assert not failures(result)
    told = [check for check in result.checks if not check.required and check.ok is None]
    assert "tickets/2026-09-01/drop.csv" in {check.what for check in told}
    assert any(check.detail == "3 same, 1 changed, 2 gone" for check in told)


def test_a_row_that_was_made_up_is_not_believed(desk: Any) -> None:
    """A forger with write access makes a consistent commit; the row still does not follow from its content."""
    prediction = one_prediction(desk)
    found = trace(desk.lake, prediction)
    frame = found.prediction.frame
    for change in (
        {"customer_id": pl.lit("c0")},
        {"event_time": pl.col("event_time").dt.offset_by("1s")},
        {"model_version": pl.lit("2")},
        {"feature_digest": pl.lit(row_digests(pl.DataFrame({"x": [1]}))[0])},
        {"inputs": pl.col("inputs").list.head(1)},
    ):
        forged = replace(
            found.prediction, frame=frame.with_columns(value.alias(name) for name, value in change.items())
        )
        result = verify(desk.lake, type(found)(forged, found.root))
        assert failures(result), change


def test_features_that_the_model_did_not_see_are_noticed(desk: Any) -> None:
    desk.until(4)
    desk.train("1", range(2))
    with desk.work("predictions/router", "2026-09-05") as tx:
        ids = desk.stage(tx, 4, "1", skew=1)
    result = verify(desk.lake, trace(desk.lake, ids[0]))
    assert set(failures(result)) == {"feature row"}


def test_a_vector_from_another_model_is_noticed(desk: Any) -> None:
    found = trace(desk.lake, one_prediction(desk))
    result = verify(desk.lake, found, embed=lambda texts: -desk.embed(texts))
    assert set(failures(result)) == {"embeddings/ticket_text vector"}
    assert str(result).splitlines()[0] == "broken · answer: not checked"
    assert "✗ embeddings/ticket_text vector" in str(result).splitlines()[1]
    without = verify(desk.lake, found)
    assert without.ok
    assert any("no model was given" in check.detail for check in without.checks)


def test_the_prediction_of_a_damaged_table_is_still_found_or_its_file_named(desk: Any, tmp_path: Path) -> None:
    prediction = one_prediction(desk)
    (path,) = (tmp_path / "lake" / "predictions" / "router").rglob("*.parquet")
    whole, chance = path.read_bytes(), random.Random(10)
    for _ in range(40 if SOAK else 4):
        flip(path, chance)
        lake = open_lake(tmp_path / "lake")
        try:
            find_prediction(lake, prediction)
        except Exception as problem:
            assert path.name in str(problem)
        else:
            assert f"predictions/router/partition_key=2026-09-05/{path.name}" in failures(
                verify(lake, trace(lake, prediction))
            )
        path.write_bytes(whole)


def test_rows_that_another_tool_wrote_upstream_are_named(desk: Any) -> None:
    """Before they were read: all that was recorded holds, and what the rows come from is not known."""
    desk.until(4)
    table = DeltaTable(desk.lake.storage.uri("clean/tickets"))
    table.update({"text": "'another'"}, predicate="ticket_id = 't1-0'")
    (version,) = {table.version()}
    desk.features(1)
    desk.train("1", range(2))
    prediction = desk.predict(4, "1")[1]
    found = verify(desk.lake, trace(desk.lake, prediction))
    assert (found.outcome, failures(found)) == ("incomplete", {})
    (gap,) = [check for check in found.checks if check.required and check.ok is None]
    assert gap.what == f"clean/tickets@{version}"
    assert gap.detail.startswith("UPDATE by another tool, no run of Assay, wrote rows that were read")
    bundle = export(desk.lake, trace(desk.lake, prediction))
    findings = verify_bundle(dict(bundle.files), lake=Path(desk.lake.storage.root))
    assert outcome(findings) == "incomplete"
    assert gap.what in {item.what for item in findings if item.ok is None and item.required}


def test_files_that_were_put_together_otherwise_upstream_are_the_same_rows(desk: Any) -> None:
    desk.until(4)
    table = DeltaTable(desk.lake.storage.uri("embeddings/ticket_text"))
    table.optimize.compact()
    desk.train("1", range(2))
    found = verify(desk.lake, trace(desk.lake, desk.predict(4, "1")[1]))
    assert found.outcome == "verified", str(found)
