"""Rows that are held for a foreign key are distinguished from the others once what they refer to has come."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

import assay
from assay.assets.decisions import partners
from assay.assets.decisions.partners import find_partners
from assay.assets.decisions.review import with_status
from assay.assets.declarations import source
from assay.cli import main
from assay.store import Store

DECLARED = """
from assay import Contract, Field, Files, Partitioning, Source, Timestamp

class Shoppers(Contract):
    shopper: int = Field(key=True)
    at: Timestamp = Field()

class Goods(Contract):
    sku: str = Field(key=True)
    at: Timestamp = Field()

class Known(Contract):
    order_id: str = Field(key=True)
    shopper: int = Field(exists_in="clean/shoppers", metadata={"pii": True})
    sku: str = Field(exists_in="clean/goods", nullable=True)
    amount: int = Field(ge=0)
    at: Timestamp = Field()

def source(name, contract, key):
    return Source(name=name, reader=Files(f"{name}/{{day}}/*", (".csv",)), partitioning=Partitioning.daily("2026-03-01"),
                  contract=contract, key=(key,), event_time="at")

shoppers, goods, known = (source("shoppers", Shoppers, "shopper"), source("goods", Goods, "sku"),
                          source("known", Known, "order_id"))
"""
NOON = "2026-03-02T12:00:00Z"
MONDAY, TUESDAY = "2026-03-02", "2026-03-03"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """One shopper and one good on Monday; then orders of shoppers and goods some of whom come on Tuesday."""
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "held"\nversion = "1"\n[tool.assay]\ndomains = ["held_for_keys"]\n'
    )
    (tmp_path / "held_for_keys").mkdir()
    (tmp_path / "held_for_keys" / "__init__.py").write_text(DECLARED)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "held_for_keys", raising=False)
    opened = assay.open()
    opened.ingest(source("shoppers"), pl.DataFrame({"shopper": ["1"], "at": [NOON]}), MONDAY)
    opened.ingest(source("goods"), pl.DataFrame({"sku": ["a"], "at": [NOON]}), MONDAY)
    rows = {
        "order_id": ["both come", "one comes", "none comes", "also too little", "no sku", "fits"],
        "shopper": ["2", "2", "3", "2", "2", "1"],
        "sku": ["b", "c", "a", "a", None, "a"],
        "amount": ["1", "1", "1", "-1", "1", "1"],
        "at": [NOON] * 6,
    }
    opened.ingest(source("known"), pl.DataFrame(rows), MONDAY)
    yield opened
    opened.recorder.close()


def held(store: Store) -> pl.DataFrame:
    return with_status(store.table("quarantine/known").at().scan()).collect()


def come(store: Store) -> None:
    store.ingest(source("shoppers"), pl.DataFrame({"shopper": ["2"], "at": [NOON]}), TUESDAY)
    store.ingest(source("goods"), pl.DataFrame({"sku": ["b"], "at": [NOON]}), TUESDAY)


def test_a_row_fits_when_all_that_it_refers_to_has_come_and_nothing_else_is_wrong(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = held(store)
    assert rows.height == 5
    assert not find_partners(source("known"), store.lake, rows).any()
    come(store)
    fits = find_partners(source("known"), store.lake, rows)
    assert sorted(rows.filter(fits)["order_id"]) == ["both come", "no sku"]
    decided = rows.with_columns(pl.lit("rejected").alias("_status"))
    assert not find_partners(source("known"), store.lake, decided).any()
    monkeypatch.setattr(partners, "MOST", 3)
    assert not find_partners(source("known"), store.lake, rows).any(), "too many to look at"


def test_the_command_says_which_rows_fit_now_and_what_to_do(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*arguments: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main(["quarantine", *arguments])
        assert ended.value.code == 0
        return capsys.readouterr().out

    assert "find now" not in run("list") + run("show", "known")
    come(store)
    said = (
        "2 rows of known that broke shopper.exists find now what they refer to. Next: `assay quarantine release known "
        "--rule shopper.exists --reason …` shows which would fit; --yes lets them in."
    )
    for shown in (run("list"), run("show", "known")):
        assert said in shown
        assert "1 row of known that broke sku.exists finds now what it refers to." in shown
    counts = {row["rule"]: (row["rows"], row["fits_now"]) for row in json.loads(run("list", "--json"))}
    assert counts == {"shopper.exists": (5, 2), "sku.exists": (2, 1), "amount.ge": (1, 0)}
    rows = {row["order_id"]: row["_fits_now"] for row in json.loads(run("show", "known", "--json"))}
    assert {name for name, fits in rows.items() if fits} == {"both come", "no sku"}
