"""`python tests/zygote.py NUMBER`: a process that has imported what Assay needs, and forks for each program of a test.

To import everything takes Python seconds, to fork a hundredth of one. In all else a program is a process of its own, with a
folder, an environment, standard files and an exit code. Nothing is computed before a fork, and imports start no thread that a
program would miss (`tests/test_forked.py`).

Requests come over the socket of that number, each a line of JSON with four files: standard input, output and error, and one
for the exit code. Where the socket is closed, the tests are over, and with them everything that was forked.
"""

import gc
import importlib
import json
import os
import runpy
import signal
import socket
import sys
import time
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

IMPORTS = (
    "alembic.command",
    "dagster",
    "deltalake",
    "pandera.polars",
    "polars",
    "psycopg",
    "rich.table",
    "assay",
    "assay.cli.lake",
    "assay.cli.lineage",
    "assay.cli.pipeline",
    "assay.cli.status",
    "assay.assets.dagster.materialize",
    "assay.assets.dagster.to_dagster",
    "assay.lineage.delivery.recorder",
    "assay.lineage.events.events",
    "assay.lineage.store.lineage_store",
)


def serve(control: socket.socket) -> Callable[[], Any]:
    """Fork until the end; in the process that was forked, what it is to do."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system forgets those that have ended
    while True:
        request, files = _receive(control)
        _import(request["imports"])
        if os.fork() == 0:
            control.close()
            _keep(files)
            return _program(request)
        for file in files:
            os.close(file)


def _import(names: Sequence[str]) -> None:
    """Import modules, whose objects stay: no program has to look through them for garbage, which would copy all of them."""
    gc.disable()
    for name in names:
        importlib.import_module(name)
    gc.enable()
    gc.freeze()


def _receive(control: socket.socket) -> tuple[Mapping[str, Any], Sequence[int]]:
    content, files, _, _ = socket.recv_fds(control, 1 << 16, 4)
    while content and not content.endswith(b"\n"):
        content += control.recv(1 << 16)
    if not content:
        os.killpg(0, signal.SIGKILL)
    return json.loads(content), files


def _keep(files: Sequence[int]) -> None:
    """Fork the program itself, which comes back from here, and report the exit code: a signal is a negative one."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    program = os.fork()
    if program == 0:
        for number, file in enumerate(files[:3]):
            os.dup2(file, number)
        for file in files:
            os.close(file)
        return
    for file in files[:3]:
        os.close(file)
    _, status = os.waitpid(program, 0)
    os.write(files[3], f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _program(request: Mapping[str, Any]) -> Callable[[], Any]:
    """What `assay ARGUMENTS…`, `python -c CODE ARGUMENTS…` or `python FILE ARGUMENTS…` does."""
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()
    os.chdir(request["folder"])
    what, *arguments = request["command"]
    first = {"assay": str(Path(sys.executable).parent), "-c": ""}.get(what, str(Path(what).parent))
    own = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path and path not in sys.path]
    sys.path[:1] = [first, *own]
    if what == "assay":
        from assay.cli import main

        sys.argv = [str(Path(sys.executable).with_name("assay")), *arguments]
        return main
    if what != "-c":
        sys.argv = [what, *arguments]
        return lambda: runpy.run_path(what, run_name="__main__")
    code, *arguments = arguments
    sys.argv = ["-c", *arguments]
    sys.modules["__main__"] = module = types.ModuleType("__main__")
    return lambda: exec(compile(code, "<string>", "exec"), vars(module))


if __name__ == "__main__":
    # Not this folder: its `assay`, which are tests, would be found before what is installed.
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    _import(IMPORTS)
    serve(socket.socket(fileno=int(sys.argv[1])))()
