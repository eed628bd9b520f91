"""Masks show that a value is there, never what it is."""

import re
from datetime import date

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.checks import Contract, Field, Timestamp, mask, redact
from assay.checks.text.predicates import EMAIL, card_spans
from assay.checks.validation.masking import SHOWN


class People(Contract):
    id: str = Field(key=True)
    name: str = Field(pii="name")
    email: str = Field(pii="email")
    phone: str = Field(pii="phone")
    card: int = Field(pii="card")
    text: str = Field(pii="free_text")
    city: str = Field()
    at: Timestamp = Field()


CANARY = "Zyxw"


def person(**changes: object) -> pl.DataFrame:
    row = {
        "id": "P1",
        "name": f"{CANARY} Jones",
        "email": f"{CANARY}@example.org",
        "phone": "+1-555-010-9999",
        "card": 4111111111111111,
        "text": f"I am {CANARY}, call 555 010 9999",
        "city": "Berlin",
        "at": "2026-09-01T00:00:00Z",
        "_row_number": 3,
        "_line": f"P1,{CANARY}",
        "unknown": CANARY,
    }
    return pl.DataFrame({name: [value] for name, value in (row | changes).items()})


def test_mask_shows_no_personal_value() -> None:
    masked = mask(person(), People)
    assert masked.to_dicts() == [
        {
            "id": "P1",
            "name": "‹name›",
            "email": "‹email›",
            "phone": "‹phone›",
            "card": "‹card›",
            "text": "‹text: 28 characters, 7 words›",
            "city": "Berlin",
            "at": "2026-09-01T00:00:00Z",
            "_row_number": 3,
            "_line": "‹text: 7 characters, 1 word›",
            "unknown": "‹text: 4 characters, 1 word›",
        }
    ]


def test_of_what_is_no_text_its_kind_is_shown_and_not_how_long_it_is() -> None:
    values = {"number": 1234567, "share": 0.5, "yes": True, "day": date(2026, 9, 1), "list": [1, 2], "none": None}
    shown = {"number": "‹number›", "share": "‹number›", "yes": "‹yes or no›", "day": "‹time›", "list": "‹value›"}
    assert mask(pl.DataFrame({name: [value] for name, value in values.items()}), None).to_dicts() == [
        shown | {"none": None}
    ]


def test_mask_keeps_null_and_every_row() -> None:
    frame = pl.concat([person(name=None, text=None)] * 12, how="vertical_relaxed")
    masked = mask(frame, People)
    assert masked.height == 12
    assert masked["name"].null_count() == masked["text"].null_count() == 12


def test_values_in_the_wrong_column_are_redacted() -> None:
    masked = mask(person(city="a@b.org 4111 1111 1111 1111"), People)
    assert masked["city"].to_list() == ["‹email› ‹card›"]


def test_mask_of_a_nested_unknown_column() -> None:
    assert CANARY not in str(mask(person(unknown=[CANARY]), People).to_dicts())


# What is shown instead has marks of its own: a text made of these would be found in it.
@given(st.text(min_size=4, max_size=40).filter(lambda text: text.strip() and not text.isascii() and "‹" not in text))
def test_no_part_of_any_text_is_shown(value: str) -> None:
    frame = person(name=value, email=value, phone=value, text=value, unknown=value, _line=value)
    shown = mask(frame, People).drop("id", "city", "at", "card", "_row_number").row(0)
    assert not any(value in cell for cell in shown)


def test_redact() -> None:
    line = "jo@x.org paid with 4111-1111-1111-1111, phone +49 (30) 123-4567 or 555-010-9999 or (555) 010-9999"
    assert redact(line) == "‹email› paid with ‹card›, phone ‹phone› or ‹phone› or ‹phone›"
    quiet = "2026-09-01 10:00:00 run 20260901 read tickets/2026-09-01/a.csv 12345 rows T0000123"
    assert redact(quiet) == quiet


# -- long texts --------------------------------------------------------------------------------------------------------


@given(st.text(st.sampled_from("ab1_é.@-% "), max_size=60))
def test_the_addresses_are_those_of_the_rule_about_them(text: str) -> None:
    of_rule = re.compile(EMAIL.replace(r"\p{L}", r"[^\W\d_]"))
    assert redact(text) == of_rule.sub("‹email›", text)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("shape", ["a", "a.", "a-", "a@", "@", "@a", "a@a.", "1", "1 ", "11-", "x@y.zz ", "+1", "("])
def test_work_grows_as_the_text_does(shape: str) -> None:
    """With its square, these would take many minutes."""
    text = shape * (200_000 // len(shape))
    assert len(redact(text)) <= len(text) * 2
    assert card_spans(text) == [] or shape == "1 " or shape == "11-"
    assert len(mask(person(city=text), People)["city"].item()) == SHOWN + 1


@given(st.integers(SHOWN - 40, SHOWN + 10), st.sampled_from([f"{CANARY}@example.org", "4111 1111 1111 1111"]))
def test_a_long_text_is_cut_and_no_part_of_a_personal_value_is_left(before: int, personal: str) -> None:
    (shown,) = mask(person(city=f"{'-' * before} {personal} {'-' * before}"), People)["city"]
    assert len(shown) == SHOWN + 1
    assert shown.endswith("…")
    assert personal[:4] not in shown
