"""Normal forms of text: expressions that give the canonical spelling of a value. Rules compare with it, views propose it."""

from collections.abc import Callable, Sequence
from difflib import get_close_matches

import polars as pl

from assay.errors import AssayError

Form = Callable[[pl.Expr], pl.Expr]


def _spaces(text: pl.Expr) -> pl.Expr:
    return text.str.replace_all(r"\s+", " ").str.strip_chars()


def _code(text: pl.Expr) -> pl.Expr:
    return text.str.strip_chars().str.to_uppercase()


def _email(text: pl.Expr) -> pl.Expr:
    parts = text.str.strip_chars().str.extract_groups(r"^([^@]+)@([^@]+)$")
    address = parts.struct.field("1") + "@" + parts.struct.field("2").str.to_lowercase()
    return pl.coalesce(address, text.str.strip_chars())


def _phone(text: pl.Expr) -> pl.Expr:
    return text.str.replace_all(r"[\s().\-/]", "").str.replace(r"^00", "+")


#: Name of a normal form -> what it makes of a text.
NORMAL_FORMS: dict[str, Form] = {
    "strip": lambda text: text.str.strip_chars(),  #: no white space around
    "spaces": _spaces,  #: also single spaces within
    "nfc": lambda text: text.str.normalize("NFC"),  #: one code point for "é", not two
    "lower": lambda text: text.str.to_lowercase(),
    "upper": lambda text: text.str.to_uppercase(),
    "code": _code,  #: country, currency and other codes: upper case
    "iban": lambda text: text.str.replace_all(r"\s", "").str.to_uppercase(),
    "email": _email,  #: domain in lower case
    "phone": _phone,  #: no separators, "+" for "00"
}


def normal_form(names: Sequence[str], where: str) -> Form:
    """The forms one after the other. Raises AssayError for an unknown one; `where` begins the message."""
    for name in names:
        if name not in NORMAL_FORMS:
            close = get_close_matches(name, NORMAL_FORMS, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"use one of {', '.join(NORMAL_FORMS)}"
            raise AssayError(f"{where}: unknown normal form {name!r}; {hint}")
    forms = [NORMAL_FORMS[name] for name in names]

    def apply(text: pl.Expr) -> pl.Expr:
        for form in forms:
            text = form(text)
        return text

    return apply
