"""Forms that are seen in texts: each written value is found again, and what two forms would read is not decided."""

from datetime import UTC, date, datetime
from itertools import product
from typing import Any

import polars as pl
import pytest

from assay.checks.contract.written_form import WrittenForm
from assay.checks.validation.seen_forms import DATE_FORMATS, NO_VALUE, TIME_FORMATS, fits, means_no_value, rivals

NUMBERS = [0.5, 12.25, 1234.5, -1234567.75, 999.0, -3.5]
DAYS = [date(2026, 12, 31), date(2026, 1, 13), date(2027, 2, 28)]
MOMENTS = [datetime(2026, 12, 31, 23, 59, 58, tzinfo=UTC), datetime(2026, 1, 13, 1, 5, tzinfo=UTC)]
SIGNS = {None: "-{}", "trailing": "{}-", "parentheses": "({})"}
UTC_TIMES = pl.Datetime("us", "UTC")


def number(value: float, decimal: str, thousands: str, negative: str | None) -> str:
    text = f"{abs(value):,.2f}".translate({ord(","): thousands, ord("."): decimal})
    return SIGNS[negative].format(text) if value < 0 else text


@pytest.mark.parametrize(
    ("decimal", "thousands", "negative"),
    [one for one in product(".,", [",", ".", " ", "'"], SIGNS) if one[0] != one[1]],
)
def test_numbers(decimal: str, thousands: str, negative: str | None) -> None:
    texts = pl.Series([number(value, decimal, thousands, negative) for value in NUMBERS])
    best, *others = fits(texts, pl.Float64())
    assert best.values.to_list() == NUMBERS
    assert rivals(best, others) == []
    assert (best.form.decimal or ".", best.form.thousands, best.form.negative) == (decimal, thousands, negative)


@pytest.mark.parametrize("written", ["{} €", "€{}", "EUR {}", "{}%", "{} %"])
def test_signs(written: str) -> None:
    best, *others = fits(pl.Series([written.format(text) for text in ("5", "12.5", "-3")]), pl.Float64())
    values = [5.0, 12.5, -3.0]
    assert best.values.to_list() == ([value / 100 for value in values] if "%" in written else values)
    assert rivals(best, others) == []


@pytest.mark.parametrize("form", DATE_FORMATS)
def test_dates(form: str) -> None:
    best, *others = fits(pl.Series([day.strftime(form) for day in DAYS]), pl.Date())
    assert best.values.to_list() == DAYS or rivals(best, others), form


@pytest.mark.parametrize("clock", TIME_FORMATS)
def test_moments(clock: str) -> None:
    for day, between in product(("%d.%m.%Y", "%m/%d/%y", "%Y-%m-%d", "%d %b %Y"), (" ", "T")):
        form = f"{day}{between}{clock}"
        texts = pl.Series([moment.strftime(form) for moment in MOMENTS])
        best, *others = fits(texts, UTC_TIMES)
        wanted = [datetime.strptime(text, form).replace(tzinfo=UTC) for text in texts]
        assert best.values.to_list() == wanted and best.naive, form
        assert rivals(best, others) == []


def test_a_zone_is_seen() -> None:
    best, *_ = fits(pl.Series(["10/Oct/2026:13:55:36 -0700"]), UTC_TIMES)
    assert best.form == WrittenForm(datetime_format="%d/%b/%Y:%H:%M:%S %z") and not best.naive


@pytest.mark.parametrize(
    ("texts", "dtype", "forms"),
    [
        (["1,234", "5,678"], pl.Float64(), {"decimal", "thousands"}),
        (["01/02/2026", "03/04/2026"], pl.Date(), {"date_format"}),
        (["01.02.03"], pl.Date(), {"date_format"}),
    ],
)
def test_what_two_forms_read_is_not_decided(texts: list[str], dtype: Any, forms: set[str]) -> None:
    best, *others = fits(pl.Series(texts), dtype)
    assert {name for fit in (best, *rivals(best, others)) for name in fit.form.declared()} == forms
    assert rivals(best, others)


def test_one_value_decides() -> None:
    for texts, dtype in ((["1,234", "12,5"], pl.Float64()), (["01/02/2026", "01/13/2026"], pl.Date())):
        best, *others = fits(pl.Series(texts), dtype)
        assert rivals(best, others) == []


def test_words_for_true_are_listed_as_they_occur() -> None:
    best, *_ = fits(pl.Series(["Ja", "ja", "nein", "vielleicht"]), pl.Boolean())
    assert best.form == WrittenForm(true_values=("Ja", "ja"), false_values=("nein",))
    assert fits(pl.Series(["ja", "ja"]), pl.Boolean()) == []


def test_nothing_is_seen_in_other_texts_and_types() -> None:
    for dtype in (pl.Float64(), pl.Int64(), pl.Date(), UTC_TIMES, pl.Time(), pl.Boolean(), pl.List(pl.Int64)):
        assert fits(pl.Series(["a", "bc", "1.2.3.4"]), dtype) == []
        assert fits(pl.Series([], dtype=pl.String), dtype) == []


def test_the_whole_of_many_texts_is_counted() -> None:
    texts = pl.Series([*["1,5"] * 5_000, *["x"] * 10])
    assert fits(texts, pl.Float64())[0].read == 5_000


def test_texts_without_a_value() -> None:
    assert means_no_value(pl.Series(["", "N/A", "-", "0", "abc"])).to_list() == [True, True, True, False, False]
    assert len(set(NO_VALUE)) == len(NO_VALUE)
