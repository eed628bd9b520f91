"""Fingerprints of rows by key: which rows of one table another one has, and which have other values there."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from assay.own_columns import OWN_COLUMNS

#: 128 bits of the key and of the values, and the number of the batch that has the row (0: its key is deleted).
ROW = np.dtype([("key", "<u8"), ("key_2", "<u8"), ("values", "<u8"), ("values_2", "<u8"), ("batch", "<u4")])
Rows = npt.NDArray[np.void]
_LINE = "_line"  # the values of a record that could not be read


def fingerprinted(frame: pl.DataFrame, key: Sequence[str], batch: int = 0) -> Rows:
    """A row of ROW for each row. A null has no part in the fingerprint: a column of nulls changes no row."""
    values = [name for name in frame.columns if name == _LINE or name not in OWN_COLUMNS]
    prints = frame.select(
        *(_print(key, f"key {half}").alias(name) for half, name in enumerate(("key", "key_2"))),
        *(_print(values, f"values {half}").alias(name) for half, name in enumerate(("values", "values_2"))),
    )
    rows = np.empty(frame.height, ROW)
    for name in prints.columns:
        rows[name] = prints[name].to_numpy()
    rows["batch"] = batch
    return rows


def _print(names: Sequence[str], salt: str) -> pl.Expr:
    """64 bits of named values. Each is hashed for itself, so that the order of the columns does not matter; and twice, so that
    what two hashes have in common is not left when they are put together."""
    whole = pl.lit(0, pl.UInt64)
    for name in names:
        seed, value = zlib.crc32(f"{salt} {name}".encode()), pl.col(name)
        whole = whole ^ pl.when(value.is_not_null()).then(value.hash(seed).hash(seed + 1)).otherwise(
            pl.lit(0, pl.UInt64)
        )
    return whole


@dataclass(frozen=True)
class KnownRows:
    """The rows that the table has by the batches until now, sorted by key."""

    rows: Rows = field(default_factory=lambda: np.empty(0, ROW))

    @cached_property
    def _keys(self) -> npt.NDArray[np.uint64]:
        return np.ascontiguousarray(self.rows["key"])

    def find(self, asked: Rows) -> npt.NDArray[np.int64]:
        """For each row the place of its key here; −1 where it is not known."""
        at = np.searchsorted(self._keys, asked["key"])
        found = np.full(len(asked), -1, np.int64)
        todo = np.arange(len(asked))
        while len(todo):
            todo = todo[at[todo] < len(self.rows)]
            todo = todo[self._keys[at[todo]] == asked["key"][todo]]
            equal = self.rows["key_2"][at[todo]] == asked["key_2"][todo]
            found[todo[equal]] = at[todo[equal]]
            todo = todo[~equal]  # two keys share 64 bits
            at[todo] += 1
        return found


def last_of_each_key(parts: Sequence[Rows]) -> Rows:
    """Of the rows with the same key the last one, sorted by key."""
    rows = np.concatenate(parts)
    rows = rows[np.lexsort((rows["key_2"], rows["key"]))]  # stable: of equal keys the later part comes last
    last = np.ones(len(rows), bool)
    last[:-1] = (rows["key"][1:] != rows["key"][:-1]) | (rows["key_2"][1:] != rows["key_2"][:-1])
    return rows[last]
