"""A scanned batch on disk in blocks of rows: written and read one after the other, so that memory holds one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from assay.errors import AssayError
from assay.row_source import row_source

ROWS = 245_760  # of a block: two row groups of a data file


@dataclass(slots=True)
class Blocks:
    """Frames with the same columns, each in a file of `folder`."""

    folder: Path
    schema: pl.Schema = field(default_factory=pl.Schema)
    heights: list[int] = field(default_factory=list)

    @property
    def height(self) -> int:
        """How many rows all blocks have."""
        return sum(self.heights)

    def add(self, frame: pl.DataFrame) -> None:
        """Write the next block. Raises AssayError if the folder holds one of another batch."""
        file = self._file(len(self.heights))
        try:
            file.touch(mode=0o600, exist_ok=False)
        except FileExistsError:
            raise AssayError(
                f"{self.folder} holds a batch already; give each batch an empty folder of its own"
            ) from None
        frame.write_parquet(file, compression="lz4", statistics=False)
        self.schema = frame.schema
        self.heights.append(frame.height)

    def lazy(self, beside: pl.DataFrame | None = None) -> pl.LazyFrame:
        """The rows, with these columns next to them, one value a row."""
        added = pl.DataFrame() if beside is None else beside
        schema = pl.Schema(self.schema | added.schema)
        return row_source(schema, lambda columns: self._frames(columns, added))

    def _frames(self, columns: Sequence[str], beside: pl.DataFrame) -> Iterator[pl.DataFrame]:
        own = [name for name in columns if name in self.schema]
        added = beside.select(name for name in columns if name not in self.schema)
        first = 0
        for number, height in enumerate(self.heights):
            parts = [pl.read_parquet(self._file(number), columns=own, glob=False)] if own else []
            yield pl.concat([*parts, added.slice(first, height)], how="horizontal").select(columns)
            first += height

    def _file(self, number: int) -> Path:
        return self.folder / f"rows-{number:06d}.parquet"


def in_blocks(batch: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    """The rows of a query in frames as large as a block, but for the last: at least one frame. It runs once."""
    given = False
    for frame in batch.collect_batches(chunk_size=ROWS, maintain_order=True, engine="streaming"):
        for part in frame.iter_slices(ROWS):
            yield part
            given = True
    if not given:
        yield pl.DataFrame(schema=batch.collect_schema())
