"""Whole numbers that may be measurements, and those that may be codes without their zeros."""

import polars as pl
import pytest

from assay.checks.drafting.draft import draft_contract


def drafted(days: int, **columns: list[str]) -> str:
    return draft_contract([pl.DataFrame(columns)] * days, "t").replace("\n    # ", " ")


def test_few_whole_numbers_among_measurements_may_get_decimals() -> None:
    columns = {"temp": ["1.5", "2.5"] * 30, "rain": ["0"] * 60, "month": ["9"] * 60, "wet": ["0", "1"] * 30}
    source = drafted(3, **columns)
    assert "rain: float = Field(" in source
    assert "All were whole so far, but only 1 different numbers came: float, or int for good?" in source
    assert "month: int" in source
    assert "wet: int" in source
    assert "rain: int" in drafted(30, **columns), "so many days are evidence"
    assert "rain: int" in drafted(3, rain=["0"] * 60, count=["3"] * 60), "nothing is measured here"


@pytest.mark.parametrize(
    ("name", "values", "asked"),
    [
        ("PLZ", ["1067", "80331", "10115", "20095"] * 10, True),
        ("store", ["1067", "80331", "10115", "20095"] * 10, True),
        ("PLZ", ["80331", "10115"] * 20, True),
        ("amount", ["1067", "80331", "10115", "20095"] * 10, False),
        ("steps", ["7", "80331", "10115", "95"] * 10, False),
    ],
)
def test_codes_that_may_have_lost_their_zeros_are_asked(name: str, values: list[str], asked: bool) -> None:
    source = drafted(1, **{name: values})
    assert f"{name}: int" in source
    assert ("Codes with leading zeros are texts" in source) is asked
    if asked:
        assert ("were zeros in front lost?" in source) is ("1067" in values)


def test_a_code_among_measurements_stays_whole_and_is_asked() -> None:
    source = drafted(3, PLZ=["1067", "80331", "10115", "20095"] * 20, weight=["1.5", "2.5"] * 40)
    assert "PLZ: int" in source
    assert "were zeros in front lost?" in source


def test_one_decimal_among_whole_numbers_makes_decimals_of_all() -> None:
    source = drafted(1, v=[str(number) for number in range(999)] + ["2.5"])
    assert "v: float = Field(" in source
    assert "would leave" not in source
