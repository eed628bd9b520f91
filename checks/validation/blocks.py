"""A scanned batch on disk in blocks of rows: written and read one after the other, so that memory holds one."""

import io
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path

import polars as pl

from assay.errors import AssayError
from assay.row_source import RowSource

ROWS = 245_760  # of a block: two row groups of a data file
CACHED = 2 << 30  # bytes of a batch


@dataclass(slots=True)
class Blocks:
    """Frames with the same columns. Of each a file of `folder` has what cannot be read from the batch again.

    alias: what a column is where there is none of its name, such as the original of a column that was plain in a block.
    batch: the batch, if it can be read again: that costs less than writing here what a table holds already.
    """

    folder: Path
    alias: Callable[[str], str] = str
    batch: RowSource | None = None
    schema: pl.Schema = field(default_factory=pl.Schema)
    heights: list[int] = field(default_factory=list)
    _columns: list[Collection[str]] = field(default_factory=list)
    _size: int = 0  # bytes in memory of what is in the files

    @property
    def height(self) -> int:
        """How many rows all blocks have."""
        return sum(self.heights)

    def add(self, frame: pl.DataFrame, made: Collection[str] = ()) -> None:
        """Write the next block, of a batch that can be read again only the columns that were `made` of its own. Raises AssayError
        if the folder holds one of another batch."""
        part = frame if self.batch is None else frame.select(name for name in frame.columns if name in made)
        self._size += int(part.estimated_size())
        # It is read a moment later. Compressing costs more than writing what the system's cache of files holds, and less than
        # writing five times as much to the disk.
        part.write_ipc(self.reserve(), compression="uncompressed" if self._size <= CACHED else "lz4")
        self.schema = pl.Schema(self.schema | frame.schema)
        self.heights.append(frame.height)
        self._columns.append(frozenset(part.columns))

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
            given = False
            for first, block in self.read(own, which):
                chosen = None if which is None else which.slice(first, block.height)
                frame = (
                    pl.concat([block, others.slice(first, block.height)], how="horizontal") if others.width else block
                )
                frame = frame.select(wanted)
                yield frame if chosen is None or chosen.all() else only(frame, chosen)
                given = True
                del block, frame  # before the next one is read
            if not given:
                yield pl.DataFrame(schema={name: schema[name] for name in wanted})

        return RowSource(schema if columns is None else pl.Schema({name: schema[name] for name in columns}), made)

    def read(self, columns: Sequence[str], which: pl.Series | None = None) -> Iterator[tuple[int, pl.DataFrame]]:
        """These columns of the blocks of which `which` is true for any row (None: of all), each with its first row's position."""
        first, batch = 0, self._from_batch(columns)
        for number, height in enumerate(self.heights):
            delivered = next(batch)
            if which is None or which.slice(first, height).any():
                yield first, self._joined(number, columns, delivered) if columns else pl.DataFrame(height=height)
            del delivered  # before the next one is read
            first += height

    def _from_batch(self, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Of each block the columns of the batch that are in some block's stead: none where the files have all."""
        lacking = (self.alias(name) for name in columns if not all(name in stored for stored in self._columns))
        wanted = [] if self.batch is None else list(dict.fromkeys(lacking))
        return cut(self.batch.make(wanted), self.heights) if self.batch and wanted else repeat(pl.DataFrame())

    def _joined(self, number: int, columns: Sequence[str], delivered: pl.DataFrame) -> pl.DataFrame:
        stored = self._columns[number]
        if self.batch is None:
            wanted = [name if name in stored else pl.col(self.alias(name)).alias(name) for name in columns]
            return pl.scan_ipc(self._file(number), glob=False).select(wanted).collect()
        there = [name for name in columns if name in stored]
        made = pl.scan_ipc(self._file(number), glob=False).select(there).collect() if there else pl.DataFrame()
        return pl.DataFrame(
            [made[name] if name in stored else delivered[self.alias(name)].alias(name) for name in columns]
        )

    def _file(self, number: int) -> Path:
        return self.folder / f"rows-{number:06d}.arrow"


def cut(frames: Iterator[pl.DataFrame], heights: Sequence[int]) -> Iterator[pl.DataFrame]:
    """The rows of these frames in frames of these heights. Raises AssayError if there are not as many."""
    rest: pl.DataFrame | None = None
    for height in heights:
        parts, lacking = list[pl.DataFrame](), height
        while lacking:
            rest = next(frames, None) if rest is None else rest
            if rest is None:
                raise AssayError("The batch has fewer rows than when it was read first: validate it again.")
            parts.append(rest.head(lacking))
            lacking -= parts[-1].height
            rest = (
                rest.slice(parts[-1].height) if parts[-1].height < rest.height else None
            )  # of no rows it would keep all
        yield pl.concat(parts, rechunk=False)


def only(frame: pl.DataFrame, which: pl.Series) -> pl.DataFrame:
    """The rows for which it is true. They would keep the texts of all rows in memory, so a few of them are written anew."""
    rows = frame.filter(which)
    return rows if rows.height * 4 > frame.height else anew(rows)


def anew(rows: pl.DataFrame) -> pl.DataFrame:
    """The same rows, which keep nothing in memory of those that they were taken from."""
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
