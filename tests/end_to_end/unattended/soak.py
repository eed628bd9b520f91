"""Days of a lake that nobody attends, in which everything happens that happens to machines."""

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

from tests.conftest import ROOT
from tests.end_to_end.unattended import upstreams
from tests.end_to_end.unattended.forking import Forked, fork
from tests.end_to_end.unattended.outages import full_disk
from tests.end_to_end.unattended.upped import Upped

OUTAGE_SECONDS = 3.0
WORKERS_KILLED = 0.1  # of all runs
DAEMONS_KILLED = 0.15  # of all batches of days


class Zygote:
    """The process that all others are forked from. Its end is theirs."""

    def __init__(self, place: Any, log: Path) -> None:
        self.socket = str(place.folder.parent / "zygote")
        project = str(place.folder.parent / "project")
        path = os.pathsep.join([str(ROOT), project, os.environ.get("PYTHONPATH", "")])
        with log.open("w") as printed:
            self.process = self._start(place, path, printed)
        ends = time.monotonic() + 120
        while not Path(self.socket).exists():
            assert self.process.poll() is None, log.read_text()
            assert time.monotonic() < ends, log.read_text()
            time.sleep(0.05)

    def _start(self, place: Any, path: str, printed: Any) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, "-m", "assay.attended", "tests.end_to_end.unattended.zygote", self.socket],
            env={**place.environment, "PYTHONPATH": path, "POLARS_MAX_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=printed,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def fork(self, role: str, **wanted: Any) -> Forked:
        return fork(self.socket, role, socket=self.socket, **wanted)

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(60)


@dataclass(slots=True)
class Happened:
    """What a soak did to its lake."""

    days: int = 0
    daemons: int = 0
    daemons_killed: int = 0
    disk_full: int = 0
    database_down: int = 0
    ups: list[str] = field(default_factory=list)
    together: list[str] = field(default_factory=list)  # days that several asked for at once
    seconds: float = 0.0


class Soak:
    """A place, what is delivered to it, and what is done to it meanwhile."""

    def __init__(self, place: Any, made: upstreams.Plan, zygote: Zygote, database: Any, *, has_disk: bool) -> None:
        self.place, self.plan, self.zygote, self.database = place, made, zygote, database
        self.has_disk, self.chance = has_disk, random.Random(f"soak {made.seed}")
        self.sizes = self._batches()
        self.happened, self.outage = Happened(), place.folder.parent / "outage"

    def run(self, telling: Callable[[str], None], seconds: float) -> None:
        """All days, or those that begin within so many seconds."""
        begin, day = time.monotonic(), 0
        what = self._schedule(len(self.sizes))
        for number, size in enumerate(self.sizes):
            if time.monotonic() - begin > seconds:
                self.plan, self.sizes = self.plan.until(day), self.sizes[:number]
                break
            for item in (item for late in range(day, day + size) for item in self.plan.of(late)):
                item.to(self.place.home / "landing")
            day += size
            self._batch(what.get(number, ""), day, size)
            self.happened.days, self.happened.seconds = day, time.monotonic() - begin
            if number % max(1, len(self.sizes) // 40) == 0:
                telling(f"{self.happened.seconds:.0f} s: {self.happened}")
        self._settle(killed=0.0)
        time.sleep(1)
        assert self.zygote.fork("maintain").wait() == 0
        self.happened.seconds = time.monotonic() - begin

    def _batches(self) -> list[int]:
        """How many days come at once: mostly one or two, after a weekend more."""
        sizes, left = [], self.plan.days
        while left:
            sizes.append(
                min(left, self.chance.choice([1, 1, 2, 3, 4, upstreams.LONGEST_BATCH] if self.plan.days > 20 else [1]))
            )
            left -= sizes[-1]
        return sizes

    def _schedule(self, count: int) -> dict[int, str]:
        """In which batch what happens: of few days each outage once, of many again and again, and `assay up` as often as it is
        worth its time."""
        if count <= 20:
            return dict(enumerate(["up", "disk", "database", "together"], start=2))
        kinds = cycle(["disk", "database", "up worker", "together", "disk", "database", "up daemon", "together", "up"])
        return dict(zip(range(2, count, 6), kinds, strict=False))

    def _batch(self, kind: str, day: int, size: int) -> None:
        if kind.startswith("up"):
            days = [upstreams.day_of(number) for number in range(max(0, day - 8), day)]
            healthy = [one for one in days if one not in self.plan.spoiled][:2]
            Upped(self.place, self.chance).until_killed(kind.removeprefix("up").strip() or "all", healthy)
            self.happened.ups.append(kind)
        if kind == "together":
            self._together([upstreams.day_of(number) for number in range(day - size, day)])
        self._settle(WORKERS_KILLED, self._outage(kind))
        if self.chance.random() < 0.2:
            assert self.zygote.fork("maintain").wait() == 0

    def _together(self, days: Sequence[str]) -> None:
        """The same new days for the sensor's runs, for a backfill and for two commands, at about the same time. What was refused
        before is left out: it is reported again on request."""
        healthy = [day for day in days if day not in self.plan.spoiled]
        others = [
            self.zygote.fork(role, days=healthy, after=self.chance.uniform(0, 0.5))
            for role in (["command", "command", "backfill"] if healthy else [])
        ]
        self._settle(killed=0.0)
        assert [process.wait() for process in others] == [0] * len(others)
        self.happened.together += healthy

    def _settle(self, killed: float, trouble: AbstractContextManager[None] | None = None) -> None:
        """Let daemons work, of which some are killed, until there is nothing left to do."""
        ends = time.monotonic() + 600
        dies = self.chance.uniform(0.3, 5) if killed and self.chance.random() < DAEMONS_KILLED else None
        with trouble or nullcontext():
            daemon = self._daemon(killed, dies)
            if trouble is not None:
                time.sleep(OUTAGE_SECONDS)
        while (code := daemon.wait()) != 0:  # it was killed, or could not start: whoever keeps services starts it again
            self.happened.daemons_killed += code is None
            time.sleep(0.2)
            assert time.monotonic() < ends
            daemon = self._daemon(killed, None)

    def _daemon(self, killed: float, dies: float | None) -> Forked:
        self.happened.daemons += 1
        return self.zygote.fork("daemon", seed=self.plan.seed, killed=killed, outage=str(self.outage), dies_after=dies)

    def _outage(self, kind: str) -> AbstractContextManager[None] | None:
        if kind == "disk" and self.has_disk:
            self.happened.disk_full += 1
            return self._marked(full_disk(self.place.folder, self.chance.choice([0, 100_000, 400_000])))
        if kind == "database":
            self.happened.database_down += 1
            return self._marked(self._without_database())
        return None

    @contextmanager
    def _marked(self, trouble: AbstractContextManager[None]) -> Any:
        with trouble:
            self.outage.touch()
            yield
        self.outage.unlink()

    @contextmanager
    def _without_database(self) -> Any:
        self.database.stop()
        try:
            yield
        finally:
            self.database.start()


def prepare(folder: Path) -> None:
    """The project, and Dagster's configuration, in a folder with a place `disk`."""
    upstreams.declare(folder / "project")
    (folder / "disk" / "dagster").mkdir()
    shutil.copy(ROOT / "dagster_home" / "dagster.yaml", folder / "disk" / "dagster")
