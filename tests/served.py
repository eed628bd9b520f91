"""`assay up` for real: started over a place, asked by GraphQL, and looked for among the processes of this machine."""

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

SENSORS = (
    "{ sensorsOrError(repositorySelector: %s) { ... on Sensors { results { name id sensorState { id status } } } } }"
)
REPOSITORIES = "{ repositoriesOrError { ... on RepositoryConnection { nodes { name location { name } } } } }"


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for free in sockets:
        free.bind(("127.0.0.1", 0))
    ports = [free.getsockname()[1] for free in sockets]
    for free in sockets:
        free.close()
    return ports


def answers(port: int, seconds: float) -> bool:
    """Whether something accepts connections there within this time."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
        time.sleep(0.2)
    return False


def can_be_bound(port: int) -> bool:
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            again.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def processes_of(group: str) -> Mapping[int, str]:
    """Numbers and command lines of processes that have this text in their environment."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal() and int(folder.name) != os.getpid():
            with suppress(OSError):
                if group.encode() in (folder / "environ").read_bytes():
                    line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    found[int(folder.name)] = line[:200]
    return found


def none_left(group: str, seconds: float) -> Mapping[int, str]:
    """What is still there of a group after this time, at most."""
    ends = time.monotonic() + seconds
    while (left := processes_of(group)) and time.monotonic() < ends:
        time.sleep(0.3)
    return left


class Served:
    """`assay up` over a place."""

    def __init__(self, place: Any, log: Path | None = None) -> None:
        self.port, self.console = free_ports(2)
        ports = ("--port", str(self.port), "--console-port", str(self.console))
        self.log = log or place.folder / "up.log"
        with self.log.open("a") as file:
            self.process = place.start("up", *ports, stdout=file, stderr=subprocess.STDOUT)
        assert answers(self.console, 180), self.log.read_text()
        assert answers(self.port, 180), self.log.read_text()

    def graphql(self, query: str, method: str = "POST", **headers: str) -> Any:
        """The answer, or the status that refused it."""
        address = f"http://127.0.0.1:{self.port}/graphql"
        body = json.dumps({"query": query}).encode()
        given = {"Content-Type": "application/json", **{name.replace("_", "-"): text for name, text in headers.items()}}
        if method == "GET":
            address, body = f"{address}?{urllib.parse.urlencode({'query': query})}", None
        request = urllib.request.Request(address, body, given, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.loads(answer.read())["data"]
        except urllib.error.HTTPError as refused:
            return refused.code

    def sensor(self) -> dict[str, Any]:
        (node,) = self.graphql(REPOSITORIES)["repositoriesOrError"]["nodes"]
        selector = f'{{repositoryName: "{node["name"]}", repositoryLocationName: "{node["location"]["name"]}"}}'
        return self.graphql(SENSORS % selector)["sensorsOrError"]["results"][0]
