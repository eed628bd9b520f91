"""Rare values with one edit from frequent ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.checks.suggesting.near_values import edit_kind, near_values
from tests.checks.suggesting.columns import doubted

TOWNS = [town for town in ("Birmingham", "Dothan", "Huntsville", "Montgomery") for _ in range(20)]


@pytest.mark.parametrize("typo", ["Birminghxm", "Birmingam", "Birminghaam", "Brimingham", "birmingham", "Birming ham"])
def test_a_rare_value_near_a_frequent_one_is_doubted(typo: str) -> None:
    found = doubted(near_values, [*TOWNS, typo])
    assert list(found) == [typo]
    assert found[typo].expected == "Birmingham"
    assert found[typo].confidence > 0.8


def test_values_of_their_own_are_not() -> None:
    assert doubted(near_values, [*TOWNS, "Auburn", "Mobile", "Selma"]) == {}


def test_frequent_neighbours_are_two_values() -> None:
    names = ["Hanna", "Hannah", "Jon", "John", "Ann", "Anna"] * 20
    assert doubted(near_values, names) == {}
    # Where neighbours are usual, one letter says little.
    assert all(finding.confidence < 0.5 for finding in doubted(near_values, [*names, "Johna"]).values())


@pytest.mark.parametrize("other", ["Type B", "Types A", "Type AA"])
def test_a_word_of_its_own_tells_values_apart(other: str) -> None:
    found = doubted(near_values, [*(["Type A"] * 50), other])
    assert found.keys() <= {"Types A"}


def test_digits_are_no_typos_and_letters_among_digits_are() -> None:
    codes = [code for code in ("X-1001", "X-1002", "X-1003") for _ in range(20)]
    assert doubted(near_values, [*codes, "X-1004"]) == {}
    assert list(doubted(near_values, [*codes, "X-10x1"])) == ["X-10x1"]
    # Codes that have letters among their digits may have another one.
    assert doubted(near_values, [*(["C-17A", "B-52H"] * 20), "C-172"]) == {}


def test_short_values_need_a_closed_vocabulary() -> None:
    assert list(doubted(near_values, [*(["yes", "no"] * 60), "yxs"])) == ["yxs"]
    assert doubted(near_values, [*(["yes", "no"] * 60), *(str(chr(200 + n)) * 3 for n in range(40)), "yet"]) == {}


def test_dates_and_numbers_are_left_out() -> None:
    assert doubted(near_values, [*(["Mar 14 2003"] * 30), "May 14 2003"]) == {}


def distance(a: str, b: str) -> int:
    """Edits, a swap of neighbours counted as one (optimal string alignment), by the textbook."""
    rows = [[max(i, j) if not (i and j) else 0 for j in range(len(b) + 1)] for i in range(len(a) + 1)]
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            rows[i][j] = min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + (a[i - 1] != b[j - 1]))
            if i > 1 and j > 1 and a[i - 1] == b[j - 2] and a[i - 2] == b[j - 1]:
                rows[i][j] = min(rows[i][j], rows[i - 2][j - 2] + 1)
    return rows[-1][-1]


@given(st.text("abcd", min_size=4, max_size=9), st.text("abcd", min_size=4, max_size=9))
def test_letters_one_edit_apart_are_found_and_no_others(rare: str, frequent: str) -> None:
    kind = edit_kind(rare, frequent)
    assert (kind is not None) == (distance(rare, frequent) == 1)


@given(st.text("abcd", min_size=6, max_size=10), st.data())
def test_the_index_finds_every_edit(frequent: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(frequent) - 1))
    kind = data.draw(st.sampled_from(["replace", "drop", "add"]))
    new = {"replace": "x", "drop": "", "add": "x" + frequent[at]}[kind]
    typo = frequent[:at] + new + frequent[at + 1 :]
    found = doubted(near_values, [*([frequent] * 40), *(["something else"] * 40), typo])
    assert list(found) == [typo]


def test_codes_have_neighbours() -> None:
    carriers = ["UA", "AA", "FL", "B6"] * 60
    assert doubted(near_values, [*carriers, "F9"]) == {}
    planes = [f"N{number}AKAA" for number in range(1, 9)] * 12
    found = doubted(near_values, [*planes, "N3AAAA"])
    assert all(finding.confidence < 0.6 for finding in found.values())


def test_a_second_form_that_many_rows_have_is_in_use() -> None:
    words = [f"{first} {last}" for first in ("Anal", "Effe", "Ther") for last in ("Canc", "Dise", "Tria")]
    often = [*words * 20, *(f"{word}." for word in words * 3)]
    assert all(finding.confidence <= 0.5 for finding in doubted(near_values, often).values())
    assert doubted(near_values, [*words * 20, "Anal Canc."])["Anal Canc."].confidence > 0.6


def test_a_slip_in_a_frequent_token_is_doubted() -> None:
    assert list(doubted(near_values, [*["12%", "15%", "empty"] * 40, "emxty"])) == ["emxty"]
