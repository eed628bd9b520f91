"""Personal data is masked wherever people look: every command, page and letter, by one rule."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from assay.cli import main
from assay.lineage.predictions.attachments import retrieval
from assay.serve import create_app
from assay.web import create_router
from assay.why.declared_now import declared_now
from assay.why.shown import shown_answers, shown_trace
from tests.assay.why.bank import PERSONAL, Bank

SECRETS = [*PERSONAL, "eve@example.org", "4111 1111 1111 1111"]


@pytest.fixture(scope="module")
def logged(bank: Bank) -> str:
    """A prediction of a model that writes texts, with personal data wherever it can be."""
    store, sources = bank.store, bank.store.snapshot("clean/transfers")
    frame = pl.DataFrame(
        {
            "customer_id": ["C0012"],
            "email": ["ada@example.org"],
            "event_time": [datetime(2026, 3, 6, tzinfo=UTC)],
            "reply": ["Write to eve@example.org, dear customer"],
            "topics": [["card 4111 1111 1111 1111", "rent"]],
            "holder": ["Ada Lovelace"],
            "confidence": [0.5],
            "explanation": ["She asked eve@example.org about 4111 1111 1111 1111. " + "All was well. " * 5],
        }
    ).with_columns(retrieval(sources, [[("eve@example.org", 0.9), ("a-1", 0.5)]]))
    (one,) = store.log_predictions(
        model="writer",
        model_version="1",
        frame=frame,
        inputs=[sources],
        keys=["customer_id", "email"],
        outputs=["reply", "topics", "holder"],
    )
    return one


@pytest.fixture(scope="module")
def http(bank: Bank) -> TestClient:
    console = create_router(bank.store.lineage_store, bank.store.lake, declared=declared_now)
    return TestClient(Starlette(routes=[Mount("/", console)]))


@pytest.fixture
def assay(bank: Bank, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    del bank

    def run(*arguments: str) -> str:
        with pytest.raises(SystemExit):
            main(list(arguments))
        shown = capsys.readouterr()
        return shown.out + shown.err

    return run


def whole(texts: str) -> str:
    """Without the breaks of a terminal's lines."""
    return " ".join(texts.split())


def hidden(text: str) -> bool:
    return not [word for word in SECRETS if word in text or word in whole(text)]


def test_a_command_shows_nobody(assay: Callable[..., str], logged: str, tmp_path: Path) -> None:
    listed = tmp_path / "affected.csv"
    commands = (
        ("trace", logged),
        ("trace", logged, "--json"),
        ("trace", logged, "--rows", "--lookups", "--json"),
        ("why", logged),
        ("why", logged, "--json"),
        ("why", logged, "--letter", str(tmp_path / "letter.md")),
        ("predictions", "writer"),
        ("predictions", "writer", "--json"),
        ("impact", "clean/transfers", "--list"),
        ("impact", "clean/transfers", "--list", "--json"),
        ("impact", "clean/transfers", "--output", str(listed)),
    )
    for command in commands:
        shown = assay(*command)
        assert hidden(shown), command
        assert logged[:8] in shown or command[-1] == str(listed), command
    assert hidden((tmp_path / "letter.md").read_text())
    assert "eve@example.org" in listed.read_text(), "who must tell people is given all"


def test_answer_and_attached_texts_stay_readable(assay: Callable[..., str], logged: str) -> None:
    root = json.loads(assay("trace", logged, "--json"))["root"]["details"]
    assert root["reply"] == "Write to ‹email›, dear customer"
    assert root["topics"] == ["card ‹card›", "rent"]
    assert (root["holder"], root["email"], root["customer_id"]) == ("‹name›", "‹email›", "C0012")
    assert root["explanation"].startswith("She asked ‹email› about ‹card›. All was well.")
    assert [hit["key"] for hit in root["retrieval"]["hits"]] == ["‹email›", "a-1"]
    assert root["confidence"] == 0.5
    tree = whole(assay("trace", logged))
    assert "reply Write to ‹email›, dear customer" in tree and "explanation She asked ‹email›" in tree


def test_a_page_shows_nobody(http: TestClient, logged: str) -> None:
    pages = {
        "home": http.get("/"),
        "trace": http.get(f"/trace/{logged}"),
        "search": http.post("/search", data={"q": "C0012"}),
        "impact": http.get("/impact/clean/transfers?list=1"),
        "letter": http.post(f"/trace/{logged}/letter"),
    }
    for name, answer in pages.items():
        assert answer.status_code == 200, name
        assert hidden(answer.text), name
        assert "dear customer" in answer.text, name


def test_what_is_shown_is_a_copy(bank: Bank, logged: str) -> None:
    traced = bank.store.trace(logged)
    shown = shown_trace(bank.store.lake, traced)
    assert hidden(str(shown)) and not hidden(str(traced))
    assert traced.root.details["retrieval"]["hits"][0]["key"] == "eve@example.org"
    assert shown.prediction.frame.schema == traced.prediction.frame.schema
    assert bank.store.verify(traced).ok


def test_answers_of_several_models_are_masked_each_in_its_own_types() -> None:
    answers = [{"risk": "HIGH", "at": 1}, {}, {"risk": 2.5}, {"risk": "eve@example.org", "at": 3}, {"name": "Ada"}]
    assert shown_answers(answers, {"name": "name"}) == [
        {"risk": "HIGH", "at": 1},
        {},
        {"risk": 2.5},
        {"risk": "‹email›", "at": 3},
        {"name": "‹name›"},
    ]


def test_the_api_shows_nobody(bank: Bank, logged: str) -> None:
    client = TestClient(create_app(bank.store), base_url="http://localhost")
    answers = {
        "trace": client.get(f"/api/v1/trace/{logged}"),
        "list": client.get("/api/v1/impact?table=clean/transfers&list=true"),
        "rows": client.post("/api/v1/impact?table=clean/transfers&list=true", json={"rows": "holder = 'Ada Lovelace'"}),
    }
    for name, answer in answers.items():
        assert answer.status_code == 200, answer.text
        assert hidden(answer.text.replace("holder = 'Ada Lovelace'", "")), name
    assert "dear customer" in answers["trace"].text and logged in answers["list"].text
