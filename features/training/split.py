"""A split: the parts of a training set, and how it was cut.

It is a value: the same arguments on the same training set give the same rows, in every process and year. Its `definition` is
what a model that was fitted on it records.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from assay.errors import AssayError
from assay.features.storage.snapshot import Snapshot
from assay.features.training.leaks import Numbers
from assay.features.training.rows import LoadedRows
from assay.features.training.split_data import SplitData
from assay.features.views.timestamps import format_duration
from assay.notebook_html import facts_html
from assay.optional import require

if TYPE_CHECKING:
    from assay.features.training.torch_rows import TorchRows

TRAIN, VALIDATION, TEST = "train", "validation", "test"


@dataclass(frozen=True, eq=False)
class Split:
    """A training set, cut into parts: `train, test = split`, `split.train`, `split["test"]`.

    Args:
        training_set: What was split.
        definition: How, as JSON: the arguments, boundaries, lookbacks, and rows in each part. A model that is logged with
            `training_set=split` records it.
        positions: For each part the places of its rows in the training set, ascending.
    """

    training_set: LoadedRows = field(repr=False)
    definition: Mapping[str, Any]
    positions: Mapping[str, Numbers] = field(repr=False)

    @property
    def id(self) -> str:
        """Names training set and split: `router@3/3f2a…`."""
        return f"{self.training_set.id}/{self.definition['digest'][:12]}"

    @property
    def snapshot(self) -> Snapshot:
        """The training set's: a split may be named as an input."""
        return self.training_set.snapshot

    @property
    def train(self) -> pl.DataFrame:
        """The rows to learn from."""
        return self[TRAIN]

    @property
    def validation(self) -> pl.DataFrame:
        """The rows to choose by. Raises AssayError for a split without them."""
        return self[VALIDATION]

    @property
    def test(self) -> pl.DataFrame:
        """The rows to measure by."""
        return self[TEST]

    def __getitem__(self, part: str) -> pl.DataFrame:
        return self._frame[self._positions(part)]

    def __iter__(self) -> Iterator[pl.DataFrame]:
        """The parts, in the order train, validation (where there is one), test."""
        return (self[part] for part in self.positions)

    @cached_property
    def _frame(self) -> pl.DataFrame:
        return self.training_set.scan().collect()

    def torch(
        self,
        part: str = TRAIN,
        *,
        columns: Sequence[str] | None = None,
        label: str | None = None,
        batch_size: int = 1024,
        shuffle_seed: int | None = None,
        rank: int = 0,
        world: int = 1,
        drop_last: bool = False,
    ) -> TorchRows:
        """The rows of a part as `TrainingSetVersion.torch` gives those of a whole set, with the same arguments and errors.

        Args:
            part: `train`, `validation` or `test`.
            columns: The columns of the matrix.
            label: The column to learn.
            batch_size: Rows in a batch.
            shuffle_seed: Decides the order.
            rank: Which part of the rows this process has.
            world: Into how many parts they are cut.
            drop_last: Leave out batches with fewer rows.
        """
        require("torch", "Loading a training set into torch")
        from assay.features.training.torch_rows import TorchRows

        return TorchRows(
            self.training_set,
            columns=columns,
            label=label,
            batch_size=batch_size,
            shuffle_seed=shuffle_seed,
            rank=rank,
            world=world,
            drop_last=drop_last,
            taken=self._positions(part),
        )

    def _positions(self, part: str) -> Numbers:
        if part not in self.positions:
            raise AssayError(f"{self.id} has no part {part!r}. It has: {', '.join(self.positions)}.")
        return self.positions[part]

    def to_dict(self) -> dict[str, Any]:
        """The definition."""
        return dict(self.definition)

    def _repr_html_(self) -> str:
        """For notebooks: how it was made, and no value of a row."""
        how = self.definition
        return facts_html(
            f"Split {self.id}",
            {"rows": how["rows"], "left out": how["left_out"], "looks back": how["lookback"], **how["arguments"]},
        )

    def __str__(self) -> str:
        rows = ", ".join(f"{part} {count:,}" for part, count in self.definition["rows"].items())
        out = sum(self.definition["left_out"].values())
        return f"{self.id}: {rows}{f', left out {out:,}' if out else ''}"


def refuse_empty(where: str, parts: Numbers, names: Sequence[str]) -> None:
    for part, name in enumerate(names):
        if not (parts == part).any():
            raise AssayError(
                f"{where}: {name} has no rows. Move the boundary, make the embargo shorter, or the share larger."
            )


def made_split(
    rows: LoadedRows,
    data: SplitData,
    names: Sequence[str],
    parts: Numbers,
    arguments: Mapping[str, Any],
    out: Mapping[str, int],
) -> Split:
    positions = {name: np.flatnonzero(parts == part) for part, name in enumerate(names)}
    definition: dict[str, Any] = {
        "training_set": rows.id,
        "content_digest": rows.manifest["content_digest"],
        "arguments": dict(arguments),
        "lookback": {item.view: format_duration(item.back) or "0d" for item in data.lookbacks if item.back is not None},
        "rows": {name: len(places) for name, places in positions.items()},
        "left_out": dict(out),
    }
    digest = hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()
    return Split(rows, definition | {"digest": digest}, positions)
