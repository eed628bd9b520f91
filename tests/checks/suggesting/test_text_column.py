"""Columns as texts with their counts: what is null, what is a token, which rows have a value."""

from datetime import date

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from assay.checks.suggesting.text_column import text_columns
from tests.checks.suggesting.columns import column


@given(st.lists(st.one_of(st.none(), st.sampled_from(["", "a", "b", "N/A", "1", "-2.5e3", "é"])), max_size=30))
def test_codes_counts_and_rows_agree_with_the_values(values: list[str | None]) -> None:
    made = column(values)
    texts = [None if code < 0 else made.texts[code] for code in made.codes]
    assert texts == [value or None for value in values]
    assert made.counts.tolist() == [texts.count(text) for text in made.texts]
    assert sorted(made.counts, reverse=True) == made.counts.tolist()
    assert made.nulls == texts.count(None)
    for index, text in enumerate(made.texts):
        assert made.rows_of(index).tolist() == [row for row, value in enumerate(texts) if value == text]


def test_shares_leave_out_nulls_and_tokens() -> None:
    made = column(["1", "2", "3.5", "x", "N/A", None, ""])
    assert made.number_share == 0.75
    assert made.share(made.values.str.contains("x").to_numpy()) == 0.25


def test_links_and_nested_columns_are_left_out_and_types_are_read_as_text() -> None:
    frame = pl.DataFrame({"_row_number": [1], "tags": [["a"]], "day": [date(2026, 9, 1)], "amount": [1.5]})
    assert [(c.name, c.texts) for c in text_columns(frame)] == [("day", ["2026-09-01"]), ("amount", ["1.5"])]


def test_moments() -> None:
    assert column(["2026-09-01", "7:10 a.m.", "word", "12"]).moment_share == 0.5
