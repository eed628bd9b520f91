"""A training set as a torch dataset: batches of tensors, split over workers and ranks, shuffled by a seed, resumed.

This is the only module here that imports torch.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from assay.errors import AssayError
from assay.features.training.loader import Batch, BlockReader, batches
from assay.features.training.matrix import Matrix, matrix_columns, matrix_names, numeric, widths
from assay.features.training.order import Order, Span, blocks_of, joined, part_of, without
from assay.features.training.rows import LoadedRows

Tensors = tuple[torch.Tensor, torch.Tensor] | torch.Tensor
_PROCESS = os.getpid()


class TorchRows(IterableDataset[Tensors]):
    """Batches of a training set: `(features, label)`, or features alone. Made by `TrainingSetVersion.torch`.

    Each iteration is an epoch. One that came to its end makes the next one have the next epoch's order; one that was broken
    off begins again. `state_dict()` says what has been handed out of the epoch, and after `load_state_dict()` the next iteration
    gives the rest.
    """

    def __init__(
        self,
        rows: LoadedRows,
        *,
        columns: Sequence[str] | None = None,
        label: str | None = None,
        batch_size: int = 1024,
        shuffle_seed: int | None = None,
        rank: int = 0,
        world: int = 1,
        drop_last: bool = False,
        taken: Matrix | None = None,
    ) -> None:
        super().__init__()
        where = f"Loading {rows.id}"
        if batch_size < 1:
            raise AssayError(f"{where}: batch_size is at least 1.")
        if not 0 <= rank < world:
            raise AssayError(f"{where}: rank counts from 0 to world - 1; {rank} of {world} is none of these.")
        files = rows.row_files()
        schema = rows.scan_unchecked().collect_schema()
        self.columns = list(columns) if columns is not None else numeric(schema, rows.feature_columns)
        if not self.columns:
            raise AssayError(f"{where}: none of its features is a number: name the columns to take, columns=[…].")
        matrix_columns(schema, [*self.columns, *([label] if label else [])], where)
        self.label, self.batch_size, self.drop_last = label, batch_size, drop_last
        self.rank, self.world, self.seed = rank, world, shuffle_seed
        self._rows, self._blocks = rows, tuple(blocks_of([file.rows for file in files], taken))
        self._wide = _wide(rows, schema, self.columns, where)
        self._places = False
        state = hashlib.sha256(b"" if taken is None else taken.tobytes())
        state.update("\n".join([rows.manifest["content_digest"], *(file.path for file in files)]).encode())
        self._digest = state.hexdigest()
        self._epoch, self._begun, self._done = 0, list[Span](), list[Span]()

    @property
    def names(self) -> list[str]:
        """The names of the matrix's columns: those of a list are `vector[0]`, `vector[1]`, …"""
        return matrix_names(self.columns, self._wide)

    @property
    def rows(self) -> int:
        """How many rows an epoch has, over all ranks."""
        return sum(block.rows for block in self._blocks)

    @property
    def epoch(self) -> int:
        """The number of the epoch that the next iteration gives."""
        return self._epoch

    def set_epoch(self, epoch: int) -> None:
        """Give the order of an epoch, from its beginning, in the next iteration."""
        self._epoch, self._begun, self._done = epoch, [], []

    def __iter__(self) -> Iterator[Tensors]:
        worker = get_worker_info()
        if worker is None:
            yield from self._counted((_tensors(batch), batch.span) for batch in self._batches(0, 1))
            return
        if os.getpid() != _PROCESS:
            raise AssayError(
                "DataLoader forked its workers, in which Polars cannot read: give it multiprocessing_context='spawn', or take "
                "dataset.loader(num_workers=…)."
            )
        for batch in self._batches(worker.id, worker.num_workers):
            yield (_tensors(batch), batch.span) if self._places else _tensors(batch)  # pyright: ignore[reportReturnType]

    def loader(self, num_workers: int = 0, **options: Any) -> Iterator[Tensors]:
        """One epoch, read by worker processes, with `state_dict()` of this dataset counting what was handed out.

        Args:
            num_workers: How many processes read; 0: this one.
            **options: Of torch's `DataLoader`, such as `pin_memory` or `prefetch_factor`.
        """
        if not num_workers:
            return iter(self)
        worker = object.__new__(type(self))
        worker.__dict__.update(self.__dict__, _places=True)
        given: dict[str, Any] = {"multiprocessing_context": "spawn", **options}
        loader = DataLoader(worker, batch_size=None, collate_fn=_as_given, num_workers=num_workers, **given)
        return self._counted((tensors, tuple(span)) for tensors, span in loader)

    def _counted(self, given: Iterator[tuple[Tensors, Span]]) -> Iterator[Tensors]:
        epoch, self._done = self._epoch, list(self._begun)
        for tensors, span in given:
            self._done = joined([*self._done, span])
            yield tensors
        if self._epoch == epoch:
            self.set_epoch(epoch + 1)

    def _batches(self, part: int, parts: int) -> Iterator[Batch]:
        order = Order(self._blocks, self.seed, self._epoch)
        mine = part_of([(0, order.rows)], self.rank, self.world)
        spans = part_of(without(mine, self._begun), part, parts)
        reader = BlockReader(self._rows.row_files(), self.columns, self._wide, self.label)
        return batches(reader, order, spans, self.batch_size, drop_last=self.drop_last)

    def state_dict(self) -> dict[str, Any]:
        """What has been handed out of the epoch, as plain values: the state of this rank."""
        return {
            "format": 1,
            "rows": self._digest,
            "seed": self.seed,
            "rank": self.rank,
            "world": self.world,
            "epoch": self._epoch,
            "done": [list(span) for span in self._done],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where a state was taken; with another number of workers or batch size, too.

        Raises:
            AssayError: The state is of other rows, another seed, or another rank.
        """
        mine = self.state_dict()
        for name, meaning in (
            ("rows", "other rows"),
            ("seed", "another seed"),
            ("rank", "another rank"),
            ("world", "another world"),
        ):
            if state[name] != mine[name]:
                raise AssayError(f"Loading {self._rows.id}: the state is of {meaning}.")
        self._epoch = state["epoch"]
        self._begun = [(low, high) for low, high in state["done"]]
        self._done = list(self._begun)


def _wide(rows: LoadedRows, schema: pl.Schema, columns: Sequence[str], where: str) -> list[int]:
    """How many columns of the matrix each column is, by the first rows that have a value."""
    lists = [name for name in columns if schema[name].is_nested()]
    if not lists:
        return [1] * len(columns)
    for file in rows.row_files():
        file.check()
    first = rows.scan_unchecked().select(pl.col(name).drop_nulls().first() for name in lists).collect()
    found = dict(zip(lists, widths(first, lists, where), strict=True))
    return [found.get(name, 1) for name in columns]


def _as_given(batch: Any) -> Any:
    """Without it DataLoader makes lists of tuples."""
    return batch


def _tensors(batch: Batch) -> Tensors:
    features = torch.from_numpy(batch.features)
    if batch.label is None:
        return features
    return features, torch.from_numpy(
        batch.label.astype(np.float32 if batch.label.dtype.kind == "f" else np.int64, copy=False)
    )
