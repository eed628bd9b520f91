"""The lineage API and the console as one application."""

from html import unescape
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from starlette.testclient import TestClient

import assay
from assay.lineage.predictions.latest import latest_predictions
from assay.serve import create_app, declarations_changed


def test_the_api_and_the_console_are_over_one_store(tmp_path: Path) -> None:
    store = assay.open(home=tmp_path)
    with store.transaction("raw/orders") as tx:
        tx.write("raw/orders", pl.DataFrame({"order": [1]}))
    with TestClient(create_app(store), base_url="http://127.0.0.1:3001") as client:
        assert "raw/orders" in client.get("/").text
        node = client.get("/api/v1/nodes/dataset%3Aassay%3Araw%2Forders").json()
        assert node["facts"]["table"] == "raw/orders"
        assert client.get("/api/v1/trace/0").status_code == 404
    store.lineage_store.close()


def test_a_console_says_that_declarations_changed_after_it_had_loaded_them(bank: Any) -> None:
    one = latest_predictions(bank.store.lake, limit=1)[0].id
    with TestClient(create_app(bank.store), base_url="http://127.0.0.1:3001") as client:
        before = client.post(f"/trace/{one}/verify").text
        bank.redeclare(("LIMIT = 50", "LIMIT = 51"))
        after = client.post(f"/trace/{one}/verify").text
    text = "__init__.py changed after this console had loaded the declarations: `assay up` loads them again"
    assert [text in unescape(page) for page in (before, after)] == [False, True]


def test_declarations_have_changed_once_nothing_more_is_written(bank: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = declarations_changed()
    assert changed is not None
    assert [changed(), changed()] == [False, False]
    bank.redeclare(('max_age="2d"', 'max_age="4d"'))
    assert [changed(), changed()] == [False, True]
    monkeypatch.delenv("ASSAY_PROJECT")
    monkeypatch.chdir("/")
    assert declarations_changed() is None, "without a project there is nothing to load again"
