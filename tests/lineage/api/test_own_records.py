"""Nobody who only reaches the service can speak for the lake's own tables, runs and jobs."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from starlette.testclient import TestClient

from assay.features.tables.lake import Lake
from assay.features.tables.run_record import Work
from assay.features.tables.transaction import transaction
from assay.lineage.api import create_app
from assay.lineage.delivery.recorder import EventRecorder
from assay.lineage.queries.other_readers import other_readers
from assay.lineage.queries.search import search_all
from assay.lineage.store.lineage_store import LineageStore

OTHER_RUN = "0195512a-7a00-7000-8000-000000000001"
PARCELS = {"namespace": "assay", "name": "clean/parcels"}
Event = dict[str, Any]


@pytest.fixture
def client(any_store: LineageStore, lake: Lake) -> Iterator[TestClient]:
    recorder = EventRecorder(any_store)
    for value in (1, 2):
        with transaction(lake, recorder, Work("clean/parcels", "2026-03-01")) as tx:
            tx.write("clean/parcels", pl.DataFrame({"parcel": [value]}))
    with TestClient(create_app(any_store, lake), base_url="http://127.0.0.1:3001") as made:
        yield made


def recorded(store: LineageStore) -> Event:
    """The newest COMPLETE of the lake's own."""
    return json.loads([item for item in store.events() if item.kind == "COMPLETE"][-1].body)


def foreign(**changes: Any) -> Event:
    return {
        "eventType": "COMPLETE",
        "eventTime": "2026-03-02T06:00:00Z",
        "run": {"runId": OTHER_RUN},
        "job": {"namespace": "airflow", "name": "copy"},
    } | changes


def post(client: TestClient, event: Event) -> tuple[int, str]:
    answer = client.post("/api/v1/lineage", json=event)
    batch = client.post("/api/v1/lineage/batch", json=[event]).json()
    if answer.status_code == 200:
        assert batch["status"] == "success"
        return 200, ""
    assert batch["failed_events"] == [{"index": 0, "reason": answer.json()["error"], "retriable": False}]
    return answer.status_code, answer.json()["error"]


def as_output(name: str, namespace: str = "assay", **facets: Any) -> Event:
    return foreign(outputs=[{"namespace": namespace, "name": name, "facets": facets}])


def test_what_only_the_lakes_own_runs_can_say_is_refused(
    client: TestClient, any_store: LineageStore, lake: Lake
) -> None:
    before = [item.sha256 for item in any_store.events()]
    own = recorded(any_store)
    snapshot = own["outputs"][0]["facets"]["assay_snapshot"] | {"commit_sha256": "0" * 64}
    forged = {**own, "outputs": [{**own["outputs"][0], "facets": {"assay_snapshot": snapshot}}]}
    elsewhere = {"namespace": "s3://x", "name": "y", "facets": {"assay_snapshot": snapshot}}
    symlinks = {"identifiers": [{"namespace": "assay", "name": "clean/parcels", "type": "TABLE"}]}
    root = lake.storage.root
    for event, why in [
        (forged, "a run or a job of this lake"),
        (foreign(run=own["run"]), "a run or a job of this lake"),
        (foreign(job=own["job"]), "a run or a job of this lake"),
        (foreign(inputs=[elsewhere]), "names a commit of clean/parcels"),
        (as_output("clean/parcels"), "writes or describes clean/parcels"),
        (as_output(f"{root}/clean/parcels", "file"), "writes or describes clean/parcels"),
        (
            foreign(
                inputs=[
                    {"namespace": "assay", "name": "clean/parcels", "facets": {"version": {"datasetVersion": "99"}}}
                ]
            ),
            "does not",
        ),
        (as_output("copy", "snowflake://acme", symlinks=symlinks), "another name"),
        (
            {"eventTime": "2026-03-02T06:00:00Z", "dataset": {"namespace": "assay", "name": "clean/parcels"}},
            "describes",
        ),
    ]:
        status, error = post(client, event)
        assert (status, why in error) == (403, True), error
    assert [item.sha256 for item in any_store.events()] == before
    assert [hit.version for hit in search_all(any_store, "clean parcels").hits if hit.kind == "dataset"] == [""]


def test_it_does_not_depend_on_the_index_which_is_a_cache(
    client: TestClient, any_store: LineageStore, lake: Lake
) -> None:
    own = recorded(any_store)["outputs"][0]["facets"]["assay_snapshot"] | {"commit_sha256": "0" * 64}
    elsewhere = {"namespace": "s3://x", "name": "y", "facets": {"assay_snapshot": own}}
    before = any_store.commits_of({own["table_id"]: [own["version"]]})
    shutil.rmtree(Path(lake.storage.root, "_index"))
    status, error = post(client, foreign(inputs=[elsewhere]))
    assert (status, "names a commit of clean/parcels" in error) == (403, True)
    assert any_store.commits_of({own["table_id"]: [own["version"]]}) == before


def test_others_read_its_tables_and_speak_for_themselves(
    client: TestClient, any_store: LineageStore, lake: Lake
) -> None:
    address = f"{lake.storage.root}/clean/parcels"
    reads = [
        {"namespace": "file", "name": address, "facets": {"version": {"datasetVersion": "2"}}},
        {"namespace": "assay", "name": "clean/parcels"},
    ]
    assert post(client, foreign(inputs=reads, outputs=[{"namespace": "snowflake://acme", "name": "risk"}])) == (200, "")
    assert post(client, as_output("clean/other")) == (200, "")  # no table of this lake
    assert post(client, as_output(f"{lake.storage.root}x/clean/parcels", "file")) == (200, "")
    other_lake = {
        "table": "clean/parcels",
        "table_id": "0195512a-7a00-7000-8000-0000000000aa",
        "version": 9,
        "commit_sha256": "0" * 64,
    }
    assert post(client, as_output("parcels", "s3://theirs", assay_snapshot=other_lake)) == (200, "")


def test_the_same_event_again_changes_nothing(client: TestClient, any_store: LineageStore) -> None:
    (last,) = [item for item in any_store.events() if item.kind == "COMPLETE"][-1:]
    answer = client.post("/api/v1/lineage", content=last.body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["new"]) == (200, False)


def test_impact_names_the_jobs_of_others_that_read_affected_tables(
    client: TestClient, any_store: LineageStore, lake: Lake
) -> None:
    by_path = {"namespace": "file", "name": f"{lake.storage.root}/clean/parcels"}
    written = [{"namespace": "snowflake://acme", "name": "risk"}]
    assert post(client, foreign(inputs=[by_path], outputs=written)) == (200, "")
    job = {"namespace": "airflow", "job": "copy", "reads": ["clean/parcels"], "writes": ["snowflake://acme:risk"]}
    assert client.get("/api/v1/impact?table=clean/parcels").json()["other_readers"] == [job]
    with transaction(lake, EventRecorder(any_store), Work("features/size", "2026-03-01")) as tx:
        tx.write("features/size", tx.read("clean/parcels").collect().drop("partition_key"))
    assert client.get("/api/v1/impact?table=features/size").json()["other_readers"] == []
    assert [str(item) for item in other_readers(any_store, lake, ["clean/parcels", "features/size"])] == [
        "copy (airflow) reads clean/parcels, and writes snowflake://acme:risk"
    ]
