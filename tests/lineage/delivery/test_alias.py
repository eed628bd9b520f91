"""Two lakes that send their lineage to one backend keep their names apart; the store keeps ours."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import assay
from assay.errors import AssayError
from assay.lineage.delivery.alias import renamed
from tests.lineage.backend import Backend


def write_and_send(home: Path, backend: Backend, **settings: Any) -> list[bytes]:
    """Two tables, the second from the first; the events as the store keeps them."""
    store = assay.open(home=home, openlineage_url=backend.url, **settings)
    with store.transaction("raw/t") as tx:
        tx.write("raw/t", pl.DataFrame({"a": [1]}))
    with store.transaction("clean/t") as tx:
        lineage = {"a": {"direct": [("raw/t", "a")], "indirect": []}}
        tx.write("clean/t", tx.read("raw/t").collect(), column_lineage=lineage)
    assert store.forward_events() == 0
    return [item.body for item in store.lineage_store.events()]


def names(events: list[dict[str, Any]]) -> tuple[set[str], set[str]]:
    used = [item for event in events for item in (*event.get("inputs", ()), *event.get("outputs", ()))]
    return {item["namespace"] for item in used}, {event["job"]["namespace"] for event in events}


def test_two_lakes_have_two_namespaces_at_the_backend(tmp_path: Path) -> None:
    backend = Backend()
    try:
        kept = write_and_send(tmp_path / "shop", backend, namespace="shop")
        shop, backend.taken[:] = list(backend.taken), []
        write_and_send(tmp_path / "desk", backend)
        desk = list(backend.taken)
    finally:
        backend.stop()
    assert names(shop) == ({"shop"}, {"assay://shop"})
    assert names(desk) == ({"assay"}, {"assay://assay"})
    assert names([json.loads(body) for body in kept]) == names(desk), "the store keeps our own names"
    text = json.dumps(shop)
    assert '"assay"' not in text.replace('"name": "assay"', "") and "assay:clean" not in text
    (columns,) = [
        item["facets"]["columnLineage"]["fields"]["a"]["inputFields"]
        for event in shop
        for item in event.get("outputs", ())
        if "columnLineage" in item["facets"]
    ]
    assert columns[0]["namespace"] == "shop"


def test_other_names_and_the_default_stay() -> None:
    event = {"job": {"namespace": "airflow", "name": "assay"}, "inputs": [{"namespace": "s3://b", "name": "assay:x"}]}
    body = json.dumps(event).encode()
    assert renamed(body, "assay") == body
    assert json.loads(renamed(body, "shop")) == event


def test_a_namespace_is_one_plain_word(tmp_path: Path) -> None:
    with pytest.raises(AssayError, match="namespace"):
        assay.open(home=tmp_path, namespace="two words")
