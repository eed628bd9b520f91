"""`assay serve`: what it refuses before it listens, and what it serves."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from starlette.testclient import TestClient

from assay.cli.serving.serve import serve
from assay.errors import AssayError


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


def test_other_machines_need_a_token_and_sets_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = CliRunner().invoke(serve, ["--host", "0.0.0.0"])
    assert isinstance(refused.exception, AssayError)
    assert "ASSAY_SERVE_TOKEN" in str(refused.exception)
    monkeypatch.setenv("ASSAY_SERVE_TOKEN", "long")
    unknown = CliRunner().invoke(serve, ["router", "--host", "0.0.0.0"])
    assert "router is not materialised" in str(unknown.exception)


def test_it_listens_with_what_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr("assay.asgi.serve", lambda app, port, host: asked.append((app, port, host)))
    done = CliRunner().invoke(serve, ["--port", "0", "--most-keys", "3", "--name", "features.example"])
    assert done.exit_code == 0, done.output
    assert "/features" in done.output
    ((app, port, host),) = asked
    assert (port, host) == (0, "127.0.0.1")
    with TestClient(app, base_url="http://features.example") as client:
        assert client.get("/health").json() == {"status": "ok", "sets": 0}
        body = {"sets": "router", "keys": {"id": ["a"] * 4}}
        assert client.post("/features", json=body).status_code == 413
