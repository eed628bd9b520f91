"""A checkpoint as it lies in the log: which files it names, and whether it hides rows of them."""

import io
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

import polars as pl

from assay.errors import AssayError
from assay.features.storage.parquet_files import PARTITION
from assay.lineage.predictions.find_prediction import UNREADABLE

FILES = {"path": pl.String, PARTITION: pl.String}
# What makes readers see something else than the files that are named: deletion vectors, and files of the second format.
_BEYOND = ("add.deletionVector.storageType", "sidecar.path")
_TYPED_KEY = f"add.partitionValues_parsed.{PARTITION}"
_TYPED = "stats_parsed"
_ROUNDED = timedelta(milliseconds=1)  # to which the log rounds times


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
        if _has(there, _TYPED_KEY.split(".")):  # readers pass files over by it
            hiding.append(_field(_TYPED_KEY).cast(pl.String).ne(key).any())
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


@dataclass(frozen=True, slots=True)
class Statistics:
    """Those of a file as a checkpoint has them: as `text`, as in a commit, or `typed`, in columns of their own; or both."""

    text: str | None
    typed: Mapping[str, Any] | None

    def are(self, committed: str | None) -> bool:
        """Whether they say what the commit says. What they do not say, readers do not go by."""
        if self.typed is None and self.text in (None, committed):
            return True
        expected = _parsed(committed)
        return (not self.text or _parsed(self.text) == expected) and _agrees(self.typed, expected)


def read_statistics(content: bytes, wanted: Collection[str]) -> dict[str, Statistics]:
    """The statistics of files, where it has some. Raises AssayError where it is none."""
    add = pl.col("add").struct
    try:
        rows = pl.scan_parquet(io.BytesIO(content), glob=False)
        there = rows.collect_schema()
        typed = add.field(_TYPED) if _has(there, ["add", _TYPED]) else pl.lit(None).alias(_TYPED)
        text = add.field("stats") if _has(there, ["add", "stats"]) else pl.lit(None, pl.String).alias("stats")
        found = rows.select(add.field("path"), text, typed).drop_nulls("path").collect()
    except (AttributeError, *UNREADABLE) as problem:
        raise AssayError(f"cannot be read ({type(problem).__name__})") from None
    return {path: Statistics(*rest) for name, *rest in found.iter_rows() if (path := unquote(name)) in wanted}


def differing_statistics(found: Mapping[str, Statistics], committed: Mapping[str, str]) -> list[str]:
    """The files of which a checkpoint says something else than the commits that added them."""
    return [path for path, statistics in found.items() if not statistics.are(committed.get(path))]


def _agrees(typed: Any, stated: Any) -> bool:
    """Whether a value in a column of its own type is the one that stands in a commit's JSON."""
    if typed is None:
        return True
    if isinstance(typed, Mapping):
        rest = {name: value for name, value in typed.items() if name != "tightBounds"}  # says how exact they are
        return all(
            _agrees(value, stated.get(name) if isinstance(stated, Mapping) else None) for name, value in rest.items()
        )
    try:
        if isinstance(typed, datetime):
            return abs(_utc(typed) - _utc(datetime.fromisoformat(stated))) < _ROUNDED
        if isinstance(typed, date):
            return typed == date.fromisoformat(stated)
        if isinstance(typed, Decimal):
            return typed == Decimal(str(stated))
    except (TypeError, ValueError, ArithmeticError):
        return False
    return bool(typed == stated)


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


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
