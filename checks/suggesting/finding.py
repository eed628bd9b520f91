"""What a detector says: these rows of a column look wrong, for this reason."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Finding:
    """One reason to doubt cells of a column.

    rows: their indexes. confidence: the share of such cells that are wrong, an estimate: where rows vote, from their numbers,
    else set by hand, so low that made-up and open tables held it. reason: a sentence without any cell value, so that it can be
    shown wherever names of columns can. expected: the value to put there, if it is known. given: the columns whose values the
    row shares with others, which therefore decide about this one.
    """

    column: str
    rows: np.ndarray
    confidence: float
    reason: str
    expected: str | None = None
    given: tuple[str, ...] = ()


Findings = Iterator[Finding]
