"""Events as another producer might send them."""

import json
from typing import Any

RUN = "0b8ffc1e-3a5c-4b0f-9c93-4f7c2a1d5e60"


def event(kind: str, second: int = 0, run_id: str = RUN, **more: Any) -> bytes:
    value = {
        "eventType": kind,
        "eventTime": f"2026-09-01T10:00:{second:02d}.5Z",
        "producer": "https://example.org/spark",
        "run": {"runId": run_id},
        "job": {"namespace": "spark", "name": "job"},
    }
    return json.dumps(value | more).encode()


def dataset(name: str, version: str | None = None, **facets: Any) -> dict[str, Any]:
    described = facets | ({"version": {"datasetVersion": version}} if version is not None else {})
    return {"namespace": "file", "name": name, "facets": described}
