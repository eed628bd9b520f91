"""Delivery of stored events to an OpenLineage backend: at least once, in order per run, never in anybody's way.

Events wait in the store, put there in the same transaction that stored them. Whoever drains takes one at a time under a
lease, so that several processes can drain at once and a killed one's event is taken up by the next.
"""

import logging
import random
import threading
import time
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from assay.lineage.delivery.alias import renamed
from assay.lineage.delivery.transport import Channel, NotSent
from assay.lineage.events.naming import LOGICAL
from assay.lineage.store.lineage_store import LineageStore
from assay.lineage.store.schema import events, outbox

_log = logging.getLogger("assay.lineage")


@dataclass(frozen=True, slots=True)
class Backlog:
    """`parked` events were refused by the endpoint and wait for a person; `oldest_seconds` is how long the oldest of the
    others has been waiting since it happened."""

    pending: int
    retrying: int
    parked: int
    oldest_seconds: float
    problem: str


@dataclass(frozen=True, slots=True)
class Delivered:
    sent: int
    parked: int
    failed: int


@dataclass(frozen=True, slots=True)
class _Claim:
    event_id: int
    attempts: int
    body: bytes


class Drain:
    """Sends what waits in the outbox, on request (`drain`) or in a daemon thread (`start`).

    `target` is a URL or a transport configuration, as for `transport.Channel`. `timeout` (seconds) is that
    of a URL; failures are tried again after `backoff`, doubled each time up to `longest` seconds. `namespace` is the one
    under which our own tables and jobs stand there.
    """

    def __init__(
        self,
        store: LineageStore,
        target: str,
        *,
        namespace: str = LOGICAL,
        timeout: float = 5.0,
        backoff: float = 0.5,
        longest: float = 60.0,
        idle: float = 1.0,
    ) -> None:
        self._store, self._idle, self._namespace = store, idle, namespace
        self._backoff, self._longest = backoff, longest
        self._channel = Channel(target, timeout)
        self._sending = threading.Lock()
        self._stop, self._wake = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    # -- on request ------------------------------------------------------------------------------------------------

    def drain(self, limit: int | None = None, deadline: float = 10.0) -> Delivered:
        """Send until nothing waits, `limit` events are sent, or `deadline` seconds have passed. Failures are tried again
        after their backoff, as far as the deadline allows."""
        end = time.monotonic() + deadline
        sent = parked = failed = 0
        while time.monotonic() < end and (limit is None or sent < limit):
            outcome = self._step()
            if outcome is None:
                wait = self._next_due()
                if wait is None or time.monotonic() + wait >= end:
                    break
                time.sleep(
                    min(max(wait, 0.02), 0.25)
                )  # with 0: somebody else is sending it, and is done soon, as a rule
                continue
            sent, parked, failed = (
                sent + (outcome == "sent"),
                parked + (outcome == "parked"),
                failed + (outcome == "failed"),
            )
        return Delivered(sent, parked, failed)

    # -- in the background -----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread, once. It dies with the process; what it did not send, the next process sends."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._loop, name="assay-lineage-outbox", daemon=True)
            self._thread.start()

    def wake(self) -> None:
        self._wake.set()

    def stop(self, timeout: float = 5.0) -> None:
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout)
        self._channel.close(timeout)

    def _loop(self) -> None:
        failures = 0
        while not self._stop.is_set():
            try:
                outcome = self._step()
            except Exception as error:  # the database is away: whatever it is, this thread must live on
                if failures == 0:
                    _log.warning("The lineage outbox cannot be read (%s). Trying again.", type(error).__name__)
                outcome = "failed"
            failures = failures + 1 if outcome == "failed" else 0
            if outcome is None:
                self._wake.wait(self._idle)
                self._wake.clear()
            elif outcome == "failed":
                # Not woken by new events: a struggling endpoint gets time to recover.
                self._stop.wait(self._delay(failures - 1))

    # -- one event -------------------------------------------------------------------------------------------------

    def _step(self) -> str | None:
        """Send the next event that is due. Returns what became of it, or None if there is none."""
        with self._sending:
            claim = self._claim()
            if claim is None:
                return None
            row = outbox.c.event_id == claim.event_id
            try:
                self._channel.send(renamed(claim.body, self._namespace))
            except NotSent as problem:
                change: dict[str, Any] = {"attempts": claim.attempts + 1, "problem": str(problem), "leased_until": 0.0}
                change |= {"parked": True} if problem.refused else {"due": time.time() + self._delay(claim.attempts)}
                with self._store.writing() as connection:
                    connection.execute(sa.update(outbox).where(row).values(change))
                return "parked" if problem.refused else "failed"
            with self._store.writing() as connection:
                connection.execute(sa.delete(outbox).where(row))
            return "sent"

    def _claim(self) -> _Claim | None:
        """Take the earliest event that is due, is nobody else's, and has no earlier one of its run before it."""
        now = time.time()
        earlier = outbox.alias()
        waits = sa.exists().where(
            earlier.c.lane == outbox.c.lane, earlier.c.event_id < outbox.c.event_id, earlier.c.parked.is_(False)
        )
        free = sa.and_(outbox.c.parked.is_(False), outbox.c.due <= now, outbox.c.leased_until <= now)
        query = (
            sa.select(outbox.c.event_id, outbox.c.attempts, events.c.body)
            .join(events, events.c.id == outbox.c.event_id)
            .where(free, ~waits)
            .order_by(outbox.c.event_id)
            .limit(1)
        )
        with self._store.reading() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            return None
        mine = sa.update(outbox).where(outbox.c.event_id == row.event_id, free)
        with self._store.writing() as connection:
            taken = connection.execute(mine.values(leased_until=now + self._channel.longest)).rowcount
        return _Claim(row.event_id, row.attempts, bytes(row.body)) if taken else self._claim()

    def _delay(self, attempts: int) -> float:
        """Exponential backoff with jitter, in seconds."""
        return random.uniform(0.5, 1.0) * min(self._longest, self._backoff * 2 ** min(attempts, 30))

    def _next_due(self) -> float | None:
        """Seconds until something is due (0: now), or None if nothing waits."""
        with self._store.reading() as connection:
            due = connection.scalar(sa.select(sa.func.min(outbox.c.due)).where(outbox.c.parked.is_(False)))
        return None if due is None else max(0.0, due - time.time())


def backlog(store: LineageStore) -> Backlog:
    """What waits for delivery: for `assay doctor`."""
    waiting = outbox.c.parked.is_(False)
    count = sa.func.count()
    with store.reading() as connection:
        pending = connection.scalar(sa.select(count).select_from(outbox).where(waiting)) or 0
        retrying = connection.scalar(sa.select(count).select_from(outbox).where(waiting, outbox.c.attempts > 0)) or 0
        parked = connection.scalar(sa.select(count).select_from(outbox).where(outbox.c.parked)) or 0
        joined = sa.select(sa.func.min(events.c.event_us)).join(outbox, outbox.c.event_id == events.c.id)
        oldest = connection.scalar(joined.where(waiting))
        latest = sa.select(outbox.c.problem).where(outbox.c.problem != "").order_by(outbox.c.event_id).limit(1)
        problem = connection.scalar(latest) or ""
    age = max(0.0, time.time() - oldest / 1e6) if oldest is not None else 0.0
    return Backlog(pending, retrying, parked, age, problem)


def retry_parked(store: LineageStore) -> int:
    """Queue parked events again, after the endpoint (or its version) was repaired. Returns how many."""
    with store.writing() as connection:
        change = {"parked": False, "attempts": 0, "due": 0.0, "problem": ""}
        return connection.execute(sa.update(outbox).where(outbox.c.parked).values(change)).rowcount
