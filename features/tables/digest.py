"""Digests of names, of rows and of whole tables: the same values give the same digest in every process, engine and year.

A row's digest is SHA-256 over a canonical form that a verifier can rebuild with the standard library alone:

    "assay.row/1\\n"
    per column, sorted by name:  length of the name · name · length of the type · type          (the header)
    per column, sorted by name:  value                                                          (the body)

Lengths are 8 bytes, little-endian; text is UTF-8. A value is one byte, 1 if it is there and 0 if it is null, then by type
(a null's payload is zeros, or length 0):

    int, date, timestamp   8 bytes, little-endian, signed: the number, days, or µs since 1970-01-01 UTC
    float                  8 bytes, little-endian IEEE 754 double; every NaN is 7ff8000000000000, and −0.0 is 0.0
    bool                   1 byte
    string, binary         length in bytes, then the bytes
    decimal                as string, in plain notation with all digits of its scale
    list<…>                number of elements, then the elements
    struct<name:…,…>       the fields in their order (a null struct: nothing)

Types are classes of values (`int` for every width), so that widening a column on the way to storage changes nothing.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from assay.errors import AssayError

_VERSION = b"assay.row/1\n"
_NAN = np.uint64(0x7FF8000000000000)


def row_digests(frame: pl.DataFrame, columns: Sequence[str] | None = None) -> pl.Series:
    """One hex SHA-256 per row over `columns` (None: all), whose order does not matter.

    Raises AssayError for a column that is not there, or whose type has no canonical form.
    """
    hashes, _ = _hashes(frame, columns)
    return pl.Series("digest", [item.hex() for item in hashes], dtype=pl.String)


def content_digest(frame: pl.DataFrame, exclude: Sequence[str] = ()) -> str:
    """One hex SHA-256 for a table as a bag of rows: row and column order do not matter, repeated rows do.

    It is SHA-256 over the header (see the module), the number of rows, and the sorted row digests (32 bytes each).
    """
    hashes, header = _hashes(frame, [name for name in frame.columns if name not in exclude])
    state = hashlib.sha256(header)
    state.update(_length(len(hashes)))
    for item in sorted(hashes):
        state.update(item)
    return state.hexdigest()


def digest_of(items: Iterable[str]) -> str:
    """SHA-256 over strings, order-free and unambiguous (length-prefixed)."""
    state = hashlib.sha256()
    for item in sorted(items):
        raw = item.encode()
        state.update(len(raw).to_bytes(8, "big"))
        state.update(raw)
    return state.hexdigest()


def writers_digest(commits: Iterable[tuple[int, str]]) -> str:
    """SHA-256 over the commits that wrote some rows: their versions, each with the SHA-256 of its file in the log."""
    return digest_of(f"{version}:{sha256}" for version, sha256 in commits)


def _hashes(frame: pl.DataFrame, columns: Sequence[str] | None) -> tuple[list[bytes], bytes]:
    names = sorted(frame.columns if columns is None else columns)
    missing = sorted(set(names) - set(frame.columns))
    if missing or len(set(names)) != len(names):
        raise AssayError(f"A digest over columns {names} needs each of them once; not there: {missing}.")
    header = _VERSION
    for name in names:
        for text in (name, _type_name(frame.schema[name], name)):
            header += _length(len(text.encode())) + text.encode()
    start = hashlib.sha256(header)
    encoded = [_encode(frame[name]) for name in names]
    hashes = []
    for row in range(frame.height):
        state = start.copy()
        state.update(b"".join([column.of(row) for column in encoded]))
        hashes.append(state.digest())
    return hashes, header


@dataclass(frozen=True, slots=True)
class _Encoded:
    """The canonical bytes of a column's values, end to end: value i is `content[offsets[i]:offsets[i + 1]]`."""

    content: bytes
    offsets: list[int]

    def of(self, start: int, stop: int | None = None) -> bytes:
        return self.content[self.offsets[start] : self.offsets[start + 1 if stop is None else stop]]


def _type_name(dtype: pl.DataType, column: str) -> str:
    if dtype.is_integer():
        return "int"
    if dtype.is_float():
        return "float"
    if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None and dtype.time_unit == "us":
        return "timestamp"
    if isinstance(dtype, pl.List | pl.Array):
        return f"list<{_type_name(_instance(dtype.inner), column)}>"
    if isinstance(dtype, pl.Struct):
        fields = (f"{field.name}:{_type_name(_instance(field.dtype), column)}" for field in dtype.fields)
        return f"struct<{','.join(fields)}>"
    for kind, name in _PLAIN.items():
        if isinstance(dtype, kind):
            return name
    raise AssayError(f"Column {column!r} has type {dtype}, which has no canonical form for a digest: cast it first.")


_PLAIN: dict[Any, str] = {
    pl.Boolean: "bool",
    pl.Date: "date",
    pl.String: "string",
    pl.Categorical: "string",
    pl.Enum: "string",
    pl.Binary: "binary",
    pl.Decimal: "decimal",
}


def _instance(dtype: Any) -> pl.DataType:
    return dtype() if isinstance(dtype, type) else dtype


def _encode(column: pl.Series) -> _Encoded:
    dtype = column.dtype
    if dtype.is_float():
        return _fixed(column, _float_bits(column))
    if dtype.is_integer() or isinstance(dtype, pl.Date | pl.Datetime):
        numbers = column.cast(pl.Int64, strict=False)
        if numbers.null_count() != column.null_count():
            raise AssayError(f"Column {column.name!r} has integers beyond 64 signed bits: cast it to a string first.")
        return _fixed(column, numbers.fill_null(0).to_numpy())
    if isinstance(dtype, pl.Boolean):
        return _fixed(column, column.fill_null(False).cast(pl.UInt8).to_numpy())
    if isinstance(dtype, pl.Array):
        return _encode(column.arr.to_list())
    if isinstance(dtype, pl.List):
        return _lists(column)
    if isinstance(dtype, pl.Struct):
        fields = [_encode(column.struct.field(field.name)) for field in dtype.fields]
        return _join(column, lambda row: b"".join([field.of(row) for field in fields]), b"")
    if isinstance(dtype, pl.Binary):
        texts: list[bytes] = [item or b"" for item in column.to_list()]
    elif isinstance(dtype, pl.Decimal):
        texts = [b"" if item is None else format(item, "f").encode() for item in column.to_list()]
    else:
        texts = [(item or "").encode() for item in column.cast(pl.String).to_list()]
    return _join(column, lambda row: _length(len(texts[row])) + texts[row], _length(0))


def _fixed(column: pl.Series, values: np.ndarray[Any, Any]) -> _Encoded:
    record = np.zeros(len(column), dtype=np.dtype([("there", "u1"), ("value", values.dtype.newbyteorder("<"))]))
    record["there"] = column.is_not_null().to_numpy()
    record["value"] = values
    return _Encoded(record.tobytes(), list(range(0, (len(column) + 1) * record.itemsize, record.itemsize)))


def _float_bits(column: pl.Series) -> np.ndarray[Any, Any]:
    values = column.cast(pl.Float64).fill_null(0.0).to_numpy() + 0.0  # −0.0 + 0.0 is 0.0
    bits = values.view(np.uint64).copy()
    bits[np.isnan(values)] = _NAN
    return bits


def _lists(column: pl.Series) -> _Encoded:
    lengths = column.list.len().fill_null(0).to_list()
    stops = np.cumsum([0, *lengths]).tolist()
    filled = column.drop_nulls()
    inner = _encode(filled.filter(filled.list.len() > 0).explode())
    return _join(
        column,
        lambda row: _length(lengths[row]) + (inner.of(stops[row], stops[row + 1]) if lengths[row] else b""),
        _length(0),
    )


def _join(column: pl.Series, value: Callable[[int], bytes], null: bytes) -> _Encoded:
    there = column.is_not_null().to_list()
    parts = [b"\x01" + value(row) if there[row] else b"\x00" + null for row in range(len(there))]
    return _Encoded(b"".join(parts), [0, *np.cumsum([len(part) for part in parts]).tolist()])


def _length(count: int) -> bytes:
    return count.to_bytes(8, "little")
