"""What the checks of a batch say of rows that were set aside: how many of how many, and how many are allowed."""

from datetime import date
from typing import Any

import polars as pl
import pytest

from assay.assets.sources.source import Files, Source
from assay.assets.steps.batch_checks import quarantined_check, rule_check
from assay.checks import Block, Contract, Field, QuarantineLimits, contract_info, quarantined, validate
from assay.features.tables.partitioning import Partitioning


def orders(limits: QuarantineLimits, effect: Any) -> Source:
    class Orders(Contract):
        order_id: str = Field(key=True)
        amount: float = Field(ge=0)

        class Config(Contract.Config):
            quarantine = limits
            severity = {} if effect is None else {"amount.ge": effect}

    partitioning = Partitioning.daily(date(2026, 3, 1))
    return Source(
        "orders",
        reader=Files("orders/{day}/*", (".csv",)),
        partitioning=partitioning,
        contract=Orders,
        key=("order_id",),
        event_time="at",
    )


def said(source: Source, bad: int, rows: int = 20) -> tuple[str, str, bool]:
    """Of a batch with so many bad rows: what the rule's check says, what the batch's says, and whether that passed."""
    frame = pl.DataFrame(
        {"order_id": [f"{n}" for n in range(rows)], "amount": ["-1" if n < bad else "1" for n in range(rows)]}
    )
    report = validate(frame, source.contract).report
    limits = contract_info(source.contract).quarantine
    whole = quarantined(report.rows_in, report.rows_quarantined, limits, report.rows_elsewhere)
    stops = report.blocked or whole.status == "blocked"
    (result,) = (one for one in report.rules if one.name == "amount.ge")
    of_rule = rule_check(source, result, report.rows_in, stops=stops, absent={}, again="")
    of_batch = quarantined_check(source, report, whole, stops=stops, absent={})
    return of_rule.message, of_batch.message, of_batch.passed


@pytest.mark.parametrize(
    ("limits", "severity", "of_rule", "of_batch"),
    [
        (QuarantineLimits(), None, "10% by all rules, from 10 rows on", "10% by all rules, from 10 rows on"),
        (QuarantineLimits(warn=None), None, "50% by all rules, from 10 rows on", "50% by all rules, from 10 rows on"),
        (QuarantineLimits(warn=None, block=None), None, "any number", "any number"),
        (QuarantineLimits(rules={"amount.ge": 0.075}), None, "7.50% by this rule", "10% by all rules, from 10 rows on"),
        (QuarantineLimits(), Block(share=0.3), "30% by this rule", "10% by all rules, from 10 rows on"),
        (QuarantineLimits(), Block(rows=4), "4 rows by this rule", "10% by all rules, from 10 rows on"),
    ],
)
def test_a_green_check_says_how_many_rows_were_set_aside_and_how_many_are_allowed(
    limits: QuarantineLimits, severity: Any, of_rule: str, of_batch: str
) -> None:
    rule, batch, passed = said(orders(limits, severity), 1)
    assert rule == f"1 of 20 rows broke amount.ge, set aside in quarantine/orders (allowed: {of_rule})."
    assert batch == f"1 of 20 rows set aside in quarantine/orders (allowed: {of_batch})."
    assert passed


def test_more_than_is_allowed_warns_with_the_same_words() -> None:
    _, batch, passed = said(orders(QuarantineLimits(), None), 5)
    allowed = "(allowed: 10% by all rules, from 10 rows on)"
    assert batch == f"5 of 20 rows broke a rule, 5 of them amount.ge, set aside in quarantine/orders {allowed}."
    assert not passed


def test_of_a_batch_that_is_stopped_nothing_is_set_aside() -> None:
    rule, batch, _ = said(orders(QuarantineLimits(), None), 15)
    assert rule == "15 of 20 rows broke amount.ge." and "set aside" not in batch


def test_without_broken_rows_there_is_nothing_to_say() -> None:
    assert said(orders(QuarantineLimits(), None), 0) == ("", "", True)
