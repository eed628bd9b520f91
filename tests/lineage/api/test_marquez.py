"""The read endpoints, in the shapes that Marquez's clients expect."""

import json
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from assay.features.tables.lake import open_lake
from assay.lineage.api import create_app
from assay.lineage.api import marquez_models as models
from assay.lineage.queries.walk import graph, graph_hash
from assay.lineage.store.lineage_store import LineageStore, open_lineage_store
from assay.lineage.store.schema import INDEX, events

EVENTS = Path(__file__).parents[4] / "shared" / "openlineage" / "events"
A_RUN = "0195512a-7a00-7000-8000-00000000000%d"


def spoken(number: int, kind: str, **changes: Any) -> dict[str, Any]:
    return {
        "eventType": kind,
        "eventTime": f"2026-03-01T06:0{number}:00Z",
        "run": {"runId": A_RUN % 1},
        "job": {"namespace": "spark", "name": "shop.orders"},
    } | changes


def send(client: TestClient, *events: dict[str, Any]) -> None:
    answer = client.post("/api/v1/lineage/batch", json=list(events))
    assert answer.json()["status"] == "success", answer.text


def dataset(name: str, version: str = "", **facets: Any) -> dict[str, Any]:
    facets |= {"version": {"datasetVersion": version}} if version else {}
    return {"namespace": "s3://shop", "name": name, "facets": facets}


def get(client: TestClient, path: str, **query: Any) -> Any:
    answer = client.get(f"/api/v1{path}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


SHOP = "/namespaces/s3%3A%2F%2Fshop/datasets/clean%2Forders"


def test_facets_add_up_whatever_the_order_of_arrival(client: TestClient) -> None:
    first = dataset("clean/orders", "1", x_anything={"deep": [1, {"a": None}]}, documentation={"description": "old"})
    second = dataset("clean/orders", "2", documentation={"description": "new"}, gone={"_deleted": True})
    third = dataset("clean/orders", "1", gone={"a": 1})
    send(client, spoken(2, "COMPLETE", outputs=[second]), spoken(1, "RUNNING", outputs=[first]))
    send(client, spoken(0, "START", outputs=[third]))
    found = get(client, SHOP)
    assert found["description"] == "new"
    assert found["facets"]["x_anything"] == {"deep": [1, {"a": None}]}
    assert "gone" not in found["facets"]
    assert found["currentVersion"] == "2"


def test_versions_have_their_own_facets_and_run(client: TestClient) -> None:
    for number, version in ((1, "9"), (2, "10")):
        fields = [{"name": f"column_{version}", "type": "Int64"}]
        run = {"runId": A_RUN % number}
        send(
            client,
            spoken(number, "COMPLETE", run=run, outputs=[dataset("clean/orders", version, schema={"fields": fields})]),
        )
    found = get(client, f"{SHOP}/versions")
    assert found["totalCount"] == 2
    assert [item["version"] for item in found["versions"]] == ["10", "9"]
    assert [item["fields"][0]["name"] for item in found["versions"]] == ["column_10", "column_9"]
    assert [item["createdByRun"]["id"] for item in found["versions"]] == [A_RUN % 2, A_RUN % 1]
    assert get(client, f"{SHOP}/versions", limit=1, offset=1)["versions"][0]["version"] == "9"


def test_job_and_dataset_events_are_found(client: TestClient) -> None:
    documented = {"documentation": {"description": "said"}}
    send(client, {"eventTime": "2026-03-01", "job": {"namespace": "n", "name": "j", "facets": documented}})
    send(client, {"eventTime": "2026-03-01", "dataset": {"namespace": "n", "name": "d", "facets": documented}})
    assert get(client, "/namespaces/n/jobs/j")["description"] == "said"
    assert get(client, "/namespaces/n/jobs")["totalCount"] == 1
    assert get(client, "/namespaces/n/datasets")["datasets"][0]["description"] == "said"
    assert [item["name"] for item in get(client, "/namespaces")["namespaces"]] == ["n"]


def test_run_facets_and_job(client: TestClient) -> None:
    nominal = {"nominalTime": {"nominalStartTime": "2026-03-01T00:00:00Z"}, "x_unknown": [1]}
    send(client, spoken(0, "START", run={"runId": A_RUN % 1, "facets": nominal}))
    send(client, spoken(1, "FAIL", inputs=[dataset("raw/orders")], outputs=[dataset("clean/orders")]))
    job = get(client, "/namespaces/spark/jobs/shop.orders")
    assert job["inputs"] == [{"namespace": "s3://shop", "name": "raw/orders"}]
    assert job["simpleName"] == "orders"
    run = get(client, "/namespaces/spark/jobs/shop.orders/runs")["runs"][0]
    assert run == job["latestRun"]
    assert (run["state"], run["nominalStartTime"], run["facets"]["x_unknown"]) == (
        "FAILED",
        "2026-03-01T00:00:00Z",
        [1],
    )


def test_lineage_goes_both_ways_as_deep_as_asked(client: TestClient) -> None:
    for number in range(3):
        run, job = {"runId": A_RUN % number}, {"namespace": "spark", "name": f"job{number}"}
        names = [dataset(f"t{number}")], [dataset(f"t{number + 1}")]
        send(client, spoken(number, "COMPLETE", run=run, job=job, inputs=names[0], outputs=names[1]))

    def ids(depth: int) -> list[str]:
        return [node["id"] for node in get(client, "/lineage", nodeId="dataset:s3://shop:t1", depth=depth)["graph"]]

    assert ids(0) == ["dataset:s3://shop:t1"]
    assert ids(1) == ["dataset:s3://shop:t1", "job:spark:job0", "job:spark:job1"]
    assert len(ids(9)) == 7
    for node in get(client, "/lineage", nodeId="job:spark:job1", depth=1)["graph"]:
        assert {edge["destination"] for edge in node["inEdges"]} <= {node["id"]}
        assert {edge["origin"] for edge in node["outEdges"]} <= {node["id"]}


def test_columns_are_followed_upstream(client: TestClient) -> None:
    def derived(source: str, column: str, out: str) -> dict[str, Any]:
        return {"fields": {out: {"inputFields": [{"namespace": "s3://shop", "name": source, "field": column}]}}}

    fields = {"fields": [{"name": "amount", "type": "Int64"}, {"name": "note", "type": "String"}]}
    second = dataset("b", columnLineage=derived("a", "amount", "cents"))
    third = dataset("c", columnLineage=derived("b", "cents", "sum"))
    send(client, spoken(0, "COMPLETE", inputs=[dataset("a", schema=fields)], outputs=[second, third]))
    found = get(client, "/column-lineage", nodeId="datasetField:s3://shop:c:sum")["graph"]
    assert [node["id"].rpartition("shop:")[2] for node in found] == ["a:amount", "b:cents", "c:sum"]
    assert found[0]["data"]["fieldType"] == "Int64"
    assert found[0]["outEdges"] == found[1]["inEdges"]
    assert len(get(client, "/column-lineage", nodeId="dataset:s3://shop:c", depth=1)["graph"]) == 2
    assert client.get("/api/v1/column-lineage?nodeId=datasetField:s3://shop:c:none").status_code == 404


def pairs(answer: Any) -> set[tuple[str, str]]:
    """Edges between columns, as table:column."""
    edges = (edge for node in answer["graph"] for edge in [*node["inEdges"], *node["outEdges"]])
    return {(edge["origin"].rpartition("shop:")[2], edge["destination"].rpartition("shop:")[2]) for edge in edges}


def field_of(source: str, column: str, namespace: str = "s3://shop", **how: Any) -> dict[str, Any]:
    return {"namespace": namespace, "name": source, "field": column} | how


def test_columns_are_followed_downstream_and_what_concerns_all_rows_concerns_each(client: TestClient) -> None:
    said = {"inputFields": [field_of("a", "x", "s3a://shop/", transformations=[{"type": "DIRECT"}])]}
    filtered = [field_of("a", "day", transformations=[{"type": "INDIRECT", "subtype": "FILTER"}])]
    second = dataset(
        "b",
        schema={"fields": [{"name": "y"}, {"name": "z"}]},
        columnLineage={"fields": {"y": said}, "dataset": filtered},
    )
    third = dataset("c", columnLineage={"fields": {"w": {"inputFields": [field_of("b", "y")]}}})
    send(client, spoken(0, "COMPLETE", outputs=[second]), spoken(1, "COMPLETE", outputs=[third]))
    send(client, spoken(2, "COMPLETE", inputs=[dataset("a")]))
    down = {"nodeId": "datasetField:s3://shop:a:day", "withDownstream": True}
    assert pairs(get(client, "/column-lineage", **down)) == {("a:day", "b:y"), ("a:day", "b:z"), ("b:y", "c:w")}
    assert pairs(get(client, "/column-lineage", **down, depth=1)) == {("a:day", "b:y"), ("a:day", "b:z")}
    middle = get(client, "/column-lineage", nodeId="datasetField:s3://shop:b:y", withDownstream=True)
    assert pairs(middle) == {("a:x", "b:y"), ("a:day", "b:y"), ("b:y", "c:w")}
    kinds = {
        item["field"]: item["transformationType"]
        for node in middle["graph"]
        if node["id"].endswith("b:y")
        for item in node["data"]["inputFields"]
    }
    assert kinds == {"x": "DIRECT", "day": "INDIRECT"}
    assert pairs(get(client, "/column-lineage", nodeId="datasetField:s3://shop:b:y")) == {
        ("a:x", "b:y"),
        ("a:day", "b:y"),
    }


def test_the_newer_facet_stands_before_the_older_one(client: TestClient) -> None:
    old = {"fields": {"y": {"inputFields": [field_of("a", "old")]}}}
    new = {
        "inputs": [field_of("a", "day"), {"namespace": "s3://shop", "name": "a"}],
        "fields": {"y": {"inputs": [field_of("a", "new")]}},
    }
    send(client, spoken(0, "COMPLETE", outputs=[dataset("b", columnLineage=old)]))
    query = {"nodeId": "dataset:s3://shop:b"}
    assert pairs(get(client, "/column-lineage", **query)) == {("a:old", "b:y")}
    entry = {
        "namespace": "s3n://shop",
        "name": "b",
        "type": "DATASET",
        "fields": {"y": {"inputs": [field_of("a", "job")]}},
    }
    job = {"namespace": "spark", "name": "j", "facets": {"lineage": {"entries": [entry]}}}
    send(client, spoken(1, "COMPLETE", job=job, outputs=[dataset("b")]))
    assert pairs(get(client, "/column-lineage", **query)) == {("a:job", "b:y")}
    send(client, {"eventTime": "2026-03-01T05:00:00Z", "dataset": dataset("b", lineage=new)})
    assert pairs(get(client, "/column-lineage", **query)) == {("a:new", "b:y"), ("a:day", "b:y")}
    assert "declared" not in client.get("/api/v1/namespaces/s3%3A%2F%2Fshop/datasets/b").json()


def test_datasets_are_found_by_other_names_and_spellings(client: TestClient) -> None:
    called = {"identifiers": [{"namespace": "hive://h", "name": "shop.orders", "type": "TABLE"}]}
    named = dataset("/clean/orders/", "1", symlinks=called) | {"namespace": "s3a://shop/"}
    send(client, spoken(0, "COMPLETE", outputs=[named]))
    by_name = get(client, SHOP)
    assert by_name["id"] == {"namespace": "s3://shop", "name": "clean/orders"}
    for other in ("s3a%3A%2F%2Fshop/datasets/clean%2Forders%2F", "hive%3A%2F%2Fh/datasets/shop.orders"):
        assert get(client, f"/namespaces/{other}") == by_name
    assert get(client, "/namespaces/s3n%3A%2F%2Fshop/datasets")["datasets"] == [by_name]
    assert get(client, "/lineage", nodeId="dataset:hive://h:shop.orders") == get(
        client, "/lineage", nodeId="dataset:s3://shop:clean/orders"
    )
    assert [hit["nodeId"] for hit in get(client, "/search", q="SHOP.orders")["results"]] == [
        "dataset:s3://shop:clean/orders",
        "job:spark:shop.orders",
    ]


def test_search(client: TestClient) -> None:
    send(client, spoken(0, "COMPLETE", outputs=[dataset("clean/Orders")]))
    found = get(client, "/search", q="order")
    assert [(hit["type"], hit["nodeId"]) for hit in found["results"]] == [
        ("DATASET", "dataset:s3://shop:clean/Orders"),
        ("JOB", "job:spark:shop.orders"),
    ]
    assert get(client, "/search", q="order", filter="JOB")["totalCount"] == 1
    assert get(client, "/search", q="nothing")["results"] == []


def test_events_are_paged_by_their_time(client: TestClient) -> None:
    send(client, *(spoken(number, "RUNNING") for number in (2, 0, 1)))
    times = [item["eventTime"][14:16] for item in get(client, "/events/lineage")["events"]]
    assert times == ["02", "01", "00"]
    page = get(client, "/events/lineage", sortDirection="asc", limit=1, offset=1, after="2026-03-01T06:00:00Z")
    assert (page["events"][0]["eventTime"][14:16], page["totalCount"]) == ("01", 3)
    assert get(client, "/events/lineage", before="2026-03-01T06:01:00Z")["totalCount"] == 1


def test_no_secret_is_served_and_the_bytes_are_kept(client: TestClient, store: LineageStore) -> None:
    canary = "CANARY7"
    facets = {
        "environmentVariables": {"environmentVariables": [{"name": "DB_PASSWORD", "value": canary}]},
        "executionParameters": {"parameters": [{"key": "apiKey", "name": "x", "value": canary}]},
        "x": {"dbPassword": canary, "token": [canary], "url": f"postgres://u:{canary}@h/d", "secretKey": 7_777_777},
        "sql": {"query": f"CREATE SECRET (password = '{canary}')"},
    }
    named = {"namespace": f"postgres://u:{canary}@h", "name": "d.t", "facets": facets}
    run = {"runId": A_RUN % 1, "facets": facets}
    job = {"namespace": "n", "name": "j", "facets": facets}
    send(client, spoken(0, "COMPLETE", run=run, job=job, inputs=[named], outputs=[named]))
    node = "dataset:postgres://h:d.t"
    paths = ["/namespaces", "/namespaces/n/jobs", "/namespaces/n/jobs/j", "/namespaces/n/jobs/j/runs", "/search?q=t"]
    paths += [
        "/events/lineage",
        f"/lineage?nodeId={node}",
        f"/namespaces/{quote('postgres://h', safe='')}/datasets/d.t",
    ]
    paths += ["/graph", f"/column-lineage?nodeId={node}"]
    for path in paths:
        answer = client.get(f"/api/v1{path}")
        assert answer.status_code == 200, path
        assert canary not in answer.text, path
        assert "7777777" not in answer.text, path
    assert canary.encode() in store.events()[0].body


def test_another_database_in_its_place_is_noticed(client: TestClient, store: LineageStore) -> None:
    send(client, spoken(0, "START"), spoken(1, "COMPLETE"))
    assert get(client, "/namespaces/spark/jobs")["totalCount"] == 1
    with store.writing() as connection:
        for table in (*INDEX, events):
            connection.execute(table.delete())
    assert get(client, "/namespaces/spark/jobs")["totalCount"] == 0


def test_what_is_not_there_is_said(client: TestClient) -> None:
    for path in ("/namespaces/a/datasets/b", "/namespaces/a/datasets/b/versions", "/namespaces/a/jobs/b", "/nothing"):
        answer = client.get(f"/api/v1{path}")
        assert (answer.status_code, set(answer.json())) == (404, {"error"}), path
    assert client.get("/api/v1/lineage?nodeId=dataset:a:b").status_code == 404
    assert client.get("/api/v1/lineage").status_code == 400
    assert client.delete("/api/v1/lineage").status_code == 405
    assert "secret-value" not in client.get("/api/v1/namespaces?limit=secret-value").text


# -- events of others --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def others() -> list[bytes]:
    if not EVENTS.is_dir():
        pytest.skip("the sample events are not here (../shared/openlineage/events)")
    return [file.read_bytes() for file in sorted(EVENTS.glob("*/*.json")) if file.parent.name != "simple_run_event"]


def post(client: TestClient, body: bytes) -> int:
    return client.post("/api/v1/lineage", content=body, headers={"content-type": "application/json"}).status_code


def test_all_sample_events_are_accepted_and_kept(client: TestClient, store: LineageStore, others: list[bytes]) -> None:
    assert {post(client, body) for body in others} == {200}
    assert {item.body for item in store.events()} == set(others)
    malformed = (EVENTS / "simple_run_event" / "simple_run_event.json").read_bytes()
    assert post(client, malformed) == 400
    for body in others:
        for given in json.loads(body).get("outputs", []):
            path = f"/namespaces/{quote(given['namespace'], safe='')}/datasets/{quote(given['name'], safe='')}"
            assert given["facets"].keys() <= get(client, path)["facets"].keys()


def test_the_sample_events_give_the_graph_that_they_always_gave(store: LineageStore, others: list[bytes]) -> None:
    store.put_all(others)
    whole = graph(store)
    assert (len(whole.nodes), len(whole.edges), whole.truncated) == (31, 29, None)
    assert graph_hash(store) == "9f9dd018931c21f69935f02bd9c9cb0ff4b9e719b4b72dfd43456f0cc4030bcf"


def everything(client: TestClient) -> dict[str, Any]:
    found = {"namespaces": get(client, "/namespaces"), "events": get(client, "/events/lineage")}
    for name in (item["name"] for item in found["namespaces"]["namespaces"]):
        for kind in ("datasets", "jobs"):
            found[f"{kind} {name}"] = get(client, f"/namespaces/{quote(name, safe='')}/{kind}")
    return found


def test_the_order_of_arrival_does_not_matter(
    client: TestClient, store: LineageStore, others: list[bytes], tmp_path: Path
) -> None:
    for body in others:
        post(client, body)
    expected, graph = everything(client), graph_hash(store)
    for seed in range(3):
        shuffled = Random(seed).sample(others, len(others))
        assert {post(client, body) for body in shuffled} == {200}
        assert everything(client) == expected
    for seed in range(3):
        again = open_lineage_store(tmp_path / f"{seed}.db")
        for body in Random(seed).sample(others, len(others)):
            again.put(body)
        assert graph_hash(again) == graph == graph_hash(store)
        again.close()


def test_expected_links_of_airflow_are_found(client: TestClient, others: list[bytes]) -> None:
    for body in others:
        post(client, body)
    links = json.loads((EVENTS / "airflow_expected_links.json").read_text())
    assert links
    for link in links:
        source, target = (_node_id(link[side]["fully_qualified_name"]) for side in ("source", "target"))
        graph = {node["id"]: node for node in get(client, "/lineage", nodeId=source, depth=2)["graph"]}
        jobs = {edge["destination"] for edge in graph[source]["outEdges"]}
        assert jobs & {edge["origin"] for edge in graph[target]["inEdges"]}, link


def _node_id(name: str) -> str:
    """OpenLineage's name for one of Google's fully qualified names."""
    system, _, rest = name.partition(":")
    bucket, _, path = rest.replace("`", "").partition(".")
    if system == "bigquery":
        return f"dataset:bigquery:{rest}"
    return f"dataset:gs://{bucket}:{path}" if system == "gcs" else f"dataset:file:/{path}"


def test_answers_are_what_openapi_says(client: TestClient, others: list[bytes]) -> None:
    for body in others:
        post(client, body)
    for model, path in ((models.Namespaces, "/namespaces"), (models.Events, "/events/lineage")):
        model.model_validate(get(client, path))
    models.Datasets.model_validate(get(client, "/namespaces/bigquery/datasets"))
    models.Versions.model_validate(get(client, "/namespaces/bigquery/datasets/mock-project.test.upload/versions"))
    namespace = next(
        name["name"] for name in get(client, "/namespaces")["namespaces"] if name["name"] not in ("bigquery", "file")
    )
    models.Jobs.model_validate(get(client, f"/namespaces/{quote(namespace, safe='')}/jobs"))
    models.Lineage.model_validate(get(client, "/lineage", nodeId="dataset:bigquery:mock-project.test.upload"))


def test_the_index_made_anew_answers_the_same(client: TestClient, store: LineageStore, others: list[bytes]) -> None:
    for body in others:
        post(client, body)
    expected = everything(client)
    with store.writing() as connection:
        for table in INDEX:
            connection.execute(table.delete())
    again = open_lineage_store(store.url.database or "")
    with TestClient(create_app(again, open_lake(store.home / "lake")), base_url="http://127.0.0.1:3001") as other:
        assert everything(other) == expected
    again.close()
