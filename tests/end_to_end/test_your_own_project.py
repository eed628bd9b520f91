"""`docs/your-own-project.md`, followed literally in an empty folder, with nothing of Assay but the built wheel.

Files are written as the document names them, shell blocks are run by a shell, SQL by a real PostgreSQL, and a text after a shell
block is a part of what it prints. Only what installs (`pip`, `venv`) is left out: the packages are those of this environment.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

from tests.chromium import chromium
from tests.conftest import SOAK
from tests.served import free_ports

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "your-own-project.md"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"\A# (\S+)\n")
INSTALLS = re.compile(r"^(python -m venv|pip install) .*\n", re.MULTILINE)
SERVES = "assay up\n"
SERVED = """{ assetNodes { assetKey { path } } assetNodeOrError(assetKey: {path: ["clean", "refunds"]}) { ... on AssetNode {
    assetChecksOrError { ... on AssetChecks { checks { name } } } } } }"""


@dataclass
class Stranger:
    """Who has installed the wheel, and nothing else of Assay. `folder` is where the shell stands."""

    folder: Path
    site: Path
    database: str
    printed: list[str] = field(default_factory=list)

    @property
    def environment(self) -> Mapping[str, str]:
        programs = self.site.parent / "bin"
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("ASSAY_", "DAGSTER_", "PYTHON"))
        }
        path = f"{programs}{os.pathsep}{kept['PATH']}"
        return {**kept, "PATH": path, "PYTHONPATH": str(self.site), "OMP_NUM_THREADS": "1", "COLUMNS": "200"}

    def follow(self, language: str, text: str) -> None:
        name = FILE.match(text)
        if name:
            self.write(name[1], text if language == "python" else FILE.sub("", text))
        elif language == "sh":
            self.shell(text)
        elif language == "sql":
            with psycopg.connect(self.database, autocommit=True) as connection:
                connection.execute(text.encode())
        elif language == "text":
            for line in text.splitlines():
                assert " ".join(line.split()) in " ".join(self.printed[-1].split()), (
                    f"{line!r} is not in\n{self.printed[-1]}"
                )
        else:
            pytest.fail(f"what is {language!r}?\n{text}")

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("postgresql://user:password@host/shop", self.database))

    def shell(self, text: str) -> None:
        """Run a block as one script that stops at the first failure; the next block goes on in the folder where it ended."""
        text, serves = text.replace(SERVES, ""), SERVES in text
        script = f"set -e -o pipefail\n{INSTALLS.sub('', text)}\npwd > '{self.site.parent}/where'\n"
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{text}\nended with {done.returncode}\n{done.stdout[-6000:]}"
        self.printed.append(done.stdout)
        self.folder = Path((self.site.parent / "where").read_text().strip())
        if serves:
            with serving(self) as pages:
                look(*pages)


@contextmanager
def serving(stranger: Stranger) -> Iterator[tuple[str, str]]:
    """`assay up`, until the end of the block: the addresses of Dagster's UI and of the console."""
    ports = free_ports(2)
    command = ["assay", "up", "--port", str(ports[0]), "--console-port", str(ports[1])]
    program = str(stranger.site.parent / "bin" / command[0])
    process = subprocess.Popen([program, *command[1:]], cwd=stranger.folder, env=stranger.environment)
    dagster, console = (f"http://127.0.0.1:{port}" for port in ports)
    try:
        for _ in range(360):
            assert process.poll() is None, "assay up ended by itself"
            with (
                suppress(OSError),
                urllib.request.urlopen(f"{dagster}/server_info", timeout=5),
                urllib.request.urlopen(console, timeout=30),
            ):
                break
            time.sleep(0.5)
        else:
            raise AssertionError("assay up does not answer")
        yield dagster, console
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)


def asked(dagster: str) -> tuple[set[str], set[str]]:
    """Names of the assets, and of the rules of refunds, as Dagster's server has them."""
    request = urllib.request.Request(
        f"{dagster}/graphql", json.dumps({"query": SERVED}).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        data = json.load(answer)["data"]
    rules = data["assetNodeOrError"].get("assetChecksOrError", {}).get("checks", [])
    return {node["assetKey"]["path"][-1] for node in data["assetNodes"]}, {rule["name"] for rule in rules}


def look(dagster: str, console: str) -> None:
    """The servers have the project: its assets, the rules of a contract, the model in the console. In a soak a browser sees them,
    too: what Dagster's pages draw of such a project is in `test_dagster_ui.py`."""
    with urllib.request.urlopen(console, timeout=30) as answer:
        assert b"predictions/large_orders" in answer.read()
    assets, rules = {"customer_spending", "orders", "large_orders"}, {"amount__gt", "order_id__exists"}
    for _ in range(120):  # until the declarations are loaded
        found = asked(dagster)
        if assets <= found[0]:
            break
        time.sleep(1)
    assert assets <= found[0] and rules <= found[1]
    if not SOAK:
        return
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1800, "height": 1000})
        page.set_default_timeout(60_000)
        page.goto(f"{dagster}/assets/predictions/large_orders?view=lineage&lineageScope=upstream&lineageDepth=9")
        for text in sorted(assets):
            page.get_by_text(text, exact=True).first.wait_for()
        page.goto(f"{dagster}/assets/clean/refunds?view=checks")
        for rule in sorted(rules):
            page.get_by_text(rule, exact=True).first.wait_for()


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree, unpacked, and beside it the programs of an environment that has nothing else of Assay."""
    out = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(out / "site")
    programs = out / "bin"
    programs.mkdir()
    (programs / "assay").write_text(f"#!{sys.executable}\nfrom assay.cli import main\n\nmain()\n")
    for name in ("pytest", "dg"):
        shutil.copy(Path(sys.executable).with_name(name), programs / name)
    # A link would start the interpreter without the environment that it belongs to.
    (programs / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    for program in programs.iterdir():
        program.chmod(0o755)
    return out / "site"


@pytest.fixture(scope="module")
def stranger(site: Path, postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stranger]:
    yield Stranger(tmp_path_factory.mktemp("empty"), site, postgres_url)


@pytest.mark.timeout(1800)
def test_the_document_is_true(stranger: Stranger) -> None:
    begun = stranger.folder
    assert list(begun.iterdir()) == []
    found = subprocess.run(
        [str(stranger.site.parent / "bin" / "python"), "-c", "import assay.assets.project as p; print(p.__file__)"],
        cwd=begun,
        env=stranger.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(found.stdout.strip()).is_relative_to(stranger.site), "only the wheel"
    before: dict[str, int] = {}
    for language, text in FENCE.findall(DOCUMENT.read_text()):
        if "suppliers" in text and language == "python":
            before = tables(stranger)
        stranger.follow(language, text)
        if "test $? -eq 3" in text:
            told = stranger.printed[-1]
            assert "suppliers" in told
            assert "ASSAY_CONNECTIONS__WAREHOUSE__URL" in told
            after = tables(stranger)
            assert after["clean/orders"] == before["clean/orders"] + 1, "the others went on"
            assert after["clean/customers"] == before["clean/customers"]
            assert "raw/suppliers" not in after
    kept = tables(stranger)
    assert kept["predictions/large_orders"] > 0
    assert kept["quarantine/customers"] == 1
    everything = "\n".join(stranger.printed)
    assert stranger.database not in everything, "addresses are printed nowhere"


def tables(stranger: Stranger) -> dict[str, int]:
    """Rows by table."""
    done = subprocess.run(
        [str(stranger.site.parent / "bin" / "assay"), "tables", "--json"],
        cwd=stranger.folder,
        env=stranger.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return {info["name"]: info["rows"] for info in json.loads(done.stdout)}
