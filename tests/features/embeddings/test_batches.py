import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from assay.features.embeddings.batches import exact_length_batches


@given(st.lists(st.integers(0, 12), max_size=60), st.integers(1, 40))
def test_every_row_once_in_full_batches_of_one_length_within_the_budget(lengths: list[int], max_tokens: int) -> None:
    batches = [batch.tolist() for batch in exact_length_batches(np.array(lengths, dtype=np.int64), max_tokens)]

    expected = []
    for length in sorted(set(lengths), reverse=True):
        rows = [row for row, n in enumerate(lengths) if n == length]
        size = max(1, max_tokens // max(1, length))
        expected += [rows[start : start + size] for start in range(0, len(rows), size)]
    assert batches == expected
    assert all(len(batch) == 1 or sum(lengths[row] for row in batch) <= max_tokens for batch in batches)
