"""The index is only an index: deleted and rebuilt from the commits it is the same. Events travel as lines."""

import gc
import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from assay.errors import AssayError
from assay.features.tables.lake import Lake
from assay.features.tables.run_record import CheckResult, Work
from assay.features.tables.transaction import AuditFailed, transaction
from assay.lineage.delivery.ndjson import export_events, import_events
from assay.lineage.delivery.rebuild import Contradiction, rebuild
from assay.lineage.delivery.recorder import EventRecorder
from assay.lineage.queries.walk import graph_hash, upstream
from assay.lineage.store.lineage_store import LineageStore, open_lineage_store


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[EventRecorder]:
    """On a store of its own: `any_store` is the one to restore into."""
    made = EventRecorder(open_lineage_store(tmp_path / "first.db"))
    yield made
    made.close()


def work_through(lake: Lake, recorder: EventRecorder) -> None:
    for day, value in (("2026-09-01", 1), ("2026-09-02", 2), ("2026-09-01", 3)):
        with transaction(lake, recorder, Work("raw/t", day)) as tx:
            tx.write("raw/t", pl.DataFrame({"a": [value]}))
    for day in ("2026-09-01", "2026-09-02"):
        with transaction(lake, recorder, Work("clean/t", day)) as tx:
            frame = tx.read("raw/t", [day]).collect()
            tx.read("raw/t", lookup=True)
            tx.check(CheckResult("a.range", "clean/t", True, "quarantine", "a", 1))
            tx.write("clean/t", frame.select("a"))
            tx.write("quarantine/t", frame.select("a").clear())
    with transaction(lake, recorder, Work("sums")) as tx:
        tx.write("sums", tx.read("clean/t", version=1).select(pl.col("a").sum()).collect())
    with pytest.raises(AuditFailed), transaction(lake, recorder, Work("sums")) as tx:
        tx.write("sums", pl.DataFrame({"a": [9]}))
        tx.check(CheckResult("never", "sums", False, "block", None, 1, 1))


def test_without_records_it_is_what_the_commits_describe(
    lake: Lake, recorder: EventRecorder, any_store: LineageStore
) -> None:
    """As of a lake from before there were any; with them, see test_nothing_lost.py."""
    work_through(lake, recorder)
    found = rebuild(any_store, lake)
    assert (found.commits, found.runs, found.damaged) == (8, 6, ())
    assert gc.isenabled()
    assert graph_hash(any_store, written=True) == graph_hash(recorder.store, written=True)
    assert graph_hash(any_store) != graph_hash(recorder.store)  # the failed run left no commit
    whole = upstream(any_store, "dataset:assay:sums")
    assert {node.facts["table"] for node in whole.nodes if node.kind == "dataset"} == {"sums", "clean/t", "raw/t"}
    assert rebuild(any_store, lake).runs == 0


def test_rebuilding_beside_what_is_there_adds_only_what_is_missing(lake: Lake, recorder: EventRecorder) -> None:
    work_through(lake, recorder)
    before = graph_hash(recorder.store)
    count = len(recorder.store.events())
    assert rebuild(recorder.store, lake).runs == 0
    assert (graph_hash(recorder.store), len(recorder.store.events())) == (before, count)


def test_a_change_of_the_graph_changes_its_hash(lake: Lake, recorder: EventRecorder) -> None:
    work_through(lake, recorder)
    before = graph_hash(recorder.store, written=True)
    with transaction(lake, recorder, Work("sums")) as tx:
        tx.write("sums", tx.read("clean/t").select(pl.col("a").sum()).collect())
    assert graph_hash(recorder.store, written=True) != before


def test_damaged_commits_are_named(lake: Lake, recorder: EventRecorder, any_store: LineageStore) -> None:
    work_through(lake, recorder)
    lake.storage.put("raw/t/_delta_log/00000000000000000002.json", b"{half")
    assert rebuild(any_store, lake).damaged == ("raw/t@2",)


def test_events_leave_and_come_back_the_same(lake: Lake, recorder: EventRecorder, any_store: LineageStore) -> None:
    work_through(lake, recorder)
    odd = b'{"eventTime": "2026-09-01T10:00:00Z",\r\n "job": {"namespace": "n", "name": "j"},\r\n'
    odd += b' "outputs": [{"namespace": "n", "name": "x"}]}'
    recorder.store.put(odd)
    lines = io.BytesIO()
    count = export_events(recorder.store, lines)
    assert count == len(recorder.store.events()) == len(lines.getvalue().splitlines())
    assert import_events(any_store, lines.getvalue().splitlines()).new == count
    assert graph_hash(any_store) == graph_hash(recorder.store)
    assert import_events(any_store, lines.getvalue().splitlines()).new == 0
    assert [event.body for event in any_store.events()][:3] == [event.body for event in recorder.store.events()][:3]


def test_importing_after_a_rebuild_ends_no_run_twice(lake: Lake, recorder: EventRecorder, store: LineageStore) -> None:
    work_through(lake, recorder)
    lines = io.BytesIO()
    export_events(recorder.store, lines)
    other = open_lineage_store(store.home / "other.db")
    rebuild(other, lake)
    import_events(other, lines.getvalue().splitlines())
    assert graph_hash(other, written=True) == graph_hash(recorder.store, written=True)
    ends = [event.run_id for event in other.events() if event.kind != "START"]
    assert len(ends) == len(set(ends)) == 7
    other.close()


def test_a_line_that_is_no_event_is_named_and_not_quoted(store: LineageStore) -> None:
    good = json.dumps({"eventTime": "2026-09-01T10:00:00Z", "job": {"namespace": "n", "name": "j"}}).encode()
    with pytest.raises(AssayError, match=r"Line 3 cannot be imported") as refused:
        import_events(store, [good, b"", b"s3cret"])
    assert "s3cret" not in str(refused.value)


def changed(lake: Lake, table: str, version: int) -> str:
    """A commit with another actor, as someone with a text editor makes it. Returns its former digest."""
    path = f"{table}/_delta_log/{version:020d}.json"
    content = lake.storage.get(path)
    lake.storage.put(path, content.replace(b'"assay.asset"', b'"assay.actor": "eve", "assay.asset"'))
    assert lake.storage.get(path) != content
    return hashlib.sha256(content).hexdigest()


def test_what_contradicts_the_store_is_named_and_not_added(
    lake: Lake, recorder: EventRecorder, any_store: LineageStore
) -> None:
    work_through(lake, recorder)
    for event in recorder.store.events()[:-4]:  # of the runs that sum nothing was stored yet
        any_store.put(event.body, once=True)
    before = (graph_hash(any_store), len(any_store.events()))
    former = changed(lake, "clean/t", 1)
    for _ in range(2):  # it stays so however often it is asked
        found = rebuild(any_store, lake)
        now = hashlib.sha256(lake.storage.get("clean/t/_delta_log/00000000000000000001.json")).hexdigest()
        assert found.contradictions == (Contradiction("clean/t@1", now, former),)
        assert (found.ok, found.runs) == (False, 0)
    assert (graph_hash(any_store), len(any_store.events())) == before


def test_an_end_that_somebody_else_reported_is_named(lake: Lake, recorder: EventRecorder, store: LineageStore) -> None:
    """As anybody can while the store is empty: it does not know the run, nor that its job is the lake's."""
    work_through(lake, recorder)
    own = [event for event in recorder.store.events() if event.kind == "COMPLETE"]
    for event, state, other in ((own[0], "FAIL", "spark"), (own[1], "COMPLETE", None)):
        body = json.loads(event.body) | {"eventType": state, "eventTime": "2030-12-01T00:00:00Z", "outputs": []}
        body["job"] = {"namespace": "foreign", "name": other} if other else body["job"]
        store.put(json.dumps(body).encode())
    found = rebuild(store, lake)
    assert {item.what for item in found.contradictions} == {f"run {event.run_id}" for event in own[:2]}
    assert all(item.lake != item.store for item in found.contradictions)
    assert {run.state for run in store.runs() if run.id == own[0].run_id} == {"FAIL"}, "nothing is added to it"


def test_versions_that_are_gone_are_named(lake: Lake, recorder: EventRecorder) -> None:
    """As of a lake that was put back from a backup."""
    work_through(lake, recorder)
    path = "raw/t/_delta_log/00000000000000000003.json"
    former = hashlib.sha256(lake.storage.get(path)).hexdigest()
    lake.storage.delete(path)
    assert rebuild(recorder.store, lake).contradictions == (Contradiction("raw/t@3", "", former),)


def test_another_end_of_a_run_is_named(lake: Lake, store: LineageStore) -> None:
    with pytest.raises(ValueError), transaction(lake, EventRecorder(store, lake=lake.storage), Work("sums")) as tx:
        raise ValueError
    assert rebuild(store, lake).ok
    (path,) = lake.storage.walk("_runs")
    lake.storage.put(path, lake.storage.get(path).replace(b'"FAIL"', b'"COMPLETE"'))
    (found,) = rebuild(store, lake).contradictions
    assert found.what == f"run {tx.work.run.id}"
    assert [run.state for run in store.runs()] == ["FAIL"]


def test_a_missing_start_comes_back(lake: Lake, recorder: EventRecorder, store: LineageStore) -> None:
    """As of a run that was under way when the store was deleted."""
    work_through(lake, recorder)
    for event in recorder.store.events():
        if event.kind != "START":
            store.put(event.body, once=True)
    assert {run.started_at for run in store.runs("COMPLETE")} == {None}
    assert rebuild(store, lake).runs == 6
    started = {run.id: run.started_at for run in recorder.store.runs("COMPLETE")}
    assert {run.id: run.started_at for run in store.runs("COMPLETE")} == started
