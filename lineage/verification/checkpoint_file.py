"""A checkpoint as it lies in the log: which files it names, and whether it hides rows of them."""

import io
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
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
    """What it says of the table (`metaData`, once if all is well), path and partition of each file, and whether it hides rows of
    them from readers, or has others name files."""

    metadata: tuple[Mapping[str, Any], ...]
    files: pl.DataFrame
    hides: bool

    def is_of(self, metadata: Mapping[str, Any] | None) -> bool:
        """Whether readers take the same table from it as from a commit's `metaData`."""
        try:
            return metadata is not None and [about(item) for item in self.metadata] == [about(metadata)]
        except (ValueError, KeyError, TypeError):
            return False


def about(metadata: Mapping[str, Any]) -> tuple[object, ...]:
    """What readers take from a `metaData`: id, columns with their types, partitions, settings. Raises ValueError."""
    settings = {key: value for key, value in (metadata.get("configuration") or {}).items() if value is not None}
    schema = json.loads(metadata["schemaString"])
    return metadata["id"], schema, list(metadata.get("partitionColumns") or ()), settings


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
        files, described, hides = pl.collect_all(
            [
                rows.select(add.field("path"), key.alias(PARTITION)).drop_nulls("path").cast(pl.String),
                rows.select("metaData").filter(pl.col("metaData").struct.field("id").is_not_null()),
                rows.select(pl.any_horizontal(pl.lit(False), *hiding)),
            ]
        )
    except (AttributeError, *UNREADABLE) as problem:
        raise AssayError(f"cannot be read ({type(problem).__name__})") from None
    if files["path"].str.contains("%", literal=True).any():
        files = files.with_columns(pl.Series("path", [unquote(path) for path in files["path"]]))
    return CheckpointFile(tuple(described.to_series()), files, hides.item())


def read_statistics(content: bytes, wanted: Collection[str]) -> dict[str, str]:
    """The statistics of files, where it has some. Raises AssayError where it is none."""
    add = pl.col("add").struct
    named = add.field("path").alias("path"), add.field("stats").alias("stats")
    try:
        rows = pl.scan_parquet(io.BytesIO(content), glob=False).select(*named).drop_nulls().collect()
    except (AttributeError, *UNREADABLE) as problem:
        raise AssayError(f"cannot be read ({type(problem).__name__})") from None
    return {path: text for name, text in rows.iter_rows() if (path := unquote(name)) in wanted}


def differing_statistics(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    """The files of which the first ones say something else than the others. What they do not say, readers do not go by."""
    return [path for path, text in one.items() if text != other.get(path) and _parsed(text) != _parsed(other.get(path))]


def _parsed(text: str | None) -> object:
    try:
        return json.loads(text or "{}")
    except (ValueError, RecursionError):
        return None


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
