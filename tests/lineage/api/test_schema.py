"""Whatever is asked, as far as the OpenAPI description allows and beyond: no server error, and answers as described."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from assay.features.tables.lake import open_lake
from assay.lineage.api import create_app
from assay.lineage.api.marquez_models import EVENT
from assay.lineage.store.lineage_store import open_lineage_store
from tests.conftest import SOAK


@pytest.fixture
def described(tmp_path: Path) -> Any:
    import schemathesis  # here, for every process collects this file and one runs it: it takes seconds

    app = create_app(
        open_lineage_store(tmp_path / "lineage.db", busy_seconds=10), open_lake(tmp_path / "lake"), hosts=["testserver"]
    )
    with TestClient(app) as client:
        assert client.post("/api/v1/lineage", json=EVENT).status_code == 200
    return schemathesis.openapi.from_asgi("/openapi.json", app)


def test_no_request_is_too_much(described: Any) -> None:
    from schemathesis import GenerationMode
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks

    answered = [
        not_a_server_error,
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_headers_conformance,
        checks.response_schema_conformance,
    ]
    asked = set()
    for operation in (found.ok() for found in described.get_all_operations()):

        @settings(max_examples=50 if SOAK else 3, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(case=st.one_of(operation.as_strategy(generation_mode=mode) for mode in GenerationMode))
        def ask(case: Any) -> None:
            case.call_and_validate(checks=answered)

        ask()
        asked.add(operation.label)
    assert {"POST /api/v1/lineage", "GET /api/v1/graph", "GET /api/v1/trace/{prediction_id}"} <= asked
