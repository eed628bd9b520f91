"""Rows of a group vote on what a cell should be: how many have its value, and how many the most frequent other one."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Votes:
    """For each row: the weight of its own value in its group, of the strongest other value, that value (-1: none), and the
    rows of the group with a value. All zero where the row has no group. A row without a value has the weight of those without."""

    own: np.ndarray
    other: np.ndarray
    best: np.ndarray
    size: np.ndarray


def vote(group: np.ndarray, value: np.ndarray, weight: np.ndarray | None = None) -> Votes:
    """Count (or weigh) the values of each group. `group` and `value` are numbers, -1 where there is none."""
    rows = len(group)
    own, other = np.zeros(rows), np.zeros(rows)
    best, size = np.full(rows, -1, dtype=np.int64), np.zeros(rows, dtype=np.int64)
    inside = np.flatnonzero(group >= 0)
    if not len(inside):
        return Votes(own, other, best, size)
    g, v = group[inside], value[inside]
    w = np.ones(len(g)) if weight is None else weight[inside]
    span = int(v.max()) + 2
    pairs, inverse = np.unique(g * span + v + 1, return_inverse=True)
    weights = np.bincount(inverse, weights=w)
    pair_group, pair_value = pairs // span, pairs % span - 1
    real = pair_value >= 0
    order = np.lexsort((-weights[real], pair_group[real]))
    groups, values, sums = pair_group[real][order], pair_value[real][order], weights[real][order]
    first = np.searchsorted(groups, np.arange(int(g.max()) + 2))
    start, end = first[g], first[g + 1]
    padded_values, padded_sums = np.append(values, [-1, -1]), np.append(sums, [0.0, 0.0])
    top = np.where(end > start, padded_values[start], -1)
    is_top = (top == v) & (v >= 0)
    at = start + is_top
    there = at < end
    own[inside] = weights[inverse]
    other[inside] = np.where(there, padded_sums[at], 0.0)
    best[inside] = np.where(there, padded_values[at], -1)
    size[inside] = np.bincount(g[v >= 0], minlength=int(g.max()) + 1)[g]
    return Votes(own, other, best, size)
