"""A part of a table, read in order and little ahead: what is larger than memory."""

from collections.abc import Iterator, Sequence

import polars as pl

from assay.features.storage.parquet_files import ROWS_PER_GROUP
from assay.features.tables.lake import TableState
from assay.row_source import RowSource

ROWS = 2 * ROWS_PER_GROUP  # are read at a time


def scan_in_order(state: TableState, partitions: Sequence[str]) -> RowSource:
    """The rows that `TableState.scan` gives of these partitions, in its order."""
    plain = state.checkpointed is None and state.protocol.get("minReaderVersion", 1) == 1

    def made(columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        files = state.index.files(state.version, partitions, scanned=True) if plain else ()
        for rows in [state.scan_files([file]) for file in files] if plain else [state.scan(partitions)]:
            query, first = rows.select(columns), 0
            while (frame := query.slice(first, ROWS).collect()).height:
                first += frame.height
                yield frame
                del frame  # before the next one is read

    return RowSource(state.schema, made)
