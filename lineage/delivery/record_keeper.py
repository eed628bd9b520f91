"""Keeps records of ended runs in the lake, without ever failing or delaying the work that they are of."""

import json
import logging
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from assay.features.storage.storage import Storage
from assay.lineage.delivery.run_records import RunRecord, keep_record, record_of
from assay.lineage.delivery.spool import Spool

SPOOL = "runs.spool.ndjson"
WAIT_SECONDS = 2.0  # for a lake that does not answer
PAUSE_SECONDS = 30.0  # after that, go straight to the spool for as long

_log = logging.getLogger("assay.lineage")


class RecordKeeper:
    """Writes to the lake; where that fails or takes long, to a file in `home`, from which `empty_spool` takes it later."""

    def __init__(self, storage: Storage, home: Path) -> None:
        self.storage = storage
        self.spool = Spool(home / SPOOL)
        self._complained = False
        self._paused_until = 0.0
        self._writer: threading.Thread | None = None

    def keep(self, record: RunRecord) -> None:
        """Never raises. On disk when this returns, here or there."""
        if time.monotonic() >= self._paused_until and not self._is_writing():
            problem = self._written(record)
            if problem is None:
                self._complained = False
                return
            self._paused_until = time.monotonic() + PAUSE_SECONDS
            self._complain(f"the lake takes none ({problem}); they go to {self.spool.path}")
        try:
            self.spool.append(_to_line(record))
        except OSError as error:
            _log.warning("The record of run %s is lost (%s).", record.run_id, type(error).__name__)

    def empty_spool(self) -> None:
        """Take up what could not be written to the lake. Raises what writing there raises."""
        self.spool.empty(self._take)

    def _take(self, lines: Sequence[bytes]) -> None:
        for line in lines:
            keep_record(self.storage, _from_line(line))

    def _complain(self, problem: str) -> None:
        """Once per outage."""
        if not self._complained:
            _log.warning("Records of runs that leave no commit: %s. The work goes on.", problem)
        self._complained = True

    def _is_writing(self) -> bool:
        return self._writer is not None and self._writer.is_alive()

    def _written(self, record: RunRecord) -> str | None:
        """What was the matter, or None. Whoever does not answer in time is left to a thread that nobody waits for."""
        problems: list[str] = []

        def write() -> None:
            try:
                keep_record(self.storage, record)
            except Exception as error:
                problems.append(type(error).__name__)

        self._writer = threading.Thread(target=write, name="assay-run-record", daemon=True)
        self._writer.start()
        self._writer.join(WAIT_SECONDS)
        return "no answer" if self._is_writing() else next(iter(problems), None)


def _to_line(record: RunRecord) -> bytes:
    return json.dumps([body.decode() for body in (record.start, record.end)]).encode()


def _from_line(line: bytes) -> RunRecord:
    start, end = json.loads(line)
    return record_of(start.encode(), end.encode())
