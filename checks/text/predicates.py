"""Predicates over text as polars expressions: blank, e-mail address, payment-card number, canonical name.

Each predicate is true for a valid value and null for null.
"""

import re
from collections.abc import Iterator
from itertools import accumulate

import polars as pl

EMAIL = r"[\w.%+\-]+@[\w\-]+(?:\.[\w\-]+)*\.\p{L}{2,}"
#: Digit groups joined by one space, no-break space or dash; 13 digits is the shortest card number.
_CARD_SHAPE = r"[0-9](?:[ \u00a0\-‐-―]?[0-9]){12,}"
_CARD_RUN = re.compile(f"{_CARD_SHAPE}+")  # never given back: the text may be long
_DIGITS = re.compile(r"[0-9]+")
_NOT_DIGITS = re.compile(r"[^0-9]")
CARD_DIGITS = range(13, 20)

#: Spellings of one legal form; only at the end of a name.
_LEGAL_FORMS = {
    "plc": ("public limited company", "p l c"),
    "ltd": ("limited",),
    "inc": ("incorporated",),
    "corp": ("corporation",),
    "co": ("company",),
    "llc": ("l l c",),
    "gmbh": ("g m b h", "gesellschaft mit beschränkter haftung"),
    "ag": ("a g", "aktiengesellschaft"),
    "sa": ("s a",),
    "bv": ("b v",),
}


def not_empty(text: pl.Expr) -> pl.Expr:
    """Something is left after stripping white space."""
    return text.str.strip_chars() != ""


def no_email(text: pl.Expr) -> pl.Expr:
    """No e-mail address anywhere in the text."""
    return ~text.str.contains(EMAIL)


def no_card_number(text: pl.Expr) -> pl.Expr:
    """No run of 13 to 19 digits (optional spaces or dashes between groups) that passes the Luhn test."""
    return text.map_batches(_without_card_numbers, return_dtype=pl.Boolean, is_elementwise=True)


def _without_card_numbers(texts: pl.Series) -> pl.Series:
    # The regex is quick and finds very few texts; only those pay for Python.
    candidates = texts.str.contains(_CARD_SHAPE).fill_null(False).arg_true()
    cards = [index for index, text in zip(candidates, texts.gather(candidates), strict=True) if card_spans(text)]
    valid = pl.repeat(True, len(texts), dtype=pl.Boolean, eager=True).scatter(cards, False)
    return valid.set(texts.is_null(), None).alias(texts.name)


def card_spans(text: str) -> list[tuple[int, int]]:
    """Where the text holds payment-card numbers: (start, end) of each, not overlapping."""
    return [span for run in _CARD_RUN.finditer(text) for span in _cards_in(run.group(), run.start())]


def _cards_in(run: str, offset: int) -> Iterator[tuple[int, int]]:
    # A stray number before the card ("call 2 4111 …") joins its run, so every sequence of whole groups is tried.
    groups = [match.span() for match in _DIGITS.finditer(run)]
    before = list(accumulate((end - start for start, end in groups), initial=0))  # digits, of each group
    digits = _NOT_DIGITS.sub("", run)
    sums = _luhn_sums(digits)
    first = 0
    while first < len(groups):
        # A group has a digit at least, and longer sequences are no card.
        for last in reversed(range(first, min(first + CARD_DIGITS[-1], len(groups)))):
            start, end = before[first], before[last + 1]
            if end - start in CARD_DIGITS and (sums[end % 2][end] - sums[end % 2][start]) % 10 == 0:
                yield offset + groups[first][0], offset + groups[last][1]
                first = last
                break
        first += 1


def _luhn_sums(digits: str) -> tuple[list[int], list[int]]:
    """What the test adds up of the first digits, for numbers that end at an even place, and at an odd one."""
    plain = [int(digit) for digit in digits]
    doubled = [sum(divmod(2 * digit, 10)) for digit in plain]
    even, odd = plain[:], plain[:]
    even[::2], odd[1::2] = doubled[::2], doubled[1::2]
    return list(accumulate(even, initial=0)), list(accumulate(odd, initial=0))


def luhn(digits: str) -> bool:
    """The check-digit test of payment cards (ISO/IEC 7812-1, annex B)."""
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(map(int, digits[::-2])) + sum(doubled)) % 10 == 0


def canonical(name: pl.Expr) -> pl.Expr:
    """One spelling for all spellings of a name: case, punctuation, spaces and legal forms unified; null if nothing is left.

    "ACME Ltd", "acme ltd." and "Acme, Limited" are one name; "ACME" and "ACME Ltd" are two.
    """
    plain = (
        name.str.normalize("NFKC")
        .str.to_lowercase()
        .str.replace_all("ß", "ss", literal=True)
        .str.replace_all("&", " and ", literal=True)
        .str.replace_all(r"['’‘`´.]", "")
        .str.replace_all(r"[^\p{L}\p{M}\p{N}]+", " ")
        .str.strip_chars()
    )
    for form, spellings in _LEGAL_FORMS.items():
        plain = plain.str.replace(rf" (?:{'|'.join(spellings)})$", f" {form}")
    return pl.when(plain != "").then(plain)
