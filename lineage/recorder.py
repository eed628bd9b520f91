"""The recorder at the seam of every transaction: turns work into lineage events and stores them.

Recording never raises into the work and never makes it wait for long. If the store is locked or broken, the event goes to
a spool file beside it, which is emptied into the store as soon as the store works again.
"""

import json
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from assay.features.commits import Commit
from assay.features.lake import Lake
from assay.features.snapshot import Snapshot
from assay.features.work import Done, Work
from assay.lineage.spool import Spool

if TYPE_CHECKING:  # the event and store libraries take a third of a second to import: only when something is recorded
    from openlineage.client.event_v2 import RunEvent

    from assay.lineage.outbox import Drain
    from assay.lineage.store import LineageStore

SPOOL = "lineage.spool.ndjson"
PAUSE_SECONDS = 5.0  # after the store failed, go straight to the spool for as long

_log = logging.getLogger("assay.lineage")


class EventRecorder:
    """Implements `assay.features.work.Recorder` on a lineage store.

    `deployment` names this installation in job namespaces. With `forward_url`, events are also delivered to that
    OpenLineage endpoint, in the background.
    """

    def __init__(self, store: "LineageStore", deployment: str = "assay", forward_url: str | None = None) -> None:
        self.store, self.deployment = store, deployment
        self._forward_url = forward_url
        self._spool = Spool(store.home / SPOOL)
        self._drain: Drain | None = None
        self._paused_until = 0.0
        self._complaints: set[str] = set()

    # -- the seam --------------------------------------------------------------------------------------------------

    def started(self, work: Work) -> None:
        self._record(lambda events: events.started(work, self.deployment))

    def finished(self, done: Done) -> None:
        self._record(lambda events: events.finished(done, self.deployment))

    def failed(self, done: Done, error: BaseException) -> None:
        self._record(lambda events: events.failed(done, error, self.deployment))

    # -- afterwards ------------------------------------------------------------------------------------------------

    def recover(
        self, lake: Lake, tables: Sequence[str] | None = None, *, quiet: timedelta = timedelta(minutes=10)
    ) -> list[str]:
        """Complete the runs that published but were killed before they could say so: their COMPLETE event is made from
        their commits. Returns their ids.

        Runs whose last commit is younger than `quiet` are left alone; they may be about to tell it themselves. Raises what
        reading the tables and the store raises.
        """
        from assay.lineage import events

        known, before = self.store.ended(), datetime.now(UTC) - quiet
        recovered = []
        for identifier, commits in _commits_by_run(lake, lake.tables() if tables is None else tables).items():
            if identifier in known or max(commit.timestamp for commit in commits) > before:
                continue
            done = events.done_from_commits([_published(lake, commit) for commit in commits])
            bodies = [
                events.to_bytes(events.started(done.work, self.deployment)),
                events.to_bytes(events.finished(done, self.deployment, recovered=True)),
            ]
            self.store.put_all(bodies, once=True, forward=self._forward_url is not None)
            recovered.append(identifier)
        return recovered

    def close(self) -> None:
        """Stop the background delivery and close the database; what waits stays in the outbox."""
        if self._drain is not None:
            self._drain.stop()
        self.store.close()

    # -- storing ---------------------------------------------------------------------------------------------------

    def _record(self, make: "Callable[[Any], RunEvent]") -> None:
        """`make` gets the module `assay.lineage.events`, which is loaded with the first event."""
        try:
            from assay.lineage import events

            body = events.to_bytes(make(events))
        except Exception as error:  # whatever it is, it is ours to keep
            self._complain("event", f"could not be made ({type(error).__name__}) and is lost")
            return
        try:
            if time.monotonic() >= self._paused_until:
                self._store(body)
                if self._forward_url is not None:
                    self._deliver(self._forward_url)
                return
        except Exception as error:  # locked, full, damaged, unreachable: never the work's problem
            self._paused_until = time.monotonic() + PAUSE_SECONDS
            self._complain("store", f"is not written ({type(error).__name__}); events go to {self._spool.path}")
        try:
            self._spool.append(body)
        except OSError as error:
            self._complain("spool", f"is not written either ({type(error).__name__}); events are lost")

    def _store(self, body: bytes) -> None:
        forward = self._forward_url is not None
        self._spool.empty(lambda waiting: self.store.put_all(waiting, once=True, forward=forward))
        self.store.put(body, once=True, forward=forward)
        self._complaints -= {"store", "spool"}

    def _deliver(self, url: str) -> None:
        try:
            if self._drain is None:
                from assay.lineage.outbox import Drain

                self._drain = Drain(self.store, url)
                self._drain.start()
            self._drain.wake()
        except Exception as error:  # a URL that is none, no thread to be had: the events wait in the outbox
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


def _commits_by_run(lake: Lake, tables: Iterable[str]) -> dict[str, list[Commit]]:
    """Every run that left commits in these tables, with all of them."""
    found: dict[str, list[Commit]] = {}
    for name in tables:
        for commit in lake.table(name).history():
            if commit.run_id is not None and commit.rows is not None:
                found.setdefault(commit.run_id, []).append(commit)
    return found


def _published(lake: Lake, commit: Commit) -> tuple[Snapshot, Commit, dict[str, str]]:
    """A commit with the identity and the columns of the version that it made."""
    state = lake.table(commit.table).at(commit.version)
    return state.snapshot, commit, {column: str(dtype) for column, dtype in state.schema.items()}
