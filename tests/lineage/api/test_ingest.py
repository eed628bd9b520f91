"""Events are taken as they come, once, and nothing that is not an event gets in."""

import gzip
import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from assay.lineage.api import ingest
from assay.lineage.queries.walk import neighbourhood
from assay.lineage.store.lineage_store import LineageStore

RUN = "0195512a-7a00-7000-8000-000000000001"
JSON = {"content-type": "application/json"}


def event(**changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "eventType": "COMPLETE",
        "eventTime": "2026-03-01T06:00:10Z",
        "run": {"runId": RUN},
        "job": {"namespace": "spark", "name": "orders"},
        "inputs": [{"namespace": "s3://shop", "name": "raw/orders"}],
        "outputs": [{"namespace": "s3://shop", "name": "clean/orders"}],
    }
    return made | changes


def post(client: TestClient, body: bytes | dict[str, Any], path: str = "/api/v1/lineage", **headers: str) -> Any:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return client.post(path, content=content, headers={**JSON, **headers})


def test_bytes_are_kept_and_the_same_bytes_are_one_event(client: TestClient, store: LineageStore) -> None:
    body = b'{ "eventTime":"2026-03-01T06:00:10", "x_unknown": {"a": 1.50},  "run":{"runId":"%s"},'
    body += b' "job":{"namespace":"n","name":"j"} }'
    body = body % RUN.encode()
    assert [post(client, body).json()["new"] for _ in range(3)] == [True, False, False]
    assert [item.body for item in store.events()] == [body]
    assert store.events()[0].at.isoformat() == "2026-03-01T06:00:10+00:00", "a time without a zone is UTC"


def test_a_late_start_reopens_nothing(client: TestClient, store: LineageStore) -> None:
    post(client, event())
    post(client, event(eventType="START", eventTime="2026-03-01T06:00:00Z", inputs=[], outputs=[]))
    run = client.get("/api/v1/namespaces/spark/jobs/orders/runs").json()["runs"][0]
    assert (run["state"], run["durationMs"]) == ("COMPLETED", 10_000)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b"\xff\xfe",
        b"[" * 5_000,
        b'{"eventTime": ' + b"1" * 5_000 + b"}",
        json.dumps(event(run={"runId": "run_id"})).encode(),
        json.dumps(event(run={"facets": {}})).encode(),
        json.dumps(event(eventTime="yesterday")).encode(),
        json.dumps(event(eventTime="0001-01-01T00:00:00+14:00")).encode(),
        json.dumps(event(job={"namespace": "a", "name": "\ud800"})).encode(),
        b'{"eventTime":"2026-03-01T06:00:10Z","job":{"name":"a","facets":' + b'{"a":' * 200 + b"1" + b"}" * 202,
    ],
)
def test_what_is_no_event_is_refused_and_not_quoted(client: TestClient, store: LineageStore, body: bytes) -> None:
    answer = post(client, body)
    assert answer.status_code == 400
    assert set(answer.json()) == {"error"}
    assert "yesterday" not in answer.text
    assert store.events() == []


NAMED = {"namespace": "n", "name": "d"}


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"job": None}, "/job"),
        ({"job": []}, "/job"),
        ({"job": {}}, "/job/namespace"),
        ({"job": {"namespace": "n"}}, "/job/name"),
        ({"job": {"namespace": "n", "name": None}}, "/job/name"),
        ({"job": {"namespace": "n", "name": 7}}, "/job/name"),
        ({"job": {"namespace": " ", "name": "j"}}, "/job/namespace"),
        ({"run": [RUN]}, "/run"),
        ({"run": {"runId": 7}}, "/run/runId"),
        ({"run": {"runId": RUN, "facets": [1]}}, "/run/facets"),
        ({"dataset": {"name": "d"}}, "/dataset/namespace"),
        ({"inputs": {"a": NAMED}}, "/inputs"),
        ({"inputs": [NAMED, "d"]}, "/inputs/1"),
        ({"inputs": [NAMED, {"namespace": "n"}]}, "/inputs/1/name"),
        ({"inputs": [{"namespace": None, "name": "d"}]}, "/inputs/0/namespace"),
        ({"outputs": [NAMED, NAMED, {"namespace": "n", "name": ["d"]}]}, "/outputs/2/name"),
        ({"outputs": [{"namespace": "n", "name": ""}]}, "/outputs/0/name"),
        ({"outputs": [NAMED | {"outputFacets": "x"}]}, "/outputs/0/outputFacets"),
        ({"eventType": 1}, "/eventType"),
        ({"eventType": "DONE"}, "/eventType"),
        ({"eventTime": None}, "/eventTime"),
    ],
)
def test_what_has_no_name_is_refused_with_its_place(
    client: TestClient, store: LineageStore, changes: dict[str, Any], place: str
) -> None:
    answer = post(client, event(**changes))
    assert answer.status_code == 400
    assert answer.json()["error"].endswith(f"(at {place})")
    batch = [event(eventType="START"), event(**changes), event()]
    result = post(client, json.dumps(batch).encode(), "/api/v1/lineage/batch").json()
    assert [(item["index"], item["reason"].endswith(f"(at {place})")) for item in result["failed_events"]] == [
        (1, True)
    ]
    assert [item.kind for item in store.events()] == ["START", "COMPLETE"]


def test_facets_that_name_nothing_join_nothing(client: TestClient, store: LineageStore) -> None:
    """Two pipelines whose producer left names out of facets have nothing in common."""
    nameless: dict[str, Any] = {"namespace": None, "name": None, "field": "x"}
    facets = {
        "version": {"datasetVersion": None},
        "assay_snapshot": {"table": None, "table_id": None},
        "symlinks": {"identifiers": [nameless]},
        "columnLineage": {"fields": {"x": {"inputFields": [nameless]}}},
    }
    for number in (1, 2):
        names = [{"namespace": f"n{number}", "name": side, "facets": facets} for side in ("in", "out")]
        changes = {"run": {"runId": f"{RUN[:-1]}{number}"}, "job": {"namespace": f"n{number}", "name": "j"}}
        assert post(client, event(**changes, inputs=names[:1], outputs=names[1:])).status_code == 200
    found = neighbourhood(store, "dataset:n1:out", up=9, down=9)
    assert {node.id for node in found.nodes} == {"dataset:n1:in", "dataset:n1:out", f"run:{RUN[:-1]}1"}


@pytest.mark.parametrize("digits", [19, 400, 4_301, 100_000])
def test_integers_of_any_length_are_kept(client: TestClient, store: LineageStore, digits: int) -> None:
    body = json.dumps(event(x_count="here")).replace('"here"', "7" * digits).encode()
    answer = post(client, b"[%s]" % body, "/api/v1/lineage/batch").json()
    assert answer["status"] == "success"
    assert post(client, body).json()["new"] is False
    assert [item.body for item in store.events()] == [body]
    (served,) = client.get("/api/v1/events/lineage").json()["events"]
    assert str(served["x_count"]) == "7" * digits
    assert client.get("/api/v1/namespaces/spark/jobs/orders").status_code == 200


def test_only_json_is_taken_so_that_no_web_page_can_write(client: TestClient) -> None:
    assert client.post("/api/v1/lineage", content=json.dumps(event())).status_code == 415
    assert client.post("/api/v1/lineage", content=b"{}", headers={"content-type": "text/plain"}).status_code == 415
    assert post(client, event(), **{"content-encoding": "br"}).status_code == 415
    answer = client.options("/api/v1/lineage", headers={"origin": "http://a", "access-control-request-method": "POST"})
    assert not any(name.startswith("access-control") for name in answer.headers)


def test_gzip_is_unpacked(client: TestClient, store: LineageStore) -> None:
    body = json.dumps(event()).encode()
    assert post(client, gzip.compress(body), **{"content-encoding": "gzip"}).status_code == 200
    assert store.events()[0].body == body
    for broken in (b"no gzip", gzip.compress(body)[:-4]):
        assert post(client, broken, **{"content-encoding": "gzip"}).status_code == 400


@pytest.mark.parametrize("packed", [False, True])
def test_too_large(client: TestClient, monkeypatch: pytest.MonkeyPatch, packed: bool) -> None:
    monkeypatch.setattr(ingest, "EVENT_LIMIT", 1_000)
    body = json.dumps(event(producer="x" * 1_000)).encode()
    headers = {"content-encoding": "gzip"} if packed else {}
    answer = post(client, gzip.compress(body) if packed else body, **headers)
    assert answer.status_code == 413
    assert "larger" in answer.json()["error"]


def test_a_batch_says_which_events_failed(client: TestClient, store: LineageStore) -> None:
    good = b'{"eventTime" : "2026-03-01T06:00:10Z", "job":{"namespace":"a","name":"b"}}'
    answer = post(client, b'[ 1,%s ,{"run":{"runId":"x"}}\n, [] ]' % good, "/api/v1/lineage/batch")
    assert answer.status_code == 200
    found = answer.json()
    assert found["status"] == "partial_success"
    assert found["summary"] == {"received": 4, "successful": 1, "failed": 3, "retriable": 0, "non_retriable": 3}
    assert [(item["index"], item["retriable"]) for item in found["failed_events"]] == [
        (0, False),
        (2, False),
        (3, False),
    ]
    assert [item.body for item in store.events()] == [good]
    assert post(client, b"[]", "/api/v1/lineage/batch").json()["status"] == "success"


@pytest.mark.parametrize("body", [b"", b"{}", b"[", b"[1,]", b"[1 2]", b"\xff", b"[" * 5_000])
def test_what_is_no_batch(client: TestClient, body: bytes) -> None:
    assert post(client, body, "/api/v1/lineage/batch").status_code == 400


def test_a_lost_database_is_retriable(client: TestClient, store: LineageStore) -> None:
    with store.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE edges RENAME TO lost")
    assert post(client, event()).status_code == 503
    found = post(client, b"[%s]" % json.dumps(event()).encode(), "/api/v1/lineage/batch").json()
    assert found["failed_events"][0]["retriable"] is True


def test_other_host_names_are_refused(client: TestClient) -> None:
    for host in ("evil.example", "127.0.0.1.evil.example", "", "[", "localhost@evil.example:80"):
        assert client.get("/health", headers={"host": host}).status_code == 400, host
    for host in ("localhost:3001", "127.0.0.1", "[::1]:3001"):
        assert client.get("/health", headers={"host": host}).json() == {"status": "ok"}, host
