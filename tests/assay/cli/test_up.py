"""`assay up` for real, once: a page of another origin can do nothing to it, declarations that are added or changed while it runs
are loaded by themselves, broken ones stop nothing, and no process outlives it."""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from assay.cli.init import project_files
from tests.chromium import chromium
from tests.declared import IMPORTS, daily_source
from tests.served import Served, can_be_bound, none_left, processes_of

STOP = "mutation { stopSensor(id: %s) { __typename ... on StopSensorMutationResult { instigationState { status } } } }"
ASSETS = "{ assetNodes { assetKey { path } } }"
FRESH = """{ assetNodeOrError(assetKey: {path: ["clean", "orders"]}) { ... on AssetNode { assetChecksOrError {
    ... on AssetChecks { checks { name executionForLatestMaterialization { status evaluation { description } } } } } } } }"""
RETURNS = IMPORTS + daily_source(
    "returns", "return_id: str = Field(key=True)", "at: Timestamp = Field()", start="2026-09-02", event_time="at"
)


@pytest.fixture(scope="module")
def place(new_place: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A new project, as `assay init` writes it."""
    home = tmp_path_factory.mktemp("up")
    folder = home / "my-reloaded-shop"
    for path, text in project_files(folder.name, "my_reloaded_shop"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return new_place(home, {"ASSAY_PROJECT": str(folder), "ASSAY_LANDING": str(folder / "var" / "landing")})


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


def test_a_browser_on_another_page_does_nothing(served: Served, elsewhere: str) -> None:
    """Requests that a browser sends without asking first, as any page on the web could make them."""
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
    with chromium() as browser:
        page = browser.new_page()
        page.goto(elsewhere)
        answer = page.evaluate(
            script, [f"http://127.0.0.1:{served.port}/graphql", STOP % json.dumps(served.sensor()["id"])]
        )
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


def until(done: Callable[[], Any], served: Served, seconds: float = 180) -> Any:
    ends = time.monotonic() + seconds
    while not (found := done()):
        assert time.monotonic() < ends, served.log.read_text()[-4000:]
        time.sleep(1)
    return found


def tables(served: Served) -> set[str]:
    return {"/".join(node["assetKey"]["path"]) for node in served.graphql(ASSETS)["assetNodes"]}


def age(served: Served) -> str:
    """What Dagster shows of the check; nothing while it says "Not evaluated"."""
    checks = served.graphql(FRESH)["assetNodeOrError"]["assetChecksOrError"]["checks"]
    (shown,) = [check["executionForLatestMaterialization"] for check in checks if check["name"] == "data_freshness"]
    return shown["evaluation"]["description"] if shown and shown["evaluation"] else ""


def test_what_is_declared_while_it_runs_is_loaded_and_what_is_broken_stops_nothing(place: Any, served: Served) -> None:
    file = place.folder / "my-reloaded-shop" / "my_reloaded_shop" / "declarations" / "returns.py"
    until(lambda: "clean/orders" in tables(served), served)
    delivered = place.folder / "my-reloaded-shop" / "var" / "landing" / "returns" / "2026-09-02" / "a.csv"
    delivered.parent.mkdir(parents=True)
    delivered.write_text("return_id,at\nr1,2026-09-02T10:00:00Z\n")
    file.write_text(RETURNS)
    until(lambda: "clean/returns" in tables(served), served)

    until(lambda: "newest event 2026-09-02" in age(served), served)
    assert age(served).endswith("days old, allowed 1 day.")

    made = place.home / "lake" / "clean" / "returns"
    until(made.exists, served)  # by a job that was not there before
    log = served.log.read_text()
    assert "raw__returns: raw/returns@1" in log, "what was written is printed,"
    assert " - DEBUG - " not in log, "and not every event"

    file.write_text(RETURNS.replace("Field(key=True)", "Field(key=True"))
    until(
        lambda: (
            "The declarations of before stay; runs are requested again when it is corrected." in served.log.read_text()
        ),
        served,
    )
    assert (
        "my_reloaded_shop.declarations.returns cannot be loaded: line 5: '(' was never closed" in served.log.read_text()
    )
    assert "clean/returns" in tables(served), "the ones of before run"
    told = until(lambda: place.json("status", code=3)["outdated"], served)
    assert "returns.py changed since" in told
    doctor = {item["what"]: item for item in place.json("doctor", code=3)}
    assert doctor["declarations"]["detail"] == told

    file.unlink()
    until(lambda: "clean/returns" not in tables(served), served)
    assert "clean/orders" in tables(served)

    file.write_text("x = (")
    assert "returns.py changed since" in until(lambda: place.json("status", code=3)["outdated"], served)


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


def test_after_a_kill_nothing_is_left(served: Served, place: Any) -> None:
    group = str(served.log.parent)
    running = processes_of(group)
    assert len(running) >= 5, "the UI, the daemon, code servers, the console"
    slow = next(pid for pid, line in running.items() if "api grpc" in line)
    os.kill(slow, signal.SIGSTOP)  # as one that is too busy to follow a signal
    served.process.send_signal(signal.SIGKILL)
    served.process.wait()
    assert none_left(group, 60) == {}
    assert can_be_bound(served.port)
    assert can_be_bound(served.console)
    assert not place.json("status", code=3)["outdated"], "what changed since has nobody left to load it"
