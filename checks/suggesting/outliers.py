"""Numbers far from all others of their group, on the scale (as it is, or logarithmic) on which the others lie closer."""

from collections.abc import Sequence

import numpy as np

from assay.checks.suggesting.dependencies import codes_of
from assay.checks.suggesting.finding import Finding, Findings
from assay.checks.suggesting.text_column import TextColumn

NUMBERS = 0.9
FEW_ROWS = 30
#: So many robust standard deviations (1.4826 MAD) from the median, and a gap of so many to the next value.
FAR, GAP = 6.5, 2.5
#: Of one magnitude are numbers up to fifty times as large as others (natural logarithm); shifted, those at least eight times.
MAGNITUDE, SHIFTED = 3.9, 2.08
#: A column groups another if within its groups the spread is so much smaller than in the whole.
GROUPS, NARROWER = 50, 0.5
#: More of them are no outliers but a second kind of values.
MOST = 0.02


def outliers(columns: Sequence[TextColumn]) -> Findings:
    codes = codes_of(columns)
    for index, column in enumerate(columns):
        if column.number_share < NUMBERS or len(column.counts) < 10 or _is_code(column):
            continue
        numbers = np.append(column.numbers, np.nan)[column.codes]
        groups = _best_groups(numbers, index, columns, codes)
        group = np.zeros(column.rows, dtype=np.int64) if groups is None else codes[groups]
        scores = np.zeros(column.rows)
        for each in np.unique(group[group >= 0]):
            rows = np.flatnonzero((group == each) & np.isfinite(numbers))
            if len(rows) >= FEW_ROWS:
                scores[rows] = _far(numbers[rows])
        far = np.flatnonzero(scores > 0)
        if not 0 < len(far) <= MOST * column.present:
            continue
        where = "the column" if groups is None else f"the rows with the same {columns[groups].name}"
        for row in far.tolist():
            reason = f"The number is {scores[row]:,.0f} robust standard deviations from the median of {where}."
            yield Finding(column.name, np.array([row]), float(0.55 + 0.35 * min(1.0, scores[row] / 40)), reason)


def _is_code(column: TextColumn) -> bool:
    """Whether the numbers are names made of digits: whole, of one length."""
    digits = column.values.str.contains(r"^[0-9]{4,}$").to_numpy()
    lengths = column.values.str.len_chars().to_numpy()
    return column.share(digits & (lengths == lengths[0])) >= NUMBERS


def _spread(numbers: np.ndarray) -> float:
    return 1.4826 * float(np.median(np.abs(numbers - np.median(numbers)))) if len(numbers) else 0.0


def _best_groups(
    numbers: np.ndarray, index: int, columns: Sequence[TextColumn], codes: Sequence[np.ndarray]
) -> int | None:
    """The column within whose groups the numbers lie closest together, if that is much closer than in the whole."""
    finite = np.isfinite(numbers)
    whole = _spread(numbers[finite])
    best, narrowest = None, NARROWER * whole
    for other, column in enumerate(columns):
        if other == index or not 2 <= len(column.counts) <= GROUPS or column.present < 0.9 * column.rows:
            continue
        code = codes[other]
        spreads = [
            (int(rows.sum()), _spread(numbers[rows]))
            for each in range(len(column.counts))
            if (rows := finite & (code == each)).sum() >= FEW_ROWS
        ]
        covered = sum(size for size, _ in spreads)
        if covered >= 0.8 * finite.sum():
            mean = sum(size * spread for size, spread in spreads) / covered
            if mean < narrowest:
                best, narrowest = other, mean
    return best


def _far(numbers: np.ndarray) -> np.ndarray:
    """How far each number is out (robust standard deviations); 0 for those that are not, or that others are near to."""
    if not (numbers > 0).all():
        return _scores(numbers)
    logs = np.log(numbers)
    score = _scores(logs)
    # A number is an outlier if it is one on both scales. Far too small ones are far only on the logarithmic one, which tells
    # something only where the others are of one magnitude.
    rest = logs[score == 0]
    of_one_magnitude = len(rest) and rest.max() - rest.min() <= MAGNITUDE
    gap = np.minimum(np.abs(logs - rest.min()), np.abs(logs - rest.max())) if of_one_magnitude else np.zeros(len(logs))
    return np.where(gap >= SHIFTED, score, np.minimum(score, _scores(numbers)))


def _scores(numbers: np.ndarray) -> np.ndarray:
    spread = _spread(numbers)
    if spread == 0:
        return np.zeros(len(numbers))
    z = (numbers - np.median(numbers)) / spread
    out = np.zeros(len(z))
    for side in (z, -z):
        order = np.argsort(side)
        gaps = np.diff(side[order], prepend=side[order][0])
        # From the first gap on that lies far out, everything beyond it is apart.
        apart = np.flatnonzero((gaps >= GAP) & (side[order] >= FAR))
        if len(apart):
            beyond = order[apart[0] :]
            out[beyond] = side[beyond]
    return out
