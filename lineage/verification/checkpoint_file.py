"""A checkpoint as it lies in the log: which files it names, and whether it hides rows of them."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

import polars as pl

from assay.errors import AssayError
from assay.features.storage.parquet_files import PARTITION
from assay.lineage.predictions.find_prediction import UNREADABLE

FILES = {"path": pl.String, PARTITION: pl.String}
# What makes readers see something else than the files that are named: deletion vectors, and files of the second format.
_BEYOND = ("add.deletionVector.storageType", "sidecar.path")


@dataclass(frozen=True, slots=True)
class CheckpointFile:
    """The ids of tables that it names, path and partition of each file, and whether it hides rows of them from readers, or has
    others name files."""

    table_ids: tuple[str, ...]
    files: pl.DataFrame
    hides: bool


def checkpoint_path(table: str, version: int) -> str:
    """Of one in a single file, under its usual name."""
    return f"{table}/_delta_log/{version:020d}.checkpoint.parquet"


def read_checkpoint(content: bytes) -> CheckpointFile:
    """Only a few of its columns are read. Raises AssayError where it is none."""
    try:
        rows = pl.scan_parquet(io.BytesIO(content), glob=False)
        there = rows.collect_schema()
        add = pl.col("add").struct
        key = add.field("partitionValues").map.get(PARTITION)  # type: ignore[attr-defined]
        hiding = [_field(name).count() > 0 for name in _BEYOND if _has(there, name.split("."))]
        files, ids, hides = pl.collect_all(
            [
                rows.select(add.field("path"), key.alias(PARTITION)).drop_nulls("path").cast(pl.String),
                rows.select(pl.col("metaData").struct.field("id")).drop_nulls(),
                rows.select(pl.any_horizontal(pl.lit(False), *hiding)),
            ]
        )
    except (AttributeError, *UNREADABLE) as problem:
        raise AssayError(f"cannot be read ({type(problem).__name__})") from None
    if files["path"].str.contains("%", literal=True).any():
        files = files.with_columns(pl.Series("path", [unquote(path) for path in files["path"]]))
    return CheckpointFile(tuple(ids.to_series()), files, hides.item())


def _has(schema: Mapping[str, pl.DataType], names: Sequence[str]) -> bool:
    """Whether there is such a field. Other writers leave out what they do not use."""
    dtype = schema.get(names[0])
    inner = {field.name: field.dtype for field in dtype.fields} if isinstance(dtype, pl.Struct) else {}
    return dtype is not None and (len(names) == 1 or _has(inner, names[1:]))  # type: ignore[arg-type]


def _field(name: str) -> pl.Expr:
    outer, *inner = name.split(".")
    field = pl.col(outer)
    for part in inner:
        field = field.struct.field(part)
    return field
