"""The index made anew from the stored events, as after a migration that emptied it.

In batches, each a short transaction of its own: others write in between, and whoever is killed in the middle goes on at the next
opening. What is left to read stands in the store (`unread`); until it is gone, nobody reads the index.
"""

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import sqlalchemy as sa

from assay.errors import AssayError
from assay.lineage.store.index_writer import index
from assay.lineage.store.parse_event import EventFacts, read_event
from assay.lineage.store.schema import datasets, events, jobs, unread
from assay.lineage.store.uncollected import uncollected

BATCH = 500  # events in a transaction: others want to write, too
TELL_SECONDS = 5.0  # between two lines about how far it is

_log = logging.getLogger("assay.lineage")


def mark_unread(connection: sa.Connection) -> None:
    """Note that the stored events are to be read, where there are some and the index is empty."""
    known = any(connection.scalar(sa.select(table.c.id).limit(1)) for table in (jobs, datasets))
    last = None if known else connection.scalar(sa.select(sa.func.max(events.c.id)))
    if last is not None and connection.scalar(sa.select(unread.c.until)) is None:
        connection.execute(sa.insert(unread), {"until": last, "done": 0})


def read_again(
    reading: Callable[[], AbstractContextManager[sa.Connection]],
    writing: Callable[[], AbstractContextManager[sa.Connection]],
) -> None:
    """Read what is left to read, beside others who may do the same. Says in the log how far it is."""
    told, begun = time.monotonic(), False
    while True:
        with reading() as connection:
            left = connection.execute(sa.select(unread.c.done, unread.c.until)).one_or_none()
            if left is None:
                if begun:
                    _log.warning("The lineage index is whole again.")
                return
            batch = _next(connection, left.done, left.until)
            if not begun or time.monotonic() - told >= TELL_SECONDS:
                _tell(connection, left.done)
                told, begun = time.monotonic(), True
        with writing() as connection:
            now = connection.scalar(sa.select(unread.c.done).with_for_update())
            if now != left.done:
                continue  # somebody else has read these
            if batch:
                index(connection, [(key, facts) for key, facts in batch if facts is not None])
                connection.execute(sa.update(unread).values(done=batch[-1][0]))
            else:
                connection.execute(sa.delete(unread))


@uncollected()
def _next(connection: sa.Connection, done: int, until: int) -> list[tuple[int, EventFacts | None]]:
    query = sa.select(events.c.id, events.c.body).where(events.c.id > done, events.c.id <= until)
    rows = connection.execute(query.order_by(events.c.id).limit(BATCH)).all()
    return [(key, _facts(bytes(body))) for key, body in rows]


def _facts(body: bytes) -> EventFacts | None:
    try:
        return read_event(body)
    except AssayError:  # accepted by an earlier, less strict version; it stays among the events
        return None


def _tell(connection: sa.Connection, done: int) -> None:
    count = sa.select(sa.func.count()).select_from(events)
    read, every = connection.scalar(count.where(events.c.id <= done)), connection.scalar(count)
    _log.warning("The lineage index is made anew from the stored events: %s of %s.", f"{read:,}", f"{every:,}")
