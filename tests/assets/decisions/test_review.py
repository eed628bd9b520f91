"""Quarantined rows are released or refused by decisions: re-validated, kept, traced, and applied again whenever the batch is."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest

import assay
from assay import Contract, Field, Source, Timestamp
from assay.assets.decisions.review import Decision, DecisionResult, RowSelection, decide
from assay.assets.steps.apply_decisions import DECISION, STATUS
from assay.assets.steps.clean import clean_step
from assay.assets.steps.step import Resources, execute, stale
from assay.errors import AssayError
from assay.lineage.tracing.impact import impact
from tests.lineage.semantics import broken_rules

PARENTS = ("raw/orders", "releases/orders")


def release(**options: Any) -> Decision:
    return Decision("release", options.pop("reason", "seen on the invoice"), options.pop("by", "kim"), **options)


@pytest.fixture
def decides(shop: Any) -> Callable[..., DecisionResult]:
    """Day 2's third order has the amount -5, which breaks amount.ge."""

    def run(
        decision: Decision, choice: RowSelection | None = None, *, dry_run: bool = False, env: Resources | None = None
    ) -> DecisionResult:
        chosen = choice or RowSelection(partition=shop.day(2))
        return decide(source(shop), env or shop.env, chosen, decision, dry_run=dry_run)

    return run


def source(shop: Any) -> Any:
    return shop.package.orders.orders


def compute(shop: Any, number: int = 2, *, force: bool = False) -> None:
    """The day's clean rows, without everything that follows."""
    execute(clean_step(source(shop)), shop.env, shop.day(number), force=force)


def of_day(shop: Any, table: str, number: int = 2) -> pl.DataFrame:
    return shop.frame(table).filter(pl.col("partition_key") == shop.day(number))


def commit(shop: Any, table: str) -> Any:
    return shop.env.lake.table(table).at().writer_of(shop.day(2))


def counts(shop: Any) -> dict[str, int]:
    return commit(shop, "clean/orders").report.to_dict()


def test_a_dry_run_says_what_would_happen_and_changes_nothing(
    shop: Any, decides: Callable[..., DecisionResult]
) -> None:
    before = shop.contents()
    fits = decides(release(edits={"amount": "5"}), dry_run=True)
    fails = decides(release(edits={"amount": "-1"}), dry_run=True)
    assert [(row.row_number, row.fits, row.breaks) for row in fits.rows] == [(3, True, ())]
    assert [(row.row_number, row.fits, row.breaks) for row in fails.rows] == [(3, False, ("amount.ge",))]
    assert (fits.id, fits.partitions, fails.partitions) == (None, [shop.day(2)], [])
    assert shop.contents() == before
    assert shop.due() == []


def test_a_release_that_does_not_fit_is_not_written_down(shop: Any, decides: Callable[..., DecisionResult]) -> None:
    assert decides(release(edits={"amount": "-1"})).id is None
    assert "releases/orders" not in shop.env.lake.tables()


def test_an_edited_row_is_clean_with_the_link_to_who_and_why_and_stays_in_quarantine(
    shop: Any, decides: Callable[..., DecisionResult]
) -> None:
    held = of_day(shop, "quarantine/orders")
    made = decides(release(edits={"amount": "5"}))
    assert [str(unit).split(":")[0] for unit in shop.due()] == [shop.day(2)], "that day, and nothing else"
    assert not shop.run().failed
    clean = of_day(shop, "clean/orders")
    (row,) = clean.filter(pl.col(DECISION).is_not_null()).to_dicts()
    assert (row["order_id"], row["amount"], row[DECISION]) == ("2-3", 5.0, made.id)
    (decision,) = shop.frame("releases/orders").to_dicts()
    assert (decision["decision_id"], decision["decided_by"], decision["reason"], decision["broken"]) == (
        made.id,
        "kim",
        "seen on the invoice",
        ["amount.ge"],
    )
    assert (decision["_source_sha256"], decision["_row_number"]) == (row["_source_sha256"], row["_row_number"])
    after = of_day(shop, "quarantine/orders")
    assert after[STATUS].to_list() == ["released"]
    assert after.drop(STATUS, DECISION).equals(held.drop(STATUS, DECISION)), "as delivered"
    assert held[STATUS].to_list() == ["held"]
    assert held["_contract"].to_list() == ["1.0.0"]
    assert counts(shop) == {
        "rows_in": 4,
        "rows_clean": 4,
        "rows_quarantined": 0,
        "rows_released": 1,
        "rows_rejected": 0,
    }
    assert shop.frame("features/spending").filter(pl.col("spent_1d") == 15.0).height, "what reads it follows"


def test_a_release_is_traced_from_clean_over_the_decision_to_quarantine_and_raw(
    shop: Any, decides: Callable[..., DecisionResult]
) -> None:
    held, read = commit(shop, "quarantine/orders").version, shop.version("quarantine/orders")
    decides(release(edits={"amount": "5"}))
    compute(shop)
    clean, decision = commit(shop, "clean/orders"), commit(shop, "releases/orders")
    assert {item.snapshot.table for item in clean.inputs if not item.lookup} == set(PARENTS)
    assert {str(item.snapshot) for item in decision.inputs} == {
        f"quarantine/orders@{read}",
        f"raw/orders@{shop.version('raw/orders')}",
    }
    found = impact(shop.env.lake, "quarantine/orders", held).to_dict()["affected"]
    assert {item["table"] for item in found} >= {"releases/orders", "clean/orders"}
    assert ["releases/orders", "edits"] in clean.column_lineage["amount"]["direct"]
    assert clean.column_lineage["shopper"]["direct"] == [["raw/orders", "shopper"]]


def test_values_of_an_edit_are_in_no_log_and_no_event(
    shop: Any, decides: Callable[..., DecisionResult], official: Callable[..., list[str]]
) -> None:
    decides(release(edits={"amount": "5", "shopper": "Grace Hopper"}, reason="Grace Hopper said so"))
    compute(shop)
    lake = shop.env.lake
    said = [str(found) for table in lake.tables() for found in lake.table(table).history()]
    said += [json.dumps(event.data) for event in shop.env.recorder.store.events()]
    assert said
    assert not any("Hopper" in text for text in said)
    events = [event.data for event in shop.env.recorder.store.events()]
    assert broken_rules(events) == []
    assert [problem for event in events for problem in official(event)] == []
    noted = commit(shop, "releases/orders").decision.to_dict()
    assert (noted["columns"], noted["row_count"], len(noted["edits_sha256"])) == (["amount", "shopper"], 1, 64)
    assert of_day(shop, "clean/orders").filter(pl.col(DECISION).is_not_null())["shopper"].to_list() == ["Grace Hopper"]


def test_an_exception_lets_a_row_in_as_it_is_until_its_last_day(
    shop: Any, decides: Callable[..., DecisionResult]
) -> None:
    last = date(2030, 6, 30)
    made = decides(release(exceptions=("amount.ge",), until=last))
    compute(shop)
    assert of_day(shop, "clean/orders").filter(pl.col(DECISION) == made.id)["amount"].to_list() == [-5.0]
    step = clean_step(source(shop))
    on_it = replace(shop.env, now=lambda: datetime(2030, 6, 30, 23, 59, tzinfo=UTC))
    over = replace(shop.env, now=lambda: datetime(2030, 7, 1, tzinfo=UTC))
    assert not stale(step, on_it, shop.day(2))
    assert stale(step, over, shop.day(2))
    assert not stale(step, over, shop.day(1))
    execute(step, over, shop.day(2))
    assert of_day(shop, "clean/orders").height == 3
    assert of_day(shop, "quarantine/orders")[STATUS].to_list() == ["expired"]
    assert not stale(step, over, shop.day(2))


def test_a_rejected_row_is_refused_for_good_even_when_the_contract_lets_it_in(
    shop: Any, decides: Callable[..., DecisionResult]
) -> None:
    decides(Decision("reject", "a test order", "kim"))
    compute(shop)
    assert of_day(shop, "quarantine/orders")[STATUS].to_list() == ["rejected"]
    with pytest.raises(AssayError, match="1 are already released or rejected"):
        decides(release(edits={"amount": "5"}))
    shop.redeclare(lambda text: text.replace("Field(ge=0)", "Field(ge=-10)"))
    compute(shop, force=True)
    assert of_day(shop, "clean/orders").height == 3
    (row,) = of_day(shop, "quarantine/orders").to_dicts()
    assert (row["_rules"], row[STATUS], row["amount"]) == (["row.rejected"], "rejected", "-5.0")
    assert counts(shop)["rows_quarantined"] == 1


def test_a_release_is_applied_again_when_the_batch_is_computed_again(
    shop: Any, decides: Callable[..., DecisionResult]
) -> None:
    made = decides(release(edits={"amount": "5"}))
    compute(shop)
    before = shop.contents()
    compute(shop, force=True)
    assert shop.contents() == before
    shop.redeclare(lambda text: text.replace("Field(ge=0)", "Field(ge=0, le=1000)"))
    compute(shop)
    assert made.id in of_day(shop, "clean/orders")[DECISION].to_list()


@pytest.mark.parametrize("how", ["another contract", "force"])
def test_a_correction_stays_where_the_contract_would_take_the_row_as_delivered(
    shop: Any, decides: Callable[..., DecisionResult], how: str
) -> None:
    made = decides(release(edits={"amount": "5"}))
    compute(shop)
    other = "Field(ge=-10)" if how != "another contract" else "Field(ge=-10, le=1000)"
    shop.redeclare(lambda text: text.replace("Field(ge=0)", other))
    compute(shop, force=how == "force")
    clean, (row,) = of_day(shop, "clean/orders"), of_day(shop, "quarantine/orders").to_dicts()
    assert clean.filter(pl.col(DECISION) == made.id)["amount"].to_list() == [5.0]
    assert (row["_rules"], row[STATUS], row["amount"]) == (["row.corrected"], "released", "-5.0")
    assert counts(shop)["rows_quarantined"] == 0 and clean.height == 4
    # Where the correction does not fit, the row does not come back as it was delivered.
    shop.redeclare(lambda text: text.replace(other, "Field(ge=-10, lt=5)"))
    compute(shop, force=True)
    assert of_day(shop, "clean/orders")["amount"].to_list().count(-5.0) == 0
    assert of_day(shop, "quarantine/orders")[STATUS].to_list().count("void") == 1


def test_a_release_as_delivered_has_nothing_to_do_where_the_contract_takes_the_row(
    shop: Any, decides: Callable[..., DecisionResult]
) -> None:
    decides(release(exceptions=("amount.ge",), until=date(2030, 6, 30)))
    compute(shop)
    shop.redeclare(lambda text: text.replace("Field(ge=0)", "Field(ge=-10)"))
    compute(shop, force=True)
    assert of_day(shop, "clean/orders").height == 4 and of_day(shop, "quarantine/orders").is_empty()
    state = shop.env.lake.table("clean/orders").at()
    (check,) = (one for one in state.writer_of(shop.day(2)).checks if one["name"] == "releases")
    assert check["passed"] and not check["invalid"]


def test_an_exception_from_a_rule_that_is_gone_needs_nothing(shop: Any, decides: Callable[..., DecisionResult]) -> None:
    decides(release(edits={"amount": "-1"}, exceptions=("amount.ge",), until=date(2030, 6, 30)))
    compute(shop)
    shop.redeclare(lambda text: text.replace("Field(ge=0)", "Field()"))
    compute(shop, force=True)
    assert -1.0 in of_day(shop, "clean/orders")["amount"].to_list()


def test_a_release_that_fits_no_more_is_said_to_be_void(shop: Any, decides: Callable[..., DecisionResult]) -> None:
    decides(release(edits={"amount": "5"}))
    shop.run()
    shop.redeclare(lambda text: text.replace("Field(ge=0)", "Field(ge=6)"))
    summary = shop.run()
    assert of_day(shop, "quarantine/orders")[STATUS].to_list() == ["void"]
    assert of_day(shop, "clean/orders").height == 3
    assert any("1 releases of rows do not fit any more" in text for unit in summary.results for text in unit.warnings)


def test_a_corrected_delivery_makes_releases_of_its_old_rows_void(
    shop: Any, decides: Callable[..., DecisionResult]
) -> None:
    decides(release(edits={"amount": "5"}))
    shop.run()
    shop.drop(2, shop.csv(2, 10.0, 20.0, 7.0, 30.0), "a.r1.csv")
    shop.run()
    assert of_day(shop, "clean/orders")["amount"].sort().to_list() == [7.0, 10.0, 20.0, 30.0]
    assert of_day(shop, "quarantine/orders").is_empty()
    (check,) = [item for item in commit(shop, "clean/orders").checks if item["name"] == "releases"]
    assert (check["passed"], check["invalid"]) == (False, 1)


def test_a_released_row_never_displaces_a_clean_one(shop: Any, decides: Callable[..., DecisionResult]) -> None:
    tried = decides(release(edits={"amount": "5", "order_id": "2-4"}))
    assert [row.breaks for row in tried.rows] == [("order_id.unique",)]
    published = decides(release(edits={"amount": "5", "order_id": "1-1"}))
    assert [row.breaks for row in published.rows] == [("order_id.unique",)]


def test_only_the_chosen_rows_are_released(shop: Any, decides: Callable[..., DecisionResult]) -> None:
    rows = shop.frame("quarantine/orders").sort("partition_key")
    sha = rows["_source_sha256"][2]
    assert rows.height == 3
    by_id = decides(release(edits={"amount": "1"}), RowSelection(rows=((sha[:8], 3),)), dry_run=True)
    assert [row.partition for row in by_id.rows] == [shop.day(3)]
    by_rule = decides(release(edits={"amount": "1"}), RowSelection(rule="amount.ge"), dry_run=True)
    assert by_rule.partitions == [shop.day(1), shop.day(2), shop.day(3)]
    with pytest.raises(AssayError, match="No row of quarantine/orders"):
        decides(release(), RowSelection(rule="at.not_null"))


@pytest.mark.parametrize(
    ("decision", "complaint"),
    [
        (release(reason=" "), "says who made it and why"),
        (release(exceptions=("amount.ge",)), "has an end"),
        (release(until=date(2030, 1, 1)), "name the rule"),
        (release(exceptions=("amount.ge",), until=date(2020, 1, 1)), "ended already"),
        (release(exceptions=("amount.gt",), until=date(2030, 1, 1)), "no rule 'amount.gt'"),
        (release(exceptions=("amount.dtype",), until=date(2030, 1, 1)), "no exception from amount.dtype"),
        (release(exceptions=("order_id.unique",), until=date(2030, 1, 1)), "no exception from order_id.unique"),
        (release(edits={"amout": "5"}), "no column 'amout'"),
        (release(edits={"_row_number": "5"}), "no column '_row_number'"),
    ],
)
def test_unsound_decisions_are_refused(
    decides: Callable[..., DecisionResult], decision: Decision, complaint: str
) -> None:
    with pytest.raises(AssayError, match=complaint):
        decides(decision)


def test_a_record_that_could_not_be_read_is_released_when_all_of_it_is_given(new_shop: Any) -> None:
    whole = new_shop.csv(1, 10.0, 20.0)
    new_shop.drop(1, whole + b"1-3,Ada Byron,2026-03-01\n")
    assert not new_shop.run().failed
    assert new_shop.frame("quarantine/orders")["_rules"].to_list() == [["row.unparsable"]]
    given = {"order_id": "1-3", "shopper": "Ada Byron", "at": "2026-03-01T09:00:00Z", "amount": "7"}
    part = {name: value for name, value in given.items() if name != "amount"}
    (tried,) = decide(source(new_shop), new_shop.env, RowSelection(), release(edits=part)).rows
    assert tried.breaks == ("row.unparsable",)
    decide(source(new_shop), new_shop.env, RowSelection(), release(edits=given), dry_run=False)
    compute(new_shop, 1)
    assert new_shop.frame("clean/orders")["order_id"].to_list() == ["1-1", "1-2", "1-3"]


def test_later_decisions_replace_earlier_ones(shop: Any, decides: Callable[..., DecisionResult]) -> None:
    decides(release(exceptions=("amount.ge",), until=date(2030, 6, 30)))
    compute(shop)
    over = replace(shop.env, now=lambda: datetime(2030, 7, 1, tzinfo=UTC))
    execute(clean_step(source(shop)), over, shop.day(2))
    later = decides(release(edits={"amount": "8"}), env=over)
    execute(clean_step(source(shop)), over, shop.day(2))
    assert of_day(shop, "clean/orders").filter(pl.col(DECISION) == later.id)["amount"].to_list() == [8.0]
    assert shop.frame("releases/orders").height == 2, "both stay"


def test_a_row_whose_reference_has_come_since_is_released(new_shop: Any) -> None:
    class Shoppers(Contract):
        shopper: str = Field(key=True)
        at: Timestamp = Field()

    class Known(Contract):
        order_id: str = Field(key=True)
        shopper: str = Field(exists_in="clean/shoppers")
        at: Timestamp = Field()

    like, noon = source(new_shop), "2026-03-01T12:00:00Z"
    shoppers: Source = replace(like, name="shoppers", contract=Shoppers, key=("shopper",))
    known: Source = replace(like, name="known", contract=Known)
    store = assay.open()
    store.ingest(shoppers, pl.DataFrame({"shopper": ["Ada"], "at": [noon]}), new_shop.day(1))
    two = pl.DataFrame({"order_id": ["1", "2"], "shopper": ["Ada", "Bob"], "at": [noon, noon]})
    assert store.ingest(known, two, new_shop.day(1)).rows_quarantined == 1
    too_early = decide(known, store.env(), RowSelection(), release(), dry_run=True)
    assert [(row.fits, row.breaks) for row in too_early.rows] == [(False, ("shopper.exists",))]
    store.ingest(shoppers, pl.DataFrame({"shopper": ["Bob"], "at": [noon]}), new_shop.day(2))
    made = decide(known, store.env(), RowSelection(), release(), dry_run=False)
    assert [row.fits for row in made.rows] == [True]
    assert stale(clean_step(known), store.env(), new_shop.day(1))
    execute(clean_step(known), store.env(), new_shop.day(1))
    assert new_shop.frame("clean/known")["shopper"].sort().to_list() == ["Ada", "Bob"]
    assert new_shop.frame("quarantine/known").is_empty()
    store.recorder.close()
