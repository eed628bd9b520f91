"""Tokens for no value, and gaps."""

import pytest

from assay.checks.suggesting.missing_tokens import missing_tokens
from tests.checks.suggesting.columns import doubted_cells

NUMBERS: list[str | None] = [str(number % 7) for number in range(50)]


@pytest.mark.parametrize("token", ["N/A", "-", "empty", "nan", "NULL", " n/a ", "#DIV/0!", "unknown"])
def test_a_token_among_numbers_is_doubted(token: str) -> None:
    found = doubted_cells(missing_tokens, {"c": [*NUMBERS, token], "d": ["x"] * 51})
    assert list(found) == [(50, "c")]
    assert found[50, "c"].reason == "The text stands for no value, in a column with 50 numbers."


def test_the_tables_own_token_is_its_null() -> None:
    assert doubted_cells(missing_tokens, {"c": [*NUMBERS, "empty"], "d": ["empty"] * 51}) == {}
    three = {name: [*NUMBERS, "-"] for name in "abc"}
    assert doubted_cells(missing_tokens, three) == {}
    assert len(doubted_cells(missing_tokens, {**three, "d": [*NUMBERS, None]})) == 3


def test_most_of_a_column_is_no_slip() -> None:
    texts = ["word", "none", "none"] * 20
    assert doubted_cells(missing_tokens, {"c": list(texts), "d": ["x"] * 60}) == {}


def test_a_gap_in_a_full_column_is_doubted_and_many_gaps_are_not() -> None:
    full: list[str | None] = ["x"] * 199
    found = doubted_cells(missing_tokens, {"c": [*full, None]})
    assert [(cell, finding.confidence) for cell, finding in found.items()] == [((199, "c"), 0.6)]
    assert doubted_cells(missing_tokens, {"c": [*full, *[None] * 3]}) == {}, "of a hundredth nobody knows"
    assert doubted_cells(missing_tokens, {"c": full}) == {}
