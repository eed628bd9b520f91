"""A database that takes a login and then answers nothing, such as a pooler without a server behind it: drivers know a timeout
for the login alone."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event


@contextmanager
def first_answer_within(engine: sa.Engine, seconds: float) -> Iterator[None]:
    """End a connection that is made in here and whose server does not answer SQLAlchemy's own first questions by then. The
    driver raises that it was lost. Connections without a socket of their own are left alone.

    Args:
        engine: Makes the connection.
        seconds: After the login.
    """
    watches: list[tuple[threading.Timer, socket.socket]] = []

    def watch(connection: Any, record: object) -> None:
        del record
        if hasattr(connection, "fileno"):
            same = socket.socket(fileno=os.dup(connection.fileno()))
            timer = threading.Timer(seconds, _end, [same])
            timer.daemon = True
            watches.append((timer, same))
            timer.start()

    event.listen(engine, "connect", watch, insert=True)  # before SQLAlchemy asks
    try:
        yield
    finally:
        for timer, same in watches:
            timer.cancel()
            timer.join()
            same.close()
        event.remove(engine, "connect", watch)


def _end(connection: socket.socket) -> None:
    with suppress(OSError):  # it is closed
        connection.shutdown(socket.SHUT_RDWR)
