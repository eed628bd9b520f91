"""An outage is distinguished from a fault of the batch: by error numbers and by the messages of libraries."""

import errno
import sqlite3
import urllib.request
from typing import Any

import deltalake
import httpx
import polars as pl
import psycopg
import pytest
import requests
import sqlalchemy as sa
import urllib3
from sqlalchemy.exc import OperationalError as SqlalchemyError

from assay.assets.databases.sql import connected, database_url
from assay.assets.lacking import DENIED, FULL, READ_ONLY, UNREACHABLE, outage_in, outage_of
from assay.errors import AssayError


def caught(work: Any) -> BaseException:
    with pytest.raises(Exception) as problem:
        work()
    return problem.value


def test_what_is_lacking_is_known_by_its_number_or_its_words_however_deep() -> None:
    assert outage_of(OSError(errno.ENOSPC, "full")) == outage_of(OSError(errno.EDQUOT, "quota")) == FULL
    assert outage_of(OSError(errno.EROFS, "ro")) == READ_ONLY
    assert outage_of(ConnectionRefusedError(errno.ECONNREFUSED, "no")) == UNREACHABLE
    assert outage_of(sqlite3.OperationalError("database or disk is full")) == FULL
    assert outage_of(sqlite3.OperationalError("attempt to write a readonly database")) == READ_ONLY
    assert outage_of(pl.exceptions.ComputeError("No space left on device (os error 28)")) == FULL

    def wrapped() -> None:
        try:
            raise OSError(errno.ENOSPC, "full")
        except OSError:
            raise AssayError("clean/t could not be published.") from None

    assert outage_of(caught(wrapped)) == FULL


def test_what_is_wrong_with_a_batch_is_no_outage() -> None:
    for other in (
        AssayError("column note: 3 rows hold 'connection refused', no space left on device"),
        ValueError("x"),
        FileNotFoundError(errno.ENOENT, "gone"),
        PermissionError(errno.EACCES, "denied"),
        sqlite3.OperationalError("no such table: t"),
        sqlite3.OperationalError('near "connection refused": syntax error'),
        ValueError("server closed the connection"),
        KeyError("no space left on device (os error 28)"),
        RuntimeError("rate quota exceeded"),
        OSError("rate quota exceeded"),
        FileNotFoundError(errno.ENOENT, "gone", "/data/connection refused.csv"),
        SqlalchemyError("INSERT 'connection refused'", {"a": "connection reset"}, Exception("no such column")),
    ):
        assert outage_of(other) is None, other


@pytest.mark.parametrize("cell", ["Connection refused", "no space left on device (os error 28)", "` (os error 28) `"])
def test_cells_in_what_polars_says_are_no_outage(cell: str) -> None:
    frame = pl.DataFrame({"note": [cell]})
    for work in (
        lambda: frame.select(pl.col("note").cast(pl.Int64)),
        lambda: frame.select(pl.col("note").str.to_date("%Y")),
        lambda: frame.select(pl.col("note").map_elements(int, return_dtype=pl.Int64)),
        lambda: pl.read_csv(f"a\n1\n{cell}\n".encode(), schema={"a": pl.Int64}),
    ):
        assert outage_of(caught(work)) is None


def test_what_failed_after_an_outage_was_handled_failed_for_a_reason_of_its_own() -> None:
    def fallback(wrong: Any) -> None:
        try:
            raise ConnectionResetError("cache")
        except ConnectionError:
            wrong()

    def on_purpose() -> None:
        try:
            _ = 1 / 0
        except ZeroDivisionError:
            raise AssayError("clean/t: bad data.") from None

    def ours() -> None:
        raise AssayError("clean/t: bad data.")

    def hidden() -> None:
        raise ValueError("bad data") from None

    for wrong in (lambda: 1 / 0, on_purpose, ours, hidden):
        assert outage_of(caught(lambda wrong=wrong: fallback(wrong))) is None

    def because() -> None:
        try:
            raise ConnectionResetError("cache")
        except ConnectionError as problem:
            raise RuntimeError("no prices") from problem

    assert outage_of(caught(because)) == UNREACHABLE


@pytest.mark.parametrize(
    ("answer", "lack"),
    [
        ('password authentication failed for user "x"', DENIED),
        ('database "shop" does not exist', DENIED),
        ('role "x" does not exist', DENIED),
        ("no pg_hba.conf entry for host", DENIED),
        ("the database system is starting up", UNREACHABLE),
        ("sorry, too many clients already", UNREACHABLE),
        ("terminating connection due to administrator command", UNREACHABLE),
    ],
)
def test_a_server_that_refuses_a_login_is_told_from_one_that_does_not_answer(answer: str, lack: str | None) -> None:
    text = f'connection to server at "db" (10.0.0.1), port 5432 failed: FATAL:  {answer}'
    assert outage_of(psycopg.OperationalError(text)) == lack
    assert outage_in([f"psycopg.OperationalError: {text}\n"]) == lack


def test_of_an_error_of_which_only_the_text_was_kept_its_kind_decides() -> None:
    assert outage_in(["ValueError: server closed the connection\n"]) is None
    assert outage_in(["polars.exceptions.InvalidOperationError: Connection refused\n"]) is None
    assert outage_in(["server closed the connection"]) is None
    assert outage_in(["RuntimeError: x\n", "OSError: [Errno 28] No space left on device: '/x'\n"]) == FULL
    assert outage_in(["ConnectionRefusedError: [Errno 111] no\n"]) == UNREACHABLE
    assert outage_in(["polars.exceptions.ComputeError: parquet: IO error: no space (os error 28)\n"]) == FULL


def test_servers_that_do_not_answer_are_outages_in_the_words_of_their_clients() -> None:
    """Nothing listens on port 1: the real errors of psycopg, of SQLAlchemy, of our reader, of delta-rs and of HTTP clients."""
    url = "postgresql+psycopg://u@127.0.0.1:1/d"
    nobody = {
        "aws_endpoint_url": "http://127.0.0.1:1",
        "aws_allow_http": "true",
        "aws_access_key_id": "k",
        "aws_secret_access_key": "s",
        "aws_region": "r",
        "max_retries": "0",
        "retry_timeout": "1s",
    }

    def ours() -> None:
        with connected(database_url(url), "t"):
            pass

    for work in (
        lambda: psycopg.connect("postgresql://u@127.0.0.1:1/d", connect_timeout=2),
        lambda: psycopg.connect("postgresql://u@nobody.invalid/d", connect_timeout=5),
        lambda: psycopg.connect("host=/nonexistent dbname=d user=u"),
        lambda: urllib.request.urlopen("http://127.0.0.1:1"),
        lambda: requests.get("http://127.0.0.1:1", timeout=2),
        lambda: urllib3.PoolManager().request("GET", "http://127.0.0.1:1", retries=0),
        lambda: httpx.get("http://127.0.0.1:1"),
        lambda: sa.create_engine(url).connect(),
        ours,
        lambda: deltalake.DeltaTable("s3://nobody/t", storage_options=nobody),
    ):
        problem = caught(work)
        assert outage_of(problem) == UNREACHABLE, problem
