"""Approximate functional dependencies: columns that nearly always have one value for each value of another column.

How far B depends on A is measured by pairs: of two rows with the same A, how often is B the same too, beyond what it would be
for any two rows (Cohen's kappa)? Unlike the share of rows to remove (g3), this does not grow where groups are small.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from assay.checks.suggesting.text_column import TextColumn

#: Enough rows that have a partner with the same determinant, and enough groups.
FEW_ROWS, FEW_GROUPS = 30, 5
#: A dependency holds for this share of pairs, beyond chance. Of two determinants together more is demanded: they are many.
KAPPA, KAPPA_OF_TWO = 0.85, 0.95
#: So many columns are compared, and for two determinants so many.
MOST_COLUMNS, MOST_OF_TWO = 40, 12
#: Dependencies are looked for in so many rows; those that hold are then judged in all.
SCREENED_ROWS = 20_000
MOST_DEPENDENCIES = 200
MEASURED = 0.3


@dataclass(frozen=True, slots=True)
class Dependency:
    """The columns (by index) that determine another, and how far (kappa)."""

    determinants: tuple[int, ...]
    dependent: int
    kappa: float


def codes_of(columns: Sequence[TextColumn]) -> list[np.ndarray]:
    """The columns as numbers: -1 where there is no value, or a token for none."""
    return [
        np.where((c.codes >= 0) & ~np.append(c.is_missing, True)[c.codes], c.codes, -1).astype(np.int64)
        for c in columns
    ]


def grouped(codes: Sequence[np.ndarray]) -> np.ndarray:
    """One number for each combination of values; -1 where one is missing."""
    group = codes[0]
    for other in codes[1:]:
        joined = group * (other.max(initial=0) + 1) + other
        whole = (group >= 0) & (other >= 0)
        _, dense = np.unique(joined[whole], return_inverse=True)
        group = np.full(len(group), -1, dtype=np.int64)
        group[whole] = dense
    return group


def kappa(group: np.ndarray, value: np.ndarray) -> float:
    """How much more often two rows of one group have the same value than any two rows; -1 where there is too little to say."""
    known = (group >= 0) & (value >= 0)
    group, value = group[known], value[known]
    if not len(group):
        return -1.0
    sizes = np.bincount(group)
    if int((sizes > 1).sum()) < FEW_GROUPS or int(sizes[sizes > 1].sum()) < FEW_ROWS:
        return -1.0
    pairs, counts = np.unique(group * (value.max() + 1) + value, return_counts=True)
    size = sizes[pairs // (value.max() + 1)]
    shared = size > 1
    agreement = float((counts[shared] * (counts[shared] - 1) / (size[shared] - 1)).sum() / size_sum(sizes))
    shares = np.bincount(value) / len(value)
    chance = float((shares**2).sum())
    return (agreement - chance) / (1 - chance) if chance < 1 else -1.0


def size_sum(sizes: np.ndarray) -> int:
    return int(sizes[sizes > 1].sum())


def dependencies(columns: Sequence[TextColumn]) -> list[Dependency]:
    """The dependencies between the columns, strongest first; two determinants only where neither alone determines."""
    codes = [code[:SCREENED_ROWS] for code in codes_of(columns)]
    usable = [i for i, c in enumerate(columns) if c.present and len(c.counts) > 1][:MOST_COLUMNS]
    dependents = [i for i in usable if _repeats(codes[i])]
    determinants = [i for i in dependents if not _is_measured(columns[i])]
    single = [
        Dependency((a,), b, strength)
        for a in determinants
        for b in dependents
        if a != b and (strength := kappa(codes[a], codes[b])) >= KAPPA
    ]
    found = [*single, *_of_two(codes, determinants[:MOST_OF_TWO], single)]
    return sorted(found, key=lambda dependency: -dependency.kappa)[:MOST_DEPENDENCIES]


def _of_two(codes: Sequence[np.ndarray], usable: Sequence[int], single: Sequence[Dependency]) -> Iterator[Dependency]:
    """Pairs of columns that determine a third one which neither does."""
    known = {(d.determinants[0], d.dependent) for d in single}
    for first, second in combinations(usable, 2):
        if (first, second) in known or (second, first) in known:
            continue
        group = grouped([codes[first], codes[second]])
        if not _repeats(group):
            continue
        for dependent in usable:
            if dependent in (first, second) or {(first, dependent), (second, dependent)} & known:
                continue
            strength = kappa(group, codes[dependent])
            if strength >= KAPPA_OF_TWO:
                yield Dependency((first, second), dependent, strength)


def _is_measured(column: TextColumn) -> bool:
    """Numbers with a fraction are measured: they determine nothing, though few may have the same."""
    return column.share(~np.isnan(column.numbers) & column.values.str.contains(r"\.[0-9]*[1-9]").to_numpy()) > MEASURED


def _repeats(code: np.ndarray) -> bool:
    """Whether most values occur in several rows."""
    sizes = np.bincount(code[code >= 0])
    return size_sum(sizes) >= max(FEW_ROWS, 0.5 * len(code[code >= 0]))
