"""The service in this process, over an empty store."""

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from assay.features.tables.lake import Lake
from assay.lineage.api import create_app
from assay.lineage.store.lineage_store import LineageStore


@pytest.fixture
def client(store: LineageStore, lake: Lake) -> Iterator[TestClient]:
    with TestClient(create_app(store, lake), base_url="http://127.0.0.1:3001") as made:
        yield made
