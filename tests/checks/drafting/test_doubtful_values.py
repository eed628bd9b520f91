"""A drafted list of values has no slips in it: they are asked about."""

import polars as pl
import pytest

from assay.checks.drafting.doubtful_values import doubtful_values
from assay.checks.drafting.draft import draft_contract


def test_a_rare_value_near_a_frequent_one_is_doubted() -> None:
    rows = {"paid": 300, "pending": 280, "pendng": 4, "Paid ": 1, "said": 200, "n/a": 90, "void": 2, "paidd": 60}
    assert doubtful_values(rows) == {"n/a": "", "pendng": "pending", "Paid ": "paid", "paidd": "paid"}


@pytest.mark.parametrize(
    "rows",
    [{"type 1": 500, "type 2": 3}, {"DE": 500, "DK": 3}, {"order": 500, "orders": 3}, {"rate": 50, "date": 40}, {}],
)
def test_what_may_be_two_values_is_not(rows: dict[str, int]) -> None:
    assert doubtful_values(rows) == {}


def test_a_value_is_no_slip_of_one_that_is_a_slip_itself() -> None:
    assert doubtful_values({"pending": 5_000, "pendng": 500, "pendg": 50}) == {"pendng": "pending"}


def drafted(number: int, slips: list[str]) -> str:
    def batch(day: int) -> pl.DataFrame:
        status = ["paid"] * 30 + ["pending"] * 28 + ["shipped"] * 20 + slips
        return pl.DataFrame({"id": [f"{day}-{row}" for row in range(len(status))], "status": status})

    return draft_contract([batch(day) for day in range(number)], "orders")


def test_a_drafted_list_leaves_slips_out_and_asks() -> None:
    text = drafted(8, ["pendng"])
    assert 'isin=["paid", "pending", "shipped"]' in text
    assert '# "pendng" in 8 rows is nearly "pending": a slip? It is not listed and would leave.' in text
    text = drafted(8, ["n/a"])
    assert 'isin=["paid", "pending", "shipped"]' in text
    assert '# "n/a" in 8 rows: no value? Then missing=("n/a",). It is not listed and would leave.' in text


def test_where_too_many_rows_would_leave_nothing_is_made_a_rule() -> None:
    text = drafted(8, ["n/a"] * 10)
    assert "str = Field()" in text and "all there are? Then isin=[" in text
    assert '# "n/a" in 80 rows: no value? Then missing=("n/a",). It is not listed.' in text
