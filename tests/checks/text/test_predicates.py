"""Card numbers, e-mail addresses and canonical names."""

import re
from collections.abc import Callable, Sequence

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.checks.text.predicates import canonical, card_spans, luhn, no_card_number, no_email


def valid(predicate: Callable[[pl.Expr], pl.Expr], texts: Sequence[str | None]) -> list[bool | None]:
    return pl.DataFrame({"t": pl.Series(texts, dtype=pl.String)}).select(predicate(pl.col("t"))).to_series().to_list()


def check_digit(digits: str) -> str:
    return next(digit for digit in "0123456789" if luhn(digits + digit))


# Published test numbers of the card schemes.
CARDS = [
    "4111111111111111",
    "5555555555554444",
    "378282246310005",
    "6011111111111117",
    "4222222222222",
    "6304000000000000000",
]


@pytest.mark.parametrize("card", [card for card in CARDS if luhn(card)])
@pytest.mark.parametrize(
    "template", ["{}", "my card {} was declined", "({})", "call 2 {} now", "ref 12-{}", "card:{}.", "Visa{}x"]
)
def test_card_numbers_are_found(card: str, template: str) -> None:
    grouped = [" ".join(card[i : i + 4] for i in range(0, len(card), 4)), "-".join((card[:4], card[4:10], card[10:]))]
    texts = [template.format(spelling) for spelling in (card, *grouped)]
    assert valid(no_card_number, texts) == [False] * 3


def test_known_card_numbers_pass_the_check_digit() -> None:
    assert [luhn(card) for card in CARDS[:5]] == [True] * 5


@pytest.mark.parametrize(
    "text",
    [
        "",
        "4111111111111112",
        "411111111111",
        "41111111111111111111111",
        "4111  1111  1111  1111",
        "on 2026-09-01 at 10:00",
        "T0000123",
    ],
)
def test_other_numbers_are_not_cards(text: str) -> None:
    assert valid(no_card_number, [text, None]) == [True, None]


@given(st.text(st.characters(exclude_categories=["Nd"]), max_size=10), st.integers(10**11, 10**18 - 1))
def test_a_card_number_is_located(around: str, digits: int) -> None:
    card = f"{digits}{check_digit(str(digits))}"
    text = f"{around}{card}{around}"
    assert card_spans(text) == [(len(around), len(around) + len(card))]
    wrong = f"{digits}{(int(card[-1]) + 1) % 10}"
    assert card_spans(f"{around}{wrong}{around}") == []


def test_two_cards_in_one_run() -> None:
    assert card_spans("4111111111111111 5555555555554444") == [(0, 16), (17, 33)]


def test_emails() -> None:
    assert valid(no_email, ["a@b.co", "ümlaut@exämple.de", "x.y+z@sub.example.org,", None]) == [
        False,
        False,
        False,
        None,
    ]
    assert valid(no_email, ["a@b", "@b.co", "a @b.co", "a@.co", "5@3.14"]) == [True] * 5


@pytest.mark.parametrize(
    "group",
    [
        ["ACME Ltd", "acme ltd.", "Acme, Limited", " ACME  LIMITED "],
        ["A.C.M.E. Inc", "ACME Incorporated", "acme, inc."],
        ["Straße GmbH", "STRASSE G.m.b.H.", "strasse gmbh"],
        ["Smith & Sons", "smith and sons"],
        ["O'Brien", "OBrien", "O’BRIEN"],
        ["Anne-Marie Weiß", "anne marie weiss"],
    ],
)
def test_spellings_of_a_name(group: list[str]) -> None:
    assert pl.DataFrame({"n": group}).select(canonical(pl.col("n"))).to_series().n_unique() == 1


def test_different_names_stay_different() -> None:
    names = ["ACME", "ACME Ltd", "ACME Inc", "Acme 2 Ltd", "Limited Edition", "Edition"]
    assert pl.DataFrame({"n": names}).select(canonical(pl.col("n"))).to_series().n_unique() == len(names)
    assert pl.DataFrame({"n": ["...", "", None]}).select(canonical(pl.col("n"))).to_series().to_list() == [None] * 3


@given(
    st.lists(
        st.sampled_from(["0", "1", "01", "4111", "378282246310005", "4111111111111111", " ", "-", "  "]), max_size=30
    )
)
def test_every_sequence_of_whole_groups_is_tried(parts: list[str]) -> None:
    """The longest card from the first group on, and so on after it."""
    text, expected = "".join(parts), []
    for run in re.finditer("[0-9](?:[ -]?[0-9])*", text):
        groups = [(run.start() + group.start(), run.start() + group.end()) for group in re.finditer("[0-9]+", run[0])]
        first = 0
        while first < len(groups):
            ends = [
                last
                for last in range(first, len(groups))
                if 13 <= len(digits := re.sub("[ -]", "", text[groups[first][0] : groups[last][1]])) <= 19
                and luhn(digits)
            ]
            if ends:
                expected.append((groups[first][0], groups[ends[-1]][1]))
            first = ends[-1] + 1 if ends else first + 1
    assert card_spans(text) == expected
