"""The pages, asked for by an in-process client: what they say, their headers, their errors, hostile names."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import polars as pl
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from assay.features.tables.lake import open_lake
from assay.features.tables.run_record import Work
from assay.features.tables.transaction import transaction
from assay.lineage.delivery.recorder import EventRecorder
from assay.lineage.queries.nodes import find
from assay.lineage.store.lineage_store import open_lineage_store
from assay.web import create_router, static_files
from tests.assay.web.reading import Page

TABLE = "dataset:assay:clean/tickets"
NOBODY = "01a0f4c0-5ad0-71a4-9ea5-cd1bb6170300"


def table_node(desk: Any, version: int) -> str:
    node = find(desk.store, f"{TABLE}@{version}")
    assert node is not None
    return node.id


def addresses(desk: Any) -> list[str]:
    return [
        "/",
        "/?q=tickets",
        "/?q=nothing-of-this-name",
        f"/graph?focus={TABLE}",
        f"/graph?focus={TABLE}@1&up=4&down=4&then=open:{table_node(desk, 1)}&column=text&of={table_node(desk, 1)}",
        f"/graph?focus={TABLE}&column=no-such-column",
        "/versions/clean/tickets",
        "/versions/no/such",
        f"/diff?a={TABLE}@1&b={TABLE}@2",
        "/graph?focus=dataset:assay:no/such",
        f"/trace/{desk.predictions[0]}",
        f"/trace/{NOBODY}",
        "/impact/clean/tickets",
        "/impact/clean/tickets?version=x",
        "/browse",
        "/browse?namespace=dagster&kind=jobs",
        "/no/such/page",
        "/static/no.css",
    ]


@pytest.mark.parametrize(
    "address",
    [
        "/trace/ffffffff-ffff-7fff-bfff-ffffffffffff",
        "/?q=ffffffff-ffff-7fff-bfff-ffffffffffff",
        "/?q=http://[::1",
        "/?q=9999-12-31",
        f"/impact/clean/tickets?version={'9' * 5000}",
        "/impact/clean/tickets?version=%D9%A3",
        f"/graph?focus={TABLE}&up={'9' * 5000}",
        f"/graph?focus={TABLE}&as_of=0001-01-01T00:00:00%2B23:59",
        f"/graph?focus={TABLE}&as_of=9999-12-31T23:59:59-23:59",
        f"/versions/clean/tickets?before={'9' * 25}",
    ],
)
def test_what_there_cannot_be_is_answered(client: TestClient, address: str) -> None:
    answer = client.get(address, follow_redirects=True)
    assert answer.status_code in (200, 400, 404), address
    assert "<h1" in answer.text


def test_every_answer_lets_the_browser_load_nothing_from_elsewhere(client: TestClient, desk: Any) -> None:
    for address in [*addresses(desk), static_files.address("console.css")]:
        answer = client.get(address)
        assert answer.headers["content-security-policy"].startswith("default-src 'self';"), address
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_pages_name_no_other_site_and_hold_nothing_inline(client: TestClient, desk: Any) -> None:
    for address in addresses(desk):
        page = Page(client.get(address).text)
        assert all(found.startswith(("/", "#")) and not found.startswith("//") for found in page.addresses()), address
        assert not [tag for tag, _ in page.tags if tag == "style"]
        assert not [name for _, given in page.tags for name in given if name == "style" or name.startswith("on")]
        assert all(given.get("src") for tag, given in page.tags if tag == "script")


def test_links_of_a_page_lead_to_pages(client: TestClient, desk: Any) -> None:
    found = {found for address in addresses(desk) for found in Page(client.get(address).text).addresses()}
    for address in sorted(found):
        if address.startswith("/") and not address.endswith(("/verify", "/letter", "/evidence")):
            assert client.get(address).status_code in (200, 303), address


def test_scripts_and_styles_have_their_content_in_their_name(client: TestClient) -> None:
    page = Page(client.get("/").text)
    found = [address for address in page.addresses() if address.startswith("/static/")]
    assert len(found) >= 3
    for address in found:
        assert re.fullmatch(r"/static/[a-z]+\.[0-9a-f]{12}\.(css|js|svg)", address)
        answer = client.get(address)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
    assert client.get("/static/console.css").status_code == 404  # only ever under its versioned name
    assert client.get("/static/..%2froutes.py").status_code == 404


def test_the_first_page_lists_tables_models_and_predictions(client: TestClient, desk: Any) -> None:
    page = Page(client.get("/").text)
    for table in ("raw/tickets", "clean/tickets", "features/ticket", "training/router"):
        assert table in page.text
    assert "router@1" in page.text
    assert "accuracy 0.91" in page.text
    assert all(prediction in page.text for prediction in desk.predictions)
    assert "lost_card" in page.text
    assert "t-2026" not in page.text  # entity keys are nobody's business here


def test_an_empty_lake_says_how_to_fill_it(tmp_path: Path) -> None:
    store = open_lineage_store(tmp_path / "lineage.db")
    client = TestClient(Starlette(routes=[Mount("/", create_router(store, open_lake(tmp_path / "lake")))]))
    page = Page(client.get("/").text)
    assert "no tables yet" in page.text
    assert "assay demo" in page.text
    assert (
        Page(client.get("/?q=x").text).text.count(
            "No table, job, column, rule, contract or owner has these words in its name"
        )
        == 1
    )
    store.close()


def test_search_finds_by_a_part_of_the_name_and_by_a_predictions_id(client: TestClient, desk: Any) -> None:
    found = Page(client.get("/?q=ticket").text)
    assert "clean/tickets" in found.text
    assert "features/ticket" in found.text
    assert "No table" in Page(client.get("/?q=nothing-of-this-name").text).text
    answer = client.get(f"/?q={desk.predictions[0]}")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/trace/{desk.predictions[0]}")


def test_a_trace_shows_every_step_down_to_the_delivered_files(client: TestClient, desk: Any) -> None:
    answer = client.get(f"/trace/{desk.predictions[0]}")
    page = Page(answer.text)
    for part in ("models/router", "training/router", "features/ticket", "clean/tickets", "raw/tickets", "Tickets 1.2"):
        assert part in page.text
    assert "tickets/2026-09-01/drop.csv" in page.text
    assert len(re.findall(r"\b[0-9a-f]{64}\b", page.text)) == 3  # one delivered file a day
    cards = [given for tag, given in page.tags if tag == "a" and "data-node" in given]
    rows = [given for tag, given in page.tags if tag == "tr" and "id" in given]
    assert {given["href"] for given in cards} == {f"#{given['id']}" for given in rows}  # picture and list say the same
    assert "rows that broke 1 of 2 rules are in quarantine" in page.text
    assert "✗" not in page.text, "what was handled as agreed has not failed"
    assert "t-2026" not in page.text


def test_verify_proves_a_prediction_and_names_what_is_broken(own_desk: Any) -> None:
    client = TestClient(own_desk.app)
    address = f"/trace/{own_desk.predictions[0]}/verify"
    page = client.post(address)
    assert page.status_code == 200
    assert 'data-outcome="verified"' in page.text
    data = next(Path(own_desk.lake.storage.root, "clean/tickets").rglob("*.parquet"))
    data.write_bytes(data.read_bytes() + b"!")
    page = client.post(address)
    assert 'data-outcome="broken"' in page.text
    assert data.name in page.text


def test_verify_is_only_for_the_consoles_own_forms(client: TestClient, desk: Any) -> None:
    address = f"/trace/{desk.predictions[0]}/verify"
    assert client.post(address, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert client.get(address).status_code in (404, 405)


def test_a_damaged_table_is_one_line_of_the_list(own_desk: Any) -> None:
    log = Path(own_desk.lake.storage.root, "clean/tickets/_delta_log")
    for file in log.glob("*.json"):
        file.write_text("not a commit")
    answer = TestClient(own_desk.app).get("/")
    assert answer.status_code == 200
    page = Page(answer.text)
    assert "damaged" in page.text
    assert "features/ticket" in page.text
    assert own_desk.predictions[0] in page.text


def test_impact_counts_what_was_made_from_a_version(client: TestClient, desk: Any) -> None:
    page = Page(client.get("/impact/raw/tickets?version=1").text)
    assert "Impact of raw/tickets@1" in page.text
    assert "complete" in page.text
    for part in ("clean/tickets", "features/ticket", "training/router", "predictions/router"):
        assert part in page.text
    assert f"predictions {len(desk.predictions)}" in page.text
    assert "Nothing was made from it." in Page(client.get("/impact/predictions/router").text).text


def test_impact_of_some_rows_lists_the_predictions_that_took_them(client: TestClient, desk: Any) -> None:
    asked = {"rows": "ticket_id IS NOT NULL"}
    page = Page(client.post("/impact/clean/tickets", data=asked).text)
    assert "row by row" in page.text and "complete" in page.text
    lists = client.post("/impact/clean/tickets", data=asked | {"download": "csv"})
    assert lists.headers["content-type"].startswith("text/csv")
    assert 'filename="affected.csv"' in lists.headers["content-disposition"]
    for form in ("parquet", "json"):
        other = client.post("/impact/clean/tickets", data=asked | {"download": form})
        assert f'filename="affected.{form}"' in other.headers["content-disposition"]
        listed = pl.read_parquet(other.content) if form == "parquet" else pl.DataFrame(other.json()["predictions"])
        assert set(listed["prediction_id"]) == set(desk.predictions)
    assert client.post("/impact/clean/tickets", data=asked | {"download": "xlsx"}).status_code == 400
    assert "router@1" in page.text
    header, *lines = lists.text.splitlines()
    assert header.startswith("prediction_id,model,model_version,event_time,keys,answer,owner")
    assert {line[:36] for line in lines} == set(desk.predictions)
    assert all(name in page.text for name in desk.predictions[:3])
    nobody = Page(client.post("/impact/clean/tickets", data={"rows": "false"}).text)
    assert "No prediction took any of these rows." in nobody.text


def test_a_condition_on_rows_is_in_no_address_and_other_questions_have_one(client: TestClient) -> None:
    answer = client.post("/impact/clean/tickets", data={"rows": "ticket_id <> 'C0'", "partition": "2026-09-03"})
    addresses = Page(answer.text).addresses()
    assert answer.url.query == b"" and not any("C0" in address or "rows=" in address for address in addresses)
    kept = "/impact/clean/tickets?partition=2026-09-03&list=1"
    assert kept in addresses and client.get(kept).status_code == 200
    fields = re.findall(r'<form class="again".*?</form>', answer.text)
    assert len(fields) == 4 and all("ticket_id &lt;&gt; &#39;C0&#39;" in form for form in fields), (
        "asked again in a form"
    )
    sent = client.post("/impact/raw/tickets", data={"version": "1", "rows": " "}, follow_redirects=False)
    assert (sent.status_code, sent.headers["location"]) == (303, "/impact/raw/tickets?version=1")
    refused = client.get("/impact/clean/tickets", params={"rows": "ticket_id <> 'C0'"})
    assert refused.status_code == 400 and "C0" not in refused.text
    wrong = client.post("/impact/clean/tickets", data={"rows": "anna ="})
    assert wrong.status_code == 400 and "Change the condition" in wrong.text


@pytest.mark.parametrize(
    ("address", "status", "says"),
    [
        ("/impact/clean/tickets?partiton=2026-03-01", 400, "no parameter 'partiton'"),
        ("/impact/clean/tickets?partition=2026-09-01&partition=2026-09-02", 400, "there twice"),
        ("/impact/clean/tickets?list=0&partition=1999-01-01", 404, "no partition"),
        ("/impact/clean/tickets?partition=1999-01-01", 404, "no partition"),
        ("/impact/clean/tickets?column=nothing", 404, "no column"),
        ("/impact/clean/tickets?file=nothing.csv", 404, "No raw table has rows of"),
        ("/impact/clean/tickets?rows=anna+%3D", 400, "No condition in an address"),
        (f"/trace/{NOBODY}", 404, "Check the id"),
        ("/trace/not-an-id", 404, "Check the id"),
        ("/impact/no/such", 404, "There is no table no/such"),
        ("/impact/clean/tickets?version=99", 404, "has no version 99"),
        ("/impact/clean/tickets?version=-1", 400, "whole number"),
        ("/graph?focus=dataset:assay:no/such", 404, "Search for it"),
        ("/graph?focus=nonsense", 404, "Search for it"),
        (f"/graph?focus={TABLE}&up=many", 400, "from 0 to"),
        (f"/graph?focus={TABLE}&up=1000", 400, "from 0 to"),
        (f"/graph?focus={TABLE}&as_of=yesterday", 400, "not a date and time"),
        (f"/graph?focus={TABLE}&as_of=1999-01-01T00:00:00", 404, "Choose a later time"),
        (f"/graph?focus={TABLE}&then=jump", 400, "step of this address"),
        (f"/graph?focus={TABLE}" + "&then=up" * 61, 400, "Start again"),
        ("/versions/no/such", 404, "There is no table no/such"),
        ("/versions/clean/tickets?until=x", 400, "whole number"),
        ("/diff", 400, "compares two versions"),
        (f"/diff?a={TABLE}@1", 400, "compares two versions"),
        (f"/diff?a={TABLE}@1&b={TABLE}@99", 404, "has no dataset"),
        ("/no/such/page", 404, "nothing at this address"),
    ],
)
def test_what_is_not_there_says_what_to_do(client: TestClient, address: str, status: int, says: str) -> None:
    answer = client.get(address)
    assert answer.status_code == status
    assert says in Page(answer.text).text
    assert "Traceback" not in answer.text


def test_an_unknown_address_of_the_api_is_answered_by_the_api(client: TestClient) -> None:
    answer = client.get("/api/v1/no/such")
    assert answer.status_code == 404
    assert "<html" not in answer.text


HOSTILE = [
    '"><script>alert(1)</script>',
    "' onmouseover='alert(1)",
    "</title><img src=x>",
    "{{ 7 * 7 }}",
    "a&b=c#d?e",
    "x" * 300,
]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_a_visitor_sends_comes_back_as_text(client: TestClient, text: str) -> None:
    for address in (
        f"/?q={quote(text)}",
        f"/trace/{quote(text, safe='')}",
        f"/impact/{quote(text)}",
        f"/impact/clean/tickets?rows={quote(text)}",
        f"/impact/clean/tickets?partition={quote(text)}&file={quote(text)}",
        f"/graph?focus={quote(text)}",
    ):
        html = client.get(address).text
        assert "<script>alert" not in html
        assert "<img" not in html
        assert "49" not in re.findall(r"\b49\b", html)
        assert not [name for _, given in Page(html).tags for name in given if name.startswith("on")]


def test_hostile_names_of_tables_are_only_text(tmp_path: Path) -> None:
    """Whoever may write a table or send an event chooses its name."""
    lake, store = open_lake(tmp_path / "lake"), open_lineage_store(tmp_path / "lineage.db")
    recorder = EventRecorder(store)
    name = 'clean/"><img src=x onerror=alert(1)>{{7*7}}'
    with transaction(lake, recorder, Work(name, None, code_version="1")) as tx:
        tx.write(name, pl.DataFrame({"<script>": [1]}))
    recorder.close()
    client = TestClient(Starlette(routes=[Mount("/", create_router(store, lake))]))
    node = find(store, f"dataset:assay:{name}")
    assert node is not None
    focus = quote(node.id)
    for address in (
        "/",
        "/?q=clean",
        f"/impact/{quote(name)}",
        f"/graph?focus={focus}&then=open:{focus}&column=%3Cscript%3E",
        f"/versions/{quote(name)}",
        f"/diff?a={focus}&b={focus}",
    ):
        answer = client.get(address)
        assert answer.status_code == 200, address
        assert not [tag for tag, _ in Page(answer.text).tags if tag == "img"]
        assert not [given for tag, given in Page(answer.text).tags if tag == "script" and "src" not in given]
        assert "onerror=alert(1)&gt;{{7*7}}" in answer.text
    store.close()


def test_an_unknown_name_leads_to_the_nearest_table(client: TestClient) -> None:
    for address in ("/?q=clean/tikct", "/?q=tcikest", "/graph?focus=clean/tikets", "/versions/clean/ticket"):
        answer = client.get(address)
        page = Page(answer.text)
        assert "Did you mean" in answer.text, address
        assert "/pipeline?table=clean%2Ftickets&open=clean%2Ftickets" in page.addresses(), address
    assert "Did you mean" not in client.get("/?q=xyzzy").text
    slip = Page(client.get("/?q=clean/tickts").text)
    assert any("clean%2Ftickets%40" in address for address in slip.addresses()), "a slip of the keys is forgiven"


def test_a_table_by_its_name_alone_is_shown(client: TestClient) -> None:
    answer = client.get("/graph?focus=clean/tickets@2", follow_redirects=True)
    assert (answer.status_code, answer.url.params["focus"]) == (200, f"{TABLE}@2")


def test_a_search_longer_than_any_name_finds_nothing_and_breaks_nothing(client: TestClient) -> None:
    for address in (f"/?q={'a' * 60_000}", f"/graph?focus={'b' * 60_000}", f"/?q={quote('%_' * 10_000)}"):
        answer = client.get(address)
        assert answer.status_code in (200, 404)
        assert len(answer.text) < 20_000, "the page does not repeat it"


def test_the_checks_of_a_table_are_those_of_all_its_days(client: TestClient) -> None:
    """The second of three days broke a rule; its rows are in quarantine, as agreed."""
    page = client.get("/").text
    assert (
        "rows that broke 1 of 2 rules are in quarantine, as agreed: text is there (text.not_null); in 1 of 3 batches"
        in page
    )


def test_a_run_leads_to_its_page_in_dagster(client: TestClient) -> None:
    answer = client.get(f"/dagster/{NOBODY}", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, f"http://127.0.0.1:3000/runs/{NOBODY}")
    assert client.get("/dagster/../../elsewhere").status_code == 404
    assert client.get("/dagster/assets/nobody/knows").status_code == 404
    asset = client.get("/dagster/assets/clean/tickets", follow_redirects=False)
    assert asset.headers["location"].endswith("/assets/clean/tickets")
