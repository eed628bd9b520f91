"""Whoever asks a database that is silent, or was until the login, does not wait for it without an end."""

import struct
import time

import pytest

from assay.assets.databases import sql
from assay.assets.databases.sql import connected, database_url
from assay.assets.lacking import UNREACHABLE, NotConnected
from tests.dripping import dripping


def _message(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack(">I", len(content) + 4) + content


_PARAMETERS = {b"server_version": b"15.0", b"client_encoding": b"UTF8", b"standard_conforming_strings": b"on"}
LOGIN = b"".join(
    [
        _message(b"R", bytes(4)),
        *(_message(b"S", b"%s\0%s\0" % item) for item in _PARAMETERS.items()),
        _message(b"K", bytes(8)),
        _message(b"Z", b"I"),
    ]
)


@pytest.mark.parametrize(
    ("answer", "at_once"),
    [(b"", 0), (LOGIN, 0), (LOGIN, len(LOGIN))],
    ids=("silent", "drips", "silent after the login"),
)
def test_a_database_that_does_not_answer_is_an_outage_soon(
    monkeypatch: pytest.MonkeyPatch, answer: bytes, at_once: int
) -> None:
    # psycopg takes no less for the login.
    monkeypatch.setattr(sql, "_RUN_SECONDS", 2 if not at_once else 0.2)
    with dripping(answer, pause=1, at_once=at_once) as port:
        url = f"postgresql://jane:secret@127.0.0.1:{port}/shop?sslmode=disable&gssencmode=disable"
        for isolation in ("", "REPEATABLE READ") if at_once else ("",):
            began = time.monotonic()
            with (
                pytest.raises(NotConnected, match=r"table people does not answer") as problem,
                connected(database_url(url), "people", isolation=isolation),
            ):
                pass
            assert problem.value.lack == UNREACHABLE and time.monotonic() - began < 4


def test_a_database_that_has_answered_may_take_its_time(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql, "_patience", lambda: 2)
    with connected(database_url(postgres_url), "people") as connection:
        assert connection.exec_driver_sql("SELECT pg_sleep(2.5), 7").scalar_one_or_none() is not None
