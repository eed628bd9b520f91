"""Which class of personal data a column's texts probably are: by their form, and for names by the column's name too."""

import re
from typing import cast

import polars as pl

from assay.checks.text.predicates import CARD_DIGITS, EMAIL, luhn

#: So many of the texts must have the form.
MOST = 0.9
#: With a telling column name so many are enough.
HALF = 0.5
WORDS = 4
SAMPLE = 1_000
_PHONE_NAME = re.compile(r"(?i)(^|_)(phone|mobile|cell|tel|telephone|fax)")
_PERSON_NAME = re.compile(
    r"(?i)^(name|((first|last|middle|given|family|full|sur|maiden|customer|contact|person|user|holder)_?name)|contact|holder)$"
)
_PHONE = r"^(?:\+|\(|00)?[0-9][0-9 ().\-/]{5,}[0-9]$"
_PERSON = r"^[\p{L}\p{M}'’.\- ]+$"


def personal_class(name: str, texts: pl.Series) -> tuple[str | None, float]:
    """The class of personal data of a column, and the share of its texts that have its form; (None, 0) for no such data."""
    sample = texts.head(SAMPLE)
    email = _share(sample, rf"^\s*{EMAIL}\s*$")
    if email >= MOST:
        return "email", email
    digits = sample.str.replace_all(r"[ \-]", "")
    card = sum(text.isdecimal() and len(text) in CARD_DIGITS and luhn(text) for text in digits) / len(sample)
    if card >= MOST:
        return "card", card
    phone = _share(sample, _PHONE)
    if (_PHONE_NAME.search(name) and phone >= HALF) or min(phone, _share(sample, r"^[+(]")) >= MOST:
        return "phone", phone
    person = _share(sample, _PERSON)
    if _PERSON_NAME.search(name) and person >= HALF:
        return "name", person
    words = sample.str.count_matches(r"\S+")
    wordy = cast(float, (words >= WORDS).mean() or 0.0)
    if wordy >= HALF and sample.n_unique() >= HALF * len(sample):
        return "free_text", wordy
    return None, 0.0


def _share(texts: pl.Series, pattern: str) -> float:
    return cast(float, texts.str.contains(pattern).mean() or 0.0)
