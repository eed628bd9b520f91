"""Dependencies between columns, with their exceptions."""

import polars as pl

from assay.checks.drafting.column_stats import stats_of
from assay.checks.drafting.dependencies import Determined, dependencies
from assay.checks.drafting.draft import draft_contract

SHOPS = [f"S{number % 10:02d}" for number in range(400)]
CITIES = [f"C{number % 5:02d}" for number in range(400)]


def found(frame: pl.DataFrame) -> list[Determined]:
    return list(dependencies(frame, [stats_of(column) for column in frame], ()))


def test_exceptions_are_counted() -> None:
    cities = ["C04" if number == 3 else city for number, city in enumerate(CITIES)]
    cities[3] = "C01"
    frame = pl.DataFrame({"shop": SHOPS, "city": cities})
    assert found(frame) == [Determined("shop", "city", 400, 10, 1)]
    assert "# shop determines city in 400 rows, 10 groups, but for 1 row: always?" in draft_contract(frame, "t")


def test_a_value_that_nearly_all_rows_have_is_determined_by_nothing() -> None:
    frame = pl.DataFrame({"shop": SHOPS, "open": ["yes"] * 398 + ["no"] * 2})
    assert found(frame) == []
