"""Datasets and jobs of other producers: on the first page, in pages, and through the graph."""

import json
import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from assay.features.tables.lake import open_lake
from assay.lineage.queries.namespaces import Named, Namespace, named_in, namespaces
from assay.lineage.store.lineage_store import LineageStore, open_lineage_store
from assay.web import create_router
from assay.web.pages.browse import LISTED
from tests.assay.web.reading import Page

COUNT = 17_005 if os.environ.get("SOAK") else 250
ODD = "s3://sh op/<b>?#&é"


def event(number: int, namespace: str = "s3://shop") -> bytes:
    def table(name: str) -> dict[str, Any]:
        return {"namespace": namespace, "name": name}

    value = {
        "eventType": "COMPLETE",
        "eventTime": "2026-03-01T06:00:00Z",
        "run": {"runId": str(uuid.UUID(int=number))},
        "job": {"namespace": "spark", "name": f"job {number:05}"},
        "inputs": [table(f"t/{number:05}")],
        "outputs": [table(f"t/{number + 1:05}")],
    }
    return json.dumps(value).encode()


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestClient, LineageStore]]:
    """A lake without tables, and a long chain of datasets from elsewhere."""
    folder: Path = tmp_path_factory.mktemp("foreign")
    store = open_lineage_store(folder / "lineage.db")
    store.put_all(event(number) for number in range(COUNT - 1))
    store.put(event(90_000, ODD))
    app = Starlette(routes=[Mount("/", create_router(store, open_lake(folder / "lake")))])
    with TestClient(app) as client:
        yield client, store
    store.close()


def test_the_first_page_has_other_producers_and_leads_to_each_dataset(foreign: tuple[TestClient, LineageStore]) -> None:
    client, _ = foreign
    began = time.perf_counter()
    page = Page(client.get("/").text)
    seconds = time.perf_counter() - began
    assert "Datasets and jobs by namespace" in page.text
    address = next(given["href"] for given in page.links() if "shop" in given["href"] and "kind" not in given["href"])
    met: list[str] = []
    while address:
        began = time.perf_counter()
        page = Page(client.get(address).text)
        seconds = max(seconds, time.perf_counter() - began)
        met += [given["aria-label"] for given in page.links() if given.get("aria-label", "").startswith("Trace of")]
        address = next((given["href"] for given in page.links(rel="next")), "")
    assert met == [f"Trace of t/{number:05}" for number in range(COUNT)]
    if os.environ.get("SOAK"):
        assert seconds < 1


def test_trace_and_impact_lead_through_them(foreign: tuple[TestClient, LineageStore]) -> None:
    client, _ = foreign
    page = Page(client.get("/browse?namespace=s3://shop").text)
    for label, near, far in (("Trace of t/00003", "t/00002", "t/00004"), ("Impact of t/00003", "t/00004", "t/00002")):
        (link,) = page.links(aria_label=label)
        drawn = Page(client.get(link["href"]).text).cards
        assert f"dataset:s3://shop:{near}" in drawn
        assert f"dataset:s3://shop:{far}" not in drawn


def test_jobs_and_odd_names(foreign: tuple[TestClient, LineageStore]) -> None:
    client, _ = foreign
    jobs = Page(client.get("/browse?namespace=spark").text)
    assert "There are no datasets" in jobs.text
    listed = Page(client.get(jobs.links(href="/browse?namespace=spark&kind=jobs")[0]["href"]).text)
    assert "job 00000 complete" in listed.text
    assert f"1 to {LISTED} of {COUNT}" in listed.text.replace(",", "")
    home = Page(client.get("/").text)
    (odd,) = [given["href"] for given in home.links() if "%C3%A9" in given["href"] and "kind" not in given["href"]]
    page = Page(client.get(odd).text)
    assert ODD in page.text
    (link,) = page.links(aria_label="Trace of t/90001")
    assert client.get(link["href"]).status_code == 200


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("namespace=nothing", 404),
        ("namespace=spark&kind=people", 400),
        ("from=-1", 400),
        ("from=" + "9" * 5_000, 400),
        ("from=1000000", 200),
        ("", 200),
    ],
)
def test_what_is_not_there_says_what_to_do(foreign: tuple[TestClient, LineageStore], query: str, status: int) -> None:
    assert foreign[0].get(f"/browse?{query}").status_code == status


def test_the_counts_are_those_of_the_store(foreign: tuple[TestClient, LineageStore]) -> None:
    _, store = foreign
    listed, total = namespaces(store)
    assert listed == [Namespace(ODD, 2, 0), Namespace("s3://shop", COUNT, 0), Namespace("spark", 0, COUNT)]
    assert total == 3
    assert namespaces(store, limit=1, offset=1) == ([Namespace("s3://shop", COUNT, 0)], 3)
    assert named_in(store, "spark", "jobs", limit=1) == ([Named("job 00000", "COMPLETE")], COUNT)
    assert named_in(store, "s3://shop", "datasets", limit=1, offset=1) == ([Named("t/00001")], COUNT)


def test_the_first_page_is_there_without_the_lineage_database(tmp_path: Path) -> None:
    store = open_lineage_store(tmp_path / "lineage.db")
    with store.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE datasets RENAME TO lost")
    client = TestClient(Starlette(routes=[Mount("/", create_router(store, open_lake(tmp_path / "lake")))]))
    assert "The lineage database does not answer now" in Page(client.get("/").text).text
    store.close()
