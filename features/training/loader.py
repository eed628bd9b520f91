"""The rows of a training set in batches: one block at a time is held, and every file is what the log says before it is used."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from assay.errors import AssayError
from assay.features.training.matrix import Matrix, matrix
from assay.features.training.order import Order, Span
from assay.features.training.rows import RowFile


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Some rows: their places in the epoch's sequence, the matrix of features, and the labels."""

    span: Span
    features: Matrix
    label: Matrix | None


@dataclass(frozen=True, slots=True, eq=False)
class BlockReader:
    """Reads blocks into matrices.

    Args:
        files: The files, in order.
        columns: Of the matrix.
        wide: How many columns of the matrix each is.
        label: The column of labels.
    """

    files: Sequence[RowFile]
    columns: Sequence[str]
    wide: Sequence[int]
    label: str | None
    verified: set[int] = field(default_factory=set)

    def read(self, order: Order, block: int, first: int, last: int) -> tuple[Matrix, Matrix | None]:
        """A part of a block in the epoch's order: features (float32) and labels."""
        place = order.blocks[block]
        if place.file not in self.verified:
            self.files[place.file].check()
            self.verified.add(place.file)
        chosen = [*self.columns, *([self.label] if self.label and self.label not in self.columns else [])]
        # In memory: the streaming engine would start as many threads in every worker.
        query = self.files[place.file].frame.select(chosen).slice(place.first, place.size)
        frame = query.collect(engine="in-memory")
        within = order.within(block)
        rows = None if within is None else within[first:last]
        if rows is None:
            frame = frame[first:last]
        features = matrix(frame, self.columns, self.wide, np.float32, rows)
        return features, None if self.label is None else _labels(frame[self.label], rows)


def _labels(column: pl.Series, rows: Matrix | None) -> Matrix:
    if column.null_count():
        raise AssayError(f"Column {column.name!r} holds nulls, which are no labels: leave those rows out of the spine.")
    if column.dtype == pl.Boolean:
        column = column.cast(pl.UInt8)
    if not column.dtype.is_numeric():
        raise AssayError(f"Column {column.name!r} is {column.dtype}, which is no number: encode the label first.")
    values = column.to_numpy()
    # A copy: what Polars gives may not be written to, which torch asks of its tensors.
    return values.copy() if rows is None else values[rows]


def batches(
    reader: BlockReader, order: Order, spans: Sequence[Span], size: int, *, drop_last: bool = False
) -> Iterator[Batch]:
    """The rows at spans of positions, in batches of `size` rows. A batch ends where its span does."""
    for span in spans:
        held: list[tuple[Matrix, Matrix | None]] = []
        count, begin = 0, span[0]
        for _, block, first, last in order.pieces([span]):
            features, label = reader.read(order, block, first, last)
            done = 0
            while done < len(features):
                take = min(size - count, len(features) - done)
                part = (features[done : done + take], None if label is None else label[done : done + take])
                held.append(part)
                count, done = count + take, done + take
                if count == size:
                    yield _batch(held, begin, count)
                    held, begin, count = [], begin + count, 0
            del features, label
        if count and not drop_last:
            yield _batch(held, begin, count)


def _batch(held: Sequence[tuple[Matrix, Matrix | None]], begin: int, count: int) -> Batch:
    """Batches that lie within a block are views of its matrix: nothing is copied."""
    if len(held) == 1:
        return Batch((begin, begin + count), *held[0])
    labels: list[Any] = [label for _, label in held if label is not None]
    features = np.concatenate([features for features, _ in held])
    return Batch((begin, begin + count), features, np.concatenate(labels) if labels else None)
