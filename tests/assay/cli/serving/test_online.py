"""`assay online`: sets that a project declares, and views, made ready and listed."""

import json
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result

import assay
from assay.cli.serving.online import online
from assay.errors import AssayError
from assay.features.online.online_set import OnlineSet
from assay.features.serving.online import Online

PROJECT = "import assay\nsales = assay.FeatureSet('sales', ['shop:*'], version='2')\n"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> assay.Store:
    package = "shop_" + "".join(filter(str.isalnum, tmp_path.name))  # of its own: imports are remembered
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").write_text(PROJECT)
    (tmp_path / "pyproject.toml").write_text(f'[project]\nname = "p"\n[tool.assay]\ndomains = ["{package}"]\n')
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path / "var"))
    monkeypatch.setenv("ASSAY_PROJECT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    made = assay.open()
    put(made, 1)
    return made


def put(store: assay.Store, sold: int) -> None:
    with store.transaction("features/shop") as tx:
        rows = pl.DataFrame({"shop": ["a", "b"], "at": [NOON] * 2, "sold": [sold, 2]})
        tx.write_view("shop", rows, keys=["shop"], event_time="at")
    store.recorder.close()


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(online, list(arguments))


def test_a_declared_set_is_made_ready_read_and_listed(store: assay.Store) -> None:
    sales = assay.FeatureSet("sales", ["shop:*"], version="2")
    assert isinstance(store.online(sales), Online)
    dry = invoke("materialize", "sales", "--dry-run")
    assert "sales@2: would read 2 rows" in dry.output
    assert "No feature set is ready yet" in invoke("list").output
    done = invoke("materialize", "sales")
    assert done.exit_code == 0, done.output
    assert "sales@2: generation 1, 2 rows" in done.output
    assert "sales@2: nothing has changed" in invoke("materialize", "sales@2").output
    (listed,) = json.loads(invoke("list", "--json").output)
    assert (listed["set"], listed["number"], listed["references"]) == ("sales@2", 1, ["shop:*"])
    assert "features/shop@" in invoke("list").output
    read = store.online(sales)
    assert isinstance(read, OnlineSet)
    assert read.get({"shop": ["b", "a", "?"]})["sold"].to_list() == [2, 1, None]
    assert isinstance(store.online(sales, skip_nulls=True), Online), "with other options the tables are read"
    assert store.online_set("sales").get({"shop": "a"})["shop.state"].to_list() == ["present"]
    put(store, 7)
    (made,) = json.loads(invoke("materialize", "sales", "--json").output)
    assert (made["new"], made["generation"]["number"]) == (True, 2)
    assert read.get({"shop": "a"})["sold"].to_list() == [7]
    with pytest.raises(AssayError, match="materialised with other features"):
        store.online(assay.FeatureSet("sales", ["shop:sold as n"], version="2")).get({"shop": "a"})


def test_a_view_is_a_set_and_an_unknown_name_is_refused(store: assay.Store) -> None:
    assert "shop@1: generation 1" in invoke("materialize", "shop").output
    asked = {"shop": ["a", "b"]}
    assert store.online("shop").get(asked, at=NOON).equals(store.online_set("shop").get(asked, at=NOON))
    refused = invoke("materialize", "sale")
    assert isinstance(refused.exception, AssayError)
    assert "Did you mean 'sales" in str(refused.exception)
