"""Rare values that are a frequent value with one edit: a letter replaced, left out, added, or changed with its neighbour."""

import re
from collections import defaultdict

import numpy as np

from assay.checks.suggesting.finding import Finding, Findings
from assay.checks.suggesting.text_column import TextColumn
from assay.checks.text.edits import edit_kind, normal_form

#: A frequent value occurs so often, and so many times as often as the rare one.
FREQUENT, TIMES = 4, 4
#: Shorter values are near each other by chance; they are looked at only where nearly all rows have one of a few values.
SHORT, CLOSED, MANY_TIMES = 3, 0.97, 30
#: So many values of each kind are compared.
MOST_FREQUENT, MOST_RARE = 5_000, 20_000
#: If more rows than this share write their value in a rarer form, both forms are in use.
SECOND_FORM = 0.05
#: A letter in a code with digits says more than one in a word: another one makes another code.
IN_A_CODE = 0.6
_DIGIT = re.compile("[0-9]")
_DIGIT_LETTER = re.compile(r"[0-9][^\W\d_]")
#: With this share of frequent values that have a letter after a digit, either may stand there.
MIXED = 0.1
#: With this share of frequent values near each other, being near says nothing.
NATURAL = 0.5


def near_values(column: TextColumn) -> Findings:
    """Rare values near frequent ones. Values that differ only in digits, or in a single character that stands for itself,
    are different values; and the more frequent values are near each other, the less it means."""
    if column.present == 0 or column.number_share > 0.9 or column.moment_share > 0.5:
        return
    real = ~column.is_missing
    # "emxty" is near a frequent token, which is a value here as well as any other.
    words = column.values.str.len_chars().to_numpy() > SHORT
    frequent = np.flatnonzero((real | words) & (column.counts >= FREQUENT))[:MOST_FREQUENT]
    rare = np.flatnonzero(real & (column.counts * TIMES <= column.counts.max()))[:MOST_RARE]
    if not len(frequent) or not len(rare):
        return
    texts, counts = column.texts, column.counts
    index = Neighbours([texts[i] for i in frequent], counts[frequent])
    natural = np.mean([index.has_equal(texts[i], int(counts[i])) for i in frequent[:300]])
    closed = min(1.0, counts[frequent].sum() / counts[real].sum())
    mixed = sum(_DIGIT_LETTER.search(texts[i]) is not None for i in frequent) > MIXED * len(frequent)
    alphabet = set("".join(texts[i] for i in frequent))
    found = [(value, near) for value in rare if (near := index.nearest(texts[value], _least(int(counts[value]))))]
    in_other_form = sum(int(counts[value]) for value, near in found if near[0] == "form")
    second_form = in_other_form > SECOND_FORM * counts[real].sum()
    for value, near in found:
        text, count = texts[value], int(counts[value])
        kind, other, rows = near
        short = min(len(text), len(other)) <= SHORT
        if kind == "foreign" and short:
            continue  # F9 and FL are two codes
        if kind == "letter" and short and (closed < CLOSED or rows < MANY_TIMES * count):
            continue
        if not set(text) <= alphabet:
            kind = "foreign" if kind != "form" else kind
        elif kind == "foreign" and mixed:
            continue
        base = 0.97 if kind == "foreign" else 0.9 if min(len(text), len(other)) >= 6 else 0.75
        confidence = base * (1 - min(1.0, natural / NATURAL) * (0.2 if kind == "foreign" else 0.6))
        confidence = float(confidence * (0.75 + 0.25 * closed))
        if kind == "form" and second_form:
            confidence *= 0.5
        if kind == "letter" and _DIGIT.search(text) and " " not in text:
            confidence *= IN_A_CODE
        what = "only in case, spaces or punctuation" if kind == "form" else "in one character"
        reason = f"It differs {what} from a value that {rows:,} rows have; {count:,} {_have(count)} this one."
        yield Finding(column.name, column.rows_of(value), confidence, reason, other)


def _least(count: int) -> int:
    """How many rows a value must have beside one with so many."""
    return max(FREQUENT, TIMES * count)


def _have(count: int) -> str:
    return "has" if count == 1 else "have"


class Neighbours:
    """Frequent values by their halves and their normal forms: of two texts with one edit between them a half is equal."""

    def __init__(self, texts: list[str], counts: np.ndarray) -> None:
        self.counts = dict(zip(texts, counts.tolist(), strict=True))
        self.starts: dict[tuple[int, str], list[str]] = defaultdict(list)
        self.ends: dict[tuple[int, str], list[str]] = defaultdict(list)
        self.forms: dict[str, list[str]] = defaultdict(list)
        for text in texts:
            half = len(text) // 2
            self.starts[len(text), text[:half]].append(text)
            self.ends[len(text), text[half:]].append(text)
            self.forms[normal_form(text)].append(text)

    def has_equal(self, text: str, rows: int) -> bool:
        """Whether a near value is about as frequent, so that both are right."""
        return any(
            near != text and rows <= TIMES * self.counts[near] <= TIMES**2 * rows and edit_kind(text, near) is not None
            for near in self._candidates(text)
        )

    def nearest(self, text: str, least: int) -> tuple[str, str, int] | None:
        """The most frequent near value with at least so many rows: (kind of difference, value, rows)."""
        best: tuple[str, str, int] | None = None
        for near in self._candidates(text):
            rows = self.counts[near]
            if near == text or rows < least or (best is not None and rows <= best[2]):
                continue
            kind = edit_kind(text, near)
            if kind is not None:
                best = (kind, near, rows)
        return best

    def _candidates(self, text: str) -> set[str]:
        found = set(self.forms.get(normal_form(text), ()))
        for length in (len(text) - 1, len(text), len(text) + 1):
            half = length // 2
            found.update(self.starts.get((length, text[:half]), ()))
            if length - half <= len(text):
                found.update(self.ends.get((length, text[len(text) - (length - half) :]), ()))
        return found
