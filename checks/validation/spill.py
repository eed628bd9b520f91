"""Batches larger than memory: the scanned rows on disk, and which of them share a key, found by an engine that spills."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl

from assay.errors import AssayError
from assay.optional import require

#: What DuckDB may hold in memory; beyond it, it writes to the folder.
MEMORY = "256MB"


def on_disk(query: pl.LazyFrame, file: Path) -> pl.LazyFrame:
    """Run the query, streaming, into a Parquet file, and read it from there. Raises AssayError if the file exists."""
    if file.exists():
        raise AssayError(f"{file.parent} holds a batch already; give each batch an empty folder of its own")
    file.touch(mode=0o600)
    query.sink_parquet(file, compression="lz4", statistics=False)
    return pl.scan_parquet(file)


def sharing_rows(file: Path, published: Mapping[str, Path | None]) -> np.ndarray:
    """Positions of the rows of `file` that share a key with another row or a published one: all of those, and by chance more.

    published: for each column of fingerprints in `file` the file with the published ones (column `key`), if there are any.
    """
    require("duckdb", "Validating a batch on disk")
    import duckdb

    beyond = file.parent / "duckdb"
    beyond.mkdir(mode=0o700)
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": MEMORY,
        "temp_directory": str(beyond),
        "preserve_insertion_order": "false",
    }
    chunks = [np.empty(0, dtype=np.int64)]
    with duckdb.connect(config=config) as engine:
        for column, taken in published.items():
            key, rows = _quoted(column, '"'), _parquet(file, "file_row_number = true")
            batch = f"(select file_row_number as row, {key} as key from {rows})"
            shared = f"select key from {batch} where key is not null group by key having count(*) > 1"
            if taken is not None:
                shared += f" union select key from {_parquet(taken)} where key in (select key from {batch})"
            chunks.append(engine.execute(f"select row from {batch} where key in ({shared})").fetchnumpy()["row"])
    return np.concatenate(chunks)


def _parquet(file: Path, *options: str) -> str:
    return f"read_parquet({', '.join((_quoted(str(file)), *options))})"


def _quoted(text: str, mark: str = "'") -> str:
    return mark + text.replace(mark, mark * 2) + mark
