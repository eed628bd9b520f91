"""`kill -9` at random moments while each kind of upstream is read, then the same again: as if nothing had happened.

Between two rounds every upstream changes: files are added, replaced and taken away, rows of a PostgreSQL are changed and deleted,
records are sent, an API has more to tell. One lake is never disturbed; of the other each round is killed several times before it
comes to its end. After each round both have the same rows, and those are what is there.
"""

import os
import random
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
from tests.end_to_end.killed_upstreams.world import DECLARED, Upstreams, contents, raw_now, work

KILLS = 200 if SOAK else 4
ROUNDS = 40 if SOAK else 2
SEED = int(os.environ.get("SOAK_SEED", random.randrange(10**6)))

pytestmark = pytest.mark.timeout(7200)


class Worker:
    """A process that works on a home when it is asked to."""

    def __init__(self, home: Path, *, whole: bool, through_dagster: bool = False) -> None:
        self.how = "dagster" if through_dagster else "steps"
        module = "tests.end_to_end.killed_upstreams.world"
        command = [sys.executable, "-m", module, str(home), self.how, *(["whole"] if whole else [])]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
        )

    def wait(self, line: str) -> None:
        assert self.process.stdout is not None
        read = self.process.stdout.readline().strip()
        assert read == line, self.process.communicate()[1][-4000:]

    def go(self) -> None:
        self.wait("ready")
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def kill(self, after: float) -> bool:
        """Let it work for so long. Whether it had not come to its end."""
        self.go()
        time.sleep(after)
        self.process.send_signal(signal.SIGKILL)
        printed, complaint = self.process.communicate()
        assert "Traceback" not in complaint, complaint[-4000:]
        return "done" not in printed

    def finish(self) -> float:
        """Let it work to its end. Returns the seconds."""
        self.go()
        begin = time.monotonic()
        self.wait("done")
        self.process.communicate()
        return time.monotonic() - begin


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


def test_a_lake_that_was_killed_again_and_again_is_that_of_an_undisturbed_one(upstreams: Upstreams) -> None:
    undisturbed, killed = upstreams.homes
    chance, took, caught = random.Random(f"kills {SEED}"), 2.0, Counter[str]()
    tries, begin = 0, time.monotonic()
    print(f"SOAK_SEED={SEED}")
    for round_ in range(ROUNDS):
        upstreams.change()
        work(undisturbed, whole=upstreams.whole)
        while sum(caught.values()) < KILLS * (round_ + 1) / ROUNDS:
            worker = Worker(killed, whole=upstreams.whole, through_dagster=chance.random() < 0.25)
            # The last kills of a round find little to do: most moments are early ones.
            caught[worker.how] += worker.kill(chance.uniform(0, took) * chance.random())
            tries += 1
            assert tries <= 5 * KILLS, "it is always done before it can be killed"
        took = max(0.2, Worker(killed, whole=upstreams.whole).finish())
        assert contents(killed) == contents(undisturbed), round_
        for name, expected in upstreams.expected_raw().items():
            assert raw_now(killed, name) == expected, (round_, name)
        states = assay.open(home=killed).table("clean/states").current().collect()
        newest = upstreams.states[max(upstreams.states)]
        assert set(states["id"]) == {identity for identity, (_, amount) in newest.items() if amount >= 0}
    Worker(killed, whole=upstreams.whole).finish()
    assert contents(killed) == contents(undisturbed), "nothing was left to do"
    print(f"{dict(caught)} killed of {tries} in {ROUNDS} rounds and {time.monotonic() - begin:.0f} s")
