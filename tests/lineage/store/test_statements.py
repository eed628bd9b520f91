"""What the store asks of its database: as many statements for many events as for one, however wide the graph is."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import event as events

from assay.lineage.queries.search import search_all
from assay.lineage.queries.walk import upstream
from assay.lineage.store import bulk
from assay.lineage.store.lineage_store import LineageStore
from tests.lineage.producer import dataset, event


def _id(number: int) -> str:
    return f"0b8ffc1e-3a5c-4b0f-9c93-{number:012d}"


class _Counting:
    def __init__(self, driver: Any, asked: list[str]) -> None:
        self.driver, self.asked = driver, asked

    def execute(self, text: str, *values: Any) -> Any:
        self.asked.append(text)
        return self.driver.execute(text, *values)

    def executemany(self, text: str, rows: Any) -> Any:
        self.asked.append(text)
        return self.driver.executemany(text, rows)


@pytest.fixture
def asked(store: LineageStore, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements since the last `clear`."""
    store.runs()
    found: list[str] = []
    driver = bulk._driver
    monkeypatch.setattr(bulk, "_driver", lambda connection: _Counting(driver(connection), found))
    events.listen(store.engine, "before_cursor_execute", lambda _c, _cursor, text, *_: found.append(text))
    return found


@contextmanager
def _count(asked: list[str]) -> Iterator[list[int]]:
    asked.clear()
    count: list[int] = []
    yield count
    count.append(len(asked))


def _run(number: int, reads: list[str], writes: list[str], kind: str = "COMPLETE") -> bytes:
    version = str(number)
    made = [dataset(name, version) for name in writes]
    return event(kind, number % 60, _id(number), inputs=[dataset(name, "1") for name in reads], outputs=made)


def test_many_events_take_as_many_statements_as_one(store: LineageStore, asked: list[str]) -> None:
    with _count(asked) as one:
        store.put(_run(1, ["a"], ["b"]))
    with _count(asked) as many:
        store.put_all([_run(number, [f"a{number}"], [f"b{number}"]) for number in range(2, 60)])
    assert many <= one  # a job less
    with _count(asked) as known:  # nothing but the run and the version is new
        store.put(_run(60, ["a"], ["b"]))
    assert known[0] <= 16


def test_a_walk_asks_once_a_level_however_wide_it_is(store: LineageStore, asked: list[str]) -> None:
    counts: list[int] = []
    for width in (2, 30):
        begin = 1_000 * width
        levels = [[f"w{width}_{level}_{place}" for place in range(width)] for level in range(5)]
        for level, (before, after) in enumerate(pairwise(levels)):
            for place, name in enumerate(after):
                made = [dataset(name, "1")]
                read = [dataset(source, "1") for source in before]
                store.put(event("COMPLETE", 0, _id(begin + 100 * level + place), inputs=read, outputs=made))
        with _count(asked) as count:
            found = upstream(store, f"dataset:file:{levels[-1][0]}@1")
        assert len(found.nodes) == 4 * width + 1 + 3 * width + 1
        counts += count
    assert counts[0] == counts[1] <= 7 * 4


def test_an_edit_reads_all_words_twice_a_word(store: LineageStore, asked: list[str]) -> None:
    """Once for what holds the word, once for what is an edit away: the words of a store are many."""
    store.put(event("COMPLETE", outputs=[dataset("clean/tickets", "7")]))
    asked.clear()
    assert search_all(store, "clen tickts").hits
    assert len([text for text in asked if " FROM words WHERE " in text]) == 4
