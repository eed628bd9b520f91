"""The rows of a training set in the forms that other tools take: NumPy, pandas, Arrow, Parquet."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import polars as pl

from assay.errors import AssayError
from assay.features.storage.parquet_files import ROWS_PER_GROUP
from assay.features.tables.digest import content_digest
from assay.features.training.matrix import Matrix, matrix, matrix_columns, matrix_names, numeric, widths
from assay.features.training.rows import LoadedRows
from assay.optional import installed

if TYPE_CHECKING:
    import pyarrow


class Numbers(NamedTuple):
    """Features and label as arrays: `X, y, names = made.to_numpy(label="bought")`.

    Attributes:
        features: (rows, columns).
        label: (rows,), or None where none was asked for.
        names: Of the columns: those of a list are `vector[0]`, `vector[1]`, …
    """

    features: Matrix
    label: Matrix | None
    names: list[str]


def to_numpy(
    rows: LoadedRows, frame: pl.DataFrame, columns: Sequence[str] | None, label: str | None, dtype: Any
) -> Numbers:
    """See `TrainingSetVersion.to_numpy`."""
    where = f"Training set {rows.id}"
    chosen = list(columns) if columns is not None else numeric(frame.schema, rows.feature_columns)
    matrix_columns(frame.schema, chosen, where)
    if label is not None and label not in frame.schema:
        raise AssayError(f"{where}: there is no column {label!r}.")
    if not np.issubdtype(np.dtype(dtype), np.floating):
        raise AssayError(f"{where}: dtype is a float type, such as 'float32': a null is NaN.")
    wide = widths(frame, chosen, where)
    found = matrix(frame, chosen, wide, np.dtype(dtype))
    return Numbers(found, None if label is None else frame[label].to_numpy(), matrix_names(chosen, wide))


def to_pandas(rows: LoadedRows, frame: pl.DataFrame) -> Any:
    """See `TrainingSetVersion.to_pandas`."""
    missing = [name for name in ("pandas", "pyarrow") if not installed(name)]
    if missing:
        raise AssayError(
            f"Training set {rows.id} as a pandas frame needs {' and '.join(missing)}, which is not installed. Next: pip install "
            f"{' '.join(missing)}."
        )
    return frame.to_pandas()


def to_arrow(rows: LoadedRows) -> pyarrow.RecordBatchReader:
    """See `TrainingSetVersion.to_arrow`."""
    if not installed("pyarrow"):
        raise AssayError(
            f"Training set {rows.id} as Arrow batches needs pyarrow, which is not installed. Next: pip install pyarrow."
        )
    import pyarrow

    schema = rows.scan_unchecked().collect_schema().to_frame().to_arrow().schema
    batches = (batch.cast(schema) for part in parts(rows) for batch in part.to_arrow().to_batches())
    return pyarrow.RecordBatchReader.from_batches(schema, batches)


def parts(rows: LoadedRows, size: int = ROWS_PER_GROUP) -> Iterator[pl.DataFrame]:
    """The rows in frames of at most `size`, one of which is held at a time; each file is what the log says before it is used."""
    for file in rows.row_files():
        file.check()
        for first in range(0, file.rows, size):
            yield file.frame.slice(first, size).collect()


def write_parquet(rows: LoadedRows, path: Path) -> str:
    """See `TrainingSetVersion.write_parquet`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-", suffix=".tmp")
    os.close(handle)
    temporary = Path(name)
    try:
        for file in rows.row_files():
            file.check()
        rows.scan_unchecked().sink_parquet(temporary, row_group_size=ROWS_PER_GROUP)
        digest = content_digest(pl.read_parquet(temporary))
        if digest != rows.manifest["content_digest"]:
            raise AssayError(
                f"Training set {rows.id} was written to {path} with other content than it has; nothing is kept. Is the disk full?"
            )
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return digest
