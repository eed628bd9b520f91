"""Formats and units that nearly all texts of a column are written in."""

import polars as pl
import pytest

from assay.checks.drafting.draft import draft_contract
from assay.checks.drafting.standard_formats import standard_format, units_of


@pytest.mark.parametrize(
    ("name", "texts", "format_"),
    [
        ("account", ["DE89370400440532013000", "GB82WEST12345698765432"] * 20, "iban"),
        ("contact", [f"a{number}@example.com" for number in range(40)], "email"),
        ("country", ["DE", "FR", "US", "CA"] * 10, "country"),
        ("state", ["DE", "CA", "AL", "CO"] * 10, None),
        ("currency", ["EUR", "USD"] * 20, "currency"),
        ("current_level", ["EUR", "USD"] * 20, None),
        ("word", ["one", "two"] * 20, None),
        ("few", ["DE89370400440532013000"] * 3, None),
    ],
)
def test_formats(name: str, texts: list[str], format_: str | None) -> None:
    assert standard_format(name, pl.Series(name, texts)) == (None if format_ is None else (format_, 0))


def test_what_is_not_of_the_format_is_counted() -> None:
    assert standard_format("mail", pl.Series(["a@example.com"] * 99 + ["no address"])) == ("email", 1)
    assert standard_format("mail", pl.Series(["a@example.com"] * 90 + ["no address"] * 10)) is None


def test_units_are_counted_by_their_spellings() -> None:
    assert units_of(pl.Series(["12 oz"] * 30 + ["12.5 oz."] * 9 + ["16 ounce"])) == (
        ("oz", 30),
        ("oz.", 9),
        ("ounce", 1),
    )
    for no_units in (["12A", "7C"] * 20, ["3 Main Street"] * 40, ["1st", "2nd"] * 20, ["red"] * 40, ["5 kg"] * 3):
        assert units_of(pl.Series(no_units)) == ()


def test_spellings_of_units_are_asked_and_never_listed_as_values() -> None:
    days = [pl.DataFrame({"size": ["12 oz", "12 oz.", "16 ounce", "16 OZ"] * 50})] * 4
    source = draft_contract(days, "beers").replace("\n    # ", " ")
    assert "Numbers with 4 spellings of units: 'OZ' in" in source
    assert "Ask the upstream for one spelling of each" in source
    assert "isin" not in source
    standard = draft_contract([pl.DataFrame({"size": ["12 kg", "500 g"] * 50})] * 4, "parcels")
    assert 'size: str = Field(format="unit:g,kg")' in standard
