"""Votes within groups, against counting by hand."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.checks.suggesting.votes import vote

ROWS = st.lists(st.tuples(st.integers(-1, 3), st.integers(-1, 4), st.integers(1, 9)), max_size=40)


@given(ROWS)
def test_votes_are_those_counted_by_hand(rows: list[tuple[int, int, int]]) -> None:
    group, value, weight = (np.array([row[i] for row in rows], dtype=np.int64) for i in range(3))
    for weights in (None, weight.astype(float)):
        votes = vote(group, value, weights)
        for row, (g, v, _) in enumerate(rows):
            inside = [i for i in range(len(rows)) if g >= 0 and rows[i][0] == g]
            sums: Counter[int] = Counter()
            for i in inside:
                sums[rows[i][1]] += 1 if weights is None else rows[i][2]
            others = {candidate: total for candidate, total in sums.items() if candidate not in (v, -1)}
            assert votes.own[row] == pytest.approx(sums[v] if inside else 0)
            assert votes.other[row] == pytest.approx(max(others.values(), default=0))
            assert votes.size[row] == sum(1 for i in inside if rows[i][1] >= 0)
            if others:
                assert others[int(votes.best[row])] == max(others.values())
            else:
                assert votes.best[row] == -1
