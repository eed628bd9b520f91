"""The list of a table's versions, and two of them side by side."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import polars as pl
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from assay.features.tables.lake import Lake
from assay.features.tables.run_record import CheckResult, Work
from assay.features.tables.transaction import transaction
from assay.lineage.delivery.recorder import EventRecorder
from assay.web import create_router
from tests.assay.web.reading import Page

ID = "dataset:assay:clean/tickets"


def test_every_version_is_listed_and_leads_to_its_difference_from_the_one_before(client: TestClient, desk: Any) -> None:
    page = Page(client.get("/versions/clean/tickets").text)
    versions = [given for tag, given in page.tags if tag == "a" and given["href"].startswith("/diff")]
    assert [given["aria-label"] for given in versions] == [
        "Compare version 3 with the version before, 2",
        "Compare version 2 with the version before, 1",
    ]
    assert "the first" in page.text
    assert "2026-09-03" in page.text
    assert "Tickets 1.2" in page.text
    assert "○ 1/2, set aside" in page.text
    assert "✗" not in page.text and "!" not in page.text, "what was handled as agreed has not failed"
    difference = Page(client.get(versions[0]["href"]).text)
    assert "clean/tickets @2 → @3" in difference.text
    assert "Rows +4 8 12" in difference.text
    assert "text.not_null set aside held" in difference.text
    assert "Inputs raw/tickets @2 @3" in difference.text
    for same in ("Columns", "Contract", "Code"):
        assert f"{same} no difference" in difference.text


def test_the_same_version_twice_has_no_differences(client: TestClient) -> None:
    page = Page(client.get(f"/diff?a={ID}@2&b={ID}@2").text)
    assert "No differences" in page.text
    assert page.text.count("no difference") == 6
    short = Page(client.get("/diff?a=clean/tickets@1&b=clean/tickets@2").text)
    assert "clean/tickets @1 → @2" in short.text


def test_swapping_compares_the_other_way_round(client: TestClient) -> None:
    page = Page(client.get(f"/diff?a={ID}@1&b={ID}@2").text)
    swapped = next(given["href"] for tag, given in page.tags if tag == "a" and given["href"].startswith("/diff"))
    assert "clean/tickets @2 → @1" in Page(client.get(swapped).text).text


def test_columns_contract_and_code_show_what_they_were(lake: Lake, recorder: EventRecorder) -> None:
    frames = [pl.DataFrame({"a": [1]}), pl.DataFrame({"a": [1], "b": ["x"]})]
    for number, frame in enumerate(frames):
        with transaction(lake, recorder, Work("clean/t", code_version=f"code {number}")) as tx:
            if number:
                tx.contract = {"name": "C", "version": "2.0"}
                tx.check(CheckResult("a.range", "clean/t", False, "warn", "a", 1))
            tx.write("clean/t", frame)
    client = TestClient(Starlette(routes=[Mount("/", create_router(recorder.store, lake))]))
    listed = Page(client.get("/versions/clean/t").text)
    address = next(given["href"] for tag, given in listed.tags if tag == "a" and given["href"].startswith("/diff"))
    text = Page(client.get(address).text).text
    for said in ("Columns b – String", "Contract – C@2.0", "Checks a.range – warned", "Code code 0 code 1"):
        assert said in text, said


def test_another_version_of_the_contract_that_came_to_the_same_is_named(lake: Lake, recorder: EventRecorder) -> None:
    client = TestClient(Starlette(routes=[Mount("/", create_router(recorder.store, lake))]))

    def judged(version: str, day: str = "2026-09-01", rows: int = 1) -> str:
        with transaction(lake, recorder, Work("clean/t", partition=day, params={"contract": version})) as tx:
            tx.contract = {"name": "C", "version": version}
            tx.write("clean/t", pl.DataFrame({"a": [rows]}))
        return Page(client.get("/versions/clean/t").text).text

    assert "C 1.0" in judged("1.0") and "too" not in judged("1.0", "2026-09-02")
    said = judged("1.1")
    assert said.count("C 1.0; 1.1 too") == 1, "the other day was not judged again"
    assert lake.table("clean/t").at().version == 2, "the same rows are no new version"
    assert "C 1.0; 1.2 too" in judged("1.2")
    again = judged("1.3", rows=2)
    assert "C 1.3 " in again and again.count("too") == 1, "what was true of the earlier version stays"


def test_what_was_not_recorded_is_unknown_and_not_the_same(tmp_path: Path, recorder: EventRecorder, lake: Lake) -> None:
    recorder.store.put(
        b'{"eventTime": "2026-09-01T10:00:00Z", "eventType": "COMPLETE", "job": {"namespace": "n", "name": "j"},'
        b' "run": {"runId": "0b8ffc1e-3a5c-4b0f-9c93-4f7c2a1d5e60"}, "inputs": [{"namespace": "n", "name": "x"}],'
        b' "outputs": [{"namespace": "n", "name": "y"}]}'
    )
    client = TestClient(Starlette(routes=[Mount("/", create_router(recorder.store, lake))]))
    text = Page(client.get("/diff?a=dataset:n:x&b=dataset:n:y").text).text
    for aspect in ("Rows", "Columns", "Checks", "Code", "Inputs"):
        assert f"{aspect} unknown" in text


@pytest.mark.parametrize("until", ["1", "2"])
def test_older_versions_begin_where_they_were_asked_to(client: TestClient, until: str) -> None:
    text = Page(client.get(f"/versions/{quote('clean/tickets')}?until={until}").text).text
    assert f"@{until}" in text
    assert f"@{int(until) + 1} " not in text
