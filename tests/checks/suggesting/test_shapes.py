"""Shapes of texts, and formats of dates and times."""

import polars as pl
import pytest

from assay.checks.suggesting.shapes import moment_format, shapes_of


def test_shapes() -> None:
    assert shapes_of(pl.Series(["AB-12", "émile", "12.5", "-3", "1e-5", "1,2"])) == ["a-9", "a", "9", "9", "9", "9,9"]


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("2026-09-01", "Y-9-9"),
        ("1/2/99", "9/9/9"),
        ("01.02.2026", "9.9.Y"),
        ("7:10 a.m.", "9:9 H"),
        ("7:10 PM", "9:9 H"),
        ("Dec 1 7:10 a.m.", "M 9 9:9 H"),
        ("December 1, 2011", "M 9, Y"),
        ("2026-09-01T07:10:00Z", "Y-9-9T9:9:9Z"),
        ("2026-09-01 07:10:00.123+02:00", "Y-9-9 9:9:9.9+9:9"),
        ("Sep 2007", "M Y"),
    ],
)
def test_formats_of_dates_and_times(text: str, form: str) -> None:
    assert moment_format(pl.Series([text])).to_list() == [form]


@pytest.mark.parametrize("text", ["12", "12-34", "1.5", "march on", "Mill Lane 4", "192.168.0.1", "A-1", ""])
def test_what_is_no_date_has_none(text: str) -> None:
    assert moment_format(pl.Series([text])).to_list() == [None]
