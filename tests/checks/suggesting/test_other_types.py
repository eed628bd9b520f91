"""Values of another type than their column."""

from assay.checks.suggesting.other_types import other_types
from tests.checks.suggesting.columns import doubted

NUMBERS = [str(number / 2) for number in range(200)]
PAGES = [f"{number}-{number + 7}" for number in range(100)]


def test_a_text_among_numbers_is_doubted() -> None:
    assert list(doubted(other_types, [*NUMBERS, "1O5", "3,5"])) == ["1O5", "3,5"]
    assert doubted(other_types, NUMBERS) == {}


def test_texts_of_one_form_are_a_second_kind() -> None:
    volumes = [*NUMBERS, *(f"{number} Suppl" for number in range(9))]
    assert all(finding.confidence < 0.5 for finding in doubted(other_types, volumes).values())


def test_what_many_rows_or_many_values_with_letters_have_is_a_second_kind() -> None:
    for some in (["3-4"] * 12, ["7(Pt 2)", "9(Pt 2)", "11(Pt 2)"]):
        found = doubted(other_types, [*NUMBERS, *NUMBERS, *NUMBERS, *NUMBERS, *some])
        assert all(finding.confidence < 0.5 for finding in found.values())
    commas = doubted(other_types, [*NUMBERS, "3,5", "4,5"])
    assert all(finding.confidence > 0.5 for finding in commas.values())


def test_a_number_among_words_is_doubted() -> None:
    words = ["red", "green", "blue"] * 40
    assert list(doubted(other_types, [*words, "17"])) == ["17"]
    assert doubted(other_types, words) == {}


def test_what_a_spreadsheet_made_a_date_of_is_doubted() -> None:
    found = doubted(other_types, [*PAGES, "12-Mar", "Sep-07"])
    assert list(found) == ["12-Mar", "Sep-07"]
    assert "spreadsheet" in found["Sep-07"].reason
    assert doubted(other_types, PAGES) == {}
    assert doubted(other_types, ["Sep-07", "Oct-07", "Nov-07"] * 20) == {}
