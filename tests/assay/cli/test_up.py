"""`assay up` for real: a page of another origin can do nothing to it, and no process outlives it."""

import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.served import Served, can_be_bound, none_left, processes_of

STOP = "mutation { stopSensor(id: %s) { __typename ... on StopSensorMutationResult { instigationState { status } } } }"


@pytest.fixture(scope="module")
def place(new_place: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    return new_place(tmp_path_factory.mktemp("up"), {"ASSAY_PROJECT": "assay.assets.support"})


@pytest.fixture(scope="module")
def served(place: Any) -> Iterator[Served]:
    made = Served(place)
    yield made
    made.process.kill()
    made.process.wait()


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


def test_a_second_one_says_where_the_first_is_and_a_taken_port_is_named(
    served: Served, new_place: Callable[..., Any], tmp_path: Path, place: Any, elsewhere: str
) -> None:
    taken = elsewhere.rstrip("/").rpartition(":")[2]
    for other, port, said in (
        (place, "0", f"open http://127.0.0.1:{served.port}, or end it first"),
        (new_place(tmp_path, {}), taken, f"Port {taken} of 127.0.0.1 cannot be used (Address already in use)"),
    ):
        process = other.start("up", "--port", port, "--no-console", stderr=subprocess.PIPE)
        assert said in process.communicate(timeout=60)[1].replace("\n", " ")
        assert process.returncode == 1


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
    running = processes_of(place)
    assert len(running) >= 5, "the UI, the daemon, code servers, the console"
    slow = next(pid for pid, line in running.items() if "api grpc" in line)
    os.kill(slow, signal.SIGSTOP)  # as one that is too busy to follow a signal
    served.process.send_signal(signal.SIGKILL)
    served.process.wait()
    assert none_left(place, 60) == {}
    assert can_be_bound(served.port)
    assert can_be_bound(served.console)
