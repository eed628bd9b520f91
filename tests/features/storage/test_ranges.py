"""Which files can hold a value: as every range would answer, one by one; and few ranges are looked at."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.features.storage.index_store import _TABLES
from assay.features.storage.ranges import add_ranges, files_between, keep_columns, kept_columns

LIVE = 2**62
SCHEMA = (
    '{"fields": [{"name": "id", "type": "string"}, {"name": "at", "type": "timestamp"}, {"name": "n", "type": "long"}]}'
)
Range = tuple[str, str] | None


@pytest.fixture
def index() -> Iterator[sqlite3.Connection]:
    with closing(opened()) as connection:
        yield connection


def opened() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for statement in _TABLES.split(";"):
        connection.execute(statement)
    keep_columns(connection, 1, 0, SCHEMA)
    return connection


def add(
    index: sqlite3.Connection, path: str, ends: Range, *, since: int = 0, until: int = LIVE, name: str = "id"
) -> None:
    row = (1, path, "p", 10, 5, since, until, 0)
    sql = "INSERT INTO files (t, path, partition, size, rows, since, until, place) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
    number = index.execute(sql, row).lastrowid
    assert number is not None
    statistics = {"minValues": {name: ends[0]}, "maxValues": {name: ends[1]}} if ends else {}
    add_ranges(index, 1, number, statistics, kept_columns(index, 1))


def found(index: sqlite3.Connection, low: Any, high: Any, *, column: str = "id", version: int = 9) -> list[str]:
    return sorted(row[0] for row in files_between(index, 1, version, column, low, high))


text = st.text("ab/ü\U0001f600", max_size=4)
ranges = st.tuples(text, text).map(lambda ends: tuple(sorted(ends, key=str.encode)))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.none() | ranges, max_size=12), st.none() | text, st.none() | text)
def test_all_files_whose_range_meets_the_bounds_and_those_without_one(kept: Any, low: Any, high: Any) -> None:
    if low is not None and high is not None and low.encode() > high.encode():
        low, high = high, low
    with closing(opened()) as index:
        for number, ends in enumerate(kept):
            add(index, f"{number:02d}", ends)
        expected = [
            f"{number:02d}"
            for number, ends in enumerate(kept)
            if ends is None
            or (
                (low is None or ends[1].encode() >= low.encode())
                and (high is None or ends[0].encode() <= high.encode())
            )
        ]
        assert found(index, low, high) == expected


def test_times_are_ordered_across_1970(index: sqlite3.Connection) -> None:
    add(index, "before", ("1969-12-31T23:59:59Z", "1969-12-31T23:59:59.999999Z"), name="at")
    add(index, "across", ("1969-12-31T00:00:00Z", "1970-01-02T00:00:00Z"), name="at")
    assert found(index, -1, -1, column="at") == ["across", "before"] and found(index, 0, 0, column="at") == ["across"]


def test_only_files_that_the_version_holds(index: sqlite3.Connection) -> None:
    add(index, "gone", ("a", "z"), until=5)
    add(index, "later", ("a", "z"), since=8)
    add(index, "later, no range", None, since=8)
    assert found(index, "k", "k", version=4) == ["gone"] and found(index, "k", "k", version=7) == []


def test_files_from_before_a_column_came_or_changed_its_type_can_hold_anything(index: sqlite3.Connection) -> None:
    add(index, "old", ("a", "b"))
    keep_columns(index, 1, 3, SCHEMA.replace('"string"', '"date"'))
    add(index, "new", ("2026-01-01", "2026-01-02"), since=3)
    assert found(index, 0, 0) == ["old"] and found(index, "x", "x", column="n") == ["new", "old"]
    keep_columns(index, 1, 6, SCHEMA)
    add(index, "newest", ("a", "b"), since=6)
    assert found(index, "a", "a") == ["new", "newest", "old"] and found(index, "c", "c") == ["new", "old"]


def test_a_value_among_many_ranges_costs_few_steps(index: sqlite3.Connection) -> None:
    """Ranges that follow each other, as those of prediction ids do: SQLite's own count of its steps, not the time."""

    def steps(count: int) -> int:
        for number in range(index.execute("SELECT COUNT(*) FROM files").fetchone()[0], count):
            add(index, f"{number}", (f"{number * 50:08x}", f"{number * 50 + 60:08x}"))
        counted = [0]

        def step() -> None:
            counted[0] += 1

        index.set_progress_handler(step, 1)
        assert found(index, f"{100 * 50 + 30:08x}", f"{100 * 50 + 30:08x}") == ["100"]
        index.set_progress_handler(None, 1)
        return counted[0]

    few, many = steps(200), steps(3_000)
    assert many < 2 * few, (few, many)
