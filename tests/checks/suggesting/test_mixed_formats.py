"""Units, percents, dates and times in several formats."""

import pytest

from assay.checks.suggesting.mixed_formats import mixed_formats
from tests.checks.suggesting.columns import doubted

VOLUMES = [f"{number % 9}.5 oz" for number in range(60)]
NUMBERS = [f"0.{number}" for number in range(10, 90)]
DAYS = [f"2026-09-{day:02d}" for day in range(1, 30)]


@pytest.mark.parametrize(
    ("value", "expected"),
    [("12.5 ounce", "12.5 oz"), ("12.5oz.", "12.5 oz"), ("12.5", "12.5 oz"), ("12.5 OZ", "12.5 oz"), ("355 ml", None)],
)
def test_another_unit_is_doubted(value: str, expected: str | None) -> None:
    found = doubted(mixed_formats, [*VOLUMES, value])
    assert list(found) == [value]
    assert found[value].expected == expected


def test_one_unit_is_none_too_many() -> None:
    assert doubted(mixed_formats, VOLUMES) == {}
    assert doubted(mixed_formats, NUMBERS) == {}


def test_percents_among_fractions_are_doubted_however_many_there_are() -> None:
    values = [*NUMBERS, *(f"0.{number}%" for number in range(10, 80))]
    found = doubted(mixed_formats, values)
    assert set(found) == set(values[80:])
    assert {finding.expected for finding in found.values()} == {None}


def test_a_unit_in_many_spellings_is_doubted_as_a_whole() -> None:
    values = [f"{number} {unit}" for number in range(20) for unit in ("oz", "oz.", "ounce", "Ounces")]
    found = doubted(mixed_formats, values)
    assert set(found) == set(values)
    assert found["3 oz"].expected == "3"


def test_what_belongs_to_the_number_is_no_unit() -> None:
    assert doubted(mixed_formats, ["1st", "2nd", "3rd", "3rd"] * 30) == {}
    volumes = [str(number) for number in range(200)]
    assert doubted(mixed_formats, [*volumes, "7 Suppl", "12A", "9 Pt"]) == {}
    assert list(doubted(mixed_formats, [*volumes, "7 kg"])) == ["7 kg"]


def test_streets_are_no_amounts() -> None:
    streets = ("Main Street", "High Street", "Mill Lane", "Queen Street", "Church Road")
    assert doubted(mixed_formats, [f"{number} {streets[number % 5]}" for number in range(100)]) == {}


@pytest.mark.parametrize("value", ["30.09.2026", "Sep 30, 2026", "9/30/26"])
def test_a_date_in_another_format_is_doubted(value: str) -> None:
    assert list(doubted(mixed_formats, [*DAYS, value])) == [value]


def test_one_format_of_dates_and_what_is_none() -> None:
    assert doubted(mixed_formats, DAYS) == {}
    assert list(doubted(mixed_formats, [*DAYS, "soon"])) == ["soon"]
    assert doubted(mixed_formats, ["7:10 a.m.", "11:55 p.m."] * 20) == {}
    assert list(doubted(mixed_formats, [*(["7:10 a.m."] * 30), "Dec 2 7:10 a.m."])) == ["Dec 2 7:10 a.m."]
