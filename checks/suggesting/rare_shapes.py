"""Values of a shape that hardly any other value of the column has: which kinds of characters, and for codes how many."""

from collections import Counter

import numpy as np
import polars as pl

from assay.checks.suggesting.finding import Finding, Findings
from assay.checks.suggesting.shapes import shapes_of
from assay.checks.suggesting.text_column import TextColumn

#: The usual shapes are at most so many, each with this share of the rows, and together they cover COVERED.
MOST_SHAPES, SHARE, COVERED = 4, 0.05, 0.93
FEW_ROWS = 30
#: A shape with a larger share is unusual, but no slip.
RARE = 0.02
#: What so many rows write alike is no slip.
REPEATED = 30
LONGEST = 40
#: Of a slip one is so sure. Slips scatter: a shape that so many different values have is rather a rarer kind of value.
SLIP, SHARED, RARER_KIND = 0.92, 3, 0.6
#: In more rows nobody makes the same slip; and between two numbers these mean something.
SELDOM, _RANGE = 3, "-–/"
#: Codes are a column of at least so many different ones.
FEW_CODES = 3
#: So many digits, without a point, may be a code.
ONE_LENGTH, CODE_DIGITS = 0.97, 4


def rare_shapes(column: TextColumn) -> Findings:
    """Rare shapes of codes and numbers, and characters in words that words do not have."""
    if column.present < FEW_ROWS:
        return
    values = column.values
    kinds = shapes_of(values)
    seen: set[int] = set()
    for shapes, what in ((kinds, "sequence of letters, digits and signs"), (_lengths(values), "length")):
        usual, covered = _usual(column, shapes)
        if not usual or (what == "length" and not _is_code(usual, covered)):
            continue
        words = not any("9" in shape for shape in usual)
        if what == "length" and words and max(map(len, usual)) > 3:
            continue
        shares = _shares(column, shapes)
        different = Counter(shapes)
        if what == "length" and words and different[next(iter(usual))] < FEW_CODES:
            continue
        for value in np.flatnonzero(~column.is_missing):
            shape = shapes[int(value)]
            if shape in usual or value in seen or shares[shape] > RARE or column.counts[value] > REPEATED:
                continue
            if words and what != "length" and not _unlike_words(shape, column.texts[value]):
                continue
            seen.add(int(value))
            often = column.counts[value] > SELDOM
            confidence = _confidence(column.texts[value], usual, covered, words or often, what == "length")
            if confidence < SLIP and different[shape] >= SHARED:
                confidence *= RARER_KIND
            those = "that" if len(usual) == 1 else f"one of the {len(usual)}"
            reason = f"Its {what} is not {those} of {covered:.1%} of the column."
            yield Finding(column.name, column.rows_of(int(value)), confidence, reason)


def _is_code(usual: set[str], covered: float) -> bool:
    """Whether nearly all values have one and the same length, as codes have and numbers that count something have not."""
    (shape, *others) = usual
    counted = set(shape) <= set("9.+-") and (not shape.isdigit() or len(shape) < CODE_DIGITS)
    return not others and covered >= ONE_LENGTH and not counted and " " not in shape and len(shape) <= LONGEST


def _confidence(text: str, usual: set[str], covered: float, words: bool, length: bool) -> float:
    """A single strange character within a usual value is a slip; another structure may be a rarer kind of value."""
    if not words and not length and _is_slip(text, usual):
        return SLIP
    rarity = (covered - COVERED) / (1 - COVERED)
    return (0.45 + 0.4 * rarity) * (1.0 if words else 1.1)


def _is_slip(text: str, usual: set[str]) -> bool:
    """Whether one character within the text, replaced by a digit or left out, makes its shape usual."""
    inside = range(1, len(text) - 1) if len(text) <= LONGEST else ()
    inner = [i for i in inside if not text[i].isdigit() and text[i] not in _RANGE]
    repaired = [text[:i] + digit + text[i + 1 :] for i in inner for digit in ("0", "")]
    return bool(repaired) and not usual.isdisjoint(shapes_of(pl.Series(repaired)))


def _lengths(values: pl.Series) -> list[str]:
    return values.str.slice(0, 4 * LONGEST).str.replace_all(r"\p{L}", "a").str.replace_all(r"[0-9]", "9").to_list()


def _shares(column: TextColumn, shapes: list[str]) -> dict[str, float]:
    real = ~column.is_missing
    total = int(column.counts[real].sum())
    shares: dict[str, float] = {}
    for shape, count, counted in zip(shapes, column.counts.tolist(), real.tolist(), strict=True):
        if counted:
            shares[shape] = shares.get(shape, 0.0) + count / total
    return shares


def _usual(column: TextColumn, shapes: list[str]) -> tuple[set[str], float]:
    shares = _shares(column, shapes)
    usual = {shape for shape, share in shares.items() if share >= SHARE}
    covered = sum(shares[shape] for shape in usual)
    return (usual, covered) if len(usual) <= MOST_SHAPES and covered >= COVERED else (set(), 0.0)


def _unlike_words(shape: str, text: str) -> bool:
    """Whether a text holds what neither words nor names have: a digit within a word, or a sign other than those of names."""
    within = "a9" in shape or "9a" in shape
    return within or any(not c.isalnum() and c not in " -'’.,&/()" for c in text)
