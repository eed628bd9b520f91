"""How long an answer over HTTP may be waited for in all. The timeouts of clients begin anew with each byte, so that a server
that sends one now and then is waited for without an end.

Answers are watched where `http.client` reads them: botocore and requests both come there, through urllib3. What nobody
watches is read as ever.
"""

import functools
import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from http.client import HTTPResponse
from socket import socket
from typing import Any


@dataclass(slots=True)
class _Patience:
    """What the answers to one question may cost: `seconds`, and one more for each `speed` bytes that have come. Only the time
    counts during which bytes are waited for."""

    seconds: float
    speed: float
    waited: float = 0.0
    received: int = 0

    @property
    def left(self) -> float:
        return self.seconds + self.received / self.speed - self.waited


_watched: ContextVar[_Patience | None] = ContextVar("watched", default=None)


@contextmanager
def answered_within(seconds: float, speed: float) -> Iterator[None]:
    """Watch the answers to what is asked in here, those to repeated requests together, also while they are read later.

    Args:
        seconds: That all of it may be waited for. What comes later is a read timeout of the client.
        speed: Bytes in a second: for so many a second more.

    Who is watched already with less patience stays so.
    """
    _watch_answers()
    outer = _watched.get()
    token = _watched.set(outer if outer is not None and outer.left <= seconds else _Patience(seconds, speed))
    try:
        yield
    finally:
        _watched.reset(token)


class _Answer(io.RawIOBase):
    """The bytes of an answer, as long as there is patience for them."""

    def __init__(self, raw: io.RawIOBase, connection: socket, patience: _Patience) -> None:
        self._raw, self._connection, self._patience = raw, connection, patience

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._raw.fileno()

    def readinto(self, buffer: Any) -> int | None:
        patience, usual = self._patience, self._connection.gettimeout()
        if (left := patience.left) <= 0:
            raise TimeoutError("the answer comes too slowly")
        self._connection.settimeout(left if usual is None else min(left, usual))
        began = time.monotonic()
        try:
            count = self._raw.readinto(buffer)
        finally:
            patience.waited += time.monotonic() - began
            self._connection.settimeout(usual)
        patience.received += count or 0
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


@functools.cache
def _watch_answers() -> None:
    """Let the connections of this process give answers that are watched where somebody says so."""
    from urllib3.connection import HTTPConnection

    HTTPConnection.response_class = _watching(HTTPConnection.response_class)


def _watching(kind: type[HTTPResponse]) -> type[HTTPResponse]:
    class Watched(kind):
        def __init__(self, sock: socket, *given: Any, **named: Any) -> None:
            super().__init__(sock, *given, **named)
            if (patience := _watched.get()) is not None:
                self.fp = io.BufferedReader(_Answer(self.fp.detach(), sock, patience))

    return Watched
