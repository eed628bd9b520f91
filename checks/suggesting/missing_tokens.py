"""Texts that stand for "no value" among real values, and gaps in a column that is otherwise full."""

from collections.abc import Sequence

import numpy as np

from assay.checks.suggesting.finding import Finding, Findings
from assay.checks.suggesting.text_column import TextColumn

#: With more rows than this share a token is how the column says that a value is optional.
MOST_IN_TEXT, MOST_IN_NUMBERS = 0.4, 0.7
#: Fewer nulls than this are taken for gaps. Where there are more, a value may lack.
NULLS = 0.01
FEW_ROWS = 20
#: A token that fills a column, or that stands in so many columns of a table without nulls, is the table's way to write null.
FILLED, MANY_COLUMNS = 0.9, 3


def missing_tokens(columns: Sequence[TextColumn]) -> Findings:
    """Tokens (N/A, -, empty, nan, …) but the table's own one, and single nulls."""
    own = _own_tokens(columns)
    for column in columns:
        yield from _tokens(column, own)
        yield from _gaps(column)


def _tokens(column: TextColumn, own: set[str]) -> Findings:
    tokens = np.flatnonzero(column.is_missing)
    rows = int(column.counts[tokens].sum())
    numeric = column.number_share >= 0.9
    real = column.present - rows
    if real == 0 or rows > (MOST_IN_NUMBERS if numeric else MOST_IN_TEXT) * column.present:
        return
    confidence = 0.95 if numeric else 0.9 if rows <= 0.1 * column.present else 0.75
    for token in tokens:
        if column.texts[token] not in own:
            reason = f"The text stands for no value, in a column with {real:,} {'numbers' if numeric else 'values'}."
            yield Finding(column.name, column.rows_of(int(token)), confidence, reason)


def _own_tokens(columns: Sequence[TextColumn]) -> set[str]:
    used = [(c.texts[i], c.counts[i] / c.present) for c in columns for i in np.flatnonzero(c.is_missing)]
    own = {text for text, share in used if share >= FILLED}
    if not any(column.nulls for column in columns):
        names = [text for text, _ in used]
        own |= {text for text in names if names.count(text) >= MANY_COLUMNS}
    return own


def _gaps(column: TextColumn) -> Findings:
    if column.rows >= FEW_ROWS and 0 < column.nulls <= NULLS * column.rows:
        reason = f"There is no value, and {column.present:,} of {column.rows:,} rows have one."
        yield Finding(column.name, np.flatnonzero(column.codes < 0), 0.6, reason)
