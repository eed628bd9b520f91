"""From a complaint to the page of a prediction: found by what people know, unusual things first, personal data masked."""

import io
import re
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from assay.lineage.predictions.about import predictions_about
from assay.lineage.predictions.find_prediction import find_prediction
from assay.web import create_router
from assay.web.pages.trace import LETTER
from tests.assay.web.browsing import opened, served
from tests.assay.web.reading import Page
from tests.assay.why.bank import PERSONAL


@pytest.fixture(scope="module")
def console(bank: Any) -> Starlette:
    return Starlette(
        routes=[Mount("/", create_router(bank.store.lineage_store, bank.store.lake, verify=bank.store.verify))]
    )


@pytest.fixture(scope="module")
def address(console: Starlette) -> Iterator[str]:
    with served(console) as where:
        yield where


@pytest.fixture(scope="module")
def http(console: Starlette) -> TestClient:
    return TestClient(console, follow_redirects=False)


@pytest.fixture(scope="module")
def newest(bank: Any) -> str:
    return predictions_about(bank.store.lake, {"customer_id": "C0012"}, limit=1)[0].id


def found(http: TestClient, q: str) -> Page:
    answer = http.post("/search", data={"q": q})
    assert answer.status_code == 200, answer.text
    return Page(answer.text)


def traces(page: Page) -> list[str]:
    return [address for address in page.addresses() if re.fullmatch(r"/trace/[0-9a-f-]{36}", address)]


@pytest.mark.parametrize(
    ("q", "count"), [("C0012", 3), ("customer_id=C0012", 3), ("C0012 2026-03-05", 3), ("2026-03-05", 4)]
)
def test_a_key_a_day_or_both_are_searched_for(http: TestClient, q: str, count: int) -> None:
    assert len(traces(found(http, q))) == count


def test_a_prediction_whose_file_is_gone_is_answered_with_what_is_known(
    http: TestClient, bank: Any, newest: str, tmp_path: Path
) -> None:
    found = find_prediction(bank.store.lake, newest)
    file = Path(bank.store.table(found.table).at().table.uri, found.file)
    shutil.move(file, tmp_path / "kept")
    try:
        answer = http.get(f"/trace/{newest}")
    finally:
        shutil.move(tmp_path / "kept", file)
    assert answer.status_code == 404
    assert "nobody recorded its removal" in answer.text and f"It may be of {found.table}@" in answer.text


def test_what_is_found_alone_is_opened(http: TestClient, newest: str) -> None:
    for q in (newest, newest[:13], "transfer_id=5a2", "5a2 2026-03-05"):
        answer = http.post("/search", data={"q": q})
        assert (answer.status_code, answer.headers.get("location")) == (303, f"/trace/{newest}"), q
    answer = http.get(f"/trace/{newest[:13]}")
    assert (answer.status_code, answer.headers.get("location")) == (303, f"/trace/{newest}")


def test_whom_it_is_about_gets_into_no_address(http: TestClient, newest: str) -> None:
    for q in ("C0012", "customer_id=C0012", "Z9", "Ada Lovelace"):
        answer = http.post("/search", data={"q": q})
        assert answer.status_code == 200
        links = [address for address in Page(answer.text).addresses() if not address.startswith("/trace/")]
        assert not any(q in address or "C0012" in address for address in links), q
        assert traces(Page(http.get("/", params={"q": q}).text)) == [], "an address finds nobody"
    assert http.post("/search", data={"q": "transfers"}).headers["location"] == "/?q=transfers", "can be kept"
    for answer in (http.post("/search", data={"q": " "}), http.post("/search"), http.get("/search?q=C0012")):
        assert answer.headers["location"] == "/"


def test_a_beginning_of_several_shows_them(http: TestClient, bank: Any) -> None:
    *_, first, twin = (item.id for item in predictions_about(bank.store.lake, {"customer_id": "C0012"}))
    assert set(traces(found(http, first[:13]))) == {f"/trace/{first}", f"/trace/{twin}"}
    answer = http.get(f"/trace/{first[:13]}")
    assert answer.status_code == 404
    assert set(traces(Page(answer.text))) == {f"/trace/{first}", f"/trace/{twin}"}


@pytest.mark.parametrize("q", ["C0012 2026-03-04", "holder=Ada Lovelace", "nobody=C0012", "C0012 2026-13-45", "Z9"])
def test_what_nothing_is_about_is_not_found(http: TestClient, q: str) -> None:
    page = found(http, q)
    assert traces(page) == []
    assert "no prediction is about it" in page.text


def test_the_page_says_what_was_unusual_first_and_no_personal_cell(http: TestClient, newest: str) -> None:
    html = http.get(f"/trace/{newest}").text
    page = Page(html)
    order = [
        "What was unusual",
        "granted by grace",
        "What it was made from",
        "‹name›",
        "Rules and owners",
        "payments",
        "Steps",
    ]
    places = [page.text.index(words) for words in order]
    assert places == sorted(places)
    for words in (
        "came late",
        "was refused by raw/transfers",
        "amount is at least 0",
        "Transfers 1.0.0",
        "risk-features",
    ):
        assert words in page.text
    assert [word for word in PERSONAL if word in html] == []


def test_what_is_found_shows_whom_it_is_about(http: TestClient) -> None:
    text = http.post("/search", data={"q": "C0012"}).text
    assert "customer_id C0012" in text
    assert '<th scope="col">About</th>' in text
    assert '<th scope="col">About</th>' not in http.get("/").text, "the first page names nobody"


def test_the_page_names_the_output_and_shows_what_the_model_was_given(http: TestClient, newest: str) -> None:
    text = http.get(f"/trace/{newest}").text
    assert "<h1>risk " in text
    assert "What the model was given" in text
    assert "activity: as of 2026-03-05 00:00 UTC" in text
    assert "<dt>made</dt>" in text


def test_a_letter_lists_the_rows_of_whom_it_is_for_when_asked(http: TestClient, newest: str) -> None:
    own = http.post(f"/trace/{newest}/letter", data={"as": "markdown"}).text
    whole = http.post(f"/trace/{newest}/letter", data={"as": "markdown", "whose": "customer_id"}).text
    assert [text.count("| transfers/") for text in (own, whole)] == [1, 5]
    assert "List rows of the same customer_id" in http.post(f"/trace/{newest}/letter").text


def test_letter_and_evidence_are_files(http: TestClient, newest: str) -> None:
    letter = http.post(f"/trace/{newest}/letter", data={"as": "markdown"})
    assert letter.headers["content-disposition"] == f'attachment; filename="prediction-{newest}.md"'
    assert letter.headers["content-type"].startswith("text/markdown")
    assert letter.text.startswith("# How an automatic answer came about")
    assert "gives the same answer" in letter.text
    assert [word for word in PERSONAL if word in letter.text] == []
    evidence = http.post(f"/trace/{newest}/evidence")
    assert {"verify.py", "SHA256SUMS"} <= set(zipfile.ZipFile(io.BytesIO(evidence.content)).namelist())
    for what in ("letter", "evidence", "verify"):
        assert http.post(f"/trace/{newest}/{what}", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
        assert http.get(f"/trace/{newest}/{what}").status_code in (404, 405)


def test_a_letter_prints_as_a_letter(browser: Any, address: str, newest: str) -> None:
    with opened(browser, address, (1440, 900)) as page:
        page.goto(f"/trace/{newest}")
        page.get_by_role("button", name="Letter").click()
        expect(page.get_by_role("button", name="Print or save as PDF")).to_be_visible()
        page.emulate_media(media="print")
        for part in (page.get_by_role("banner"), page.get_by_role("button"), page.get_by_role("link")):
            assert not any(one.is_visible() for one in part.all())
        expect(page.get_by_role("table").first).to_be_visible()
        assert page.pdf().startswith(b"%PDF")


@pytest.mark.parametrize(
    "hostile", ["<script>alert(1)</script>", "[x](javascript:alert(1))", "![x](//elsewhere/x.png)"]
)
def test_text_in_a_letter_stays_text(hostile: str) -> None:
    assert not re.search(r"<(script|a|img)", LETTER.render(f"- {hostile}"))
