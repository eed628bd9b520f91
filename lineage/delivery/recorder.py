"""The recorder at the seam of every transaction: turns work into lineage events and stores them.

Recording never raises into the work and never makes it wait for long. If the store is locked or broken, the event goes to
a spool file beside it, which is emptied into the store as soon as the store works again. What no commit describes is kept in the
lake, too, before it is stored here: the store can be made again from there.
"""

import json
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from assay.features.storage.storage import Storage
from assay.features.tables.lake import Lake
from assay.features.tables.run_record import RunResult, Work
from assay.lineage.delivery.record_keeper import RecordKeeper
from assay.lineage.delivery.run_records import RunRecord, find_record, record_of
from assay.lineage.delivery.spool import Spool
from assay.lineage.events.naming import LOGICAL
from assay.lineage.events.process import is_alive, this_process

if TYPE_CHECKING:  # the event and store libraries take a third of a second to import: only when something is recorded
    from assay.lineage.delivery.completeness import LaterCommit
    from assay.lineage.delivery.outbox import Drain
    from assay.lineage.store.lineage_store import LineageStore

SPOOL = "lineage.spool.ndjson"
QUIET_SECONDS = 60  # runs whose start or last commit is younger are not recovered: they may still be running
PAUSE_SECONDS = 5.0  # after the store failed, go straight to the spool for as long

_log = logging.getLogger("assay.lineage")


class EventRecorder:
    """Implements `assay.features.tables.run_record.Recorder` on a lineage store.

    `deployment` names this installation in job namespaces. With `forward_to` (a URL or a transport's configuration, see
    `assay.lineage.delivery.transport`), events are also delivered there, in the background, with the names of our tables
    and jobs under `namespace`. `lake` is where runs are kept that leave no commit (None: nowhere).
    """

    def __init__(
        self,
        store: "LineageStore",
        deployment: str = "assay",
        forward_to: str | None = None,
        *,
        namespace: str = LOGICAL,
        lake: Storage | None = None,
    ) -> None:
        self.store, self.deployment = store, deployment
        self._namespace = namespace
        self._forward_to = forward_to
        self._spool = Spool(store.home / SPOOL)
        self._keeper = RecordKeeper(lake, store.home) if lake is not None else None
        self._starts: dict[str, bytes] = {}  # of the runs that are in progress
        self._drain: Drain | None = None
        self._paused_until = 0.0
        self._complaints: set[str] = set()

    # -- the seam --------------------------------------------------------------------------------------------------

    def started(self, work: Work) -> None:
        body = self._made(lambda events: events.started(work, self.deployment, this_process()))
        if body is not None:
            self._starts[work.run.id] = body
            self._store(body)

    def finished(self, done: RunResult) -> None:
        self._ended(done, lambda events: events.finished(done, self.deployment))

    def failed(self, done: RunResult, error: BaseException) -> None:
        self._ended(done, lambda events: events.failed(done, error, self.deployment), failed=True)

    def _ended(self, done: RunResult, make: "Callable[[Any], dict[str, Any]]", *, failed: bool = False) -> None:
        body = self._made(make)
        if body is None:
            return
        start = self._starts.pop(done.work.run.id, b"")
        if failed or not done.in_commits:  # first in the lake: whoever is killed in between is found there by `recover`
            self._keep(start, body)
        self._store(body)

    # -- afterwards ------------------------------------------------------------------------------------------------

    def recover(
        self,
        lake: Lake,
        tables: Sequence[str] | None = None,
        *,
        quiet: timedelta = timedelta(seconds=QUIET_SECONDS),
        over: Callable[[str], bool] = lambda parent_id: False,
        abandoned: timedelta | None = None,
    ) -> list[str]:
        """End the runs that were killed before they could do so themselves. Returns their ids.

        Runs that published get a COMPLETE, made from their commits. Runs that published nothing get an ABORT, once their
        process has certainly ended. Where that cannot be known, as of another machine's process, they get one if the
        orchestrator's run that they were part of is `over`, or if they started longer than `abandoned` ago (None: never).
        With `tables`, only these are looked at, and no run is aborted. Of each table only the commits are looked at that came
        after the last one of which the end of its run was known.

        Runs whose start or last commit is younger than `quiet` are left alone. Raises what reading the tables and the store
        raises.
        """
        from assay.lineage.delivery.completeness import later_commits, read_marks, remember
        from assay.lineage.delivery.rebuild import ENDED, events_of, published, started_at

        self.empty_spool()  # it may hold terminal events
        self.empty_record_spool()
        now = datetime.now(UTC)
        # Looked for before the tables are read: what is gone now cannot publish any more after that.
        before = now - abandoned if abandoned is not None else datetime.min.replace(tzinfo=UTC)
        gone = {} if tables is not None else self._gone(now - quiet, before, over)
        later = later_commits(lake, lake.tables() if tables is None else tables, read_marks(self.store, lake))
        touched: dict[str, list[LaterCommit]] = defaultdict(list)
        for item in later:
            if item.run_id is not None:
                touched[item.run_id].append(item)
        states = self.store.states(touched)
        known, recovered = {identifier for identifier in touched if states.get(identifier) in ENDED}, []
        silent = {item.table for identifier, items in touched.items() if identifier not in known for item in items}
        for identifier, outputs in published(lake, sorted(silent)).runs.items() if silent else ():
            last = max(made.commit.timestamp for made in outputs)
            if identifier in touched and identifier not in known and last <= now - quiet:
                record = find_record(lake.storage, identifier, started_at(outputs))
                if record is None or record.presumed:
                    record = record_of(*events_of(outputs, self.deployment, recovered=True))
                    self._keep(record.start, record.end)  # no commit says that it was killed
                self._put(record.events(lake.storage))
                recovered.append(identifier)
        remember(self.store, lake, later, known.union(recovered))
        if any(item.commit is None for item in later):
            return recovered  # the damaged commits may belong to any of the runs
        for identifier, presumed in gone.items():
            if identifier in touched:
                continue
            record = find_record(lake.storage, identifier, presumed.started_at)
            if record is not None and not record.presumed:  # it was killed between its record and its event
                self._put(record.events(lake.storage))
            else:
                self._keep(presumed.start, presumed.end)
                # Not the only possible end: if the real terminal event arrives later, it is stored too, and replaces this one.
                self._put([presumed.end], once=False)
            recovered.append(identifier)
        return recovered

    def _gone(self, before: datetime, abandoned: datetime, over: Callable[[str], bool]) -> dict[str, RunRecord]:
        """Runs without an end, started `before`, that do not go on any more: with an ABORT, by their id."""
        from assay.lineage.events import events
        from assay.lineage.events.serialize import to_bytes

        found = {}
        for info in self.store.runs("START"):
            ours = info.namespace in events.namespaces(self.deployment)
            if not ours or info.started_at is None or info.started_at > before:
                continue
            start = next(item for item in self.store.events(info.id) if item.kind == "START")
            alive = is_alive(events.process_of(start.data))
            if alive is None:
                alive = info.started_at > abandoned and not (info.parent_id and over(info.parent_id))
            if not alive:
                found[info.id] = record_of(start.body, to_bytes(events.aborted(start.data)))
        return found

    def close(self) -> None:
        """Stop the background delivery and close the database; what waits stays in the outbox."""
        if self._drain is not None:
            self._drain.stop()
        self.store.close()

    # -- storing ---------------------------------------------------------------------------------------------------

    def _made(self, make: "Callable[[Any], dict[str, Any]]") -> bytes | None:
        """`make` gets the module `assay.lineage.events.events`, which is loaded with the first event."""
        try:
            from assay.lineage.events import events
            from assay.lineage.events.serialize import to_bytes

            return to_bytes(make(events))
        except Exception as error:  # never the work's problem
            self._complain("event", f"could not be made ({type(error).__name__}) and is lost")
            return None

    def _keep(self, start: bytes, end: bytes) -> None:
        """In the lake, what no commit describes."""
        if self._keeper is not None:
            self._keeper.keep(record_of(start, end))

    def _store(self, body: bytes) -> None:
        try:
            if time.monotonic() >= self._paused_until:
                self.empty_spool()
                self._put([body])
                self._complaints -= {"store", "spool"}
                if self._forward_to is not None:
                    self._deliver(self._forward_to)
                return
        except Exception as error:  # locked, full, damaged, unreachable: never the work's problem
            self._paused_until = time.monotonic() + PAUSE_SECONDS
            self._complain("store", f"is not written ({type(error).__name__}); events go to {self._spool.path}")
        try:
            self._spool.append(body)
        except OSError as error:
            self._complain("spool", f"is not written either ({type(error).__name__}); events are lost")

    def empty_spool(self) -> None:
        """Take up what was written beside the store while it was away. Raises what the store raises."""
        self._spool.empty(self._put)

    def empty_record_spool(self) -> None:
        """Take up what was kept here while the lake was away. Raises what the lake raises."""
        if self._keeper is not None:
            self._keeper.empty_spool()

    def _put(self, bodies: Sequence[bytes], *, once: bool = True) -> None:
        self.store.put_all(bodies, once=once, forward=self._forward_to is not None)

    def _deliver(self, target: str) -> None:
        try:
            if self._drain is None:
                from assay.lineage.delivery.outbox import Drain

                self._drain = Drain(self.store, target, namespace=self._namespace)
                self._drain.start()
            self._drain.wake()
        except Exception as error:  # an invalid URL, no thread available: the events wait in the outbox
            self._complain("delivery", f"does not start ({type(error).__name__}); events wait in the outbox")

    def _complain(self, what: str, problem: str) -> None:
        """Once per outage: a night without the store must not fill the log."""
        if what not in self._complaints:
            _log.warning("The lineage %s %s. The work goes on.", what, problem)
        self._complaints.add(what)


def run_id(parent_id: str, step: str, partition: str | None, started_at: datetime, attempt: int = 0) -> str:
    """A run's UUID: the same for the same (orchestrator run, step, partition, attempt) however often it is asked for.

    `started_at` is the recorded start of the orchestrator's run. A retry is another run: it has its own terminal event.
    """
    from openlineage.client.uuid import generate_static_uuid

    return str(generate_static_uuid(started_at, json.dumps([parent_id, step, partition, attempt]).encode()))
