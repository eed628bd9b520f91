"""Readers are found as by looking at every commit: against that oracle, over random reads."""

import sqlite3
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from assay.features.storage.commit_metadata import Commit
from assay.features.storage.reads import (
    READ_TABLES,
    Reader,
    Span,
    add_reads,
    count_lookups,
    inputs,
    readers,
    sourced_lookups,
)
from assay.features.storage.snapshot import Slice, Snapshot

READERS = ("clean/t", "features/f")
PARTS = st.sampled_from(("a", "b", ", ", 'ü"'))
SLICES = st.builds(
    lambda table_id, at, part, lookup: Slice(Snapshot("raw/t", table_id, at, "0" * 64), part[0], "", lookup, part[1]),
    st.sampled_from(("one", "two")),
    st.integers(0, 6),
    st.one_of(
        st.tuples(st.none(), st.lists(PARTS, max_size=2, unique=True).map(tuple)),
        st.tuples(st.lists(PARTS, max_size=3, unique=True).map(tuple), st.just(())),
    ),
    st.booleans(),
)
SPANS = st.builds(
    Span,
    st.sampled_from(("one", "two")),
    st.one_of(PARTS, st.none()),
    st.integers(0, 6),
    st.one_of(st.none(), st.integers(1, 7)),
)


def commit(table: str, version: int, read: list[Slice], sourced: bool) -> Commit:
    columns = {"a": {"direct": [["raw/t", "a"]], "indirect": []}} if sourced else None
    at = datetime(2026, 9, 1, tzinfo=UTC)
    return Commit(table, version, at, "WRITE", run_id="r", rows=1, inputs=tuple(read), column_lineage=columns)


def indexed(commits: list[Commit]) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.executescript(f"CREATE TABLE tables (id INTEGER PRIMARY KEY, name TEXT NOT NULL); {READ_TABLES}")
    connection.executemany("INSERT INTO tables VALUES (?, ?)", list(enumerate(READERS)))
    for item in commits:
        add_reads(connection, READERS.index(item.table), item)
    return connection


def sees(item: Slice, span: Span) -> bool:
    at = item.snapshot.version
    here = item.snapshot.table_id == span.table_id and span.since <= at and (span.until is None or at < span.until)
    return here and item.holds(span.partition)


@given(
    st.lists(st.tuples(st.sampled_from(READERS), st.lists(SLICES, max_size=3), st.booleans()), max_size=8),
    st.lists(SPANS, max_size=3),
)
def test_readers_are_those_that_a_look_at_every_commit_finds(made: list, spans: list[Span]) -> None:
    commits = [commit(table, number, read, sourced) for number, (table, read, sourced) in enumerate(made)]
    data, looked, sourced, only = set(), set(), set(), set()
    for item in commits:
        reads = {i.lookup for i in item.inputs if any(sees(i, span) for span in spans)}
        by_span = [{i.lookup for i in item.inputs if sees(i, span)} for span in spans]
        key = (item.table, item.version)
        only |= {key} if {True} in by_span else set()
        data |= {key} if False in reads else set()
        looked |= {key} if True in reads else set()
        sourced |= {key} if True in reads and item.column_lineage else set()
    connection = indexed(commits)
    assert readers(connection, spans) == [Reader(*key, False) for key in sorted(data)]
    assert readers(connection, spans, lookups=True) == [Reader(*key, key not in data) for key in sorted(data | looked)]
    assert {(item.table, item.version) for item in sourced_lookups(connection, spans)} == sourced
    but = {key for key in data if key[1] % 2}
    counts = count_lookups(connection, spans, but)
    assert counts == {t: n for t in READERS if (n := sum(key[0] == t for key in only - but))}
    read = {(c.table, i.snapshot.table, i.snapshot.table_id) for c in commits for i in c.inputs}
    assert inputs(connection) == sorted(read)


def test_no_question_looks_at_every_read() -> None:
    """Each is a range of an index, and the lookups are another range than what was read for its data."""
    connection = indexed([])
    plans: list[str] = []
    for ask in (readers, sourced_lookups, lambda c, s: count_lookups(c, s, ())):
        statements: list[str] = []
        connection.set_trace_callback(statements.append)
        ask(connection, [Span("one", "a", 1, 2)])
        connection.set_trace_callback(None)
        rows = connection.execute(f"EXPLAIN QUERY PLAN {statements[-1]}").fetchall()
        plans += [row[3] for row in rows if " r " in f"{row[3]} "]
    assert len(plans) == 6 and all("USING" in plan and "at>? AND at<?" in plan for plan in plans), plans
