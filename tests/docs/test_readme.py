"""The documents do what they say: every snippet is run, in order, over a lake that the real command made; links exist.

A snippet whose first line is `# some/file.py` (or .csv) is that file's content. A text right after shell commands is a
part of what they print. Commands that take long or do not end (`demo`, `up`) are only parsed.
"""

import json
import os
import re
import shlex
import struct
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from assay.cli import cli
from assay.errors import AssayError
from assay.lineage.delivery.transport import Channel
from assay.settings import Settings
from tests.forked import MODELS, run_forked

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
UPSTREAMS = sorted((ROOT / "docs" / "upstreams").glob("*.md"))  # followed by test_upstreams.py
DOCUMENTS = [README, *sorted((ROOT / "docs").glob("*.md")), *UPSTREAMS]
PICTURES = ROOT / "docs" / "screenshots"
DAYS = "2026-09-23:2026-09-24"  # the last day that the router learns from, and the first that it predicts
ONLY_PARSED = {"demo", "serve", "up"}
OF_ITS_OWN = {"your-own-project.md"}  # followed by tests/end_to_end/test_your_own_project.py
# A reader's checkout: the shipped domain with one more file, without a test adding it to this one.
PROJECT = """
[tool.assay]
name = "support"
domains = ["assay.assets.support", "additions"]
commands = "assay.assets.support.commands:commands"
"""
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"\A# (\S+\.(?:py|csv))\n")


@dataclass(frozen=True)
class Snippet:
    document: Path
    line: int
    language: str
    text: str

    @property
    def file(self) -> str | None:
        found = FILE.match(self.text)
        return found[1] if found else None

    def __str__(self) -> str:
        return f"{self.document.name}:{self.line}"


def snippets(document: Path) -> list[Snippet]:
    text = document.read_text()
    return [Snippet(document, text.count("\n", 0, m.start()) + 2, m[1], m[2]) for m in FENCE.finditer(text)]


@dataclass
class Desk:
    """A reader's folder, with the lake that `make run` would leave (of two days)."""

    folder: Path
    done: set[Path] = field(default_factory=set)

    def run(self, document: Path) -> None:
        """All of a document's snippets, once."""
        if document in self.done:
            return
        self.done.add(document)
        scope: dict[str, Any] = {"__name__": "__main__"}
        printed, before = "", ""
        for snippet in snippets(document):
            match snippet.language:
                case _ if snippet.file:
                    self.write(snippet)
                    if snippet.language == "python" and "/" not in snippet.file:
                        self.python(snippet.file)
                case "python":
                    exec(compile(snippet.text, str(snippet), "exec"), scope)
                case "sh":
                    printed = "".join(self.shell(line, snippet) for line in snippet.text.splitlines() if line)
                case "text":
                    if before == "sh":
                        assert squeezed(snippet.text) in squeezed(printed), f"{snippet} is not what was printed"
                case "json":
                    json.loads(snippet.text)
                case "toml":
                    tomllib.loads(snippet.text)
                case "yaml":  # the transport's configuration: what it names is opened, nothing is sent
                    path = self.folder / "openlineage.yml"
                    path.write_text(snippet.text.replace("/var/log", str(self.folder)))
                    Channel(str(path), timeout=1).close(1)
                case other:
                    pytest.fail(f"{snippet}: what is {other!r}?")
            before = snippet.language

    def write(self, snippet: Snippet) -> None:
        path = self.folder / (snippet.file or "").replace("assets/support/", "additions/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(FILE.sub("", snippet.text) if path.suffix == ".csv" else snippet.text)

    def python(self, script: str) -> None:
        done = subprocess.run([sys.executable, script], cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def shell(self, line: str, snippet: Snippet) -> str:
        command, _, tolerated = line.partition(" || test $? -eq ")
        command, _, target = command.partition(" > ")
        if "$PREDICTION" in command:
            command = command.replace("$PREDICTION", self.tour()["prediction"]["prediction_id"])
        program, *arguments = shlex.split(command)
        if program == "make":
            assert re.search(rf"^{arguments[0]}:", (ROOT / "Makefile").read_text(), re.MULTILINE), f"{snippet}: {line}"
            return ""
        if program == "mkdir":
            subprocess.run([program, *arguments], cwd=self.folder, check=True)
            return ""
        assert program == "assay", f"{snippet}: {line}"
        parse(arguments)
        if arguments[0] in ONLY_PARSED:
            return ""
        code, output = self.assay(*arguments)
        assert code == int(tolerated or 0), f"{snippet}: {line} ended with {code}\n{output}"
        if target:
            (self.folder / target).write_text(output)
        return output

    def assay(self, *arguments: str) -> tuple[int, str]:
        """Exit code and output. What only reads runs in this process, which is quicker."""
        if arguments[0] != "materialize":
            result = CliRunner().invoke(cli, arguments, standalone_mode=False)
            if result.exception:
                raise result.exception
            return result.return_value if isinstance(result.return_value, int) else 0, result.stdout
        # One thread: on a busy machine two that wait for each other take longer than one.
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        done = run_forked("assay", *arguments, folder=self.folder, environment=environment, imports=MODELS)
        return done.code, done.out + done.err

    def tour(self) -> dict[str, Any]:
        return json.loads(self.assay("tour", "--json")[1])


def squeezed(text: str) -> str:
    return " ".join(text.split())


def parse(arguments: Sequence[str]) -> None:
    """Raises click.UsageError for what the real command would not take."""
    command: click.Command = cli
    rest = list(arguments)
    while isinstance(command, click.Group):
        context = click.Context(command)
        _, found, rest = command.resolve_command(context, rest)
        assert found is not None
        command = found
    command.make_context("assay", rest)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    desk = Desk(tmp_path_factory.mktemp("desk"))
    for snippet in snippets(README):
        if snippet.file:
            desk.write(snippet)
    (desk.folder / "pyproject.toml").write_text(PROJECT)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(desk.folder)
        patch.setattr(sys, "path", list(sys.path))
        assert desk.assay("demo")[0] == 0
        code, output = desk.assay("materialize", "--range", DAYS)
        assert code == 0, output
        yield desk
    for name in [name for name in sys.modules if name.partition(".")[0] == "additions"]:
        del sys.modules[name]


@pytest.mark.parametrize(
    "document", [d for d in DOCUMENTS if d.name not in OF_ITS_OWN and d not in UPSTREAMS], ids=lambda path: path.name
)
def test_snippets(desk: Desk, document: Path) -> None:
    desk.run(document)


def test_the_new_source_says_what_is_wrong_with_each_row(desk: Desk) -> None:
    found = json.loads(desk.assay("quarantine", "show", "refunds", "--partition", "2026-09-24", "--json")[1])
    assert {row["refund_id"]: row["_rules"] for row in found} == {
        "R2": ["amount.gt"],
        "R3": ["customer_id.exists"],
        "R4": ["refunded_at.dtype"],
    }
    for rule in ("amount.gt", "customer_id.exists", "refunded_at.dtype"):
        assert f"`{rule}`" in README.read_text()


def test_tour(desk: Desk) -> None:
    desk.run(ROOT / "docs" / "batches.md")
    seen = desk.tour()
    sources = {item["source"]: item for item in seen["sources"]}
    assert sources["refunds"] == {"source": "refunds", "clean": 4, "quarantined": 4, "batches": 4}
    (late,) = json.loads(desk.assay("quarantine", "show", "refunds", "--partition", "2026-09-27", "--json")[1])
    assert (late["refund_id"], late["amount"]) == ("R7", "30.00")
    assert late["_duplicate_of"] == "2026-09-26 (refund_id.unique, first)"
    assert f"`{late['_duplicate_of']}`" in (ROOT / "docs" / "batches.md").read_text()
    for source, counts in sources.items():
        info = {item["name"]: item for item in json.loads(desk.assay("tables", "--json")[1])}
        assert counts["clean"] == info[f"clean/{source}"]["rows"]
        assert counts["quarantined"] == info[f"quarantine/{source}"]["rows"]
    (refused,) = seen["refused"]
    assert (refused["table"], refused["partition"]) == ("raw/refunds", "2026-09-25")
    assert "column 'amount' is missing" in refused["reason"]
    assert refused["healed_by"] == ["refunds/2026-09-25/refunds.r1.csv"]
    assert re.fullmatch(r"[0-9a-f-]{36}", refused["dagster_run"])
    for command in seen["commands"]:
        parse(shlex.split(command)[1:])
    _, printed = desk.assay("tour", "--port", "3999")
    assert f"http://127.0.0.1:3999/runs/{refused['dagster_run']}" in printed
    assert seen["prediction"]["prediction_id"] in printed
    assert "healed by refunds/2026-09-25/refunds.r1.csv" in printed


def test_tour_without_a_lake_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path / "nothing"))
    with pytest.raises(AssayError, match="assay materialize"):
        cli.main(["tour"], standalone_mode=False)
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links(document: Path) -> None:
    for target in links(document):
        if target.startswith(("https://", "http://")):
            continue
        path, _, anchor = target.partition("#")
        found = (document.parent / path).resolve() if path else document
        assert found.exists(), f"{document.name}: {target}"
        assert not anchor or anchor in anchors(found), f"{document.name}: {target}"


def links(document: Path) -> list[str]:
    return re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", document.read_text()))


def anchors(document: Path) -> set[str]:
    """The names by which headings can be linked, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", FENCE.sub("", document.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_setting_is_in_the_table() -> None:
    documented = set(
        re.findall(r"^\| `(ASSAY_\w+?)(?:__<NAME>__URL|__<SOURCE>)?` \|", README.read_text(), re.MULTILINE)
    )
    fields = {f"ASSAY_{name.upper()}" for name in Settings.model_fields}
    assert documented == fields | {"ASSAY_SECRETS_DIR"}, "the folder of secret files is read before the settings are"


def test_every_document_is_linked_from_the_readme() -> None:
    linked = {(README.parent / target).resolve() for target in links(README)}
    assert set(DOCUMENTS) - {README} - {page for page in UPSTREAMS if page.name != "README.md"} <= linked


def test_pictures_are_used_and_light() -> None:
    used = {(document.parent / target).resolve() for document in DOCUMENTS for target in links(document)}
    pictures = [*PICTURES.glob("*.png"), *PICTURES.glob("*.svg"), ROOT / "docs" / "architecture.svg"]
    assert set(pictures) <= used
    for picture in pictures:
        content = picture.read_bytes()
        assert len(content) <= 300_000, picture.name
        if picture.suffix == ".png":
            assert struct.unpack(">I", content[16:20]) == (1440,), picture.name
        else:
            assert not re.search(r"""(?:href|url\()=?["']?https?:""", content.decode()), picture.name


def test_no_document_names_a_machine() -> None:
    home = re.compile(r"/(?:home|root|Users)/|" + re.escape(os.fspath(ROOT)))
    for document in [*DOCUMENTS, *PICTURES.glob("*.svg")]:
        assert not home.search(document.read_text()), document.name
