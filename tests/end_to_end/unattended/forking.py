"""How a process is asked of the zygote."""

import json
import socket
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Forked:
    """A process, and the connection that lasts as long as it lives."""

    pid: int
    connection: socket.socket

    def wait(self) -> int | None:
        """Its exit code; None where it was killed."""
        answer = b""
        while part := self.connection.recv(64):
            answer += part
        self.connection.close()
        return int(answer) if answer else None

    def alive(self) -> bool:
        try:
            self.connection.recv(64, socket.MSG_PEEK | socket.MSG_DONTWAIT)  # its exit code, or nothing: it has ended
        except BlockingIOError:
            return True
        return False


def fork(place: str, role: str, **wanted: Any) -> Forked:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(place)
    connection.sendall(json.dumps({"role": role, **wanted}).encode() + b"\n")
    number = b""
    while not number.endswith(b"\n"):
        part = connection.recv(1)
        if not part:
            raise RuntimeError(f"the {role} was not started")
        number += part
    return Forked(int(number), connection)
