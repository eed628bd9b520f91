"""Dagster runs whose process was killed (kill -9, a power cut): nobody else would ever say that they have ended."""

import os
import socket
from collections.abc import Callable

import dagster as dg

PROCESS_TAG = "assay/process"  # on a run: host and process that executes it
UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


def process_tag() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def end_killed_runs(instance: dg.DagsterInstance) -> None:
    """Report runs as failed that say they are being executed by a process of this host that is not there any more."""
    for run in instance.get_runs(dg.RunsFilter(statuses=UNFINISHED)):
        host, _, process = run.tags.get(PROCESS_TAG, "").rpartition(":")
        if host == socket.gethostname() and not _alive(int(process)):
            instance.report_run_failed(run, "Its process was killed. What it had published stays; run it again.")


def is_over(instance: dg.DagsterInstance) -> Callable[[str], bool]:
    """Tells of a run by its id whether it has ended: none of its steps goes on then."""

    def ended(run_id: str) -> bool:
        run = instance.get_run_by_id(run_id)
        return run is not None and run.is_finished

    return ended


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
