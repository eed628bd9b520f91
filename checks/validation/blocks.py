"""A scanned batch on disk in blocks of rows: written and read one after the other, so that memory holds one."""

import io
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from assay.errors import AssayError
from assay.row_source import RowSource

ROWS = 245_760  # of a block: two row groups of a data file
CACHED = 2 << 30  # bytes of a batch


@dataclass(slots=True)
class Blocks:
    """Frames with the same columns, each in a file of `folder`.

    alias: what a column is in a frame that lacks it, such as the original of a column that was plain there.
    """

    folder: Path
    alias: Callable[[str], str] = str
    schema: pl.Schema = field(default_factory=pl.Schema)
    heights: list[int] = field(default_factory=list)
    _columns: list[Collection[str]] = field(default_factory=list)
    _size: int = 0  # bytes in memory of all blocks

    @property
    def height(self) -> int:
        """How many rows all blocks have."""
        return sum(self.heights)

    def add(self, frame: pl.DataFrame) -> None:
        """Write the next block. Raises AssayError if the folder holds one of another batch."""
        self._size += int(frame.estimated_size())
        # It is read a moment later. Compressing costs more than writing what the system's cache of files holds, and less than
        # writing five times as much to the disk.
        frame.write_ipc(self.reserve(), compression="uncompressed" if self._size <= CACHED else "lz4")
        self.schema = pl.Schema(self.schema | frame.schema)
        self.heights.append(frame.height)
        self._columns.append(frozenset(frame.columns))

    def reserve(self) -> Path:
        """The file of the next block, empty, for this user only. Raises AssayError if the folder holds one of another batch."""
        file = self._file(len(self.heights))
        try:
            file.touch(mode=0o600, exist_ok=False)
        except FileExistsError:
            raise AssayError(
                f"{self.folder} holds a batch already; give each batch an empty folder of its own"
            ) from None
        return file

    def rows(
        self, beside: pl.DataFrame | None = None, which: pl.Series | None = None, columns: Sequence[str] | None = None
    ) -> RowSource:
        """The rows with some columns next to them, one value a row; only those where `which` is true, only these `columns`."""
        added = pl.DataFrame() if beside is None else beside
        schema = pl.Schema(self.schema | added.schema)

        def made(wanted: Sequence[str]) -> Iterator[pl.DataFrame]:
            own, others = [name for name in wanted if name in self.schema], added.select(set(wanted) - set(self.schema))
            first, given = 0, False
            for number, height in enumerate(self.heights):
                chosen = None if which is None else which.slice(first, height)
                if chosen is None or chosen.any():
                    parts = [self.read(number, own)] if own else []
                    frame = pl.concat([*parts, others.slice(first, height)], how="horizontal").select(wanted)
                    yield frame if chosen is None or chosen.all() else only(frame, chosen)
                    given = True
                first += height
            if not given:
                yield pl.DataFrame(schema={name: schema[name] for name in wanted})

        return RowSource(schema if columns is None else pl.Schema({name: schema[name] for name in columns}), made)

    def read(self, number: int, columns: Sequence[str]) -> pl.DataFrame:
        """These columns of a block."""
        stored = self._columns[number]
        wanted = [name if name in stored else pl.col(self.alias(name)).alias(name) for name in columns]
        return pl.scan_ipc(self._file(number), glob=False).select(wanted).collect()

    def _file(self, number: int) -> Path:
        return self.folder / f"rows-{number:06d}.arrow"


def only(frame: pl.DataFrame, which: pl.Series) -> pl.DataFrame:
    """The rows for which it is true. They would keep the texts of all rows in memory, so a few of them are written anew."""
    rows = frame.filter(which)
    if rows.height * 4 > frame.height:
        return rows
    copy = io.BytesIO()
    rows.write_ipc(copy, compat_level=pl.CompatLevel.oldest())  # with each text once, and no others
    copy.seek(0)
    return pl.read_ipc(copy)


def in_blocks(batch: pl.LazyFrame | RowSource) -> Iterator[pl.DataFrame]:
    """The rows of a query in frames no larger than a block: at least one frame. It runs once."""
    if isinstance(batch, RowSource):
        frames, schema = batch.frames(), batch.schema
    else:
        frames, schema = batch.collect_batches(chunk_size=ROWS, engine="streaming"), batch.collect_schema()
    given = False
    for frame in frames:
        for part in frame.iter_slices(ROWS):
            yield part
            given = True
    if not given:
        yield pl.DataFrame(schema=schema)
