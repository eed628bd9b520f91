"""Frames to Parquet bytes, named by their SHA-256, with the file statistics Delta readers prune by.

Content-addressed names make the log a hash tree: a commit names its files, a file's name is the digest of its bytes, so a
snapshot's commit digest vouches for the data itself. They also make writing idempotent: the same rows are the same file.
"""

import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import polars as pl

from assay.errors import AssayError

ROWS_PER_FILE = 1_000_000
ROWS_PER_GROUP = 32_768  # where single rows are looked for: a reader skips the groups that cannot hold one
PARTITION = "partition_key"

_INTEGERS = (pl.Int8, pl.Int16, pl.Int32, pl.Int64)
_STORED = (pl.String, pl.Binary, pl.Boolean, pl.Date, pl.Float32, pl.Float64, pl.Decimal, *_INTEGERS)


@dataclass(frozen=True, slots=True)
class EncodedFile:
    """A data file ready to be stored at `path` (relative to its table)."""

    path: str
    content: bytes
    partition: str | None
    stats: str
    rows: int


def storable(frame: pl.DataFrame, table: str) -> pl.DataFrame:
    """The frame with types that Delta and every engine read back alike.

    Fixed-size vectors become lists (a fixed-size list written to Delta cannot be scanned by polars), categories become
    strings. Raises AssayError for types that would be lost or reinterpreted, naming the column and the cast to make.
    """
    casts = {}
    for name, dtype in frame.schema.items():
        target = _storable_type(dtype)
        if target is None:
            raise AssayError(
                f"{table}: column {name!r} has type {dtype}, which Delta cannot store without changing it. {_advice(dtype)}"
            )
        if target != dtype:
            casts[name] = target
    return frame.cast(casts) if casts else frame


def _storable_type(dtype: pl.DataType) -> pl.DataType | None:
    if isinstance(dtype, _STORED):
        return dtype
    if isinstance(dtype, pl.Datetime):
        return dtype if dtype.time_unit == "us" and dtype.time_zone == "UTC" else None
    if isinstance(dtype, pl.Categorical | pl.Enum):
        return pl.String()
    if isinstance(dtype, pl.UInt8 | pl.UInt16 | pl.UInt32):  # widened: nothing is lost
        return pl.Int64() if isinstance(dtype, pl.UInt32) else pl.Int32()
    if isinstance(dtype, pl.List | pl.Array):
        inner = _storable_type(_instance(dtype.inner))
        return pl.List(inner) if inner is not None else None
    if isinstance(dtype, pl.Struct):
        fields = [(field.name, _storable_type(_instance(field.dtype))) for field in dtype.fields]
        if any(inner is None for _, inner in fields):
            return None
        return pl.Struct([pl.Field(name, inner) for name, inner in fields if inner is not None])
    return None


def _instance(dtype: Any) -> pl.DataType:
    return dtype() if isinstance(dtype, type) else dtype


def _advice(dtype: pl.DataType) -> str:
    if isinstance(dtype, pl.Datetime):
        return 'Make it Datetime("us", "UTC"): .dt.replace_time_zone("UTC") if it is naive, .dt.convert_time_zone("UTC").cast(…).'
    if isinstance(dtype, pl.Null):
        return "It holds nothing but nulls: cast it to the type it should have."
    return "Cast it first."


def encode(frame: pl.DataFrame, partition: str | None, statistics: Sequence[str] = ()) -> Iterator[EncodedFile]:
    """Parquet files of at most ROWS_PER_FILE rows. `statistics` names string columns whose min/max may be kept in the
    log, and by which single rows are looked for; other strings are left out of it, since they may be personal."""
    group = ROWS_PER_GROUP if statistics else None
    for offset in range(0, max(frame.height, 1), ROWS_PER_FILE):
        part = frame.slice(offset, ROWS_PER_FILE)
        buffer = io.BytesIO()
        part.write_parquet(buffer, compression="zstd", compression_level=3, statistics=True, row_group_size=group)
        content = buffer.getvalue()
        name = f"{hashlib.sha256(content).hexdigest()}.parquet"
        path = f"{PARTITION}={partition}/{name}" if partition is not None else name
        yield EncodedFile(path, content, partition, json.dumps(_stats(part, statistics)), part.height)


def _stats(frame: pl.DataFrame, strings: Sequence[str]) -> dict[str, Any]:
    low, high, nulls = {}, {}, {}
    for name, column in zip(frame.columns, frame.get_columns(), strict=True):
        if isinstance(column.dtype, pl.Struct):
            continue  # Delta wants these nested; nobody prunes by them
        nulls[name] = column.null_count()
        ordered = column.dtype.is_numeric() or isinstance(column.dtype, pl.Date | pl.Datetime) or name in strings
        if not ordered or isinstance(column.dtype, pl.Decimal) or column.null_count() == frame.height:
            continue
        if column.dtype.is_float() and not column.is_finite().all():
            continue  # NaN and infinities have no place in Delta statistics; without them the file is simply not pruned
        low[name], high[name] = _json(column.min()), _json(column.max())
    return {"numRecords": frame.height, "minValues": low, "maxValues": high, "nullCount": nulls}


def _json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, date):
        return value.isoformat()
    return value


def file_sha256(path: str) -> str | None:
    """The digest that a content-addressed data file's name promises, or None for a file that Assay did not write."""
    stem = path.rsplit("/", 1)[-1].removesuffix(".parquet")
    return stem if len(stem) == 64 and all(char in "0123456789abcdef" for char in stem) else None
