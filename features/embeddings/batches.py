"""Batches without padding: rows of one exact token length, as many as a token budget allows."""

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]


def exact_length_batches(lengths: NDArray[np.integer], max_tokens: int) -> list[Rows]:
    """Row numbers grouped so that a batch has one length and at most `max_tokens` tokens (or one row), longest first.

    `lengths` has shape (n,), in tokens. Within a length rows keep their order, so that the same rows in the same order
    always meet the same neighbours: the last bits of a vector depend on its batch.
    """
    if not len(lengths):
        return []
    order = np.argsort(-lengths.astype(np.int64), kind="stable")
    starts = np.flatnonzero(np.diff(lengths[order], prepend=-1))
    batches: list[Rows] = []
    for bucket in np.split(order, starts[1:]):
        size = max(1, max_tokens // max(1, int(lengths[bucket[0]])))
        batches += [bucket[start : start + size] for start in range(0, len(bucket), size)]
    return batches
