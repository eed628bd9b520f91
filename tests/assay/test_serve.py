"""The lineage API and the console as one application."""

from pathlib import Path

import polars as pl
from starlette.testclient import TestClient

import assay
from assay.serve import create_app


def test_the_api_and_the_console_are_over_one_store(tmp_path: Path) -> None:
    store = assay.open(home=tmp_path)
    with store.transaction("raw/orders") as tx:
        tx.write("raw/orders", pl.DataFrame({"order": [1]}))
    with TestClient(create_app(store), base_url="http://127.0.0.1:3001") as client:
        assert "raw/orders" in client.get("/").text
        node = client.get("/api/v1/nodes/dataset%3Aassay%3Araw%2Forders").json()
        assert node["facts"]["table"] == "raw/orders"
        assert client.get("/api/v1/trace/0").status_code == 404
    store.lineage_store.close()
