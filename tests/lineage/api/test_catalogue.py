"""The catalogue's answers against a brute-force oracle: all events, folded one after the other."""

import json
import os
from hashlib import sha256
from random import Random
from typing import Any

import pytest
from starlette.testclient import TestClient

from assay.features.tables.lake import Lake
from assay.lineage.api import create_app
from assay.lineage.store.lineage_store import LineageStore

A_RUN = "0195512a-7a00-7000-8000-00000000000%d"


def get(client: TestClient, path: str) -> Any:
    answer = client.get(f"/api/v1{path}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def any_event(chosen: Random) -> dict[str, Any]:
    """An event of any kind that says anything of a few datasets, jobs and runs; many at the same moment."""

    def facets() -> dict[str, Any]:
        names = chosen.sample(["schema", "documentation", "x_a", "x_b"], chosen.randint(0, 3))
        return {name: {"_deleted": True} if chosen.random() < 0.2 else {"said": chosen.random()} for name in names}

    def used() -> dict[str, Any]:
        snapshot = {
            "table_id": chosen.choice("xy"),
            "role": chosen.choice(["reference", "unchanged", "output", "audited"]),
        }
        own = {"assay_snapshot": snapshot} if chosen.random() < 0.3 else {}
        version = {"version": {"datasetVersion": chosen.choice(["", "1", "2", "10"])}} if chosen.random() < 0.7 else {}
        sides = {"inputFacets": facets(), "outputFacets": facets()} if chosen.random() < 0.3 else {}
        return {"namespace": "n", "name": chosen.choice("ab"), "facets": facets() | own | version, **sides}

    event: dict[str, Any] = {"eventTime": f"2026-03-01T06:00:0{chosen.randint(0, 9)}Z"}
    if chosen.random() < 0.1:
        return event | {"dataset": used()}
    event |= {side: [used() for _ in range(chosen.randint(0, 2))] for side in ("inputs", "outputs")}
    number = chosen.randint(1, 3)
    event |= {"job": {"namespace": "n", "name": f"job{number % 2}", "facets": facets()}}
    if chosen.random() < 0.8:
        kind = chosen.choice(["START", "RUNNING", "COMPLETE"])
        event |= {"eventType": kind, "run": {"runId": A_RUN % number, "facets": facets()}}
    return event


def folded(given: list[Any]) -> dict[str, Any]:
    """The latest of each facet; `given` in the order of time."""
    found: dict[str, Any] = {}
    for facets in reversed(given):
        found |= {name: facet for name, facet in (facets or {}).items() if name not in found}
    return {name: facet for name, facet in found.items() if not facet.get("_deleted")}


def role(use: dict[str, Any], side: str) -> str:
    return (
        use["facets"]
        .get("assay_snapshot", {})
        .get("role", {"inputs": "input", "outputs": "output"}.get(side, "described"))
    )


def expected_dataset(uses: list[tuple[str, dict[str, Any], str]]) -> dict[str, Any]:
    """Of (time, use, role) in the order of time."""
    sides = ("facets", "inputFacets", "outputFacets")
    found: dict[str, Any] = {side: folded([use.get(side) for _, use, _ in uses]) for side in sides}
    written = [at for at, _, part in uses if part in ("output", "unchanged")]
    return found | {
        "createdAt": uses[0][0],
        "updatedAt": uses[-1][0],
        "lastModifiedAt": written[-1] if written else None,
    }


@pytest.mark.parametrize("seed", range(200 if os.environ.get("SOAK") else 2))
def test_answers_equal_what_all_events_say(any_store: LineageStore, lake: Lake, seed: int) -> None:
    chosen = Random(seed)
    bodies = [json.dumps(any_event(chosen)).encode() for _ in range(chosen.randint(1, 25))]
    arriving = chosen.sample(bodies, len(bodies))
    while arriving:
        size = chosen.randint(1, 8)
        any_store.put_all(arriving[:size])
        arriving = arriving[size:]
    told = [json.loads(body) for body in bodies]
    moments = {
        id(event): (event["eventTime"], sha256(body).hexdigest()) for event, body in zip(told, bodies, strict=True)
    }
    told.sort(key=lambda event: moments[id(event)])
    with TestClient(create_app(any_store, lake), base_url="http://127.0.0.1:3001") as client:
        check_datasets(client, told, moments)
        check_jobs(client, told)


def check_datasets(client: TestClient, told: list[dict[str, Any]], moments: dict[int, tuple[str, str]]) -> None:
    uses: dict[str, list[tuple[dict[str, Any], dict[str, Any], str]]] = {}
    for event in told:
        for side in ("dataset", "outputs", "inputs"):  # within an event the first word counts, as if it were the latest
            given = event.get(side, [])
            for use in reversed(given if isinstance(given, list) else [given]):
                uses.setdefault(use["name"], []).append((event, use, role(use, side)))
    listed = {item["name"]: item for item in get(client, "/namespaces/n/datasets")["datasets"]}
    assert listed.keys() == uses.keys()
    for name, said in uses.items():
        timed = [(event["eventTime"], use, part) for event, use, part in said]
        assert expected_dataset(timed).items() <= listed[name].items()
        assert listed[name] == get(client, f"/namespaces/n/datasets/{name}")
        versioned = [
            (moments[id(event)], version_of(use))
            for event, use, part in said
            if part not in ("input", "reference") and version_of(use)
        ]
        assert listed[name]["currentVersion"] == (max(versioned)[1] if versioned else None)
        named = {version_of(use) for _, use, _ in timed} - {""}
        versions = get(client, f"/namespaces/n/datasets/{name}/versions")
        assert [item["version"] for item in versions["versions"]] == sorted(named, key=int, reverse=True)
        assert versions["totalCount"] == len(named)
        for item in versions["versions"]:
            assert (
                expected_dataset([each for each in timed if version_of(each[1]) == item["version"]]).items()
                <= item.items()
            )


def version_of(use: dict[str, Any]) -> str:
    return use["facets"].get("version", {}).get("datasetVersion", "")


def check_jobs(client: TestClient, told: list[dict[str, Any]]) -> None:
    jobs = {item["name"]: item for item in get(client, "/namespaces/n/jobs")["jobs"]}
    assert jobs.keys() == {event["job"]["name"] for event in told if "job" in event}
    for name, found in jobs.items():
        events = [event for event in told if event.get("job", {}).get("name") == name]
        assert found["facets"] == folded([event["job"]["facets"] for event in events])
        assert (found["createdAt"], found["updatedAt"]) == (events[0]["eventTime"], events[-1]["eventTime"])
        for side, roles in (("inputs", ("input", "reference")), ("outputs", ("output", "unchanged"))):
            uses = [
                (use, role(use, given)) for event in events for given in ("inputs", "outputs") for use in event[given]
            ]
            names = sorted({use["name"] for use, part in uses if part in roles})
            assert [item["name"] for item in found[side]] == names
        first = {event["run"]["runId"]: event["eventTime"] for event in reversed(events) if "run" in event}
        runs = get(client, f"/namespaces/n/jobs/{name}/runs")
        assert [run["id"] for run in runs["runs"]] == sorted(first, key=lambda run: (first[run], run), reverse=True)
        assert runs["totalCount"] == len(first)
        for run in runs["runs"]:
            of_run = [event for event in events if event.get("run", {}).get("runId") == run["id"]]
            assert run["facets"] == folded([event["run"]["facets"] for event in of_run])
            assert (run["createdAt"], run["updatedAt"]) == (of_run[0]["eventTime"], of_run[-1]["eventTime"])
