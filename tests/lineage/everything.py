"""All that a lineage store can answer, to compare one with another: runs, edges, checks, and the whole HTTP service."""

import json
from dataclasses import asdict
from typing import Any
from urllib.parse import quote

from starlette.testclient import TestClient

from assay.features.tables.lake import Lake
from assay.lineage.api import create_app
from assay.lineage.queries.walk import graph_hash
from assay.lineage.store.lineage_store import LineageStore

#: Which process does the work is of interest only while it does: START names it for whoever looks whether it still runs.
GONE_WITH_THE_PROCESS = "assay_process"


def answers(store: LineageStore, lake: Lake) -> dict[str, Any]:
    """By question; lists without an order of their own are sorted."""
    found: dict[str, Any] = {"hash": graph_hash(store)}
    for run in store.runs():
        found[f"run {run.id}"] = asdict(run)
        found[f"uses of {run.id}"] = [use._asdict() for use in store.uses(run.id)]
        found[f"checks of {run.id}"] = [check._asdict() for check in store.checks(run.id)]
    with TestClient(create_app(store, lake), base_url="http://127.0.0.1:3001") as client:
        for path in _paths(client):
            answer = client.get(f"/api/v1{path}")
            assert answer.status_code == 200, (path, answer.text)
            found[path] = _plain(answer.json())
    return found


def _paths(client: TestClient) -> list[str]:
    paths = ["/namespaces?limit=1000", "/graph?limit=10000", "/graph?limit=10000&as_of=2999-01-01T00:00:00Z"]
    paths += [f"/search?q={text}&limit=1000" for text in ("raw", "a", "router", "s3cret")]
    for name in [item["name"] for item in client.get("/api/v1/namespaces?limit=1000").json()["namespaces"]]:
        here = f"/namespaces/{quote(name, safe='')}"
        for kind, singular, of_each in (("datasets", "dataset", "versions"), ("jobs", "job", "runs")):
            paths.append(f"{here}/{kind}?limit=1000")
            for item in client.get(f"/api/v1{paths[-1]}").json()[kind]:
                one = f"{here}/{kind}/{quote(item['name'], safe='')}"
                node = quote(f"{singular}:{name}:{item['name']}", safe="")
                paths += [one, f"{one}/{of_each}?limit=1000", f"/lineage?nodeId={node}"]
                paths += [f"/column-lineage?nodeId={node}&withDownstream=true"] if singular == "dataset" else []
    nodes = client.get("/api/v1/graph?limit=10000").json()["nodes"]
    paths += [f"/nodes/{quote(node['id'], safe='')}" for node in nodes]
    paths += [f"/graph?focus={quote(node['id'], safe='')}&up=2&down=2&limit=10000" for node in nodes[::7]]
    return paths


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items() if name != GONE_WITH_THE_PROCESS}
    if isinstance(value, list):
        return sorted(map(_plain, value), key=lambda item: json.dumps(item, sort_keys=True))
    return value


def difference(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """The questions that are not answered alike."""
    return {key: (one.get(key), other.get(key)) for key in {*one, *other} if one.get(key) != other.get(key)}
