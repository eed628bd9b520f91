"""An upstream renames a column: files under both names become one clean column, and lineage says which was read."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import assay
from assay import Contract, Field, Files, Partitioning, Source
from assay.assets.decisions.review import Decision, RowSelection, decide
from assay.assets.steps.apply_decisions import LINK
from assay.assets.steps.clean import clean_step
from assay.assets.steps.raw import raw_step
from assay.assets.steps.step import Resources, execute
from assay.features import AuditFailed

DAYS = ("2026-03-01", "2026-03-02", "2026-03-03")


class Before(Contract):
    refund: str = Field(key=True)
    amount: float = Field(ge=0)


class After(Contract):
    refund: str = Field(key=True)
    amount_eur: float = Field(ge=0, was="amount")


def source(contract: type[Contract]) -> Source:
    return Source(
        name="refunds",
        reader=Files("refunds/{day}/*", (".csv", ".parquet")),
        partitioning=Partitioning.daily(DAYS[0]),
        contract=contract,
        key=("refund",),
        event_time="",
    )


@pytest.fixture(params=["memory", "disk"])
def env(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Resources]:
    store = assay.open(home=tmp_path, actor="kim")
    made = store.env()
    if request.param == "disk":
        made = replace(made, settings=made.settings.model_copy(update={"in_memory_mb": 0}))
    yield made
    store.recorder.close()


def deliver(env: Resources, day: str, **files: str) -> None:
    folder = env.settings.landing_path / "refunds" / day
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text)


def run(env: Resources, day: str, contract: type[Contract]) -> None:
    for step in (raw_step(source(contract)), clean_step(source(contract))):
        execute(step, env, day)


def clean(env: Resources, day: str) -> tuple[list[tuple[Any, ...]], list[list[str]]]:
    state = env.lake.table("clean/refunds").at()
    rows = state.scan([day]).select("refund", "amount_eur").sort("refund").collect().rows()
    commit = state.writer_of(day)
    assert commit is not None and commit.column_lineage is not None
    return rows, commit.column_lineage["amount_eur"]["direct"]


OLD, NEW = "refund,amount\nR1,1.5\nR2,-2\n", "refund,amount_eur\nR3,3.5\nR4,x\n"


def test_files_under_both_names_are_read_and_lineage_says_which(env: Resources) -> None:
    deliver(env, DAYS[0], a=OLD)
    run(env, DAYS[0], Before)
    deliver(env, DAYS[1], b=NEW)
    deliver(env, DAYS[2], a=OLD.replace("R", "S"), b=NEW.replace("R", "S"))
    for day in DAYS:
        run(env, day, After)
    assert clean(env, DAYS[0]) == ([("R1", 1.5)], [["raw/refunds", "amount"]])
    assert clean(env, DAYS[1]) == ([("R3", 3.5)], [["raw/refunds", "amount_eur"]])
    both = [["raw/refunds", "amount_eur"], ["raw/refunds", "amount"]]
    assert clean(env, DAYS[2]) == ([("S1", 1.5), ("S3", 3.5)], both)
    raw = env.lake.table("raw/refunds").at().scan([DAYS[0]]).collect()
    assert raw["amount"].to_list() == ["1.5", "-2"], "raw is as it was delivered"
    held = env.lake.table("quarantine/refunds").at().scan([DAYS[2]]).sort("refund").collect()
    assert held.select("refund", "amount_eur", pl.col("_rules").list.join(" ")).rows() == [
        ("S2", "-2", "amount_eur.ge"),
        ("S4", "x", "amount_eur.dtype"),
    ]
    for day in DAYS:
        assert not execute(clean_step(source(After)), env, day).changed


def test_a_file_with_both_columns_is_refused_and_both_are_named(env: Resources) -> None:
    deliver(env, DAYS[0], a="refund,amount,amount_eur\nR1,1,1\n")
    with pytest.raises(
        AuditFailed, match=r"a\.csv, column amount_eur: has both 'amount_eur' and 'amount', .*remove was="
    ):
        run(env, DAYS[0], After)
    assert not env.lake.table("raw/refunds").exists()


def test_a_rename_that_nobody_declared_is_refused_with_what_to_declare(env: Resources) -> None:
    deliver(env, DAYS[0], a=NEW)
    with pytest.raises(AuditFailed, match=r"renamed\?\); .*declare 'amount_eur' with Field\(was='amount'\)"):
        run(env, DAYS[0], Before)
    run(env, DAYS[0], After)
    assert clean(env, DAYS[0])[0] == [("R3", 3.5)]


def test_typed_files_of_one_day_agree_under_whichever_name(env: Resources) -> None:
    deliver(env, DAYS[0], a=OLD)
    pl.DataFrame({"refund": ["R3"], "amount_eur": [3.5]}).write_parquet(
        env.settings.landing_path / "refunds" / DAYS[0] / "b.parquet"
    )
    with pytest.raises(AuditFailed, match=r"b\.parquet, column amount_eur: is Float64 here and String in"):
        run(env, DAYS[0], After)


def test_a_row_delivered_under_the_former_name_can_be_released(env: Resources) -> None:
    deliver(env, DAYS[0], a=OLD)
    run(env, DAYS[0], After)
    held = env.lake.table("quarantine/refunds").at().scan([DAYS[0]]).select(LINK).collect().rows()
    choice = RowSelection(partition=DAYS[0], rows=tuple(held))
    what = Decision("release", "seen on the invoice", "kim", edits={"amount_eur": "2"})
    decide(source(After), env, choice, what, dry_run=False)
    run(env, DAYS[0], After)
    assert clean(env, DAYS[0]) == (
        [("R1", 1.5), ("R2", 2.0)],
        [["raw/refunds", "amount"], ["releases/refunds", "edits"]],
    )
