"""A source that cannot be read for want of a setting is amber wherever its table is, though it has no version yet."""

from datetime import UTC, datetime
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from assay.features.storage.missing_settings import keep_missing_settings
from assay.features.tables.guard import Denied
from assay.features.tables.lake import open_lake
from assay.features.tables.refusals import keep_refusal
from assay.web import create_router
from tests.assay.web.reading import Page
from tests.assay.web.test_missing import REFUSED, badges

NOW = datetime.now(UTC)
SENTENCE = "clients cannot be read. There is no connection 'crm': set ASSAY_CONNECTIONS__CRM__URL <b>."
TIMES = f"Since {NOW:%Y-%m-%d %H:%M:%S}, last seen {NOW:%Y-%m-%d %H:%M:%S} UTC."


def lack(desk: Any, *tables: str) -> None:
    keep_missing_settings(desk.lake.storage, dict.fromkeys(tables, SENTENCE), ["raw/clients", "raw/tickets"], NOW)


def test_a_source_that_was_never_read_is_listed_with_what_it_lacks(own_desk: Any) -> None:
    client = TestClient(own_desk.app)
    assert client.get("/versions/raw/clients").status_code == 404
    lack(own_desk, "raw/clients")
    html = client.get("/").text
    assert badges(html, "raw/clients") == ["warned"]
    row = next(row for row in html.split("<tr") if ">raw/clients</a></th>" in row)
    assert 'class="failed"' not in row, "nothing has failed yet"
    page = Page(html)
    assert "There is no version yet. ! cannot be read" in page.text
    assert f"{SENTENCE} {TIMES}" in page.text
    assert page.links(href="/versions/raw/clients#setting")
    assert "<b>" not in html
    answer = client.get("/versions/raw/clients")
    assert (answer.status_code, f"{SENTENCE} {TIMES}" in Page(answer.text).text) == (200, True)
    assert "Nothing has been published." in answer.text
    lack(own_desk)
    assert "raw/clients" not in client.get("/").text
    assert client.get("/versions/raw/clients").status_code == 404


def test_a_table_that_has_versions_is_amber_on_each_of_its_pages(own_desk: Any) -> None:
    lack(own_desk, "raw/tickets")
    client = TestClient(own_desk.app)
    html = client.get("/").text
    assert badges(html, "raw/tickets") == ["warned"]
    assert badges(html, "clean/tickets") == ["aside"], "its own step lacks nothing"
    graph = "/graph?focus=dataset:assay:raw/tickets"
    for address in ("/", "/versions/raw/tickets", graph):
        assert f"{SENTENCE} {TIMES}" in Page(client.get(address).text).text, address
    assert SENTENCE not in Page(client.get(f"{graph}&as_of=2099-01-01T00:00").text).text, "of another time"


def test_what_was_refused_and_what_is_missing_are_both_said(own_desk: Any) -> None:
    lack(own_desk, "raw/tickets")
    keep_refusal(own_desk.lake, REFUSED)
    html = TestClient(own_desk.app).get("/").text
    assert badges(html, "raw/tickets") == ["refused", "warned"]
    assert SENTENCE in Page(html).text and "a reason" in Page(html).text


class NoClients:
    def check(self, actor: str, action: str, table: str) -> None:
        if table == "raw/clients":
            raise Denied(table)


def test_who_may_not_read_the_table_learns_nothing(own_desk: Any) -> None:
    lack(own_desk, "raw/clients")
    lake = open_lake(own_desk.lake.storage.root, guard=NoClients())
    client = TestClient(Starlette(routes=[Mount("/", create_router(own_desk.store, lake))]))
    assert "raw/clients" not in client.get("/").text
