"""An index that is made anew: in small steps, beside writers, and by the next one where somebody is killed."""

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from assay.lineage.queries.search import search_all
from assay.lineage.queries.walk import graph_hash
from assay.lineage.store import reindex
from assay.lineage.store.lineage_store import LineageStore, open_lineage_store
from assay.lineage.store.schema import INDEX, unread
from tests.lineage.producer import dataset, event

COUNT = 20


def _id(number: int) -> str:
    return f"0b8ffc1e-3a5c-4b0f-9c93-{number:012d}"


def _fill(store: LineageStore) -> None:
    for number in range(COUNT):
        out = dataset(f"table_{number}", "1")
        store.put(event("COMPLETE", number, _id(number), inputs=[dataset("source", "1")], outputs=[out]))


def _emptied(store: LineageStore) -> LineageStore:
    """As a migration leaves it: opened by the next one."""
    with store.writing() as connection:
        for table in INDEX:
            connection.execute(table.delete())
    return LineageStore(store.url, store.home, store.busy_seconds)


def _die_after(batches: int, url: sa.URL, home: Path) -> None:
    index, reindex.BATCH = reindex.index, 3
    done = 0

    def counted(connection: sa.Connection, read: Sequence[Any]) -> None:
        nonlocal done
        if done == batches:
            os.kill(os.getpid(), signal.SIGKILL)
        index(connection, read)
        done += 1

    reindex.index = counted  # type: ignore[assignment]
    LineageStore(url, home, 10).runs()


def test_whoever_is_killed_in_the_middle_is_followed_by_the_next(
    any_store: LineageStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _fill(any_store)
    before = graph_hash(any_store)
    again = _emptied(any_store)
    any_store.close()
    child = multiprocessing.get_context("spawn").Process(target=_die_after, args=(2, any_store.url, any_store.home))
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    read: list[int] = []
    index = reindex.index

    def counted(connection: sa.Connection, batch: Sequence[Any]) -> None:
        read.append(len(batch))
        index(connection, batch)

    monkeypatch.setattr(reindex, "index", counted)
    with caplog.at_level(logging.WARNING, "assay.lineage"):
        assert graph_hash(again) == before
    assert sum(read) == COUNT - 2 * 3
    assert [record.getMessage() for record in caplog.records] == [
        "The lineage index is made anew from the stored events: 6 of 20.",
        "The lineage index is whole again.",
    ]
    assert len(search_all(again, "table").hits) == COUNT
    with again.reading() as connection:
        assert connection.execute(sa.select(unread)).all() == []
    again.close()


def test_writers_do_not_wait_and_readers_see_nothing_half(
    any_store: LineageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fill(any_store)
    again, between, go_on = _emptied(any_store), threading.Event(), threading.Event()
    monkeypatch.setattr(reindex, "BATCH", 3)
    index = reindex.index
    batches: list[int] = []

    def held(connection: sa.Connection, batch: Sequence[Any]) -> None:
        index(connection, batch)
        batches.append(len(batch))

    following = reindex._next

    def waits(*given: Any) -> Any:
        if len(batches) == 2:
            between.set()
            assert go_on.wait(30)
        return following(*given)

    monkeypatch.setattr(reindex, "index", held)
    monkeypatch.setattr(reindex, "_next", waits)
    counted: list[int] = []
    readers = [threading.Thread(target=lambda: counted.append(len(again.runs()))) for _ in range(2)]
    for reader in readers:
        reader.start()
    assert between.wait(30)
    assert again.put(event("COMPLETE", 59, _id(99)))  # beside the index that is made anew
    assert counted == []
    go_on.set()
    for reader in readers:
        reader.join(30)
    assert counted == [COUNT + 1, COUNT + 1]
    assert sum(batches) == COUNT  # the new event was in the index already
    again.close()


def test_two_processes_read_every_event_once(store: LineageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    _fill(store)
    before = graph_hash(store)
    first = _emptied(store)
    second = open_lineage_store(store.url.database or "", busy_seconds=10)
    monkeypatch.setattr(reindex, "BATCH", 1)
    index, read = reindex.index, list[int]()

    def counted(connection: sa.Connection, batch: Sequence[Any]) -> None:
        index(connection, batch)
        read.extend(key for key, _ in batch)

    monkeypatch.setattr(reindex, "index", counted)
    both = [threading.Thread(target=each.runs) for each in (first, second)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join(30)
    assert sorted(read) == list(range(1, COUNT + 1))
    assert graph_hash(first) == graph_hash(second) == before
    first.close()
    second.close()
