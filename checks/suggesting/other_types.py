"""Values that are not of the column's type: texts among numbers, numbers among words, dates where there are none."""

from collections import Counter

import numpy as np

from assay.checks.suggesting.finding import Finding, Findings
from assay.checks.suggesting.shapes import shapes_of
from assay.checks.suggesting.text_column import TextColumn

FEW_ROWS = 20
NUMBERS = 0.9
WORDS = 0.97
#: Slips scatter: texts of one shape with a larger share are a second kind of values, such as supplements among volumes.
SECOND_KIND = 0.015
#: In more rows nobody makes the same slip, nor with letters in so many different values of one shape.
SELDOM, SHARED = 10, 3
#: What a spreadsheet makes of 3-12 or Sep-07: a month's name and a number.
_MONTH = "(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)"
SPREADSHEET_DATE = rf"(?i)^(?:[0-9]{{1,4}}[-. /]{_MONTH}|{_MONTH}[-. /][0-9]{{1,4}})$"
MOST_DATES = 0.3


def other_types(column: TextColumn) -> Findings:
    if column.present < FEW_ROWS:
        return
    real = ~column.is_missing
    is_number = ~np.isnan(column.numbers)
    wordy = column.values.str.contains(r"\p{L}").to_numpy() & ~column.values.str.contains(r"[0-9]").to_numpy()
    as_date = column.values.str.contains(SPREADSHEET_DATE).to_numpy()
    dates = column.share(as_date)
    if 0 < dates <= MOST_DATES:
        for value in np.flatnonzero(real & as_date):
            others = f"{1 - dates:.1%} of the column does not"
            reason = f"It reads like a day or month, and {others}: a spreadsheet may have changed it."
            yield Finding(column.name, column.rows_of(int(value)), 0.9, reason)
    if column.number_share >= NUMBERS:
        wordy_too = column.values.str.contains(r"\p{L}").to_numpy()
        rest = real & ~is_number & ~as_date
        alike = _alike(column, rest)
        for value in np.flatnonzero(rest):
            confidence = 0.3 + 0.6 * (column.number_share - NUMBERS) / (1 - NUMBERS)
            share, different = alike[int(value)]
            is_kind = (
                share > SECOND_KIND or column.counts[value] > SELDOM or (bool(wordy_too[value]) and different >= SHARED)
            )
            confidence *= 0.5 if is_kind else 1.0
            reason = f"It is no number, and {column.number_share:.1%} of the column are numbers."
            yield Finding(column.name, column.rows_of(int(value)), confidence, reason)
    elif (words := column.share(wordy)) >= WORDS:
        for value in np.flatnonzero(real & is_number):
            reason = f"It is a number, and {words:.1%} of the column are words."
            yield Finding(column.name, column.rows_of(int(value)), 0.8, reason)


def _alike(column: TextColumn, marked: np.ndarray) -> dict[int, tuple[float, int]]:
    """For each marked value the share of rows that have one of its shape, and how many different values have it."""
    shapes = shapes_of(column.values)
    shares: dict[str, float] = {}
    for value in np.flatnonzero(marked):
        shares[shapes[value]] = shares.get(shapes[value], 0.0) + column.counts[value] / column.present
    different = Counter(shapes[value] for value in np.flatnonzero(marked))
    return {int(value): (shares[shapes[value]], different[shapes[value]]) for value in np.flatnonzero(marked)}
