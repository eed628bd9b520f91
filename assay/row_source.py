"""Rows that are made while they are read, frame by frame, so that memory holds few of them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import polars as pl

# Polars takes a number of frames ahead of what is done with them, whatever their size.
ROWS_AT_ONCE = 30_720


@dataclass(frozen=True, slots=True)
class RowSource:
    """The rows of some frames, in their order.

    `make` is given the columns that are wanted, and gives frames with these in this order. It may be called several times.
    """

    schema: pl.Schema
    make: Callable[[Sequence[str]], Iterator[pl.DataFrame]]

    def frames(self) -> Iterator[pl.DataFrame]:
        """The rows as they are made, one frame after the other."""
        return self.make(self.schema.names())

    def lazy(self) -> pl.LazyFrame:
        """The rows for a query.

        Polars reads several files, and row groups of them, ahead of a slow reader: gigabytes of a large table. Here it gets
        small frames one after the other, so that what waits is small.
        """
        from polars.io.plugins import register_io_source

        def made(
            columns: list[str] | None, predicate: pl.Expr | None, rows: int | None, size: int | None
        ) -> Iterator[pl.DataFrame]:
            del size
            for frame in self.make(self.schema.names() if columns is None else columns):
                for part in frame.iter_slices(ROWS_AT_ONCE):
                    if rows is not None:
                        part, rows = part.head(rows), rows - part.height
                    yield part if predicate is None else part.filter(predicate)
                    if rows is not None and rows <= 0:
                        return

        return register_io_source(made, schema=self.schema)
