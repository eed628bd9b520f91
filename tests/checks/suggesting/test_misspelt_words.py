"""Misspelt words within texts."""

import pytest

from assay.checks.suggesting.misspelt_words import misspelt_words
from tests.checks.suggesting.columns import doubted

TEXTS = [f"the treatment of patients with disease number {number} in children" for number in range(30)]


@pytest.mark.parametrize("word", ["treatmnt", "treatmennt", "treatxent", "TREATEMNT"])
def test_a_word_that_is_nearly_a_frequent_one_is_doubted(word: str) -> None:
    text = f"no {word} was given"
    assert list(doubted(misspelt_words, [*TEXTS, text])) == [text]


@pytest.mark.parametrize("word", ["treatments", "treat", "entrance", "diseased", "patient"])
def test_other_words_and_forms_are_not(word: str) -> None:
    assert doubted(misspelt_words, [*TEXTS, f"no {word} was given"]) == {}


def test_british_and_american_spellings_are_both_right() -> None:
    texts = [f"randomised trials of anaemia and behaviour, number {number}" for number in range(30)]
    assert doubted(misspelt_words, [*texts, "a randomized trial", "some anemia there", "on behavior of"]) == {}


def test_names_of_one_word_are_no_texts() -> None:
    assert doubted(misspelt_words, [*(["Birmingham"] * 40), "Birminghxm"]) == {}
