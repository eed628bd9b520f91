"""`python -m tests.end_to_end.unattended.zygote SOCKET`: a process that has loaded Dagster and the project, and forks.

Each connection asks for one process, as a line of JSON: `{"role": "run" | "daemon" | "undisturbed", …}`. It is answered with
the process's number, at its end with the exit code, and with nothing where it was killed. So a process that is killed costs
a tenth of a second, and not the five that Python needs to import everything.
"""

import json
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from tests.end_to_end.unattended import roles


def serve(path: str) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system forgets children that have ended
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen(64)
        while True:
            client, _ = server.accept()
            if os.fork() == 0:
                server.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _become(client)
            client.close()


def _become(client: socket.socket) -> None:
    code = 70
    wanted: Mapping[str, Any] = {"role": "nothing"}
    try:
        with client.makefile() as lines:
            wanted = json.loads(lines.readline())
        client.sendall(f"{os.getpid()}\n".encode())
        if wanted.get("dies_after") is not None:
            # As a kill -9: the system ends the process, which has no say in it.
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, wanted["dies_after"])
        code = roles.ROLES[wanted["role"]](wanted)
    except BaseException:
        traceback.print_exc()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(f"{wanted['role']} ended: {time.process_time():.2f} CPU s", flush=True)
        with suppress(OSError):
            client.sendall(f"{code}\n".encode())
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve(sys.argv[1])
