"""An event without the address of its lake, and with that of another."""

import json
from typing import Any

from assay.lineage.events.facets import address_facet
from assay.lineage.events.places import with_places, without_places
from assay.lineage.events.serialize import encoded


def event(root: str) -> bytes:
    def dataset(name: str, **facets: Any) -> dict[str, Any]:
        return {"namespace": "assay", "name": name, "facets": facets}

    tables = [
        dataset(name, assay_snapshot={"table": name, "version": 3}, symlinks=address_facet(f"{root}/{name}"))
        for name in ("raw/ü", "clean/t")
    ]
    elsewhere = dataset("file.csv", symlinks=address_facet("/data/file.csv"))
    return encoded(
        {"eventType": "FAIL", "run": {"runId": "1"}, "inputs": [tables[0], elsewhere], "outputs": tables[1:]}
    )


def test_an_event_moves_along_with_its_lake() -> None:
    bare = without_places(event("/old"))
    assert b"/old" not in bare
    assert b"/data/file.csv" in bare
    assert without_places(bare) == bare
    assert with_places(bare, lambda table: f"/old/{table}") == event("/old")
    assert with_places(bare, lambda table: f"s3://shop/{table}") == event("s3://shop")


def test_what_names_no_table_stays_byte_by_byte() -> None:
    body = json.dumps({"z": 1, "a": [1.0, None], "inputs": [{"name": "x"}]}, separators=(",", ":")).encode()
    assert without_places(body) == with_places(body, str) == body
