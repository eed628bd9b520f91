"""Messages of pgoutput: those of a real server decode to what was done, and damaged ones to nothing wrong."""

import struct
from contextlib import suppress

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.assets.databases.replication.pgoutput import (
    UNCHANGED,
    Begin,
    Column,
    Commit,
    Delete,
    Insert,
    Relation,
    Truncate,
    Update,
    as_text,
    decoded,
    position,
)

LARGE = "".join(chr(65 + number * 7 % 57) for number in range(4000))


@pytest.fixture
def connection(postgres_url: str) -> psycopg.Connection:
    return psycopg.connect(postgres_url, autocommit=True)


def test_a_servers_messages_say_what_was_done(connection: psycopg.Connection) -> None:
    do = connection.execute
    do("CREATE TABLE t (id INT PRIMARY KEY, v TEXT, n NUMERIC(10, 2))")
    do("ALTER TABLE t ALTER v SET STORAGE EXTERNAL")
    do("CREATE PUBLICATION p FOR TABLE t")
    do("SELECT pg_create_logical_replication_slot('decoding', 'pgoutput')")
    for statement in (
        f"INSERT INTO t VALUES (1, 'Ä{LARGE}', NULL)",
        "UPDATE t SET n = 1.5",
        "UPDATE t SET id = 2",
        "DELETE FROM t",
        "TRUNCATE t",
        "SELECT pg_logical_emit_message(true, 'mine', 'hello')",
    ):
        do(statement.encode())
    peek = (
        "SELECT data FROM pg_logical_slot_peek_binary_changes('decoding', NULL, NULL, 'proto_version', '1', "
        "'publication_names', 'p', 'messages', 'true')"
    )
    messages = [decoded(data) for (data,) in do(peek)]
    do("SELECT pg_drop_replication_slot('decoding')")
    (oid, *_), relation = do("SELECT 't'::regclass::oid").fetchone() or (0,), messages[1]
    columns = (Column("id", 23, -1, True), Column("v", 25, -1, False), Column("n", 1700, (10 << 16 | 2) + 4, False))
    assert relation == Relation(oid, columns)
    rows = [one for one in messages if not isinstance(one, Begin | Commit | Relation)]
    assert rows == [
        Insert(oid, ("1", f"Ä{LARGE}", None)),
        Update(oid, None, False, ("1", UNCHANGED, "1.50")),
        Update(oid, ("1", None, None), False, ("2", UNCHANGED, "1.50")),
        Delete(oid, ("2", None, None), False),
        Truncate((oid,)),
        None,
    ]
    begins, commits = ([one for one in messages if isinstance(one, kind)] for kind in (Begin, Commit))
    assert len(begins) == len(commits) == 6
    assert all(begin.lsn < commit.end for begin, commit in zip(begins, commits, strict=True))  # pyright: ignore[reportAttributeAccessIssue]
    connection.close()


@given(st.binary(max_size=60))
def test_damaged_bytes_are_refused_or_something_else(content: bytes) -> None:
    with suppress(ValueError, IndexError, struct.error):
        decoded(content)


@given(st.integers(0, 2**64 - 1))
def test_a_place_of_the_log_is_a_number(number: int) -> None:
    assert position(as_text(number)) == number
