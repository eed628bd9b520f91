"""A column that a contract does not have any more is not read as nothing but nulls: whoever reads it is refused by name."""

from collections.abc import Callable
from typing import Any

import pytest

from assay.features.views.withdrawn_columns import withdrawn_columns

RENAMED = '    amount_eur: float = Field(ge=0, was="amount")'
REMOVED = ""


def declared(amount: str, *, since: str = "", reads: str = "amount") -> Callable[[str], str]:
    def change(text: str) -> str:
        version = 'version = "2.0.0"' + (f'\n        since = "{since}"' if since else "")
        text = text.replace("    amount: float = Field(ge=0)", amount).replace('version = "1.0.0"', version)
        return text.replace('pl.col("amount")', f'pl.col("{reads}")')

    return change


@pytest.fixture
def shop(new_shop: Any) -> Any:
    for number in (1, 2, 3):
        new_shop.drop(number, new_shop.csv(number, 5.0, 20.0))
    assert not new_shop.run().failed
    return new_shop


def problems(shop: Any) -> list[str]:
    return [problem for result in shop.run().failed for problem in result.problems]


def spent(shop: Any) -> list[float]:
    return shop.frame("features/spending").sort("event_time", "shopper")["spent_1d"].to_list()


@pytest.mark.parametrize("amount", [RENAMED, REMOVED])
def test_a_view_that_reads_it_is_refused_and_keeps_what_it_has(shop: Any, amount: str) -> None:
    before, version = spent(shop), shop.version("features/spending")
    assert any(before)
    shop.redeclare(declared(amount))
    texts = problems(shop)
    assert texts and all(
        "reads the column 'amount' of clean/orders, which its contract has no more" in text for text in texts
    )
    assert (spent(shop), shop.version("features/spending")) == (before, version)


def test_a_view_that_reads_the_new_name_goes_on(shop: Any) -> None:
    before = spent(shop)
    shop.redeclare(declared(RENAMED, reads="amount_eur"))
    assert not shop.run().failed
    assert spent(shop) == before


def test_days_that_stay_as_judged_still_have_it(shop: Any) -> None:
    shop.redeclare(declared(RENAMED, since="2026-03-03"))
    assert problems(shop)
    state = shop.env.lake.table("clean/orders").at()
    assert withdrawn_columns(state, ["2026-03-01", "2026-03-02"]) == []
    assert withdrawn_columns(state, ["2026-03-02", "2026-03-03"]) == ["amount"]
    assert withdrawn_columns(state, None) == ["amount"]


def test_a_new_column_is_none(shop: Any) -> None:
    shop.redeclare(
        declared("    amount: float = Field(ge=0)\n    gift: str = Field(nullable=True)", since="2026-03-03")
    )
    shop.drop(3, shop.csv(3, 7.0).replace(b"amount", b"amount,gift").replace(b"7.0", b"7.0,yes"), "a.r1.csv")
    assert not shop.run().failed
    state = shop.env.lake.table("clean/orders").at()
    assert "gift" in state.schema
    assert withdrawn_columns(state, state.partitions()) == []
    assert withdrawn_columns(shop.env.lake.table("features/spending").at(), None) == []
