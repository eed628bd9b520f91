"""Our own questions over HTTP: the exact graph, traces and impacts; and the console behind them."""

from typing import Any
from urllib.parse import quote

import polars as pl
import pytest
from starlette.testclient import TestClient

from assay.features.tables.lake import Lake
from assay.features.tables.run_record import Work
from assay.features.tables.transaction import transaction
from assay.lineage.api import responses as answered
from assay.lineage.delivery.recorder import EventRecorder
from assay.lineage.predictions.prediction_log import stage_predictions
from assay.lineage.store.lineage_store import LineageStore

RUN = "0195512a-7a00-7000-8000-00000000000%d"


def ran(number: int, reads: str = "", writes: str = "") -> dict[str, Any]:
    def named(version: str) -> list[dict[str, Any]]:
        facets = {"version": {"datasetVersion": version}}
        return [{"namespace": "s3://shop", "name": "raw/orders", "facets": facets}] if version else []

    return {
        "eventType": "COMPLETE",
        "eventTime": f"2026-03-01T0{number}:00:00Z",
        "run": {"runId": RUN % number},
        "job": {"namespace": "spark", "name": f"job{number}"},
        "inputs": named(reads),
        "outputs": named(writes),
    }


@pytest.fixture
def stale(client: TestClient) -> TestClient:
    """Run 3 reads version 1 after run 2 wrote version 2."""
    events = [ran(1, writes="1"), ran(2, writes="2"), ran(3, reads="1")]
    assert client.post("/api/v1/lineage/batch", json=events).json()["status"] == "success"
    return client


def graph(client: TestClient, **query: Any) -> dict[str, Any]:
    answer = client.get("/api/v1/graph", params=query)
    assert answer.status_code == 200, answer.text
    answered.Subgraph.model_validate(answer.json())
    return answer.json()


def test_a_run_reads_version_1_while_2_is_latest(stale: TestClient) -> None:
    found = graph(stale, focus="run:" + RUN % 3, up=9, down=0)
    names = {node["id"] for node in found["nodes"]}
    assert names == {"run:" + RUN % 1, "run:" + RUN % 3, "dataset:s3://shop:raw/orders@1"}
    assert found["truncated"] is None
    assert graph(stale, focus="dataset:s3://shop:raw/orders@2", up=0, down=9)["edges"] == []


def test_the_graph_as_it_was_and_as_much_as_asked(stale: TestClient) -> None:
    assert len(graph(stale)["nodes"]) == 5
    assert len(graph(stale, as_of="2026-03-01T01:30:00Z")["nodes"]) == 2
    assert "more than 2" in graph(stale, limit=2)["truncated"]
    assert stale.get("/api/v1/graph?focus=run:none").status_code == 404


def test_the_graph_says_what_it_leaves_out(stale: TestClient) -> None:
    assert graph(stale)["left_out"] == []
    alone = ran(4)
    declared = {"eventTime": "2026-03-01", "job": {"namespace": "spark", "name": "declared"}}
    described = {"eventTime": "2026-03-01", "dataset": {"namespace": "s3://shop", "name": "other"}}
    assert stale.post("/api/v1/lineage/batch", json=[alone, declared, described]).json()["status"] == "success"
    left = {item["what"]: item["count"] for item in graph(stale, limit=2)["left_out"]}
    assert left == {
        "nodes beyond the limit": 3,
        "runs that name no dataset": 1,
        "jobs without a run": 1,
        "dataset versions that no run read or wrote": 1,
    }
    near = graph(stale, focus="run:" + RUN % 3, up=1, down=0)
    assert [(item["count"], item["at_least"]) for item in near["left_out"]] == [(1, True)]
    assert graph(stale, focus="run:" + RUN % 3, up=9, down=0)["left_out"] == []


def test_nodes_by_id(stale: TestClient) -> None:
    for text in ("dataset:s3://shop:raw/orders@1", quote("dataset:s3://shop:raw/orders@1", safe="")):
        found = stale.get(f"/api/v1/nodes/{text}").json()
        assert (found["kind"], found["namespace"], found["version"]) == ("dataset", "s3://shop", "1")
    assert stale.get("/api/v1/nodes/job:spark:job2").json()["facts"]["run"] == RUN % 2
    assert stale.get("/api/v1/nodes/job:spark:none").status_code == 404


def test_trace_impact_and_logical_names(client: TestClient, lake: Lake, store: LineageStore) -> None:
    recorder = EventRecorder(store)
    with transaction(lake, recorder, Work("features/ticket", "2026-03-01")) as tx:
        tx.write("features/ticket", pl.DataFrame({"ticket_id": ["a", "b"], "length": [1, 2]}))
    with transaction(lake, recorder, Work("predictions/router", "2026-03-01")) as tx:
        frame = tx.read("features/ticket").collect().drop("partition_key")
        frame = frame.with_columns(event_time=pl.lit("2026-03-01T09:00:00+00:00").str.to_datetime(time_zone="UTC"))
        frame = frame.with_columns(intent=pl.lit("card"), confidence=pl.lit(0.5))
        ids = stage_predictions(
            tx, model="router", model_version="1", frame=frame, keys=["ticket_id"], feature_columns=["length"]
        )
    recorder.close()
    traced = client.get(f"/api/v1/trace/{ids[0]}")
    assert traced.status_code == 200, traced.text
    answered.Trace.model_validate(traced.json())
    assert "features/ticket" in {node["name"] for node in traced.json()["root"]["inputs"]}
    affected = client.get("/api/v1/impact?table=features/ticket").json()
    answered.Impact.model_validate(affected)
    assert (affected["predictions"], affected["complete"]) == (2, True)
    listed = client.get("/api/v1/impact?table=features/ticket&list=true&limit=1").json()
    answered.AffectedPredictions.model_validate(listed)
    assert listed["list"][0]["keys"] == {"ticket_id": listed["list"][0]["keys"]["ticket_id"]}
    assert (listed["predictions"]["direct"], listed["left_out"], listed["list"][0]["exact"]) == (2, 1, False)
    some = client.post("/api/v1/impact?table=features/ticket&list=true", json={"rows": "length > 1"}).json()
    answered.AffectedPredictions.model_validate(some)
    assert some["origin"]["rows"] == "length > 1"
    refused = client.post("/api/v1/impact?table=features/ticket", json={"rows": "anna ="})
    assert refused.status_code == 400 and "anna" not in refused.text
    more = client.post("/api/v1/impact?table=features/ticket", json={"rows": "length > 1", "partition": "2026-03-01"})
    assert more.status_code == 400 and "partition" in more.json()["error"], "it would not count"
    twice = "table=features/ticket&partition=2026-03-01&partition=2026-03-02"
    wrong = (
        twice,
        "table=features/ticket&partiton=2026-03-01",
        "",
        "table=features/ticket&rows=anna%20%3D",
        "version=1",
    )
    for query in wrong:
        answer = client.get(f"/api/v1/impact?{query}")
        assert (answer.status_code, set(answer.json())) == (400, {"error"}), query
        assert "anna" not in answer.text
    assert client.get("/api/v1/impact?file=none.csv").status_code == 404
    for path in ("impact?table=none", "impact?table=../x", "impact?table=features/ticket&version=9", "trace/none"):
        answer = client.get(f"/api/v1/{path}")
        assert (answer.status_code, set(answer.json())) == (404, {"error"}), path
    found = client.get("/api/v1/namespaces/assay/datasets/features%2Fticket").json()
    assert [field["name"] for field in found["fields"]][:2] == ["ticket_id", "length"]
    assert client.get("/api/v1/nodes/dataset:assay:features/ticket").json()["facts"]["table"] == "features/ticket"


@pytest.fixture
def daily(client: TestClient, lake: Lake, store: LineageStore) -> TestClient:
    """raw/t → clean/t, twice; the second time with another column."""
    recorder = EventRecorder(store)
    for frame, code in ((pl.DataFrame({"a": [1]}), "one"), (pl.DataFrame({"a": [1, 2], "b": ["x", "y"]}), "two")):
        with transaction(lake, recorder, Work("raw/t")) as tx:
            tx.write("raw/t", frame)
        with transaction(lake, recorder, Work("clean/t", code_version=code)) as tx:
            rows = tx.read("raw/t").collect()
            said = {"direct": [("raw/t", "a")], "indirect": []}
            tx.write("clean/t", rows, column_lineage={"a": said})
    recorder.close()
    return client


def test_what_differs_between_versions(daily: TestClient, lake: Lake) -> None:
    latest, read = (lake.table(name).at().version for name in ("clean/t", "raw/t"))
    found = daily.get("/api/v1/diff", params={"a": "clean/t@1", "b": f"dataset:assay:clean/t@{latest}"}).json()
    answered.Diff.model_validate(found)
    assert found == {
        "a": "dataset:assay:clean/t@1",
        "b": f"dataset:assay:clean/t@{latest}",
        "same": False,
        "schema": {"b": [None, "String"]},
        "rows": [1, 2],
        "contract": None,
        "checks": {},
        "code": ["one", "two"],
        "inputs": {"raw/t": [["1"], [str(read)]]},
        "unknown": [],
    }
    for wrong in ("clean/t@99", "job:assay:clean/t", "s3://ann:secret@shop/x@1"):
        answer = daily.get("/api/v1/diff", params={"a": wrong, "b": "clean/t@1"})
        assert answer.status_code == 404
        assert "assay lineage search" in answer.json()["error"] and "secret" not in answer.text


def test_columns_in_both_directions(daily: TestClient, lake: Lake) -> None:
    latest, read = (lake.table(name).at().version for name in ("clean/t", "raw/t"))
    up = daily.get("/api/v1/columns", params={"table": "clean/t", "column": "a"}).json()
    answered.Columns.model_validate(up)
    source = {"table": "raw/t", "version": read, "column": "a"}
    target = {"table": "clean/t", "version": latest, "column": "a"}
    assert (up["complete"], up["edges"]) == (True, [{"source": source, "target": target, "direct": True}])
    query = {"table": "raw/t", "column": "a", "direction": "down"}
    down = daily.get("/api/v1/columns", params=query | {"version": read}).json()
    assert (down["edges"], down["unknown"]) == (up["edges"], [target | {"column": "b"}])
    cut = daily.get("/api/v1/columns", params=query | {"limit": 1}).json()
    assert (len(cut["edges"]), cut["truncated"]) == (1, ["there are more than 1 edges"])
    for wrong in ({"table": "none"}, {"table": "../x"}, {"column": "none"}, {"version": 99}):
        answer = daily.get("/api/v1/columns", params=query | wrong)
        assert (answer.status_code, set(answer.json())) == (404, {"error"})
    assert daily.get("/api/v1/columns", params=query | {"direction": "sideways"}).status_code == 400


def test_the_console_is_behind_the_api(client: TestClient) -> None:
    page = client.get("/")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert client.get("/api/v1/none").headers["content-type"] == "application/json"
    described = client.get("/openapi.json").json()
    assert all(
        "422" not in operation["responses"] for path in described["paths"].values() for operation in path.values()
    )
    assert "/api/v1/column-lineage" in described["paths"]
