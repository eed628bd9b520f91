"""Records over HTTP, sent to the real service by programs of their own, until they are in clean."""

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from starlette.testclient import TestClient

import assay
from assay.assets.pushed.inbox import inbox_of
from assay.diagnosis import diagnose
from assay.errors import AssayError
from assay.receiver import create_receiver
from assay.settings import Settings
from tests.forked import run_forked
from tests.served import answers, free_ports

AT = datetime(2026, 9, 1, 10, 0, tzinfo=UTC)
ASSAY = str(Path(sys.executable).with_name("assay"))
TOKEN = "a long random text"
DECLARED = '''
"""Orders that a shop sends."""

from datetime import timedelta

from assay import Contract, Field, Partitioning, Pushed, Source, Timestamp


class Orders(Contract):
    order_id: str = Field(key=True)
    amount: float = Field(ge=0)
    at: Timestamp = Field()


def source(name, partitioning, **cut):
    return Source(name=name, reader=Pushed(name, **cut), contract=Orders, key=("order_id",), event_time="at",
                  partitioning=partitioning)


orders = source("orders", Partitioning.daily("2026-09-01"), every=timedelta(seconds=1))
shops = source("shops", Partitioning.static("north", "south"), rows=2, every=timedelta(hours=1))
'''


def order(number: int, amount: float = 1.5) -> dict[str, Any]:
    return {"order_id": f"O{number}", "amount": amount, "at": "2026-09-01T09:00:00Z"}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder, package = tmp_path / "shop", f"pushing_{uuid4().hex}"  # a module is imported once
    (folder / package).mkdir(parents=True)
    (folder / "pyproject.toml").write_text(f'[project]\nname = "shop"\n\n[tool.assay]\ndomains = ["{package}"]\n')
    (folder / package / "__init__.py").write_text("")
    (folder / package / "orders.py").write_text(DECLARED)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("ASSAY_PROJECT", str(folder))
    monkeypatch.setenv("ASSAY_PUSH_TOKENS__ORDERS", TOKEN)
    monkeypatch.setenv("ASSAY_PUSH_TOKENS__SHOPS", "another")
    return folder


@pytest.fixture
def client(project: Path) -> TestClient:
    app = create_receiver(Settings(project=str(project)), now=lambda: AT, note=lambda _: None)
    # Without its lifespan: nothing is cut while a test looks.
    return TestClient(app, base_url="http://127.0.0.1:3002")


def send(client: TestClient, content: Any, path: str = "orders", **headers: str) -> Any:
    given = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    return client.post(
        f"/push/{path}",
        content=content if isinstance(content, (str, bytes)) else json.dumps(content),
        headers=given | {name.replace("_", "-"): value for name, value in headers.items()},
    )


def test_what_is_acknowledged_waits_on_disk(client: TestClient) -> None:
    answer = send(client, [order(1), order(2)])
    assert (answer.status_code, answer.json()) == (202, {"partition": "2026-09-01", "rows": 2, "repeated": False})
    answer = send(client, json.dumps(order(3)) + "\n", Content_Type="application/x-ndjson; charset=utf-8")
    assert answer.status_code == 202
    assert client.get("/health").json() == {"status": "ok", "waiting": 3}


def test_a_request_with_a_key_may_be_sent_again(client: TestClient) -> None:
    answers = [send(client, [order(1)], Idempotency_Key="k").json()["repeated"] for _ in range(3)]
    assert answers == [False, True, True]
    assert send(client, [order(2)], Idempotency_Key="k").status_code == 422
    assert send(client, [order(2)], Idempotency_Key="k" * 256).status_code == 400
    assert client.get("/health").json()["waiting"] == 1


@pytest.mark.parametrize(
    ("content", "path", "headers", "status"),
    [
        ("[]", "orders", {}, 400),
        ('{"order_id": "SECRET"', "orders", {}, 400),
        ("{}", "orders", {"Content_Type": "text/csv"}, 415),
        ("{}", "orders", {"Content_Encoding": "gzip"}, 415),
        ("{}", "orders", {"Content_Type": "application/x-www-form-urlencoded"}, 202),  # as curl -d sends it
        ("{}", "orders", {"Content_Type": ""}, 202),
        ("a=SECRET", "orders", {"Content_Type": "application/x-www-form-urlencoded"}, 400),
        ("{}", "orders", {"Authorization": "Bearer wrong"}, 401),
        ("{}", "orders", {"Authorization": TOKEN}, 401),
        ("{}", "orders", {"Authorization": f"bearer {TOKEN}"}, 202),
        ('{"ORDER_ID": "SECRET"}', "orders", {}, 400),
        ("{}", "orders", {"Authorization": ""}, 401),
        ("{}", "shops", {}, 401),  # its token is another one
        ("{}", "unknown", {}, 401),
        ("{}", "orders?partition=2026-09-01", {}, 409),
        ("{}", "shops?partition=west", {"Authorization": "Bearer another"}, 409),
        ("{}", "shops", {"Authorization": "Bearer another"}, 409),
        ("{}", "shops?partition=north", {"Authorization": "Bearer another"}, 202),
        ("{}", "orders", {"Origin": "http://elsewhere.example"}, 403),
        ("{}", "orders", {"Host": "elsewhere.example"}, 400),
    ],
)
def test_who_may_send_what(client: TestClient, content: str, path: str, headers: dict[str, str], status: int) -> None:
    answer = send(client, content, path, **headers)
    assert answer.status_code == status, answer.text
    assert "SECRET" not in answer.text
    assert client.get("/health").json()["waiting"] == (1 if status == 202 else 0)


FORM = {"Content_Type": "application/x-www-form-urlencoded"}


def test_of_a_body_that_does_not_say_what_it_is_a_refusal_names_the_line_to_use(client: TestClient) -> None:
    lines = "\n".join(json.dumps(order(number)) for number in (1, 2))
    line = 'curl -H "Content-Type: application/x-ndjson" --data-binary @FILE.'
    for content, given, status in ((lines, FORM, 400), ("{}", {"Content_Type": "text/plain"}, 415)):
        answer = send(client, content, **given)
        assert (answer.status_code, answer.json()["error"].endswith(line)) == (status, True), answer.text
    assert send(client, [order(1), order(2)], **FORM).json()["rows"] == 2
    assert line not in send(client, lines).text, "who says that it is a document knows it"


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_a_plain_curl_is_taken_and_a_second_receiver_is_refused_by_name(project: Path) -> None:
    receiver = Receiver(project)
    try:
        command = ["curl", "-sS", "-H", f"Authorization: Bearer {TOKEN}", "-d", json.dumps(order(1))]
        address = f"http://127.0.0.1:{receiver.port}/push/orders"
        done = subprocess.run([*command, address], capture_output=True, text=True, timeout=60)
        assert json.loads(done.stdout)["rows"] == 1, done.stdout + done.stderr
        (free,) = free_ports(1)
        for port, home, said in (
            (
                free,
                project / "var",
                f"A receiver runs already over {project / 'var'}: open http://127.0.0.1:{receiver.port}, or",
            ),
            (
                receiver.port,
                project / "other",
                f"Port {receiver.port} of 127.0.0.1 cannot be used (Address already in use)",
            ),
        ):
            own = {**os.environ, "ASSAY_HOME": str(home)}
            second = run_forked("assay", "receive", "--port", str(port), folder=project, environment=own)
            assert (second.code, second.out) == (1, "")
            assert said in " ".join(second.err.split()), second.err
    finally:
        receiver.kill()


def test_before_the_first_partition_nothing_is_taken(project: Path) -> None:
    app = create_receiver(Settings(project=str(project)), now=lambda: datetime(2026, 8, 31, tzinfo=UTC))
    assert send(TestClient(app, base_url="http://127.0.0.1:3002"), [order(1)]).status_code == 409


def test_a_source_without_a_token_is_named(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASSAY_PUSH_TOKENS__SHOPS")
    with pytest.raises(AssayError, match="ASSAY_PUSH_TOKENS__SHOPS"):
        create_receiver(Settings(project=str(project)))


def test_a_disk_that_cannot_be_written_is_said_and_nothing_acknowledged(client: TestClient, project: Path) -> None:
    (project / "var").mkdir()
    (project / "var" / "received.db").mkdir()
    answer = send(client, [order(1)])
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "30"


class Receiver:
    """`assay receive`, in a process of its own."""

    def __init__(self, folder: Path) -> None:
        (self.port,) = free_ports(1)
        command = [ASSAY, "receive", "--port", str(self.port)]
        self.process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        assert answers(self.port, 60)

    def send(self, number: int) -> bool:
        """Send an order until it is acknowledged, at most so often. Whether it was."""
        body = json.dumps([order(number, -1 if number % 10 == 0 else 1.5)]).encode()
        headers = {
            "Authorization": f"Bearer {TOKEN}",
            "Content-Type": "application/json",
            "Idempotency-Key": f"order-{number}",
        }
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/push/orders", body, headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status == 202
        except OSError:
            return False

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def test_of_orders_sent_while_the_service_is_killed_none_is_lost_or_doubled(project: Path) -> None:
    missing = set(range(60))
    for killed_after in (5, 20, None):
        receiver = Receiver(project)
        with ThreadPoolExecutor(4) as upstreams:
            sent = {number: upstreams.submit(receiver.send, number) for number in sorted(missing)}
            if killed_after is not None:
                sent[sorted(missing)[killed_after]].result()
                receiver.kill()
            missing -= {number for number, answer in sent.items() if answer.result()}
        assert bool(missing) == (killed_after is not None)
        receiver.kill()
    env = {**os.environ, "DAGSTER_HOME": str(project / "dagster")}
    receiver, landing = Receiver(project), project / "var" / "landing" / "orders"
    try:
        for _ in range(100):  # until a second has passed since the last one
            with urllib.request.urlopen(f"http://127.0.0.1:{receiver.port}/health", timeout=20) as answer:
                if json.load(answer)["waiting"] == 0:
                    break
            subprocess.run(["sleep", "0.1"], check=True)
    finally:
        receiver.process.send_signal(signal.SIGINT)
        assert receiver.process.wait(30) == 0
    lines = [line for file in landing.rglob("*.jsonl") for line in file.read_text().splitlines()]
    assert sorted(json.loads(line)["order_id"] for line in lines) == sorted(f"O{number}" for number in range(60))
    done = run_forked("assay", "materialize", folder=project, environment=env, merged=True)
    assert done.code == 0, done.out
    listed = run_forked("assay", "tables", "--json", folder=project, environment=env)
    rows = {table["name"]: table["rows"] for table in json.loads(listed.out)}
    assert (rows["clean/orders"], rows["quarantine/orders"]) == (54, 6)


def test_doctor_names_a_missing_token_and_records_that_nobody_makes_files_of(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def received() -> tuple[bool, str]:
        found = next(item for item in diagnose(assay.open()) if item.what == "received")
        return found.ok, found.detail

    assert received() == (True, "2 sources of records that are sent; 0 records to become files")
    now = datetime.now(UTC)
    inbox = inbox_of(project / "var")
    inbox.put("orders", "orders", f"{now:%Y-%m-%d}", [b"{}", b"{}"], now)
    assert received() == (True, "2 sources of records that are sent; 2 records to become files")
    inbox.put("orders", "orders", "2026-09-01", [b"{}"], datetime(2026, 9, 1, tzinfo=UTC))
    ok, detail = received()
    assert not ok
    assert "orders (1 record of 2026-09-01). Next: start `assay receive`." in detail
    monkeypatch.delenv("ASSAY_PUSH_TOKENS__SHOPS")
    ok, detail = received()
    assert not ok
    assert "set ASSAY_PUSH_TOKENS__SHOPS" in detail
