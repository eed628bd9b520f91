"""Tables that hold changes: inserted, changed and deleted rows of a table elsewhere, batch by batch. What they are now, and were.

A row of such a table stands for its key from the moment when it was seen until the next row of the key. A deleted row says
that from then on there is none.
"""

from collections.abc import Sequence

import polars as pl

from assay.features.storage.parquet_files import PARTITION
from assay.own_columns import CHANGE, DELETE

_NUMBER = "_row_number"


def current_rows(rows: pl.LazyFrame, keys: Sequence[str]) -> pl.LazyFrame:
    """Of rows with changes the last one of each key, unless that was deleted."""
    latest = rows.filter(pl.col(PARTITION) == pl.col(PARTITION).max().over(keys))
    if _NUMBER in rows.collect_schema():  # batches of before the table was compared may have a key several times
        latest = latest.filter(pl.col(_NUMBER) == pl.col(_NUMBER).max().over(keys))
    return latest.filter(pl.col(CHANGE).ne_missing(DELETE))
