"""Several sources report one thing, and differ: the majority, in which a source weighs as much as it agrees with the others.

A table has sources if a column of few values (the source) and another (the thing) together tell its rows apart. The weights are
found as in truth discovery (Dong, Berti-Equille and Srivastava 2009, without copying): the log odds of agreeing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from assay.checks.suggesting.dependencies import KAPPA, MOST_COLUMNS, SCREENED_ROWS, codes_of, grouped, kappa
from assay.checks.suggesting.finding import Finding, Findings
from assay.checks.suggesting.text_column import TextColumn
from assay.checks.suggesting.votes import Votes, vote

#: A source is one of so many, and reports so many things; a thing has so many reports on average.
MOST_SOURCES, FEW_THINGS, FEW_REPORTS = 200, 5, 3
#: Of all pairs of a source and a thing so many are reported.
REPORTED = 0.2
#: So much of the rows a source and a thing tell apart.
APART = 0.95
#: Reports agree so far beyond chance, or they are not about one value.
AGREED = 0.15
ROUNDS = 4
#: A value of which there are fewer is a category, on which rows agree by chance.
FEW_VALUES = 10


@dataclass(frozen=True, slots=True)
class Reports:
    """A table of reports, by the indexes of its columns: who reports, what about, and what is reported."""

    source: int
    thing: int
    reported: tuple[int, ...]


def conflicting_sources(columns: Sequence[TextColumn]) -> Findings:
    codes = codes_of(columns)
    reports = reports_in(columns, codes)
    if reports is not None:
        for column in reports.reported:
            yield from _conflicts(columns, codes, reports.source, reports.thing, column)


def reports_in(columns: Sequence[TextColumn], codes: Sequence[np.ndarray]) -> Reports | None:
    """Which columns make the table one of reports, if it is one.

    What is reported agrees within a thing, though not always. Where most columns always do, as names and places of shops in
    a table of shops and months, the thing has these properties, and what differs between its rows may well differ.
    """
    some = [code[:SCREENED_ROWS] for code in codes]
    few = [i for i, c in enumerate(columns) if c.present == c.rows and 2 <= len(c.counts) <= c.rows / FEW_REPORTS]
    for source, thing in permutations(few[:MOST_COLUMNS], 2):
        if not _cross(columns[source], columns[thing], some[source], some[thing]):
            continue
        others = [i for i in range(len(columns)) if i not in (source, thing)]
        agreement = {i: kappa(some[thing], some[i]) for i in others}
        kept = [i for i in others if agreement[i] >= KAPPA]
        reported = [i for i in others if AGREED <= agreement[i] < KAPPA and len(columns[i].counts) >= FEW_VALUES]
        by_source = max((kappa(some[source], some[i]) for i in reported), default=0.0)
        if reported and len(reported) >= len(kept) and by_source < max(agreement[i] for i in reported):
            return Reports(source, thing, tuple(reported))
    return None


def _cross(source: TextColumn, thing: TextColumn, sources: np.ndarray, things: np.ndarray) -> bool:
    """Whether nearly each pair of the two columns occurs once, and a good part of all possible pairs."""
    rows, pairs = source.rows, len(source.counts) * len(thing.counts)
    if len(source.counts) > MOST_SOURCES or len(thing.counts) < FEW_THINGS or rows < FEW_REPORTS * len(thing.counts):
        return False
    if not APART * rows <= pairs <= rows / REPORTED:
        return False
    return int(grouped([sources, things]).max()) + 1 >= APART * len(sources)


def _conflicts(
    columns: Sequence[TextColumn], codes: Sequence[np.ndarray], source: int, thing: int, column: int
) -> Findings:
    votes = weighted_votes(codes[thing], codes[column], codes[source])
    counted = vote(codes[thing], codes[column])
    values = codes[column]
    missing = values < 0
    differs = ~missing & (votes.other > votes.own)
    # A gap that two others fill with one value is one whatever the number of gaps.
    agreed = missing & (counted.other >= 2)
    doubted = np.flatnonzero((differs | agreed) & (votes.best >= 0) & (counted.size >= 2))
    for row in doubted.tolist():
        own = 0.0 if missing[row] else votes.own[row]
        confidence = 0.95 * votes.other[row] / (votes.other[row] + own + 0.3)
        has = "none" if missing[row] else "another one"
        reason = (
            f"{int(counted.size[row]):,} rows report this {columns[thing].name}; the more reliable {columns[source].name} "
            f"agree on one value, and this row has {has}."
        )
        yield Finding(
            columns[column].name,
            np.array([row]),
            float(confidence * (0.8 if missing[row] else 1.0)),
            reason,
            columns[column].texts[int(votes.best[row])],
            (columns[thing].name,),
        )


def weighted_votes(thing: np.ndarray, value: np.ndarray, source: np.ndarray) -> Votes:
    """Votes on the value of each thing, in which a source weighs the log odds of agreeing with the outcome."""
    weight = np.ones(len(thing))
    votes = vote(thing, value, weight)
    present = value >= 0
    reports = np.bincount(source[present], minlength=int(source.max()) + 1)
    for _ in range(ROUNDS):
        agrees = present & (votes.own >= votes.other)
        right = np.bincount(source[agrees], minlength=len(reports))
        accuracy = np.clip((right + 1) / (reports + 2), 0.05, 0.98)
        weight = np.clip(np.log(accuracy / (1 - accuracy)), 0.05, None)[source]
        votes = vote(thing, value, weight)
    return votes
