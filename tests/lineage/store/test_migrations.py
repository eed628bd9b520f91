"""The schema comes in steps, is the one in `lineage/store/schema.py`, and stores made before there were steps are taken along."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory

from assay.lineage.queries.walk import graph_hash
from assay.lineage.store import migrations
from assay.lineage.store.lineage_store import LineageStore
from assay.lineage.store.schema import metadata

EVENT = {
    "eventType": "COMPLETE",
    "eventTime": "2026-09-01T10:00:00Z",
    "run": {"runId": "0b8ffc1e-3a5c-4b0f-9c93-4f7c2a1d5e60"},
    "job": {"namespace": "n", "name": "j"},
    "outputs": [{"namespace": "file", "name": "t"}],
}


def _steps() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    return ScriptDirectory.from_config(config)


def _shape(connection: sa.Connection) -> dict[str, Any]:
    """Everything that the database says of its tables, in an order of its own."""
    inspector = sa.inspect(connection)
    without_rowid = "SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE '%WITHOUT ROWID%'"
    sqlite = connection.dialect.name == "sqlite"

    def listed(items: Iterable[Any]) -> list[str]:
        return sorted(str({name: str(value) for name, value in item.items()}) for item in items)

    return {
        table: (
            listed(inspector.get_columns(table)),
            inspector.get_pk_constraint(table),
            listed(inspector.get_indexes(table)),
            listed(inspector.get_unique_constraints(table)),
            listed(inspector.get_foreign_keys(table)),
            sqlite and table in connection.scalars(sa.text(without_rowid)).all(),
        )
        for table in inspector.get_table_names()
    }


def test_the_steps_lead_to_the_tables_of_the_code_which_a_new_store_gets_at_once(any_store: LineageStore) -> None:
    with any_store.writing() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        assert connection.scalar(sa.text("SELECT version_num FROM alembic_version")) == migrations.HEAD
        at_once = _shape(connection)
        metadata.drop_all(connection)
        connection.execute(sa.text("DROP TABLE alembic_version"))
        migrations.take_steps(connection)
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        assert connection.scalar(sa.text("SELECT version_num FROM alembic_version")) == migrations.HEAD
        by_steps = _shape(connection)
    assert len(at_once) > len(metadata.tables)
    assert at_once == by_steps


def test_the_last_step_is_the_one_that_is_named() -> None:
    assert _steps().get_current_head() == migrations.HEAD


def test_a_store_from_before_the_steps_is_brought_along(any_store: LineageStore) -> None:
    with any_store.engine.begin() as connection, Operations.context(MigrationContext.configure(connection)):
        first = _steps().get_revision("0001")
        assert first is not None
        first.module.upgrade()
        columns = "sha256, event_type, event_us, body"
        connection.execute(sa.text(f"INSERT INTO events ({columns}) VALUES ('x', 'START', 0, :body)"), {"body": b"{}"})
    assert any_store.put(json.dumps(EVENT).encode())
    assert [item.kind for item in any_store.events()] == ["START", "COMPLETE"]
    with any_store.writing() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_opening_again_changes_nothing(store: LineageStore) -> None:
    store.put(json.dumps(EVENT).encode())
    before = graph_hash(store)
    again = LineageStore(store.url, store.home)
    assert graph_hash(again) == before
    again.close()
