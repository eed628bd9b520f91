"""Frames to Parquet bytes, named by their SHA-256, with the file statistics Delta readers prune by.

Content-addressed names make the log a hash tree: a commit names its files, a file's name is the digest of its bytes, so a
snapshot's commit digest vouches for the data itself. They also make writing idempotent: the same rows are the same file.
"""

import hashlib
import io
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import polars as pl

from assay.errors import AssayError
from assay.features.storage.spool import Spool, Spooled

ROWS_PER_FILE = 1_000_000
# Always the same, since Polars else cuts row groups where the frame's chunks are cut: equal rows are to be equal bytes.
ROWS_PER_GROUP = 122_880
ROWS_PER_SEARCHED_GROUP = 32_768  # where single rows are looked for: a reader skips the groups that cannot hold one
PARTITION = "partition_key"

_INTEGERS = (pl.Int8, pl.Int16, pl.Int32, pl.Int64)
_STORED = (pl.String, pl.Binary, pl.Boolean, pl.Date, pl.Float32, pl.Float64, pl.Decimal, *_INTEGERS)


@dataclass(frozen=True, slots=True)
class EncodedFile:
    """A data file ready to be stored at `path` (relative to its table)."""

    path: str
    size: int
    partition: str | None
    stats: str
    rows: int
    held: bytes | Spooled = field(repr=False)

    @property
    def content(self) -> bytes:
        """The file's bytes."""
        return self.held if isinstance(self.held, bytes) else self.held.read()


def storable(frame: pl.DataFrame, table: str) -> pl.DataFrame:
    """The frame with types that Delta and every engine read back alike.

    Fixed-size vectors become lists (a fixed-size list written to Delta cannot be scanned by polars), categories become
    strings, times of day their ISO 8601 text, and unsigned numbers wider ones (UInt64 a Decimal of 20 digits, as Spark reads it).
    Raises AssayError for types that would be lost or reinterpreted, naming the column and the cast to make.
    """
    for name, dtype in frame.schema.items():
        if stored_type(dtype) is None:
            raise AssayError(
                f"{table}: column {name!r} has type {dtype}, which Delta cannot store without changing it. {_advice(dtype)}"
            )
    return frame.with_columns(in_stored_form(frame.schema))


def in_stored_form(schema: pl.Schema) -> list[pl.Expr]:
    """For each column whose type is another one in a table, its values as they are there."""
    forms = []
    for name, dtype in schema.items():
        target, column = stored_type(dtype), pl.col(name)
        if target is not None and target != dtype:
            # A cast would cut fractions of a second.
            forms.append(column.dt.to_string("%H:%M:%S%.f") if isinstance(dtype, pl.Time) else column.cast(target))
    return forms


def stored_type(dtype: pl.DataType) -> pl.DataType | None:
    """The type that a column of this one has in a table; None where none holds its values without changing them."""
    return pl.String() if isinstance(dtype, pl.Time) else _storable_type(dtype)


def _storable_type(dtype: pl.DataType) -> pl.DataType | None:
    if isinstance(dtype, _STORED):
        return dtype
    if isinstance(dtype, pl.Datetime):
        return dtype if dtype.time_unit == "us" and dtype.time_zone == "UTC" else None
    if isinstance(dtype, pl.Categorical | pl.Enum):
        return pl.String()
    if isinstance(dtype, pl.UInt8 | pl.UInt16 | pl.UInt32):  # widened: nothing is lost
        return pl.Int64() if isinstance(dtype, pl.UInt32) else pl.Int32()
    if isinstance(dtype, pl.UInt64):
        return pl.Decimal(20, 0)
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


def in_files(frames: Iterable[pl.DataFrame], rows: int | None = None) -> Iterator[pl.DataFrame]:
    """The same rows, cut as data files are: `rows` (None: ROWS_PER_FILE) in each frame but the last. Of no rows it is one frame.

    Only one frame's rows are held at a time, if whoever takes them lets go of each before the next. Raises AssayError for
    frames with different columns.
    """
    size = rows or ROWS_PER_FILE
    parts: list[pl.DataFrame] = []
    height, schema, given = 0, None, False
    for frame in frames:
        if schema is None:
            schema = frame.schema
        elif frame.schema != schema:
            raise AssayError("The rows come in frames with different columns or types: give all frames the same ones.")
        rest = frame
        while height + rest.height >= size:
            parts.append(rest.head(size - height))
            rest = rest.slice(size - height)
            full, parts, height, given = pl.concat(parts, rechunk=False), [], 0, True
            yield full
            del full
        if rest.height or not (parts or given):
            parts.append(rest)
            height += rest.height
        del frame, rest  # before the next one is made
    if height or (parts and not given):
        yield pl.concat(parts, rechunk=False)


def encode(
    frames: pl.DataFrame | Iterable[pl.DataFrame],
    partition: str | None,
    statistics: Sequence[str] = (),
    spool: Spool | None = None,
) -> Iterator[EncodedFile]:
    """Parquet files of at most ROWS_PER_FILE rows, whose bytes the rows alone decide. `statistics` names string columns whose
    min/max may be kept in the log, and by which single rows are looked for; other strings are left out of it, since they may
    be personal."""
    spool = spool or Spool(in_memory=sys.maxsize)
    group = ROWS_PER_SEARCHED_GROUP if statistics else ROWS_PER_GROUP
    for part in in_files([frames] if isinstance(frames, pl.DataFrame) else frames):
        buffer = io.BytesIO()
        part.write_parquet(buffer, compression="zstd", compression_level=3, statistics=True, row_group_size=group)
        stats, rows = json.dumps(_stats(part, statistics)), part.height
        del part  # before the next rows are collected
        content = buffer.getvalue()
        name = f"{hashlib.sha256(content).hexdigest()}.parquet"
        path = f"{PARTITION}={partition}/{name}" if partition is not None else name
        yield EncodedFile(path, len(content), partition, stats, rows, spool.add(content))


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
        try:
            low[name], high[name] = _json(column.min()), _json(column.max())
        except (ValueError, OverflowError):
            low.pop(name, None)  # a year that Python does not have has no place in statistics either
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
