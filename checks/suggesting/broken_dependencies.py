"""Cells that break dependencies which the rest of the table keeps.

Where A determines B and a row has another B than the others with its A, one of the two is wrong. The other dependencies tell
which: they vote for or against each cell, the cell with most against it is taken, and what it explains counts no more.
"""

from collections.abc import Sequence

import numpy as np

from assay.checks.suggesting.conflicting_sources import reports_in
from assay.checks.suggesting.dependencies import Dependency, codes_of, dependencies, grouped
from assay.checks.suggesting.finding import Finding, Findings
from assay.checks.suggesting.text_column import TextColumn
from assay.checks.suggesting.votes import Votes, vote

#: One dependency alone convinces so far (log odds).
MOST_EVIDENCE = 2.6
#: Together they must say so much against a cell: three rows against one do.
LEAST_SAID = 0.5
#: What further dependencies against the same cell add.
MORE = 0.25
#: So many cells of a row are looked for.
MOST_CELLS = 4
#: Rows that each side has beforehand, so that two against one say little.
PRIOR = 0.8
#: How much less counts against a value for each e-fold of the rows in the group that have it.
REPEATED = 0.7
#: A dependency that says so much of what the strongest one says is named, if it has fewer determinants.
NEARLY = 0.9
#: Where in large groups at least so many cells are apart, and this share of them not alone with its value, a group may have two
#: right values, and evidence is worth so much less.
LARGE, FEW_APART, AGAIN, TWO_RIGHT = 8, 10, 0.5, 0.35
#: Where a larger share of the cells is apart, that is how the column is.
OFTEN = 0.05
#: A cell without a value says less: it may be optional.
NULLS = 0.6


def broken_dependencies(columns: Sequence[TextColumn]) -> Findings:
    codes = codes_of(columns)
    # Who reports and what about are the key of a table of reports: what is reported does not tell against them.
    reports = reports_in(columns, codes)
    key = (reports.source, reports.thing) if reports else ()
    found = [dep for dep in dependencies(columns) if dep.dependent not in key]
    if not found:
        return
    votes = [vote(grouped([codes[d] for d in dep.determinants]), codes[dep.dependent]) for dep in found]
    evidence = [_log_odds(counts, codes[dep.dependent], dep, columns) for dep, counts in zip(found, votes, strict=True)]
    blamed = _blamed(found, evidence, len(columns), columns[0].rows)
    for column, rows, odds in blamed:
        yield from _findings(columns, found, votes, evidence, column, rows, odds)


def _log_odds(votes: Votes, value: np.ndarray, dep: Dependency, columns: Sequence[TextColumn]) -> np.ndarray:
    """What a dependency says against each cell: positive where others of its group have another value."""
    own, other = votes.own, votes.other
    present = value >= 0
    # Slips scatter: another value that several rows of the group share is rather a second right one.
    evidence = np.log((other + PRIOR) / (own + PRIOR)) - np.where(
        other > own, REPEATED * np.log(np.maximum(own, 1)), 0.0
    )
    # Of a group with one row nothing is known; a tie says nothing.
    evidence[(votes.size < 2) | (other == own)] = 0.0
    evidence[(evidence < 0) & (own < other)] = 0.0
    evidence[(own > other) & (own + other < 3)] *= 0.5
    evidence[(other > own) & (other < 2)] = 0.0
    if _has_second_values(votes, present):
        evidence[evidence > 0] *= TWO_RIGHT
    column = columns[dep.dependent]
    optional = 1 - column.present / column.rows
    evidence[~present] = np.where(evidence[~present] > 0, evidence[~present] * NULLS * (1 - optional), 0.0)
    scale = min(1.0, max(0.0, dep.kappa))
    return np.clip(evidence, -MOST_EVIDENCE, MOST_EVIDENCE * scale).astype(np.float32)


def _has_second_values(votes: Votes, present: np.ndarray) -> bool:
    """Whether the other values of large groups come several times there, or so many cells are apart as no slips would be: then
    a group may have two right values, and what is alone in a small group may be the second."""
    apart = present & (votes.other > votes.own)
    if int(apart.sum()) > OFTEN * int((present & (votes.size >= 3)).sum()):
        return True
    large = apart & (votes.size >= LARGE)
    return int(large.sum()) >= FEW_APART and float((votes.own[large] >= 2).mean()) >= AGAIN


def _blamed(
    found: Sequence[Dependency], evidence: Sequence[np.ndarray], columns: int, rows: int
) -> list[tuple[int, np.ndarray, np.ndarray]]:
    """(column, rows, log odds) of the cells that explain what is broken."""
    evidence = [odds.copy() for odds in evidence]
    blamed: list[tuple[int, np.ndarray, np.ndarray]] = []
    taken = np.zeros((columns, rows), dtype=bool)
    for _ in range(MOST_CELLS):
        sums, single = (np.zeros((columns, rows), dtype=np.float32) for _ in range(2))
        for dep, odds in zip(found, evidence, strict=True):
            sums[dep.dependent] += odds
            np.maximum(single[dep.dependent], odds, out=single[dep.dependent])
        sums[taken] = -np.inf
        worst = sums.argmax(axis=0)
        strength = sums.max(axis=0)
        alone = np.take_along_axis(single, worst[None, :], axis=0)[0]
        hit = (strength > LEAST_SAID) & (alone > LEAST_SAID)
        if not hit.any():
            break
        for column in np.unique(worst[hit]):
            chosen = np.flatnonzero(hit & (worst == column))
            # Where another cell of the row explains it as well, either may be wrong.
            rival = np.delete(sums[:, chosen], column, axis=0).max(axis=0, initial=-np.inf)
            # Columns that determine each other have the same rows in their groups, which would vote several times.
            odds = alone[chosen] + MORE * (strength[chosen] - alone[chosen])
            odds = odds - np.where(rival > 0.9 * strength[chosen], 1.2, 0.0)
            blamed.append((int(column), chosen, odds))
            taken[column, chosen] = True
            for dep, each in zip(found, evidence, strict=True):
                if column in dep.determinants:
                    each[chosen] = 0.0
    return blamed


def _findings(
    columns: Sequence[TextColumn],
    found: Sequence[Dependency],
    votes: Sequence[Votes],
    evidence: Sequence[np.ndarray],
    column: int,
    rows: np.ndarray,
    odds: np.ndarray,
) -> Findings:
    """One finding a cell: by the dependency that says most against it."""
    # Where one column says as much as two, the second is not needed.
    against = sorted(
        (i for i, dep in enumerate(found) if dep.dependent == column), key=lambda i: len(found[i].determinants)
    )
    weights = np.stack([evidence[i][rows] for i in against])
    strongest = np.argmax(weights >= NEARLY * weights.max(axis=0), axis=0)
    for row, which, log_odds in zip(rows.tolist(), strongest.tolist(), odds.tolist(), strict=True):
        dep, counts = found[against[which]], votes[against[which]]
        given = tuple(columns[i].name for i in dep.determinants)
        names = " and ".join(given)
        others = int(counts.other[row])
        has = "no value" if columns[column].codes[row] < 0 else "another one"
        reason = (
            f"{others:,} of the {int(counts.size[row]):,} rows with the same {names} have one value, this row has {has}; "
            f"{names} determines {columns[column].name} in {max(0.0, dep.kappa):.1%} of pairs beyond chance."
        )
        confidence = 1 / (1 + np.exp(-min(log_odds, 3.5)))
        expected = columns[column].texts[int(counts.best[row])]
        yield Finding(columns[column].name, np.array([row]), float(confidence), reason, expected, given)
