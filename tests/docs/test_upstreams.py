"""Each page of `docs/upstreams` is followed in a project of its own, as `assay init` makes it: files, a real PostgreSQL, the HTTP
service, an API.

A block whose first line is `# some/file` is that file's content. A text is a part of what the shell has printed before.
"""

import importlib
import json
import re
import shlex
import shutil
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from click.testing import CliRunner

from assay.assets.declarations import declarations
from assay.cli import cli
from assay.cli.init import init
from tests.docs.test_readme import FENCE, ROOT, links, parse, squeezed
from tests.served import answers, free_ports

FOLDER = ROOT / "docs" / "upstreams"
PAGES = sorted(page for page in FOLDER.glob("*.md") if page.name != "README.md")
FILE = re.compile(r"\A# (\S+)\n")
DATABASE, API, PORT = "postgresql://user:password@host/shop", "https://erp.example/api", "3002"
STORE, BUCKET = "https://s3.example", "upstream-drops"


class Reader:
    """Who follows a page."""

    def __init__(self, folder: Path, database: str, api: str, store: str) -> None:
        self.folder, self.printed, self.before = folder, "", ""
        self.scope: dict[str, Any] = {"__name__": "__main__"}
        (self.port,) = free_ports(1)
        self.replaced = {
            DATABASE: database,
            API: api,
            f'"{STORE}"': f'"{store}", "AWS_ALLOW_HTTP": "true"',
            f":{PORT}/": f":{self.port}/",
            f"--port {PORT}": f"--port {self.port}",
        }
        self.store = store
        self.database, self.services = database, list[subprocess.Popen[bytes]]()

    def follow(self, language: str, text: str) -> None:
        for name, value in self.replaced.items():
            text = text.replace(name, value)
        if found := FILE.match(text):
            self.write(found[1], text if language == "python" else FILE.sub("", text))
        elif language == "python":
            exec(compile(text, "page", "exec"), self.scope)
        elif language == "sh":
            self.printed = self.printed if self.before == "sh" else ""
            for line in text.splitlines():
                self.printed += self.shell(line) if line else ""
        elif language == "sql":
            with psycopg.connect(self.database, autocommit=True) as connection:
                connection.execute(text.encode())
        elif language == "text":
            for line in text.splitlines():
                assert squeezed(line) in squeezed(self.printed), f"{line!r} is not in\n{self.printed}"
        else:
            pytest.fail(f"what is {language!r}?\n{text}")
        self.before = language

    def write(self, name: str, text: str) -> None:
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a" if name == ".env" else "w") as stream:
            stream.write(text)

    def shell(self, line: str) -> str:
        command, _, tolerated = line.partition(" || test $? -eq ")
        program, *arguments = shlex.split(command)
        if program == "assay" and arguments[0] == "receive":
            self.receive(arguments)
            return ""
        if program == "assay":
            parse(arguments)
            code, output = self.assay(arguments)
            assert code == int(tolerated or 0), f"{line} ended with {code}\n{output}"
            return output
        if program == "curl":
            return sent(arguments)
        if program == "aws":
            return uploaded(arguments, self.store, self.folder)
        if program == "python":
            command = f"{shlex.quote(sys.executable)} {shlex.join(arguments)}"
        done = subprocess.run(["sh", "-c", command], cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def assay(self, arguments: list[str]) -> tuple[int, str]:
        """In this process, which is quicker: with the declarations as they are now."""
        forget("shop")
        if arguments[0] != "materialize":
            result = CliRunner().invoke(cli, arguments, standalone_mode=False)
            if result.exception:
                raise result.exception
            return result.return_value if isinstance(result.return_value, int) else 0, result.stdout
        printed = StringIO()
        with redirect_stdout(printed), redirect_stderr(printed):
            result = CliRunner().invoke(cli, arguments, standalone_mode=False)
        if result.exception:
            raise result.exception
        return result.return_value if isinstance(result.return_value, int) else 0, result.output + printed.getvalue()

    def receive(self, arguments: list[str]) -> None:
        command = [str(Path(sys.executable).with_name("assay")), *arguments]
        service = subprocess.Popen(command, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.services.append(service)
        assert answers(self.port, 60)

    def close(self) -> None:
        for service in self.services:
            service.terminate()
            service.wait(30)


def uploaded(arguments: list[str], store: str, folder: Path) -> str:
    """What `aws s3 cp FILE s3://BUCKET/KEY` does."""
    *command, file, address = arguments
    assert command == ["s3", "cp"] and address.startswith(f"s3://{BUCKET}/")
    for path, body in (("", b""), (urlsplit(address).path, (folder / file).read_bytes())):
        request = urllib.request.Request(f"{store}/{BUCKET}{path}", body, method="PUT")
        request.add_header("Content-Type", "application/octet-stream")
        urllib.request.urlopen(request, timeout=20).close()
    return ""


def sent(arguments: list[str]) -> str:
    """What `curl` prints of these arguments; and records have become files."""
    headers, body, url = {}, b"", arguments[-1]
    for name, value in pairwise(arguments):
        if name == "-H":
            header, _, content = value.partition(": ")
            headers[header] = content
        elif name == "--data-binary":
            body = Path(value.removeprefix("@")).read_bytes()
    with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=20) as answer:
        printed = answer.read().decode()
    health = f"{url.partition('/push/')[0]}/health"
    for _ in range(200):
        with urllib.request.urlopen(health, timeout=20) as answer:
            if json.load(answer)["waiting"] == 0:
                return f"{printed}\n"
        threading.Event().wait(0.1)
    raise AssertionError("records wait for ever")


def forget(package: str) -> None:
    """As in a new process: a declaration may have come since."""
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        del sys.modules[name]
    importlib.invalidate_caches()
    declarations.cache_clear()


@pytest.fixture(scope="module")
def api() -> Iterator[str]:
    """Two invoices, of which one is corrected after it was read."""
    invoices = [
        {"id": "I1", "total": 12.5, "changed_at": "2026-09-01T08:00:00Z"},
        {"id": "I2", "total": -3.0, "changed_at": "2026-09-01T09:00:00Z"},
    ]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            since, page = query["changed_since"][0], int(query["page"][0])
            if since == invoices[-1]["changed_at"] and len(invoices) == 2:
                invoices.append({"id": "I2", "total": 3.0, "changed_at": "2026-09-02T09:00:00Z"})
            answer = [invoice for invoice in invoices if str(invoice["changed_at"]) >= since] if page == 1 else []
            content = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/api"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def empty_shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new project, without its example."""
    folder = tmp_path_factory.mktemp("init") / "shop"
    done = CliRunner().invoke(init, ["shop", "--dir", str(folder)])
    assert done.exit_code == 0, done.output
    shutil.rmtree(folder / "var")
    (folder / "shop" / "declarations" / "orders.py").unlink()
    return folder


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_page_is_true(
    page: Path,
    empty_shop: Path,
    tmp_path: Path,
    dagster_home: Path,
    postgres_url: str,
    api: str,
    s3_options: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    made_in: Callable[[Path], None],
) -> None:
    folder = tmp_path / "shop"
    shutil.copytree(empty_shop, folder)
    shutil.copytree(dagster_home, folder / "dagster_home", dirs_exist_ok=True)
    made_in(folder)
    monkeypatch.setenv("DAGSTER_HOME", str(folder / "dagster_home"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    reader = Reader(folder, postgres_url, api, s3_options["AWS_ENDPOINT_URL"])
    try:
        for language, text in FENCE.findall(page.read_text()):
            reader.follow(language, text)
    finally:
        reader.close()
        forget("shop")


@pytest.fixture
def made_in(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Makes a project's folder the one in which the reader stands."""

    def stand(folder: Path) -> None:
        monkeypatch.chdir(folder)
        monkeypatch.syspath_prepend(folder)

    return stand


def test_every_page_is_linked_in_the_table() -> None:
    linked = {(FOLDER / target).resolve() for target in links(FOLDER / "README.md")}
    assert set(PAGES) <= linked


def test_every_page_says_what_a_reader_asks() -> None:
    """Declare, deliver, what is wrong, how it is healed; a reader of one's own is an interface and has none of them."""
    for page in PAGES:
        if page.name != "readers.md":
            titles = " ".join(re.findall(r"^## (.+)$", page.read_text(), re.MULTILINE)).lower()
            for part in ("declare", "deliver", "wrong", "heal"):
                assert part in titles, (page.name, part)
