"""Everything unusual about a prediction is named, personal data is not, and what came later is kept apart from what was there."""

import json
from collections import Counter
from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest

from assay.lineage.predictions.about import predictions_about
from assay.why import explain
from assay.why.declared_now import declared_now
from assay.why.explanation import Why
from assay.why.letter import letter
from assay.why.shown import personal_columns
from tests.assay.why.bank import PERSONAL, Bank, what_came_after


def of(bank: Bank, customer: str = "C0012") -> Why:
    """About the newest prediction of a customer."""
    found = predictions_about(bank.store.lake, {"customer_id": customer}, limit=1)
    return bank.store.why(bank.store.trace(found[0].id))


@pytest.fixture(scope="module")
def before(bank: Bank) -> Why:
    """As it was when it had been predicted."""
    return of(bank)


@pytest.fixture(scope="module")
def after(bank: Bank, before: Why) -> Why:
    what_came_after(bank)
    return of(bank)


def sentence(why: Why, kind: str) -> str:
    (one,) = (item.sentence for item in why.unusual if item.kind == kind)
    return one


def test_everything_unusual_is_said_and_what_touches_the_rows_comes_first(before: Why) -> None:
    kinds = [item.kind for item in before.unusual]
    assert kinds == ["released", "exception", "late", "incomplete", "set_aside", "warning"]
    assert "with other values in amount by alan on" in sentence(before, "released")
    assert "“read from the paper”" in sentence(before, "released")
    assert "an exception from amount.ge (amount is at least 0) until 2099-12-31, granted by grace" in sentence(
        before, "exception"
    )
    assert "“a refund, see ‹email›”" in sentence(before, "exception"), "people write addresses into reasons"
    assert "1 row of clean/transfers 2026-03-04 came late" in sentence(before, "late")
    assert "clean/transfers 2026-03-02 not there. 2026-03-02 was refused by raw/transfers" in sentence(
        before, "incomplete"
    )
    assert "“channel is one of the agreed values (app, branch)” did not hold for 2 rows" in sentence(before, "warning")
    assert sentence(before, "set_aside").startswith("1 row with the same customer_id is in quarantine")
    assert "amount.ge" in sentence(before, "set_aside")


def test_who_has_nothing_unusual_in_the_rows_is_told_only_of_the_days(bank: Bank, before: Why) -> None:
    other = of(bank, "C0013")
    assert before.prediction_id != other.prediction_id
    assert not {"released", "exception"} & {item.kind for item in other.unusual}
    assert "late" in {item.kind for item in other.unusual}


def test_the_rows_are_those_of_the_windows_with_what_is_unusual_about_each(bank: Bank, before: Why) -> None:
    rows = bank.store.table("clean/transfers").scan().filter(customer_id="C0012").collect()
    begin, end = datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 5, tzinfo=UTC)
    window = rows.filter(pl.col("booked") >= begin, pl.col("booked") < end)
    own = rows.filter(transfer_id=before.about["transfer_id"])
    expected = pl.concat([window, own]).select("_source_file", "_row_number").rows()
    assert sorted((row.file, row.row_number) for row in before.rows) == sorted(expected)
    assert before.row_count == len(expected)
    notes = {row.values["transfer_id"]: row.notes for row in before.rows}
    assert notes["4a0"] == ("let in by an exception from amount.ge by grace",)
    assert notes["4a2"] == ("released from quarantine by alan",)
    assert notes["4late0"][0].startswith("came late, on 20")
    assert [bool(row.notes) for row in before.rows] == [False, True, True, True, False], "its own row comes first"
    assert all("customer_id" in row.because[0] for row in before.rows)


def test_no_cell_of_a_personal_column_is_in_any_form(bank: Bank, before: Why, after: Why) -> None:
    cells = bank.store.table("clean/transfers").scan().select("holder", "email", "note").collect()
    words = {cell for column in cells for cell in column.drop_nulls()} | set(PERSONAL)
    assert len(words) >= 5
    for why in (before, after):
        for form in (str(why), json.dumps(why.to_dict(), ensure_ascii=False), letter(why, date(2026, 3, 9))):
            assert [word for word in words if word in form] == []
    assert all(row.values["email"] == "‹email›" for row in before.rows)
    assert before.about["customer_id"] == "C0012", "a key that the contract knows, and that is not personal"


def test_steps_name_contract_owner_actor_and_rules_in_words(before: Why) -> None:
    steps = {step.table: step for step in before.steps if not step.of_training}
    assert next(iter(steps)) == "predictions/risk"
    owners = {table: step.owner for table, step in steps.items()}
    assert owners["clean/transfers"] == owners["raw/transfers"] == "payments"
    assert owners["features/activity"] == "risk-features", "as its events name the owner"
    assert owners["models/risk"] == "risk-models"
    clean = steps["clean/transfers"]
    assert clean.contract == "Transfers 1.0.0"
    assert all(step.actor and step.run_id for step in steps.values())
    assert "transfer_id occurs once" in clean.held
    assert "channel" in [rule.subject for rule in clean.broken]
    assert any(text.startswith("amount is at least 0 (") and "set aside" in text for text in clean.held)
    assert any("about as many rows as usual" in text for text in clean.not_judged)
    assert Counter(step.table for step in before.steps if not step.of_training).most_common(1)[0][1] == 1
    assert {step.table for step in before.steps if step.of_training} >= {"training/cases", "clean/transfers"}


def test_what_came_later_is_told_from_what_was_there(before: Why, after: Why) -> None:
    assert after.rows == before.rows, "the rows are those that were read"
    kinds = {item.kind for item in after.unusual} - {item.kind for item in before.unusual}
    assert kinds == {"changed_since", "contract_loosened", "retrained"}
    # A late file's row of the customer, and the row that the looser contract took out of quarantine.
    assert sentence(after, "changed_since").endswith("now there are 2 rows more behind it.")
    assert "(Transfers 1.0.0 → 1.1.0). When it judged these rows it demanded that amount is at least 0." in sentence(
        after, "contract_loosened"
    )
    assert "1 newer version" in sentence(after, "retrained")
    assert "set_aside" not in {item.kind for item in after.unusual}


def test_an_exception_that_has_ended_is_told_so(bank: Bank, before: Why) -> None:
    traced = bank.store.trace(before.prediction_id)
    later = explain.why(bank.store.lake, traced, now=datetime(2100, 1, 1, tzinfo=UTC))
    assert sentence(later, "exception").endswith("It has ended since.")
    assert not sentence(before, "exception").endswith("It has ended since.")
    assert {step.table: step.owner for step in later.steps}["features/activity"] == "", "without the lineage store"


def test_what_today_s_contract_calls_personal_is_masked_though_the_one_that_judged_did_not(
    bank: Bank, after: Why
) -> None:
    assert after.rows[0].values["channel"] == "app"
    assert personal_columns(bank.store.lake, bank.store.trace(after.prediction_id)) == []
    bank.redeclare(
        ("channel: str = Field(isin", 'channel: str = Field(pii="name", isin'),
        ("customer_id: str = Field()", 'customer_id: str = Field(pii="name")'),
        ('"1.1.0"', '"1.2.0"'),
    )
    bank.run()
    now = of_id(bank, after.prediction_id)
    assert {row.values["channel"] for row in now.rows} == {"‹name›"}
    assert now.about["customer_id"] == "‹name›"
    assert "C0012" not in str(now)
    assert personal_columns(bank.store.lake, bank.store.trace(after.prediction_id)) == ["customer_id"]


def test_what_a_contract_calls_personal_that_has_judged_nothing_yet_is_masked(bank: Bank, after: Why) -> None:
    def shown(why: Why) -> set[str | None]:
        return {row.values["amount"] for row in why.rows}

    assert not any("‹" in str(value) for value in shown(bank.store.why(bank.store.trace(after.prediction_id))))
    bank.redeclare(
        ("amount: float = Field(ge", 'amount: float = Field(pii="card", ge'),
        ("transfer_id: str = Field(key", 'transfer_id: str = Field(pii="name", key'),
    )
    traced = bank.store.trace(after.prediction_id)
    now = bank.store.why(traced)
    assert shown(now) == {"‹card›"}
    assert now.about["transfer_id"] == "‹name›"
    assert personal_columns(bank.store.lake, traced, declared_now()) == ["transfer_id", "customer_id"]
    assert "‹card›" not in str(of_id(bank, after.prediction_id)), "who knows no project knows what the lake holds"


def of_id(bank: Bank, prediction_id: str) -> Why:
    return explain.why(bank.store.lake, bank.store.trace(prediction_id), bank.store.lineage_store)


def test_rows_that_cannot_be_found_any_more_are_no_error(
    bank: Bank, after: Why, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: Any) -> Any:
        raise pl.exceptions.ComputeError("a cell: Lovelace")

    monkeypatch.setattr(explain, "rows_of", gone)
    found = of_id(bank, after.prediction_id)
    assert found.row_count is None
    assert "cannot be listed: a data file cannot be read (ComputeError)." in str(found)
    assert "Lovelace" not in str(found)
