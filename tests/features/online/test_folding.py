"""Folding rows in pieces, in any order, against the newest row by brute force."""

from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.features.online.folding import fold, settle

SCHEMA = {
    "_key0": pl.Int64,
    "_time": pl.Int64,
    "_known": pl.Int64,
    "_available": pl.Int64,
    "_partition": pl.String,
    "_gone": pl.Boolean,
    "n": pl.Int64,
}
ROWS = st.lists(st.tuples(st.integers(1, 2), st.integers(0, 5), st.integers(0, 5), st.sampled_from("ab")), max_size=14)


def newest(rows: list[Any], key: int, moment: int) -> Any:
    """Of the rows that are available then the last one by event time, known time and partition; of equal ones the last."""
    there = [row for row in rows if row[0] == key and row[3] <= moment]
    return max(enumerate(there), key=lambda one: (one[1][1], one[1][2], one[1][4], one[0]))[1][6] if there else None


@settings(max_examples=100)
@given(ROWS, st.integers(0, 6), st.integers(1, 5), st.booleans())
def test_any_pieces_give_the_newest_row(rows: list[Any], at: int, size: int, known: bool) -> None:
    data = [
        (key, time, lag, max(time, time + lag) if known else time, partition, False, number)
        for number, (key, time, lag, partition) in enumerate(rows)
    ]
    data.sort(key=lambda row: row[4])  # rows of one partition come in their order
    frame = pl.DataFrame(data, schema=SCHEMA, orient="row")
    kept = frame.clear()
    for piece in frame.iter_slices(size):
        kept = fold(pl.concat([kept, piece]), ["_key0"], at, lookup=False)
    kept = settle(kept, ["_key0"], at, lookup=False)
    for key in (1, 2):
        for moment in range(at, 12):
            mine = kept.filter((pl.col("_key0") == key) & (pl.col("_available") <= moment))
            found = mine["n"].to_list()[-1] if mine.height else None
            assert found == newest(data, key, moment)
    assert kept.filter(pl.col("_available") <= at).height <= 2, "of what is past, one row for each key"
