"""Tables of a source that was taken out of the project are marked, and nobody is asked to do anything about them."""

from pathlib import Path

import polars as pl
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from assay.assets.planning.undeclared import undeclared_line, undeclared_tables
from assay.features.tables.lake import Lake, open_lake
from assay.features.tables.run_record import NullRecorder, Work
from assay.features.tables.transaction import transaction
from assay.lineage.store.lineage_store import open_lineage_store
from assay.web import create_router
from tests.assay.web.reading import Page


def filled(folder: Path) -> Lake:
    """Two sources, of which `parcels` is declared no more, and a table that was never declared."""
    lake = open_lake(folder / "lake")
    for table, code in (
        ("raw/orders", "1"),
        ("clean/orders", "1"),
        ("raw/parcels", "1"),
        ("clean/parcels", "1"),
        ("raw/by_hand", ""),
    ):
        with transaction(lake, NullRecorder(), Work(table, "2026-09-01", code_version=code)) as tx:
            tx.write(table, pl.DataFrame({"id": [1]}))
    return lake


DECLARED = frozenset({"raw/orders", "clean/orders"})


def test_what_steps_wrote_and_no_step_writes_is_undeclared(tmp_path: Path) -> None:
    lake = filled(tmp_path)
    found = undeclared_tables(lake, DECLARED)
    assert list(found) == ["clean/parcels", "raw/parcels"]
    written = lake.table("raw/parcels").at().last_commit.timestamp
    assert found["raw/parcels"] == written
    line = f"raw/parcels is no longer declared, last written on {written:%Y-%m-%d}."
    assert undeclared_line("raw/parcels", written) == line
    assert undeclared_tables(lake, [*DECLARED, *found]) == {}


def test_the_console_marks_them_and_they_can_still_be_opened(tmp_path: Path) -> None:
    lake, store = filled(tmp_path), open_lineage_store(tmp_path / "lineage.db")
    client = TestClient(Starlette(routes=[Mount("/", create_router(store, lake, tables=lambda: DECLARED))]))
    for address, marked in (("/", 2), ("/pipeline", 2), ("/versions/clean/parcels", 1), ("/versions/clean/orders", 0)):
        page = Page(client.get(address).text)
        titles = [given.get("title") or "" for tag, given in page.tags if tag == "span"]
        assert len([title for title in titles if "no longer declared, last written on" in title]) == marked, address
    unknown = TestClient(Starlette(routes=[Mount("/", create_router(store, lake))]))
    assert "no longer declared" not in unknown.get("/").text, "without a project nobody knows"
    store.close()
