"""A second witness: the lineage store, or events kept elsewhere, know the commits of a lake without reading it."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from assay.errors import AssayError
from assay.features.tables.lake import Lake, open_lake
from assay.features.tables.run_record import Work
from assay.features.tables.transaction import transaction
from assay.lineage.delivery.recorder import EventRecorder
from assay.lineage.store.lineage_store import LineageStore
from assay.lineage.store.schema import events
from assay.lineage.verification.witness import EventsWitness, Recorded, StoreWitness, commits_in


def fill(store: LineageStore, folder: Path) -> Lake:
    lake, recorder = open_lake(folder), EventRecorder(store)
    for number in range(3):
        with transaction(lake, recorder, Work("clean/a", f"2026-09-0{number + 1}")) as tx:
            tx.write("clean/a", pl.DataFrame({"id": range(number + 1)}))
    with transaction(lake, recorder, Work("clean/b", "2026-09-01")) as tx:
        tx.read("clean/a")
        tx.write("clean/b", pl.DataFrame({"id": [1]}))
    return lake


def test_the_store_knows_each_commit_its_rows_and_the_newest(any_store: LineageStore, tmp_path: Path) -> None:
    lake = fill(any_store, tmp_path / "lake")
    states = {name: lake.table(name).at() for name in ("clean/a", "clean/b")}
    ids = {name: state.table_id for name, state in states.items()}
    runs = [commit.run_id for state in states.values() for commit in state.writers(None)]
    witness = StoreWitness(any_store)
    wanted = {ids["clean/a"]: [1, 2, 3, 99], ids["clean/b"]: [1], "no table": [1]}
    found = witness.recorded(wanted, [str(run) for run in runs])
    for name, state in states.items():
        for version in range(1, state.version + 1):
            commit = state.table_snapshot(version)
            mine = {(r.sha256, r.rows) for r in found if (r.table_id, r.version) == (ids[name], version)}
            assert {sha256 for sha256, _ in mine} == {commit.commit_sha256}
            assert {rows for _, rows in mine if rows is not None} == {version if name == "clean/a" else 1}
    assert {r.version for r in found if r.table_id == ids["clean/a"]} == {1, 2, 3}
    assert witness.latest([*ids.values(), "no table"]) == {ids["clean/a"]: 3, ids["clean/b"]: 1}
    assert witness.damaged([str(run) for run in runs]) == []


def test_an_event_that_was_changed_in_the_store_is_named(any_store: LineageStore, tmp_path: Path) -> None:
    lake = fill(any_store, tmp_path / "lake")
    (commit,) = lake.table("clean/b").at().writers(None)
    with any_store.writing() as connection:
        changed = events.update().where(events.c.run_id == commit.run_id, events.c.event_type == "COMPLETE")
        connection.execute(changed.values(body=b"{}"))
    assert StoreWitness(any_store).damaged([str(commit.run_id)]) == [commit.run_id]


def test_events_in_a_file_know_the_same(any_store: LineageStore, tmp_path: Path) -> None:
    lake = fill(any_store, tmp_path / "lake")
    file = tmp_path / "events.ndjson"
    file.write_bytes(b"\n".join(event.body for event in any_store.events()) + b"\n\n")
    state = lake.table("clean/a").at()
    witness = EventsWitness(file)
    found = set(witness.recorded({state.table_id: [2, 3]}, []))
    assert {(item.version, item.rows) for item in found} == {(2, 2), (3, 3), (3, None)}  # written, and read
    assert witness.latest([state.table_id, "no table"]) == {state.table_id: 3}
    assert witness.damaged(["x"]) == ()
    assert "events.ndjson" in witness.name


def test_what_is_no_event_of_ours_is_passed_over() -> None:
    others: list[Any] = [b"{}", b"[]", b"1", b'{"outputs": [1, {"facets": {"assay_snapshot": {"version": "x"}}}]}']
    assert list(commits_in(others)) == []
    with pytest.raises(AssayError, match="not JSON"):
        list(commits_in([b'{"outputs"']))
    with pytest.raises(AssayError, match="cannot be read"):
        EventsWitness(Path("/nowhere/at/all")).latest([])
    assert Recorded("id", 1, "ab").rows is None
