"""One thing written in several ways within a column: units, percents, and dates or times in several formats."""

import re

import numpy as np

from assay.checks.suggesting.finding import Finding, Findings
from assay.checks.suggesting.text_column import TextColumn
from assay.checks.text.codes import UNIT_WORDS
from assay.errors import plural

FEW_ROWS = 20
#: So much of the column must be an amount (a number, perhaps with a unit), or a date or time.
AMOUNTS, MOMENTS = 0.9, 0.8
#: Bare numbers with this share are the column's form, since only they can be calculated with.
BARE = 0.15
#: Without such a majority the units must be spellings of one, else "12 Main Street" would be an amount.
MAJORITY = 0.5
NO_MAJORITY = 0.6
#: With such a majority whatever else stands there is another unit, or a slip in this one.
CLEAR = 0.8
_WORD = re.compile(r"[^\s,;()]+")
_AMOUNT = r"^\s*([+-]?[0-9]+(?:[.,][0-9]+)*)(\s*[^0-9\s.,:/\-][^0-9:/\-]{0,19})?$"


def mixed_formats(column: TextColumn) -> Findings:
    if column.present < FEW_ROWS:
        return
    yield from _units(column)
    yield from _moments(column)


def _units(column: TextColumn) -> Findings:
    parts = column.values.str.extract_groups(_AMOUNT).struct.unnest()
    amount = parts.to_series(0).is_not_null().to_numpy()
    units = parts.to_series(1).fill_null("").to_list()
    real = amount & ~column.is_missing
    if column.share(amount) < AMOUNTS:
        return
    usual, share = _usual(column, units, real, BARE)
    if usual is None or (share < MAJORITY and usual and not _one_unit(units, real)):
        return
    numbers, alike = parts.to_series(0), _one_unit(units, real)
    if share < MAJORITY and usual:
        ways = len({units[value] for value in np.flatnonzero(real)})
        for value in np.flatnonzero(real):
            reason = (
                f"The unit is written in {ways} ways, none of them in most rows: the column cannot be calculated with."
            )
            yield Finding(column.name, column.rows_of(int(value)), NO_MAJORITY, reason, numbers[int(value)])
        return
    for value in np.flatnonzero(real):
        if units[value] == usual:
            continue
        # Behind a number without a unit, or where several are usual, stands a unit only if it is called so.
        spelling = usual and (alike or not units[value] or share >= CLEAR)
        if not (spelling or _is_unit(units[value])):
            continue
        what = "with" + ("out a" if not units[value] else " a" if not usual else " another") + " unit"
        reason = f"The amount is written {what}; {share:.1%} of the column are written in one way."
        expected = f"{numbers[int(value)]}{usual}" if alike and "%" not in units[value] + usual else None
        yield Finding(column.name, column.rows_of(int(value)), _confidence(share, bare=not usual), reason, expected)


def _is_unit(text: str) -> bool:
    """Whether it begins with the name of a unit: what else stands behind a number (1st, 12 Suppl, 7B) may be a part of a name."""
    word = _WORD.match(text.strip().lower())
    return word is not None and word[0].rstrip(".") in UNIT_WORDS


def _one_unit(units: list[str], real: np.ndarray) -> bool:
    """Whether the units look like spellings of one: they begin alike, as oz, Oz. and ounces do."""
    return (
        len({unit.strip()[:1].casefold() for unit, counted in zip(units, real, strict=True) if counted and unit}) == 1
    )


def _confidence(share: float, *, bare: bool) -> float:
    """The less usual, the surer. A number with a unit cannot be calculated with, however many there are."""
    return 0.95 if share >= 0.8 else 0.9 if bare else 0.5 + 0.5 * share


def _usual(column: TextColumn, forms: list[str], real: np.ndarray, bare: float) -> tuple[str | None, float]:
    counts: dict[str, int] = {}
    for value in np.flatnonzero(real):
        counts[forms[value]] = counts.get(forms[value], 0) + int(column.counts[value])
    total = sum(counts.values())
    if len(counts) < 2:
        return None, 0.0
    top = max(counts, key=lambda form: counts[form])
    if counts.get("", 0) >= bare * total:
        top = ""
    return top, counts[top] / total


def _moments(column: TextColumn) -> Findings:
    formats = column.moments
    is_moment = formats.is_not_null().to_numpy() & ~column.is_missing
    if column.moment_share < MOMENTS:
        return
    usual, share = _usual(column, formats.fill_null("?").to_list(), is_moment, 2.0)
    for value in np.flatnonzero(is_moment):
        if usual is not None and formats[int(value)] != usual:
            reason = f"The date or time is written in another format than in {share:.1%} of the column."
            yield Finding(column.name, column.rows_of(int(value)), _confidence(share, bare=False), reason)
    for value in np.flatnonzero(~is_moment & ~column.is_missing):
        reason = (
            f"It is no date or time, and {plural(int(column.counts[is_moment].sum()), 'row')} of the column have one."
        )
        yield Finding(column.name, column.rows_of(int(value)), 0.85, reason)
