"""Numbers in all declared forms, against a reader in plain Python that takes a text apart from its ends."""

from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.checks.text.number_forms import GROUPS, NEGATIVES, require_number_form, usual_number
from assay.errors import AssayError

BLANKS = " \u00a0\u2009\u202f"
BETWEEN = {"": "", ".": ".", ",": ",", " ": BLANKS, "'": "'\u2019", "_": "_"}
FORMS = st.fixed_dictionaries(
    {
        "decimal": st.sampled_from([".", ","]),
        "thousands": st.sampled_from(list(GROUPS)),
        "negative": st.sampled_from([None, *NEGATIVES]),
        "percent": st.booleans(),
        "currency": st.sampled_from(["", "€", "EUR", "Fr."]),
        "whole": st.booleans(),
    }
).filter(lambda form: form["whole"] or form["decimal"] != form["thousands"])


def oracle(text: str, form: dict[str, Any]) -> Decimal | None:
    """The number that the text is, or None."""
    for sign, rest in _signs(text, form):
        unsigned = _without_currency(rest, form) if sign is None else rest
        for inner_sign, body in _signs(unsigned, form) if sign is None else [(sign, _without_currency(rest, form))]:
            number = _digits(body, form)
            if number is not None:
                return -number if inner_sign == "-" else number
    return None


def _signs(text: str, form: dict[str, Any]) -> list[tuple[str | None, str]]:
    """All ways to take one sign off a text: with the sign, or None where none was taken."""
    ways: list[tuple[str | None, str]] = [(None, text)]
    if text[:1] in ("+", "-") and text:
        ways.append((text[0], text[1:]))
    if form["negative"] == "trailing" and text.endswith("-"):
        ways.append(("-", text[:-1]))
    if form["negative"] == "parentheses" and text.startswith("(") and text.endswith(")"):
        ways.append(("-", text[1:-1]))
    return ways


def _without_currency(text: str, form: dict[str, Any]) -> str:
    sign = form["currency"]
    if sign and text.startswith(sign):
        rest = text[len(sign) :]
        return rest[1:] if rest[:1] in BLANKS and rest[:1] else rest
    if sign and text.endswith(sign):
        rest = text[: -len(sign)]
        return rest[:-1] if rest[-1:] in BLANKS and rest[-1:] else rest
    return text


def _digits(text: str, form: dict[str, Any]) -> Decimal | None:
    if form["percent"]:
        if not text.endswith("%"):
            return None
        text = text[:-1]
        text = text[:-1] if text[-1:] in BLANKS and text[-1:] else text
    whole, point, fraction = text.partition(form["decimal"]) if not form["whole"] else (text, "", "")
    if point and not _is_number(fraction):
        return None
    groups = [whole]
    for char in BETWEEN[form["thousands"]]:
        groups = [part for group in groups for part in group.split(char)]
    sizes = [len(group) for group in groups]
    if len(groups) > 1 and (not 1 <= sizes[0] <= 3 or set(sizes[1:]) != {3} or groups[0].startswith("0")):
        return None
    digits = "".join(groups)
    if not (_is_number(digits) or (point and groups == [""])):
        return None
    number = Decimal(f"{digits or 0}.{fraction or 0}")
    return number / 100 if form["percent"] else number


def _is_number(text: str) -> bool:
    return text != "" and set(text) <= set("0123456789")


PIECES = [
    "1",
    "12",
    "123",
    "0",
    "000",
    ".",
    ",",
    " ",
    "\u00a0",
    "'",
    "\u2019",
    "_",
    "-",
    "+",
    "(",
    ")",
    "%",
    "€",
    "EUR",
    "Fr.",
]
noise = st.lists(st.sampled_from(PIECES), max_size=9).map("".join)


@st.composite
def written(draw: Any) -> tuple[dict[str, Any], str]:
    """A form, and a text of it, perhaps with one character changed, lost or doubled."""
    form = draw(FORMS)
    digits = draw(st.integers(0, 10**9).map(str))
    between = draw(st.sampled_from(BETWEEN[form["thousands"]] or "x"))
    if form["thousands"] and draw(st.booleans()):
        digits = between.join(f"{int(digits):,}".split(","))
    text = digits + (form["decimal"] + draw(st.integers(0, 999).map(str)) if draw(st.booleans()) else "")
    blank = draw(st.sampled_from(["", *BLANKS]))
    text += f"{blank}%" if form["percent"] else ""
    if form["currency"] and draw(st.booleans()):
        text = draw(st.sampled_from([f"{form['currency']}{blank}{text}", f"{text}{blank}{form['currency']}"]))
    shape = draw(st.sampled_from(["{}", "-{}", "+{}", "{}-", "({})"]))
    text = shape.format(text)
    if draw(st.booleans()):
        place = draw(st.integers(0, len(text)))
        text = text[:place] + draw(st.sampled_from(["", *PIECES])) + text[place + draw(st.integers(0, 1)) :]
    return form, text


def read(texts: list[str], form: dict[str, Any], *, floats: bool = False) -> list[str | None]:
    frame = pl.DataFrame({"v": texts}, schema={"v": pl.String})
    return frame.select(usual_number(pl.col("v"), **form, floats=floats)).to_series().to_list()


@given(st.lists(written(), max_size=20), st.lists(noise, max_size=20), FORMS)
def test_every_text_is_read_as_the_oracle_reads_it(
    pairs: list[tuple[dict[str, Any], str]], others: list[str], form: dict[str, Any]
) -> None:
    for its_form, text in [*pairs, *((form, text) for text in others)]:
        number = oracle(text, its_form)
        (usual,) = read([text], its_form)
        assert (None if usual is None else Decimal(usual)) == number, (text, its_form)


@given(written())
def test_floats_may_have_an_exponent_and_nothing_else_more(pair: tuple[dict[str, Any], str]) -> None:
    form, text = pair
    assert read([text], form, floats=True) == read([text], form)


def test_exponents_and_infinity_stand_in_plain_floats_only() -> None:
    plain = {"decimal": ",", "thousands": ".", "negative": None, "percent": False, "currency": "", "whole": False}
    texts = ["1,5e3", "-,5E-3", "inf", "-NaN", "1.000e3", "e3", "1.5e3"]
    assert read(texts, plain, floats=True) == ["1.5e3", "-.5E-3", "inf", "-NaN", None, None, None]
    assert read(texts, plain) == [None] * len(texts)
    assert read(texts, {**plain, "percent": True}, floats=True) == [None] * len(texts)
    assert read(texts, {**plain, "currency": "€"}, floats=True) == [None] * len(texts)


def test_the_sign_of_a_currency_has_no_part_of_a_number() -> None:
    usual = {"decimal": ".", "thousands": "", "negative": None, "whole": False}
    for sign in ("1", "-", "%", "(", " €", "€ ", ".", "'"):
        with pytest.raises(AssayError, match="is no currency sign"):
            require_number_form("C.v", **usual, currency=sign)
    require_number_form("C.v", **usual, currency="R$")
