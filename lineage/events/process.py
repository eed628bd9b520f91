"""The process that does a piece of work, identified so that another one can later check whether it still runs.

A process id alone does not identify a process: ids are reused, and other machines and containers have the same ones. The
identity therefore includes the time of its start, and a digest of the machine's last start and its process-id namespace,
which does not reveal the machine's name. Known on Linux only; elsewhere there is no answer.
"""

import hashlib
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_ENDED = ("Z", "X")  # a zombie only waits for its parent to look


@dataclass(frozen=True, slots=True)
class Process:
    """`started` is in clock ticks since the machine's start."""

    machine: str
    pid: int
    started: int


def this_process() -> Process | None:
    """None where the system does not provide enough."""
    return _process(os.getpid())


def is_alive(process: Process | None) -> bool | None:
    """None where it cannot be known from here, such as of another machine's."""
    if process is None or process.machine != _machine():
        return None
    try:
        os.kill(process.pid, 0)  # signal 0 asks only
    except ProcessLookupError:
        return False
    except OSError:
        pass  # it is there and somebody else's
    found = look_at(process.pid)
    return None if found is None else found == (True, process.started)


def look_at(pid: int) -> tuple[bool, int] | None:
    """Whether a process goes on, and when it started, in clock ticks since the machine's start; None where it may not be looked
    at, or there is none."""
    try:
        content = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = content.rpartition(")")[2].split()  # after the name, which may hold anything
    return fields[0] not in _ENDED, int(fields[19])


@cache
def _process(pid: int) -> Process | None:
    machine, found = _machine(), look_at(pid)
    return Process(machine, pid, found[1]) if machine and found else None


@cache
def _machine() -> str:
    try:
        parts = Path("/proc/sys/kernel/random/boot_id").read_text(), str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]
