"""Stores on both databases."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from assay.features.lake import Lake, open_lake
from assay.lineage.recorder import EventRecorder
from assay.lineage.store import LineageStore, open_store


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


@pytest.fixture(params=["sqlite", "postgresql"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LineageStore]:
    """The same behaviour on both databases."""
    if request.param == "sqlite":
        opened = open_store(tmp_path / "lineage.db", busy_seconds=10)
    else:
        url = request.getfixturevalue("postgres_url")
        _empty(url)
        opened = open_store(url, home=tmp_path, busy_seconds=10)
    yield opened
    opened.close()


def _empty(url: str) -> None:
    engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"), poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")
