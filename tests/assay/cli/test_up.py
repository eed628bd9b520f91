"""`assay up` for real: a page of another origin can do nothing to it, and no process outlives it."""

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

SENSORS = (
    "{ sensorsOrError(repositorySelector: %s) { ... on Sensors { results { name id sensorState { id status } } } } }"
)
REPOSITORIES = "{ repositoriesOrError { ... on RepositoryConnection { nodes { name location { name } } } } }"
STOP = "mutation { stopSensor(id: %s) { __typename ... on StopSensorMutationResult { instigationState { status } } } }"


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


class Served:
    """`assay up` over an empty lake."""

    def __init__(self, place: Any) -> None:
        self.port, self.console = free_ports(2)
        ports = ("--port", str(self.port), "--console-port", str(self.console))
        self.log = place.folder / "up.log"
        with self.log.open("w") as log:
            self.process = place.start("up", *ports, stdout=log, stderr=subprocess.STDOUT)
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


@pytest.fixture(scope="module")
def served(new_place: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    place = new_place(tmp_path_factory.mktemp("up"), {"ASSAY_PROJECT": "assay.assets.support"})
    made = Served(place)
    yield made
    made.process.kill()
    made.process.wait()


def processes_of(group: str) -> list[str]:
    """Command lines of processes that have this text in their environment."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal() and int(folder.name) != os.getpid():
            with suppress(OSError):
                if group.encode() in (folder / "environ").read_bytes():
                    found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:200])
    return found


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"another page")

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """A page of another server. Of this machine, too: a browser may keep pages of the web from reaching it at all."""
    with HTTPServer(("127.0.0.1", 0), _Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_port}/"
        server.shutdown()


@pytest.mark.skipif(not shutil.which("chromium"), reason="there is no chromium (make browser)")
def test_a_browser_on_another_page_does_nothing(served: Served, elsewhere: str) -> None:
    """Requests that a browser sends without asking first, as any page on the web could make them."""
    from playwright.sync_api import sync_playwright

    script = """async ([address, stop]) => {
        const query = `${address}?query=${encodeURIComponent(stop)}`;
        await fetch(query, {method: 'POST', mode: 'no-cors', body: ''}).catch(() => 0);
        await fetch(query, {mode: 'no-cors'}).catch(() => 0);
        await new Promise(done => Object.assign(new Image(), {onload: done, onerror: done, src: query}));
        return new Promise(done => {
            const live = new WebSocket(address.replace('http', 'ws'), 'graphql-ws');
            live.onopen = () => done('open');
            live.onerror = () => done('refused');
        });
    }"""
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=flags)
        page = browser.new_page()
        page.goto(elsewhere)
        answer = page.evaluate(
            script, [f"http://127.0.0.1:{served.port}/graphql", STOP % json.dumps(served.sensor()["id"])]
        )
        browser.close()
    assert answer == "refused"
    assert served.sensor()["sensorState"]["status"] == "RUNNING"


def test_no_other_origin_stops_the_sensor_or_launches_a_run(served: Served) -> None:
    stop = STOP % json.dumps(served.sensor()["id"])
    launch = "mutation { launchRun(executionParams: {}) { __typename } }"
    for mutation in (stop, launch):
        assert served.graphql(mutation, Origin="https://evil.example", Sec_Fetch_Site="cross-site") == 403
        assert served.graphql(mutation, Origin="null") == 403
        assert served.graphql(mutation, Origin=f"http://127.0.0.1:{served.console}") == 403
        assert served.graphql(mutation, "GET") == 405
        assert served.graphql(mutation, Host="evil.example") == 400
    assert served.sensor()["sensorState"]["status"] == "RUNNING"
    own = served.graphql(stop, Origin=f"http://127.0.0.1:{served.port}", Sec_Fetch_Site="same-origin")
    assert own["stopSensor"]["instigationState"]["status"] == "STOPPED", "the UI itself may"


def test_after_a_kill_nothing_is_left(served: Served) -> None:
    place = str(served.log.parent)
    assert len(processes_of(place)) >= 5, "the UI, the daemon, code servers, the console"
    served.process.send_signal(signal.SIGKILL)
    served.process.wait()
    ends = time.monotonic() + 60
    while (left := processes_of(place)) and time.monotonic() < ends:
        time.sleep(0.5)
    assert left == []
    for port in (served.port, served.console):
        with socket.socket() as again:
            again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            again.bind(("127.0.0.1", port))
