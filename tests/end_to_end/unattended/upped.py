"""`assay up` over the place for a while: the real web server, daemon and code server, and one of them killed."""

import os
import random
import signal
import time
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tests.served import Served, can_be_bound, none_left, processes_of

MARK = "SOAK_UP"
BACKFILL = """mutation { launchPartitionBackfill(backfillParams: {assetSelection: [%s], partitionNames: [%s]})
    { __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
RUNNING = "{ runsOrError(filter: {statuses: [STARTED]}) { ... on Runs { results { runId } } } }"
TABLES = [
    f"{kind}/{source}" for source in ("orders", "payments") for kind in ("raw", "clean", "quarantine", "profiles")
]


class Upped:
    """`assay up`, found among all processes by a mark in its environment."""

    def __init__(self, place: Any, chance: random.Random) -> None:
        self.mark, self.chance = uuid.uuid4().hex, chance
        self.served = Served(
            replace(place, settings={**place.settings, MARK: self.mark}), place.folder.parent / "up.log"
        )

    def until_killed(self, what: str, days: Sequence[str]) -> None:
        """Backfill some days from the UI, wait until a run works, and kill `all` of it, its `daemon`, or a `worker`."""
        self._backfill(days)
        self._until(lambda: bool(self.served.graphql(RUNNING)["runsOrError"]["results"]), 120, "no run started")
        time.sleep(self.chance.uniform(0, 2))
        if what == "worker":
            self._kill("spawn_main")
            time.sleep(self.chance.uniform(2, 6))  # Dagster's own server sees it
        if what == "daemon":
            self._kill("dagster._daemon run")
        else:
            self.served.process.send_signal(signal.SIGKILL if what == "all" else signal.SIGTERM)
        self.served.process.wait(60)
        left = none_left(self.mark, 60)
        assert left == {}, f"processes outlive `assay up`: {left}"
        assert can_be_bound(self.served.port), "its port is still taken"

    def _backfill(self, days: Sequence[str]) -> None:
        keys = ", ".join('{{path: ["{}", "{}"]}}'.format(*table.split("/")) for table in TABLES)
        answer = self.served.graphql(BACKFILL % (keys, ", ".join(f'"{day}"' for day in days)))
        found = answer["launchPartitionBackfill"]
        assert found["__typename"] == "LaunchBackfillSuccess", found

    def _kill(self, command: str) -> None:
        found = [pid for pid, line in processes_of(self.mark).items() if command in line]
        assert found, f"no {command} among {processes_of(self.mark)}"
        os.kill(self.chance.choice(found), signal.SIGKILL)

    def _until(self, done: Any, seconds: float, problem: str) -> None:
        ends = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < ends, f"{problem}: {self.served.log.read_text()[-3000:]}"
            time.sleep(0.2)
