"""`kill -9` at random moments while each kind of upstream is read, then the same again: as if nothing had happened.

Between two rounds every upstream changes: files are added, replaced and taken away, rows of a PostgreSQL are changed and deleted,
records are sent, an API has more to tell. One lake is never disturbed; of the other each round is killed several times before it
comes to its end. After each round both have the same rows, and those are what is there.
"""

import os
import random
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import assay
from tests.conftest import ROOT, SOAK
from tests.end_to_end.killed_upstreams.world import DECLARED, Upstreams, contents, raw_now

KILLS = 200 if SOAK else 2
ROUNDS = 25 if SOAK else 2
SEED = int(os.environ.get("SOAK_SEED", random.randrange(10**6)))

pytestmark = pytest.mark.timeout(7200)


class Workers:
    """Processes that work on a home, forked from one that has imported everything."""

    def __init__(self, log: Path) -> None:
        self.log = log
        command = [sys.executable, "-m", "tests.end_to_end.killed_upstreams.world"]
        with log.open("w") as printed:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=printed, text=True, cwd=ROOT
            )

    def start(self, home: Path, *how: str) -> int:
        return self._ask(f"{home} {' '.join(how)}")

    def kill(self, after: float, home: Path, *how: str) -> float | None:
        """Let one work for so long. None, or after how many seconds it had come to its end."""
        child, begin = self.start(home, *how), time.monotonic()
        assert self.process.stdout is not None
        select.select([self.process.stdout], [], [], after)
        took = time.monotonic() - begin
        os.kill(child, signal.SIGKILL)
        assert self._number() == child
        ended = self._ask("")
        assert ended in (0, -signal.SIGKILL), self.log.read_text()[-4000:]
        return took if ended == 0 else None

    def finish(self, home: Path, *how: str) -> None:
        """Let one work to its end."""
        assert self.start(home, *how) == self._number()
        assert self._ask("") == 0, self.log.read_text()[-4000:]

    def _ask(self, line: str) -> int:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return self._number()

    def _number(self) -> int:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.log.read_text()[-4000:]
        return int(line)

    def close(self) -> None:
        self.process.communicate()


@pytest.fixture
def upstreams(tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Upstreams]:
    project = tmp_path / "project"
    (project / "killing").mkdir(parents=True)
    (project / "pyproject.toml").write_text('[tool.assay]\ndomains = ["killing"]\n')
    (project / "killing" / "__init__.py").touch()
    (project / "killing" / "things.py").write_text(DECLARED)
    monkeypatch.syspath_prepend(project)
    homes = [tmp_path / "undisturbed", tmp_path / "killed"]
    made = Upstreams(homes, postgres_url, random.Random(SEED))
    made.start()
    for name, value in {
        "ASSAY_PROJECT": str(project),
        "ASSAY_CONNECTIONS__ERP__URL": postgres_url,
        "KILLED_API": made.api,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(project)]),
    }.items():
        monkeypatch.setenv(name, value)
    yield made
    made.close()
    for name in [name for name in sys.modules if name.partition(".")[0] == "killing"]:
        del sys.modules[name]


@pytest.fixture
def workers(upstreams: Upstreams, tmp_path: Path) -> Iterator[Workers]:
    made = Workers(tmp_path / "workers.log")
    yield made
    made.close()


def test_a_lake_that_was_killed_again_and_again_is_that_of_an_undisturbed_one(
    upstreams: Upstreams, workers: Workers
) -> None:
    undisturbed, killed = upstreams.homes
    chance, caught, tries, begin = random.Random(f"kills {SEED}"), Counter[str](), 0, time.monotonic()
    how: list[str] = []
    print(f"SOAK_SEED={SEED}")
    for round_ in range(ROUNDS):
        upstreams.change()
        how = ["whole"] if upstreams.whole else []
        started = time.monotonic()
        workers.finish(undisturbed, *how)
        took = time.monotonic() - started
        while caught.total() < KILLS * (round_ + 1) / ROUNDS:
            by = "dagster" if chance.random() < 0.25 else "steps"
            ended = workers.kill(chance.uniform(0, took), killed, by, *how)
            caught[by] += ended is None
            took = ended or took  # what is done already is not done again
            tries += 1
            assert tries <= 10 * KILLS, "it is always done before it can be killed"
        workers.finish(killed, *how)
        assert contents(killed) == contents(undisturbed), round_
        print(f"round {round_ + 1}: {caught.total()} killed of {tries}, {time.monotonic() - begin:.0f} s", flush=True)
        for name, expected in upstreams.expected_raw().items():
            assert raw_now(killed, name) == expected, (round_, name)
        states = assay.open(home=killed).table("clean/states").current().collect()
        newest = upstreams.states[max(upstreams.states)]
        assert set(states["id"]) == {identity for identity, (_, amount) in newest.items() if amount >= 0}
    workers.finish(killed, *how)
    assert contents(killed) == contents(undisturbed), "nothing was left to do"
    print(f"{dict(caught)} killed of {tries} in {ROUNDS} rounds and {time.monotonic() - begin:.0f} s")
