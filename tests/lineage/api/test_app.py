"""What stands behind the API: the console of the settings, one that is given, or nothing."""

import subprocess
import sys

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from assay.errors import AssayError
from assay.features.tables.lake import Lake
from assay.lineage.api import create_app
from assay.lineage.store.lineage_store import LineageStore

BASE = "http://127.0.0.1:3001"


def test_a_console_that_is_given_gets_what_the_api_does_not_answer(store: LineageStore, lake: Lake) -> None:
    own = Starlette(routes=[Route("/{path:path}", lambda request: PlainTextResponse(f"own {request.url.path}"))])
    client = TestClient(create_app(store, lake, console=own), base_url=BASE)
    assert client.get("/quarantine").text == "own /quarantine"
    assert client.get("/health").json() == {"status": "ok"}
    assert client.get("/api/v1/nothing").status_code == 404
    assert client.get("/", headers={"host": "evil.example"}).status_code == 400


def test_the_api_stands_alone(store: LineageStore, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    for app in (create_app(store, lake, console=False), _without_setting(store, lake, monkeypatch)):
        answer = TestClient(app, base_url=BASE).get("/")
        assert (answer.status_code, answer.json()) == (404, {"error": "There is nothing at this address."})


def _without_setting(store: LineageStore, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setenv("ASSAY_CONSOLE", "")
    return create_app(store, lake)


@pytest.mark.parametrize("name", ["nowhere.at.all:create", "assay.web:nothing", "not a name"])
def test_a_console_that_is_not_there_is_named(
    store: LineageStore, lake: Lake, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("ASSAY_CONSOLE", name)
    with pytest.raises(AssayError, match=f"console '{name}' cannot be imported. Set ASSAY_CONSOLE"):
        create_app(store, lake)


def test_importing_the_api_imports_no_console() -> None:
    code = "import sys, assay.lineage.api.app; print([name for name in sys.modules if name.startswith('assay.web')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
