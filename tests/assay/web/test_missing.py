"""What was refused is seen wherever a table is: its count, its newest reason and a link, and never a plain green table."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient

from assay.features.tables.lake import Lake
from assay.features.tables.refusals import Refusal, keep_refusal
from assay.web.missing import MissingBatches
from tests.assay.web.conftest import DAYS
from tests.assay.web.reading import Page

RUN = "01a0f4c0-5ad0-71a4-9ea5-cd1bb6170300"
NEXT = "2026-09-04"
TABLES = {"raw/tickets": ("raw/tickets",), "clean/tickets": ("clean/tickets", "quarantine/tickets")}


def refuse(lake: Lake, table: str, day: str | None, problem: str = "tickets/drop.csv, column text: is missing") -> None:
    at = datetime.now(UTC) + timedelta(hours=1)
    keep_refusal(lake, Refusal(table, day, problem, "given", at, TABLES[table], "run", RUN))


def badges(html: str, table: str) -> list[str]:
    """The state of each badge in the row of a table on the first page."""
    row = next(row for row in html.split("<tr") if f">{table}</a></th>" in row)
    return [part.split('"')[0] for part in row.split('class="badge ')[1:]]


def test_the_first_page_is_red_where_the_newest_day_was_refused(own_desk: Any) -> None:
    client = TestClient(own_desk.app)
    assert badges(client.get("/").text, "raw/tickets") == []
    refuse(own_desk.lake, "raw/tickets", NEXT)
    html = client.get("/").text
    for table in ("raw/tickets", "clean/tickets", "features/ticket"):
        assert badges(html, table)[0] == "refused", table
    page = Page(html)
    assert "⊘ 1 refused" in page.text
    assert page.text.count(f"{NEXT} was refused: tickets/drop.csv, column text: is missing") == 1 + 1 + 1, (
        "picture, badge and line"
    )
    assert page.links(href="/versions/raw/tickets#refused")
    assert badges(html, "models/router") == [], "what is no day of it is not missing in it"


def test_an_earlier_day_makes_a_table_amber_with_the_count(own_desk: Any) -> None:
    refuse(own_desk.lake, "clean/tickets", "2026-08-30")
    refuse(own_desk.lake, "clean/tickets", "2026-08-31", "12 of 12 rows broke a rule")
    html = TestClient(own_desk.app).get("/").text
    assert badges(html, "clean/tickets")[0] == "warned"
    assert badges(html, "features/ticket")[0] == "warned"
    assert badges(html, "raw/tickets") == [], "it has what it was given"
    assert "! 2 refused" in Page(html).text
    assert "2026-08-31 was refused: 12 of 12 rows broke a rule" in Page(html).text, "the newest"


def test_a_new_delivery_of_a_published_day_that_was_refused_is_amber(own_desk: Any) -> None:
    refuse(own_desk.lake, "raw/tickets", DAYS[-1])
    html = TestClient(own_desk.app).get("/").text
    assert badges(html, "raw/tickets")[0] == "warned"
    assert badges(html, "clean/tickets") == ["aside"], "it has the day that was published"


def test_what_was_written_since_is_green_again(own_desk: Any) -> None:
    past = datetime.now(UTC) - timedelta(days=1)
    keep_refusal(own_desk.lake, Refusal("raw/tickets", DAYS[0], "no", "given", past, ("raw/tickets",)))
    assert MissingBatches(own_desk.lake).of("raw/tickets") is None


def test_the_versions_of_a_table_begin_with_what_it_refused(own_desk: Any) -> None:
    client = TestClient(own_desk.app, follow_redirects=False)
    assert "Stopped in" not in client.get("/versions/raw/tickets").text
    refuse(own_desk.lake, "raw/tickets", NEXT)
    for table, heading in (("raw/tickets", "1 day refused"), ("clean/tickets", "1 day missing")):
        page = Page(client.get(f"/versions/{table}").text)
        assert heading in page.text
        assert f"{NEXT} raw/tickets refused" in page.text
        assert "tickets/drop.csv, column text: is missing" in page.text
        assert page.links(href=f"/dagster/{RUN}")
        assert ("h2", {"id": "refused"}) in page.tags


def test_a_table_of_which_everything_was_refused_is_listed_and_explained(own_desk: Any) -> None:
    keep_refusal(own_desk.lake, replace(REFUSED, table="raw/never", tables=("raw/never",)))
    client = TestClient(own_desk.app)
    html = client.get("/").text
    assert "There is no version yet. 1 day refused." in Page(html).text
    page = client.get("/versions/raw/never")
    assert page.status_code == 200
    assert "Nothing has been published." in page.text
    assert client.get("/versions/raw/other").status_code == 404


REFUSED = Refusal("raw/tickets", NEXT, "a reason", "given", datetime.now(UTC) + timedelta(hours=1), ("raw/tickets",))


def test_the_graph_marks_each_table_that_lacks_a_day_at_its_newest_version_and_not_in_the_past(own_desk: Any) -> None:
    client = TestClient(own_desk.app)
    address = "/graph?focus=dataset:assay:clean/tickets"
    assert "refused" not in client.get(address).text
    refuse(own_desk.lake, "raw/tickets", NEXT)
    page = Page(client.get(address).text)
    cards = {
        name: f"{NEXT} was refused" in words
        for name, words in page.cards.items()
        if name.startswith(("dataset:assay:raw/tickets@", "dataset:assay:clean/tickets@"))
    }
    newest = {f"dataset:assay:{table}@{own_desk.lake.table(table).at().version}" for table in TABLES}
    assert {name for name, marked in cards.items() if marked} == newest
    assert len(cards) > len(newest), "older versions are as they were"
    older = client.get(f"/graph?focus={min(cards)}").text
    assert f"{NEXT} was refused by raw/tickets" not in Page(older).text.partition("Nodes")[0]
    assert f"1 day missing . {NEXT} was refused by raw/tickets: tickets/drop.csv" in page.text
    assert page.links(href="/versions/clean/tickets#refused")
    assert f"1 day missing . {NEXT} was refused" in Page(client.get("/impact/clean/tickets").text).text
    assert "refused" not in client.get(f"{address}&as_of=2099-01-01T00:00").text


@pytest.mark.parametrize("hostile", ["<script>alert(1)</script>", '" onload=x'])
def test_reasons_are_text(own_desk: Any, hostile: str) -> None:
    refuse(own_desk.lake, "raw/tickets", NEXT, hostile)
    client = TestClient(own_desk.app)
    for address in ("/", "/versions/raw/tickets", "/graph?focus=dataset:assay:raw/tickets"):
        assert hostile not in client.get(address).text, address


def test_what_failed_is_told_from_what_was_refused(own_desk: Any) -> None:
    keep_refusal(own_desk.lake, replace(REFUSED, given="", problem="KeyError: the run says more."))
    client = TestClient(own_desk.app)
    html = client.get("/").text
    assert badges(html, "raw/tickets")[0] == "failed"
    assert "✗ 1 failed" in Page(html).text
    assert f"{NEXT} failed: KeyError: the run says more." in Page(html).text
    assert f"1 day missing. {NEXT} of raw/tickets failed: KeyError" in html, "of what is made from it"
    assert f"{NEXT} raw/tickets failed" in Page(client.get("/versions/raw/tickets").text).text
    refuse(own_desk.lake, "raw/tickets", "2026-09-05")
    assert "✗ 2 stopped" in Page(client.get("/").text).text


def test_a_model_whose_work_failed_is_not_green(own_desk: Any) -> None:
    keep_refusal(
        own_desk.lake, replace(REFUSED, table="models/router", partition=None, tables=("models/router",), given="")
    )
    page = TestClient(own_desk.app).get("/")
    assert badges(page.text, "models/router") == ["failed"]
    assert "The newest batch failed: a reason" in Page(page.text).text
