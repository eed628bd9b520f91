"""One contract reads the same texts from CSV, JSON lines and Parquet; a form that it does not declare is named."""

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

import polars as pl
import pytest

import assay
from assay import Contract, Field, Files, Partitioning, Source
from assay.assets.sources.csv_dialect import Csv
from assay.assets.steps.clean import clean_step
from assay.assets.steps.raw import raw_step
from assay.assets.steps.step import execute
from assay.features import AuditFailed
from assay.store import Store

DAY = "2026-03-01"
TEXTS = {
    "id": ["a", "b", "c", "d"],
    "due": ["31.12.2026", "1.2.2026", "k.A.", "30.02.2026"],
    "amount": ["1.234,50 €", "\u2013", "12,00 €", "1,234.50"],
    "paid": ["ja", "nein", "ja", "ja"],
}


class Declared(Contract):
    id: str = Field(key=True)
    due: date = Field(nullable=True)
    amount: float = Field(currency="€", nullable=True)
    paid: bool = Field()

    class Config(Contract.Config):
        decimal = ","
        thousands = "."
        date_format = "%d.%m.%Y"
        true_values = "ja"
        false_values = "nein"
        missing = ("k.A.", "\u2013")


class Undeclared(Contract):
    id: str = Field(key=True)
    due: date = Field(nullable=True)
    amount: float = Field(nullable=True)
    paid: bool = Field()


def as_csv(file: Path) -> None:
    rows = [";".join(TEXTS), *(";".join(row) for row in zip(*TEXTS.values(), strict=True))]
    file.with_suffix(".csv").write_bytes("\r\n".join([*rows, ""]).encode("cp1252"))


def as_jsonl(file: Path) -> None:
    rows = [json.dumps(dict(zip(TEXTS, row, strict=True))) for row in zip(*TEXTS.values(), strict=True)]
    file.with_suffix(".jsonl").write_text("\n".join(rows))


def as_parquet(file: Path) -> None:
    pl.DataFrame(TEXTS).write_parquet(file.with_suffix(".parquet"))


def source_of(contract: type[Contract]) -> Source:
    return Source(
        name="invoices",
        reader=Files("invoices/{day}/*", (".csv", ".jsonl", ".parquet"), csv=Csv(separator=";", encoding="cp1252")),
        partitioning=Partitioning.daily(DAY),
        contract=contract,
        key=("id",),
        event_time="due",
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return assay.open(home=tmp_path, actor="kim")


@pytest.mark.parametrize("write", [as_csv, as_jsonl, as_parquet])
def test_the_form_is_that_of_texts_wherever_they_come_from(store: Store, write: Callable[[Path], None]) -> None:
    env, source = store.env(), source_of(Declared)
    folder = env.settings.landing_path / "invoices" / DAY
    folder.mkdir(parents=True)
    write(folder / "invoices")
    execute(raw_step(source), env, DAY)
    execute(clean_step(source), env, DAY)
    clean = store.table("clean/invoices").scan().select(TEXTS.keys()).collect()
    assert clean.rows() == [
        ("a", date(2026, 12, 31), 1234.5, True),
        ("b", date(2026, 2, 1), None, False),
        ("c", None, 12.0, True),
    ]
    held = store.table("quarantine/invoices").scan().select(*TEXTS, "_rules").collect()
    assert held.rows() == [("d", "30.02.2026", "1,234.50", "ja", ["due.dtype", "amount.dtype"])]


def test_a_batch_in_a_form_that_is_not_declared_names_it(store: Store) -> None:
    env, source = store.env(), source_of(Undeclared)
    folder = env.settings.landing_path / "invoices" / DAY
    folder.mkdir(parents=True)
    rows = [f"{number};31.12.2026;{number},50;true" for number in range(60)]
    (folder / "i.csv").write_text("\n".join(["id;due;amount;paid", *rows, ""]))
    execute(raw_step(source), env, DAY)
    with pytest.raises(AuditFailed, match=r'Field\(date_format="%d\.%m\.%Y"\)') as failure:
        execute(clean_step(source), env, DAY)
    assert "31.12" not in str(failure.value) and "59,50" not in str(failure.value)
