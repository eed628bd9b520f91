"""Marquez's own Python client, and the addresses that its web UI reads, against this service over HTTP."""

import itertools
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import pytest
import uvicorn
from starlette.testclient import TestClient

from assay.features.tables.lake import open_lake
from assay.lineage.api import create_app
from assay.lineage.api import marquez_models as models
from assay.lineage.api.listings import asset_counts, event_counts, intervals
from assay.lineage.store.lineage_store import LineageStore, open_lineage_store
from tests.served import answers, free_ports

CLIENT = Path(sys.prefix) / "marquez"  # see the Makefile
RUNS = [f"0195512a-7a00-7000-8000-00000000000{number}" for number in range(4)]
SHOP = "s3://shop"


def dataset(name: str, version: str, **facets: Any) -> dict[str, Any]:
    fields = [{"name": "id", "type": "Int64"}, {"name": "amount", "type": "Int64"}]
    facets = {"schema": {"fields": fields}, "version": {"datasetVersion": version}} | facets
    return {"namespace": SHOP, "name": name, "facets": facets}


def event(number: int, kind: str, **changes: Any) -> dict[str, Any]:
    return {
        "eventType": kind,
        "eventTime": f"2026-03-01T06:0{number}:00Z",
        "run": {"runId": RUNS[number], "facets": {"nominalTime": {"nominalStartTime": "2026-03-01T00:00:00Z"}}},
        "job": {"namespace": "spark", "name": f"shop.job{number}", "facets": {"sql": {"query": "SELECT 1"}}},
    } | changes


def derived(column: str) -> dict[str, Any]:
    return {"fields": {column: {"inputFields": [{"namespace": SHOP, "name": "raw/orders", "field": column}]}}}


EVENTS = [
    event(
        1,
        "COMPLETE",
        inputs=[dataset("raw/orders", "41", dataSource={"name": "lake", "uri": "s3://shop"})],
        outputs=[
            dataset(
                "clean/orders", "42", columnLineage=derived("amount"), tags={"tags": [{"key": "pii", "value": "no"}]}
            ),
            dataset("clean/odd", "1"),
        ],
    ),
    event(2, "FAIL", inputs=[dataset("clean/orders", "42")]),
    event(3, "START", inputs=[dataset("clean/orders", "42")]),
]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LineageStore]:
    store = open_lineage_store(tmp_path_factory.mktemp("marquez") / "lineage.db")
    with TestClient(create_app(store, open_lake(store.home / "lake")), base_url="http://127.0.0.1:3001") as client:
        assert client.post("/api/v1/lineage/batch", json=EVENTS).json()["status"] == "success"
    yield store
    store.close()


@pytest.fixture(scope="module")
def web(filled: LineageStore) -> Iterator[TestClient]:
    with TestClient(create_app(filled, open_lake(filled.home / "lake")), base_url="http://127.0.0.1:3001") as client:
        yield client


@pytest.fixture(scope="module")
def marquez(filled: LineageStore) -> Iterator[Any]:
    """The client of Marquez, talking to this service."""
    if not CLIENT.is_dir():
        pytest.skip("Marquez's client is not here: make test installs it")
    sys.path.append(str(CLIENT))
    from marquez_client import MarquezClient  # pyright: ignore[reportMissingImports]

    (port,) = free_ports(1)
    app = create_app(filled, open_lake(filled.home / "lake"))
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    assert answers(port, 30)
    yield MarquezClient(url=f"http://127.0.0.1:{port}")
    server.should_exit = True
    thread.join(10)
    sys.path.remove(str(CLIENT))


def test_every_read_of_the_client_is_answered(marquez: Any) -> None:
    reads = {name for name in dir(marquez) if name.startswith(("get_", "list_"))}
    names = [item["name"] for item in marquez.list_namespaces()["namespaces"]]
    assert names == [SHOP, "spark"]
    assert [marquez.get_namespace(name)["name"] for name in names] == names
    assert [item["eventType"] for item in marquez.list_events()["events"]] == ["START", "FAIL", "COMPLETE"]
    assert len(marquez.list_events("spark", limit=2, offset=1)["events"]) == 2
    assert marquez.list_events("nothing")["events"] == []
    assert [item["name"] for item in marquez.list_sources()["sources"]] == ["lake", SHOP]
    assert marquez.get_source(SHOP)["type"] == "S3"
    assert [item["name"] for item in marquez.list_datasets(SHOP)["datasets"]] == [
        "clean/odd",
        "clean/orders",
        "raw/orders",
    ]
    clean = marquez.get_dataset(SHOP, "clean/orders")
    assert clean["columnLineage"][0]["inputFields"][0]["dataset"] == "raw/orders"
    assert [item["version"] for item in marquez.list_dataset_versions(SHOP, "clean/orders")["versions"]] == ["42"]
    version = marquez.get_dataset_version(SHOP, "clean/orders", "42")
    assert version["id"] == {"namespace": SHOP, "name": "clean/orders", "version": "42"}
    assert version["createdByRun"]["id"] == RUNS[1]
    jobs = marquez.list_jobs("spark")["jobs"]
    assert [item["name"] for item in jobs] == ["shop.job1", "shop.job2", "shop.job3"]
    assert marquez.get_job("spark", "shop.job2")["latestRun"]["state"] == "FAILED"
    assert [item["id"] for item in marquez.list_job_runs("spark", "shop.job1")["runs"]] == [RUNS[1]]
    assert marquez.get_job_run(RUNS[3])["state"] == "RUNNING"
    assert [item["name"] for item in marquez.list_tags()["tags"]] == ["pii"]
    graphs = [
        marquez.get_column_lineage_by_dataset(SHOP, "clean/orders", version="42"),
        marquez.get_column_lineage_by_dataset_field(SHOP, "clean/orders", "amount", with_downstream=True),
        marquez.get_column_lineage_by_job("spark", "shop.job1"),
    ]
    for graph in graphs:
        assert "datasetField:s3://shop:raw/orders:amount" in [node["id"] for node in graph["graph"]]
    assert reads == {
        *(
            "get_namespace",
            "list_namespaces",
            "list_events",
            "get_source",
            "list_sources",
            "get_dataset",
            "list_datasets",
        ),
        *(
            "get_dataset_version",
            "list_dataset_versions",
            "get_job",
            "list_jobs",
            "list_job_runs",
            "get_job_run",
            "list_tags",
        ),
        *(f"get_column_lineage_by_{kind}" for kind in ("dataset", "dataset_field", "job")),
    }


def test_what_is_not_there_is_an_error_of_the_client(marquez: Any) -> None:
    from marquez_client.errors import APIError  # pyright: ignore[reportMissingImports]

    for read in (
        lambda: marquez.get_namespace("nothing"),
        lambda: marquez.get_source("nothing"),
        lambda: marquez.get_dataset_version(SHOP, "clean/orders", "43"),
        lambda: marquez.get_job_run("0195512a-7a00-7000-8000-0000000000ff"),
    ):
        with pytest.raises(APIError):
            read()


def get(client: TestClient, path: str, model: Any = None) -> Any:
    answer = client.get(f"/api/{path}")
    assert answer.status_code == 200, answer.text
    if model is not None:
        model.model_validate(answer.json())
    return answer.json()


def test_the_addresses_of_the_web_ui(web: TestClient) -> None:
    jobs = get(web, "v1/jobs?limit=25&offset=0", models.Jobs)
    assert [item["name"] for item in jobs["jobs"]] == ["shop.job3", "shop.job2", "shop.job1"], "the last run first"
    failed = get(web, "v1/jobs?limit=25&offset=0&lastRunStates=FAILED", models.Jobs)
    assert ([item["name"] for item in failed["jobs"]], failed["totalCount"]) == (["shop.job2"], 1)
    assert get(web, "v1/namespaces/spark/jobs?lastRunStates=RUNNING")["jobs"][0]["name"] == "shop.job3"
    assert get(web, "v1/jobs?lastRunStates=NEW")["jobs"] == []
    run = get(web, f"v1/jobs/runs/{RUNS[1]}/facets?type=run", models.RunFacets)
    assert run["facets"].keys() == {"nominalTime"}
    assert get(web, f"v1/jobs/runs/{RUNS[1]}/facets?type=job")["facets"].keys() == {"sql"}
    assert get(web, "v1/events/lineage?limit=10&before=&after=&offset=0&sortDirection=desc")["totalCount"] == 3
    found = get(web, "v1/search?q=clean&sort=NAME&limit=100", models.Hits)
    assert [item["name"] for item in found["results"]] == ["clean/odd", "clean/orders"]
    assert get(web, "v1/search?q=clean&sort=UPDATE_AT")["results"][0]["name"] == "clean/orders"
    for kind, name in (("jobs", "shop.job1"), ("datasets", "clean/orders")):
        hits = get(web, f"v2beta/search/{kind}?q={name}", models.FullHits)["hits"]
        assert [hit["name"] for hit in hits] == [name]
        assert hits[0]["facets"]
    node = quote(f"dataset:{SHOP}:clean/orders", safe="")
    assert len(get(web, f"v1/lineage?nodeId={node}&depth=1")["graph"]) == 4
    assert get(web, f"v1/column-lineage?nodeId={node}&depth=2&withDownstream=true")["graph"]


def test_events_are_counted_in_their_hour_and_day(filled: LineageStore) -> None:
    now = datetime(2026, 3, 1, 8, 30, tzinfo=UTC)
    with filled.reading() as connection:
        by_hour = event_counts(connection, intervals("DAY", ZoneInfo("UTC"), now))
        by_day = event_counts(connection, intervals("WEEK", ZoneInfo("Asia/Kolkata"), now))
        jobs = asset_counts(connection, "jobs", intervals("DAY", ZoneInfo("UTC"), now))
    nothing = {"fail": 0, "start": 0, "complete": 0, "abort": 0}
    one_each = {"fail": 1, "start": 1, "complete": 1, "abort": 0}
    assert by_hour == [nothing] * 21 + [one_each] + [nothing] * 2
    assert by_day == [nothing] * 6 + [one_each]
    assert jobs == [0] * 21 + [3] * 3


def test_statistics_count_what_there_was(web: TestClient) -> None:
    for period in ("DAY", "WEEK"):
        for asset, count in (("jobs", 3), ("datasets", 3), ("sources", 2)):
            counts = get(web, f"v1/stats/{asset}?period={period}&timezone=Europe/Berlin")
            assert len(counts) == (24 if period == "DAY" else 7)
            assert counts[-1]["count"] in (0, count), "the sample events may be of the future"
            models.AssetCount.model_validate(counts[0])
        models.EventCounts.model_validate(get(web, f"v1/stats/lineage-events?period={period}")[0])
    for wrong in ("jobs?period=YEAR", "jobs?period=DAY&timezone=Nowhere/At", "people?period=DAY"):
        assert web.get(f"/api/v1/stats/{wrong}").status_code == 400


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Kolkata", "America/New_York"])
def test_intervals_follow_each_other_and_the_last_holds_now(zone: str) -> None:
    changes = [datetime(2026, 3, 29, 12, 34, tzinfo=UTC), datetime(2026, 10, 26, 0, 5, tzinfo=UTC)]
    for now, period in itertools.product(changes, ("DAY", "WEEK")):
        spans = intervals(period, ZoneInfo(zone), now)  # pyright: ignore[reportArgumentType]
        assert len(spans) == (24 if period == "DAY" else 7)
        assert spans[-1][0] <= now < spans[-1][1]
        assert all(a[1] == b[0] for a, b in itertools.pairwise(spans))
        if period == "WEEK":
            assert {start.astimezone(ZoneInfo(zone)).hour for start, _ in spans} == {0}
