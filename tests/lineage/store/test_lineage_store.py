import itertools
import json
import multiprocessing
import random
import sqlite3
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from assay.errors import AssayError
from assay.lineage.store.lineage_store import LineageStore, open_lineage_store
from assay.lineage.store.parse_event import EventCheck
from assay.lineage.store.schema import datasets, edges, events, outbox, runs, versions
from tests.lineage.producer import RUN, dataset, event


def graph(store: LineageStore) -> list[Any]:
    """Everything in the index, without the store's own numbering."""
    with store.reading() as connection:
        named = sa.select(runs.c.run_id, edges.c.role, edges.c.flow, datasets.c.name, versions.c.version)
        named = named.select_from(edges.join(runs).join(versions).join(datasets))
        state = sa.select(runs.c.run_id, runs.c.state, runs.c.started_us, runs.c.ended_us, runs.c.parent_id)
        return [sorted(map(repr, connection.execute(query))) for query in (named, state)]


def test_the_bytes_are_kept_and_the_same_bytes_come_in_once(any_store: LineageStore) -> None:
    body = b'  {"eventType": "START", "odd":  1.50, "eventTime": "2026-09-01T10:00:00+02:00",' + (
        b' "run": {"runId": "0B8FFC1E-3A5C-4B0F-9C93-4F7C2A1D5E60"}, "job": {"namespace": "n", "name": "j"}}\n'
    )
    assert any_store.put(body)
    assert not any_store.put(body)
    (stored,) = any_store.events()
    assert stored.body == body
    assert stored.run_id == RUN
    assert stored.at == datetime(2026, 9, 1, 8, tzinfo=UTC)
    assert [stored] == any_store.events(RUN)
    assert any_store.events(str(uuid.uuid4())) == []


def test_a_finished_run_is_not_reopened(any_store: LineageStore) -> None:
    any_store.put(event("COMPLETE", 5))
    any_store.put(event("RUNNING", 9))
    any_store.put(event("START", 1))
    (run,) = any_store.runs()
    assert (run.state, run.namespace, run.job) == ("COMPLETE", "spark", "job")
    assert run.started_at == datetime(2026, 9, 1, 10, 0, 1, 500_000, tzinfo=UTC)
    assert run.ended_at == datetime(2026, 9, 1, 10, 0, 5, 500_000, tzinfo=UTC)
    assert any_store.run(RUN) == run
    assert any_store.ended() == {RUN}


def test_the_order_of_arrival_does_not_matter(tmp_path: Path) -> None:
    bodies = [
        event("START", 1, inputs=[dataset("a", "1")]),
        event("RUNNING", 2, inputs=[dataset("a", "2")]),
        event("OTHER", 3, run={"runId": RUN, "facets": {"parent": {"run": {"runId": str(uuid.uuid4())}}}}),
        event("FAIL", 5, outputs=[dataset("b")]),
        event("COMPLETE", 7, inputs=[dataset("a", "1")], outputs=[dataset("b", "9")]),
    ]
    graphs = set()
    for number, order in enumerate(itertools.permutations(bodies)):
        if number % 6 == 0:
            store = open_lineage_store(tmp_path / f"{number}.db")
            store.put_all([*order, *order[:2]])
            graphs.add(json.dumps(graph(store)))
            assert [run.state for run in store.runs()] == ["COMPLETE"]
            store.close()
    assert len(graphs) == 1


def test_once_takes_one_start_and_one_end(any_store: LineageStore) -> None:
    assert any_store.put(event("START", 1), once=True)
    assert not any_store.put(event("START", 2), once=True)
    assert any_store.put(event("FAIL", 3), once=True)
    assert not any_store.put(event("COMPLETE", 4), once=True)
    assert [item.kind for item in any_store.events()] == ["START", "FAIL"]
    assert [run.state for run in any_store.runs()] == ["FAIL"]
    assert any_store.state_counts() == {"FAIL": 1}


def test_versions_edges_and_checks_are_indexed(any_store: LineageStore) -> None:
    snapshot = {"table": "clean/t", "table_id": "id", "version": 4, "commit_sha256": "ab" * 32, "partitions": ["d"]}
    assertions = [
        {"assertion": "unique", "success": True, "column": "k", "severity": "warn"},
        {"assertion": "unique", "success": False, "column": "k", "actual": "3"},  # judged twice: the failure stands
    ]
    tested = {"inputFacets": {"dataQualityAssertions": {"assertions": assertions}}}
    unchanged = dataset("/lake/clean/u", "7", assay_snapshot=snapshot | {"role": "unchanged", "table": "clean/u"})
    any_store.put(
        event(
            "COMPLETE",
            inputs=[dataset("in", "1") | tested, dataset("no version")],
            outputs=[dataset("/lake/clean/t", "4", assay_snapshot=snapshot | {"role": "output"}), unchanged],
        )
    )
    found = {(use.name, use.version, use.role, use.partitions) for use in any_store.uses(RUN)}
    assert found == {
        ("in", "1", "input", None),
        ("no version", "", "input", None),
        ("/lake/clean/t", "4", "output", ("d",)),
        ("/lake/clean/u", "7", "unchanged", ("d",)),
    }
    run = any_store.run_of("id", 4)
    assert run is not None
    assert run.id == RUN
    assert any_store.run_of("id", 7) is None  # named by this run, but written by another
    assert any_store.run_of("id", 5) is None
    assert any_store.checks(RUN) == [EventCheck("in", "unique", "k", False, "", "3")]


def test_events_without_a_run_are_kept(any_store: LineageStore) -> None:
    static = {"eventTime": "2026-09-01T10:00:00Z", "dataset": dataset("d", "1")}
    job = {"eventTime": "2026-09-01T10:00:00", "job": {"namespace": "n", "name": "j"}, "inputs": [dataset("d", "2")]}
    assert any_store.put_all([json.dumps(item).encode() for item in (static, job)]) == 2
    assert any_store.runs() == []
    assert [item.run_id for item in any_store.events()] == [None, None]
    assert any_store.events()[1].at == datetime(2026, 9, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{half",
        b"\xff\xfe",
        b"[1]",
        b"{}",
        b'{"eventTime": "2026-09-01T10:00:00Z", "run": {"runId": "17"}, "job": {"namespace": "n", "name": "j"}}',
        b'{"eventTime": "soon", "job": {"namespace": "n", "name": "s3cret"}}',
        b'{"job": {"namespace": "n", "name": "s3cret"}}',
    ],
)
def test_what_is_no_event_is_refused_without_being_quoted(body: bytes, store: LineageStore) -> None:
    with pytest.raises(AssayError) as refused:
        store.put_all([event("START"), body])
    assert "s3cret" not in str(refused.value)
    assert store.events() == []  # all or none


@pytest.mark.parametrize(
    "odd",
    [
        {"inputs": None, "outputs": [dataset("o") | {"facets": None, "outputFacets": {"x": 1}}]},
        {"inputs": [dataset("i") | {"facets": [], "inputFacets": {"dataQualityAssertions": {"assertions": [3, {}]}}}]},
        {"run": {"runId": RUN, "facets": {"test": {"tests": "many"}, "parent": 1}}},
        {"outputs": [dataset("o", assay_snapshot="?", storage=None)]},
    ],
)
def test_oddly_shaped_facets_are_passed_over(odd: dict[str, Any], store: LineageStore) -> None:
    assert store.put(event("COMPLETE", **odd))
    assert [run.state for run in store.runs()] == ["COMPLETE"]


# -- several processes -------------------------------------------------------------------------------------------------


def _write(url: str, home: Path, number: int, count: int) -> None:
    store = open_lineage_store(url, home, busy_seconds=30)
    chosen = random.Random(number)
    for item in range(count):
        run_id = str(uuid.UUID(int=item))  # every process tells of the same runs
        kind = chosen.choice(["START", "COMPLETE"])
        store.put(event(kind, number, run_id, inputs=[dataset("shared", str(item % 7))]), forward=True)
        store.put(event(kind, number, run_id), once=True)
    store.close()


def test_processes_write_at_once_and_nothing_is_lost_or_doubled(any_store: LineageStore) -> None:
    """They also open a store at once that is not there yet."""
    url = any_store.url.render_as_string(hide_password=False).replace("+psycopg", "")
    spawn = multiprocessing.get_context("spawn")
    count, crowd = 25, 2
    crew = [spawn.Process(target=_write, args=(url, any_store.home, number, count)) for number in range(crowd)]
    for process in crew:
        process.start()
    for process in crew:
        process.join(60)
    assert [process.exitcode for process in crew] == [0] * crowd
    with any_store.reading() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(versions)) == 7
        slots = list(connection.scalars(sa.select(events.c.slot).where(events.c.slot.is_not(None))))
        assert connection.scalar(sa.select(sa.func.count()).select_from(outbox)) == crowd * count
    assert len(slots) == len(set(slots))
    assert len([item for item in any_store.events() if b"shared" in item.body]) == crowd * count
    assert len(any_store.runs()) == count


def test_readers_are_not_kept_waiting_by_a_writer(store: LineageStore) -> None:
    store.put(event("START"))
    with store.writing() as connection:
        connection.execute(sa.delete(edges))
        connection.execute(sa.delete(runs))
        assert len(store.runs()) == 1


# -- opening -----------------------------------------------------------------------------------------------------------


def test_opening_touches_nothing_and_the_file_comes_with_the_first_event(tmp_path: Path) -> None:
    path = tmp_path / "new" / "lineage.db"
    store = open_lineage_store(path)
    assert not path.parent.exists()
    store.put(event("START"))
    store.close()
    assert store.home == path.parent
    again = open_lineage_store(f"sqlite:///{path}")
    assert [item.kind for item in again.events()] == ["START"]
    again.close()
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


@pytest.mark.parametrize("url", ["mysql://u:s3cret@h/db", "sqlite://", "://", "s3cret"])
def test_urls_that_cannot_be_are_refused_without_being_quoted(url: str) -> None:
    with pytest.raises(AssayError) as refused:
        open_lineage_store(url)
    assert "s3cret" not in str(refused.value)
