"""A part of a table, read in order and little ahead: what is larger than memory."""

from collections.abc import Iterator, Sequence

import polars as pl

from assay.features.storage.parquet_files import ROWS_PER_GROUP
from assay.features.tables.lake import TableState
from assay.row_source import row_source

ROWS = 2 * ROWS_PER_GROUP  # are read at a time


def scan_in_order(state: TableState, partitions: Sequence[str]) -> pl.LazyFrame:
    """The rows that `TableState.scan` gives of these partitions, in its order."""
    if state.checkpointed is not None or state.protocol.get("minReaderVersion", 1) != 1:
        return state.scan(partitions)

    def frames(columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        for file in state.index.files(state.version, partitions, scanned=True):
            rows, first = state.scan_files([file]).select(columns), 0
            while (frame := rows.slice(first, ROWS).collect()).height:
                first += frame.height
                yield frame

    return row_source(state.schema, frames)
