"""Programs as processes of their own that need not import everything again: they are forked by `zygote.py`."""

import atexit
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[1]

# What a project with embeddings and a classifier imports, too.
MODELS = ("sklearn.linear_model", "sklearn.pipeline", "torch", "sentence_transformers")


@dataclass(frozen=True)
class Ended:
    """A program that has ended: its exit code (a signal is a negative one), and what it printed."""

    code: int
    out: str
    err: str


class Zygote:
    """The process that others are forked from. It ends with this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control, other = socket.socketpair()
        with other:
            self.process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("zygote.py")), str(other.fileno())],
                # What libraries look for when they are imported, which is before a program has its own environment.
                env=os.environ | {"OMP_NUM_THREADS": "1"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[other.fileno()],
                start_new_session=True,
            )

    def run(
        self,
        command: Sequence[str],
        *,
        folder: Path,
        environment: Mapping[str, str],
        merged: bool = False,
        given: bytes = b"",
        imports: Sequence[str] = (),
    ) -> Ended:
        """See `run`."""
        request = {
            "command": list(command),
            "folder": str(folder),
            "environment": dict(environment),
            "imports": list(imports),
        }
        reading, writing = os.pipe()
        with (
            tempfile.TemporaryFile() as stdin,
            tempfile.TemporaryFile() as out,
            tempfile.TemporaryFile() as err,
            os.fdopen(reading, "rb") as answer,
        ):
            stdin.write(given)
            stdin.seek(0)
            files = [stdin.fileno(), out.fileno(), (out if merged else err).fileno(), writing]
            try:
                with self._lock:
                    self._send(json.dumps(request).encode() + b"\n", files)
            finally:
                os.close(writing)
            code = answer.read()
            if not code:
                raise RuntimeError(f"No process was forked for {command}: standard error says why.")
            return Ended(int(code), _read(out), _read(err))

    def _send(self, content: bytes, files: list[int]) -> None:
        sent = socket.send_fds(self._control, [content], files)
        self._control.sendall(content[sent:])

    def close(self) -> None:
        self._control.close()
        self.process.wait(60)


def _read(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


@cache
def zygote() -> Zygote:
    """The one of this process, started when it is first needed."""
    made = Zygote()
    atexit.register(made.close)
    return made


def run_forked(
    *command: str, folder: Path = ROOT, environment: Mapping[str, str] | None = None, **options: Any
) -> Ended:
    """`assay ARGUMENTS…`, `-c CODE ARGUMENTS…` or `FILE ARGUMENTS…`, to its end, in this or another environment.

    `merged=True`: standard error is printed where standard output is. `given=b"…"`: standard input. `imports=(…)`: modules that
    this program and later ones need."""
    return zygote().run(
        command, folder=folder, environment=os.environ if environment is None else environment, **options
    )
