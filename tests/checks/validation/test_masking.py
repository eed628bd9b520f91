"""Masks show that a value is there, never what it is."""

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from assay.checks import Contract, Field, Timestamp, mask, redact


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
            "_line": "‹text: 7 characters, 1 words›",
            "unknown": "‹text: 4 characters, 1 words›",
        }
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
