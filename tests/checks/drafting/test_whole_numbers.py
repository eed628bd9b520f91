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


@pytest.mark.parametrize(
    ("name", "values", "asked"),
    [
        ("country_code", ["4", "36", "276"], True),
        ("Filialnummer", ["7", "12"], True),
        ("status_code", ["200", "404", "500"], False),
        ("mean", ["7", "12"], False),
        ("offset_code", ["-7", "12"], False),
    ],
)
def test_short_codes_are_asked_where_they_have_different_numbers_of_digits(
    name: str, values: list[str], asked: bool
) -> None:
    source = drafted(1, **{name: values * 20})
    assert f"{name}: int" in source
    assert ("digits: were zeros in front lost? Codes with leading zeros are texts" in source) is asked


def test_few_whole_numbers_beside_measurements_may_be_codes_too() -> None:
    source = drafted(3, branch=["7", "12"] * 40, rain=["1", "2"] * 40, weight=["1.5", "2.5"] * 40)
    assert (
        "only 2 different numbers came: float, or int for good, or codes without their zeros in front (then str)?"
        in source
    )
    assert "only 2 different numbers came: float, or int for good?" in source, "of rain, which has no two lengths"


@pytest.mark.parametrize(
    ("values", "lost"),
    [
        (["01067", "1067", "80331", "10115"], "20 of 80"),
        (["01067", "7", "80331", "10115"], "20 of 80"),
        (["01067", "80331"], None),  # none is shorter
        (["007", "01067", "80331", "10115", "20095"], None),  # the shorter one has its zeros
        (["0123", "5", "17", "123"], None),  # most are shorter: no code of a fixed length
        (["01067", "1067", "80331", "10115", "none of these"], None),
    ],
)
def test_texts_of_digits_of_which_some_lost_their_zeros_are_asked(values: list[str], lost: str | None) -> None:
    """As in a workbook: some cells are texts, and of others somebody's Excel made numbers."""
    source = drafted(2, PLZ=values * 10)
    assert "PLZ: str" in source
    assert ("are shorter and have none" in source) is (lost is not None)
    if lost:
        assert f"{lost}" in source
