"""Columns in packed rows: numbers and times in the row itself, texts and vectors behind it, all else beside it.

A packed row has the same width for every entity, so that a hundred rows are one copy out of a mapped file. What has no width
of its own (texts, bytes, vectors of numbers) is in a second file, the row says where. Types that are neither (structs, lists of
lists, decimals) stay in the Arrow file beside, which is read once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

Kind = Literal["fixed", "text", "vector", "beside"]

_TIMES = (pl.Date, pl.Datetime, pl.Duration, pl.Time)


def kind_of_column(values: pl.Series) -> Kind:
    """Where the values of a column are kept."""
    dtype = values.dtype
    if _width(dtype) is not None:
        return "fixed"
    if isinstance(dtype, pl.String | pl.Categorical | pl.Enum | pl.Binary):
        return "text"
    if isinstance(dtype, pl.List | pl.Array) and _is_number(dtype.inner):
        inner = values.drop_nulls().explode(empty_as_null=False) if values.len() else values
        return "beside" if values.len() and inner.null_count() else "vector"
    return "beside"


def _is_number(dtype: Any) -> bool:
    return _width(dtype) is not None and not isinstance(dtype, (pl.Boolean, *_TIMES))


_WIDTHS: dict[type, str] = {
    pl.Boolean: "u1",
    pl.Int8: "i1",
    pl.Int16: "<i2",
    pl.Int32: "<i4",
    pl.Int64: "<i8",
    pl.UInt8: "u1",
    pl.UInt16: "<u2",
    pl.UInt32: "<u4",
    pl.UInt64: "<u8",
    pl.Float32: "<f4",
    pl.Float64: "<f8",
    pl.Date: "<i4",
    pl.Datetime: "<i8",
    pl.Duration: "<i8",
    pl.Time: "<i8",
}


def _width(dtype: Any) -> str | None:
    """The type of NumPy that holds the column's values; None where none does."""
    return _WIDTHS.get(type(dtype))


@dataclass(frozen=True, slots=True)
class Place:
    """Where one column is kept in packed rows: `field` of the row holds the value, or where it begins, `field`n its length."""

    field: str
    kind: Kind
    dtype: pl.DataType

    def fields(self) -> list[tuple[str, str]]:
        """Names and types in the row."""
        if self.kind == "fixed":
            return [(self.field, str(_width(self.dtype)))]
        return [] if self.kind == "beside" else [(self.field, "<u8"), (f"{self.field}n", "<u4")]


class Tail:
    """What has no width, one after the other. Written to a file as it comes."""

    def __init__(self, stream: Any) -> None:
        self._stream, self.size = stream, 0

    def add(self, values: Sequence[bytes | None]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint32]]:
        """Where each of the values begins, and how long it is."""
        lengths = np.fromiter((0 if value is None else len(value) for value in values), np.uint32, len(values))
        ends = np.cumsum(lengths, dtype=np.uint64) + np.uint64(self.size)
        self._stream.write(b"".join([value for value in values if value is not None]))
        self.size += int(lengths.sum())
        return ends - lengths, lengths


def pack(place: Place, values: pl.Series, rows: np.ndarray[Any, Any], tail: Tail) -> None:
    """Put a column into packed rows (and the tail)."""
    if place.kind == "fixed":
        physical = values.to_physical()
        filled = physical.cast(pl.UInt8) if isinstance(physical.dtype, pl.Boolean) else physical
        rows[place.field] = filled.fill_null(0).to_numpy()
    elif place.kind == "text":
        given = values if isinstance(values.dtype, pl.Binary) else values.cast(pl.String)
        found = given.to_list()
        rows[place.field], rows[f"{place.field}n"] = tail.add([v.encode() if isinstance(v, str) else v for v in found])
    elif place.kind == "vector":
        lists = values.cast(pl.List(_inner(values.dtype)))
        numbers = lists.drop_nulls().explode(empty_as_null=False).to_numpy() if lists.len() else np.empty(0)
        width = np.dtype(str(_width(_inner(values.dtype)))).itemsize
        lengths = lists.list.len().fill_null(0).to_numpy().astype(np.uint32) * np.uint32(width)
        ends = np.cumsum(lengths, dtype=np.uint64) + np.uint64(tail.size)
        tail.add([np.ascontiguousarray(numbers, str(_width(_inner(values.dtype)))).tobytes()])
        rows[place.field], rows[f"{place.field}n"] = ends - lengths, lengths


def unpack(place: Place, rows: np.ndarray[Any, Any], here: Sequence[bool] | None, tail: Any) -> list[Any]:
    """The values of a column as Python has them (times as the numbers that Polars keeps), None where they are not `here`
    (None: all are)."""
    if place.kind == "fixed":
        values = rows[place.field].tolist()
        return values if here is None else [value if one else None for value, one in zip(values, here, strict=True)]
    if place.kind == "beside":
        raise ValueError("kept beside the rows")
    begins, lengths = rows[place.field].tolist(), rows[f"{place.field}n"].tolist()
    cells = [
        tail[begin : begin + length] if one else None
        for begin, length, one in zip(begins, lengths, here or [True] * len(begins), strict=True)
    ]
    if place.kind == "vector":
        number = str(_width(_inner(place.dtype)))
        return [None if cell is None else np.frombuffer(cell, number).tolist() for cell in cells]
    if isinstance(place.dtype, pl.Binary):
        return cells
    return [None if cell is None else cell.decode() for cell in cells]


def to_series(name: str, values: list[Any], dtype: pl.DataType) -> pl.Series:
    """What `unpack` gave, in the type of the column."""
    if isinstance(dtype, pl.Boolean):
        return pl.Series(name, values, pl.UInt8).cast(pl.Boolean)
    if isinstance(dtype, pl.Date):
        return pl.Series(name, values, pl.Int32).cast(dtype)
    if isinstance(dtype, _TIMES):
        return pl.Series(name, values, pl.Int64).cast(dtype)
    if isinstance(dtype, pl.Categorical | pl.Enum):
        return pl.Series(name, values, pl.String).cast(dtype)
    if isinstance(dtype, pl.Array):
        return pl.Series(name, values, pl.List(dtype.inner)).cast(dtype)
    simple = _width(dtype) is not None or isinstance(dtype, pl.String | pl.Binary)
    return pl.Series(name, values, type(dtype) if simple else dtype)  # the class is quicker than its instance


def _inner(dtype: Any) -> Any:
    return dtype.inner
