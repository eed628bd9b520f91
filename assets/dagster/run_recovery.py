"""Dagster runs whose process is gone (kill -9, a power cut, a lost machine): nobody else would ever report that they ended.

A run's process says where it lives and, while it works, that it does (its heartbeat). On the same machine the process itself is
looked at: the moment it started distinguishes it from another one that has its number now. Of other machines, the heartbeat
counts.
"""

import json
import os
import socket
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

import dagster as dg

from assay.assets.dagster.jobs import HIDDEN, hidden_tag, tables_of
from assay.lineage.events.process import look_at

PROCESS_TAG = f"{HIDDEN}assay.process"  # on a run: host, process and its start
UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]
_LAUNCHED = (dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED)
BEAT_SECONDS = 15
HEARTBEATS = "assay/heartbeat/"  # before the run's id: the key of its last heartbeat
SILENT_SECONDS = 300  # without a heartbeat a process elsewhere counts as gone
GONE = "Its process is gone. What it had published stays; it is requested again."


def process_tag() -> str:
    """This process: its host, its id and when it started, in clock ticks since the machine's start; nothing for what the system
    does not tell."""
    seen = look_at(os.getpid())
    return f"{socket.gethostname()}:{os.getpid()}:{seen[1] if seen else ''}"


def has_ended(process: str) -> bool:
    """Whether a process that `process_tag` named is known to be gone. Of those of other machines nothing is known."""
    host, _, own = process.partition(":")
    return host == socket.gethostname() and not _alive(own)


@contextmanager
def beating(instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """Heartbeats of a run while the block works."""
    stopped = threading.Event()

    def beat() -> None:
        with suppress(Exception):  # storage that is down now: the next one counts
            value = json.dumps({"process": process_tag(), "at": datetime.now(UTC).timestamp()})
            instance.daemon_cursor_storage.set_cursor_values({_key(run_id): value})

    def go_on() -> None:
        while not stopped.wait(BEAT_SECONDS):
            beat()

    beat()
    thread = threading.Thread(target=go_on, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def end_killed_runs(instance: dg.DagsterInstance, tables: Collection[str] = ()) -> None:
    """Report runs as failed whose process is gone; of runs that make `tables` only, also those that were started and never
    reported where. Other people's runs say nothing, and may take their time."""
    now = datetime.now(UTC).timestamp()
    for run in instance.get_runs(dg.RunsFilter(statuses=UNFINISHED)):
        makes = set(tables_of(run))
        if _is_gone(instance, run, now, ours=bool(makes) and makes <= set(tables)):
            instance.report_run_failed(run, GONE)


def _is_gone(instance: dg.DagsterInstance, run: dg.DagsterRun, now: float, *, ours: bool) -> bool:
    kept = instance.daemon_cursor_storage.get_cursor_values({_key(run.run_id)}).get(_key(run.run_id))
    beat = json.loads(kept) if kept else {}
    process = beat.get("process") or hidden_tag(run, PROCESS_TAG)
    host, _, own = process.partition(":")
    if host and host == socket.gethostname():
        return not _alive(own)
    if beat:
        return now - beat["at"] > SILENT_SECONDS
    record = instance.get_run_record_by_id(run.run_id)
    began = record.start_time or record.create_timestamp.timestamp() if record else now
    if record and not host and ours and run.status in _LAUNCHED:  # it was killed before its first heartbeat
        return now - max(began, record.update_timestamp.timestamp()) > SILENT_SECONDS
    return bool(host) and now - began > SILENT_SECONDS


def is_over(instance: dg.DagsterInstance) -> Callable[[str], bool]:
    """Tells of a run by its id whether it has ended: none of its steps goes on then."""

    def ended(run_id: str) -> bool:
        run = instance.get_run_by_id(run_id)
        return run is not None and run.is_finished

    return ended


def _key(run_id: str) -> str:
    return f"{HEARTBEATS}{run_id}"


def _alive(process: str) -> bool:
    """Whether a process of this machine (`number:start`) goes on, and not another one with its number. One that was killed keeps
    its number until its parent has looked, which may be never: it does not go on."""
    number, _, started = process.partition(":")
    try:
        os.kill(int(number), 0)
    except (ProcessLookupError, OverflowError, ValueError):
        return False
    except PermissionError:
        pass
    seen = look_at(int(number))
    return seen is None or (seen[0] and started in (str(seen[1]), ""))
