"""Whoever looks at the pipeline tells the console which settings are missing, and when none is any more."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from assay.assets.declarations import declarations
from assay.assets.silent import forget_silences
from assay.cli import main
from assay.features.storage.missing_settings import FOLDER
from assay.store import open_store
from assay.web import create_router
from tests.assets.dagster.test_sensors import Watched

CLIENTS = """
from assay.assets.databases.rows import Rows


class Clients(Contract):
    client: str = Field(key=True)
    at: Timestamp = Field()


clients = Source(
    name="clients", reader=Rows("clients", cursor="at", connection="crm"), contract=Clients, key=("client",), event_time="at"
)
"""
SETTING = "ASSAY_CONNECTIONS__CRM__URL"


def command(*arguments: str) -> Callable[[Any], None]:
    def run(shop: Any) -> None:
        with pytest.raises(SystemExit):
            main(list(arguments))

    return run


@pytest.mark.parametrize(
    "look",
    [command("status"), command("materialize"), lambda shop: Watched(shop).tick()],
    ids=("status", "run", "tick"),
)
def test_who_looks_at_the_pipeline_tells_the_console_what_is_missing(
    shop: Any, look: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(shop.home / "dagster"))
    shop.redeclare(lambda text: text + CLIENTS)
    declarations.cache_clear()
    store = open_store()
    console = TestClient(Starlette(routes=[Mount("/", create_router(store.lineage_store, store.lake))]))
    assert SETTING not in console.get("/").text
    look(shop)
    page = console.get("/").text
    assert f"set {SETTING}" in page and ">raw/clients</a>" in page
    before = kept_files(shop)
    look(shop)
    assert kept_files(shop) == before and before, "nothing new is not written"
    monkeypatch.setenv(SETTING, "postgresql://u:s3cret@127.0.0.1:1/crm")
    look(shop)
    look(shop)
    page = console.get("/").text
    assert f"set {SETTING}" not in page and "s3cret" not in page
    assert "! cannot be read" in page and "table clients does not answer" in page, "which is no missing setting"
    sqlite3.connect(shop.home / "crm.db").close()
    monkeypatch.setenv(SETTING, f"sqlite:///{shop.home / 'crm.db'}")
    forget_silences(shop.home)
    look(shop)
    assert SETTING not in console.get("/").text
    assert kept_files(shop) == {}


def kept_files(shop: Any) -> dict[Path, int]:
    files = (file for file in (shop.home / "lake" / FOLDER).rglob("*") if file.is_file())
    return {file: file.stat().st_ino for file in files}
