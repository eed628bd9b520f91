"""Rows that are made while they are read: a lazy frame over them, of which memory holds a few frames."""

from collections.abc import Callable, Iterator, Sequence

import polars as pl

# Polars takes a number of frames ahead of what is done with them, whatever their size.
ROWS_AT_ONCE = 30_720

#: The columns that are wanted, to frames with these columns in this order. It may be called several times.
Frames = Callable[[Sequence[str]], Iterator[pl.DataFrame]]


def row_source(schema: pl.Schema, frames: Frames) -> pl.LazyFrame:
    """The rows of these frames, in their order.

    Polars reads several files, and row groups of them, ahead of a slow reader: gigabytes of a large table. Here it gets small
    frames one after the other, so that what waits is small.
    """
    from polars.io.plugins import register_io_source

    def made(
        columns: list[str] | None, predicate: pl.Expr | None, rows: int | None, size: int | None
    ) -> Iterator[pl.DataFrame]:
        del size
        for frame in frames(schema.names() if columns is None else columns):
            for part in frame.iter_slices(ROWS_AT_ONCE):
                if rows is not None:
                    part, rows = part.head(rows), rows - part.height
                yield part if predicate is None else part.filter(predicate)
                if rows is not None and rows <= 0:
                    return

    return register_io_source(made, schema=schema)
