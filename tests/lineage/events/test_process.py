import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from assay.lineage.events.process import Process, is_alive, this_process

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is claimed of processes")

SELF = (
    "import sys; from assay.lineage.events.process import this_process as p; print(p().pid, p().started, p().machine); "
)


@pytest.fixture
def child() -> Iterator[subprocess.Popen[str]]:
    made = subprocess.Popen(
        [sys.executable, "-c", SELF + "sys.stdout.flush(); sys.stdin.read()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    yield made
    made.kill()
    made.communicate()


def named_by(child: subprocess.Popen[str]) -> Process:
    assert child.stdout is not None
    pid, started, machine = child.stdout.readline().split()
    return Process(machine, int(pid), int(started))


def test_a_process_is_there_until_it_is_killed(child: subprocess.Popen[str]) -> None:
    process = named_by(child)
    assert process.pid == child.pid
    assert is_alive(process)
    child.kill()
    child.wait()
    assert is_alive(process) is False


def test_a_killed_process_that_nobody_has_looked_after_is_gone(child: subprocess.Popen[str]) -> None:
    process = named_by(child)
    child.kill()
    assert child.stdout is not None
    child.stdout.read()  # to the end: it is dead, and still has its number
    for _ in range(1000):
        if is_alive(process) is False:
            return
        time.sleep(0.01)
    pytest.fail("a zombie counts as alive")


def test_a_number_that_is_used_again_is_another_process() -> None:
    process = this_process()
    assert process is not None
    assert is_alive(process)
    assert is_alive(replace(process, started=process.started - 1)) is False


def test_of_another_machine_nothing_is_known() -> None:
    process = this_process()
    assert process is not None
    assert is_alive(replace(process, machine="0" * 32)) is None
    assert is_alive(None) is None
