"""A wish to stop (Ctrl-C): the step that runs is finished and commits; no other one begins.

The work is done in a thread: in the main one, Dagster takes Ctrl-C for itself and interrupts the step in its middle.
"""

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import TypeVar

T = TypeVar("T")

REQUESTED = threading.Event()


def finish_gently(work: Callable[[], T], heard: Callable[[], None] = lambda: None) -> T:
    """What the work gives. Meanwhile the first Ctrl-C sets REQUESTED and calls `heard`; the second one interrupts as always."""
    done: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(work())
        except BaseException as problem:
            failed.append(problem)

    def on_interrupt(signum: int, frame: FrameType | None) -> None:
        if REQUESTED.is_set():
            signal.default_int_handler(signum, frame)
        REQUESTED.set()
        heard()

    before = signal.signal(signal.SIGINT, on_interrupt)
    thread = threading.Thread(target=run, name="work", daemon=True)
    try:
        thread.start()
        thread.join()
    finally:
        signal.signal(signal.SIGINT, before)
        REQUESTED.clear()
    if failed:
        raise failed[0]
    return done[0]
