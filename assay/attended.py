"""`python -m assay.attended MODULE ARGUMENTS…`: a module as a program that ends with the process that started it.

Standard input is a pipe of which only the starter holds the other end, so its end is seen even after a kill -9. Whatever the
program started is in its process group and ends with it: no orphan goes on holding a port. A process of its own sees to that:
one that ended with the program could not stop what is slower to follow.
"""

import os
import runpy
import signal
import sys
import time
from contextlib import suppress

GRACE_SECONDS = 10


def _attend() -> None:
    for asked in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(asked, signal.SIG_IGN)
    while os.read(0, 1024):
        pass
    with suppress(ProcessLookupError):
        os.killpg(0, signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os.killpg(0, signal.SIGKILL)  # its own end, too


if __name__ == "__main__":
    if os.fork() == 0:
        _attend()
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
