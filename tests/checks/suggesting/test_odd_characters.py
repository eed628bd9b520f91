"""Characters that do not belong there."""

import pytest

from assay.checks.suggesting.odd_characters import odd_characters
from tests.checks.suggesting.columns import doubted

WORDS = ["Zürich", "São Paulo", "Łódź", "Athína", "Smith & Sons", "Αθήνα"] * 20


@pytest.mark.parametrize(
    "text",
    ["ZÃ¼rich", "it\u2019s Âµ", "Zu\ufffdrich", "Smith &amp; Sons", " Paris", "Paris ", "P\u0430ris", "Pa\u200bris"],
)
def test_an_odd_character_is_doubted(text: str) -> None:
    assert list(doubted(odd_characters, [*WORDS, text])) == [text]


def test_letters_of_any_language_are_not() -> None:
    assert doubted(odd_characters, WORDS) == {}


def test_what_the_column_does_everywhere_is_its_way() -> None:
    assert doubted(odd_characters, [f" {word}" for word in WORDS]) == {}
