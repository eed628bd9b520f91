"""Keys of a batch that is larger than memory: on disk as fingerprints, and which rows share one, by an engine that spills."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from assay.optional import require

#: What DuckDB may hold in memory; beyond it, it writes to the folder.
MEMORY = "256MB"
_ROW = "row"


@dataclass(slots=True)
class Keys:
    """Fingerprints of the keys of a batch's rows: `columns` in files of `folder`, a file for each block of rows."""

    folder: Path
    columns: tuple[str, ...]
    files: list[Path] = field(default_factory=list)
    height: int = 0

    def add(self, prints: pl.DataFrame) -> None:
        """Write those of the next rows, null where a row has no key."""
        if self.columns:
            numbers = pl.int_range(self.height, self.height + prints.height, eager=True).alias(_ROW)
            self.files.append(
                on_disk(prints.with_columns(numbers).lazy(), self.folder / f"keys-{len(self.files):06d}.parquet")
            )
            self.height += prints.height

    def of(self, column: str) -> pl.Series:
        """The fingerprints that are there, of all rows."""
        rows = pl.scan_parquet(self.files, glob=False).select(pl.col(column).drop_nulls())
        return rows.collect(engine="streaming").to_series()

    def sharing(self, published: Mapping[str, Path]) -> np.ndarray:
        """Positions of the rows that share a key with another row or a published one: all of those, and by chance more.

        published: for some columns the file with the published fingerprints (column `key`).
        """
        require("duckdb", "Validating a batch on disk")
        import duckdb

        beyond = self.folder / "duckdb"
        beyond.mkdir(mode=0o700)
        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": MEMORY,
            "temp_directory": str(beyond),
            "preserve_insertion_order": "false",
        }
        chunks = [np.empty(0, dtype=np.int64)]
        with duckdb.connect(config=config) as engine:
            for column in self.columns:
                key = _quoted(column, '"')
                batch = f"(select {_ROW}, {key} as key from {_parquet(self.files)})"
                shared = f"select key from {batch} where key is not null group by key having count(*) > 1"
                if column in published:
                    shared += (
                        f" union select key from {_parquet([published[column]])} where key in (select key from {batch})"
                    )
                chunks.append(engine.execute(f"select {_ROW} from {batch} where key in ({shared})").fetchnumpy()[_ROW])
        return np.concatenate(chunks)


def on_disk(query: pl.LazyFrame, file: Path) -> Path:
    """Run the query, streaming, into a Parquet file that only this user can read."""
    file.touch(mode=0o600)
    query.sink_parquet(file, compression="lz4", statistics=False)
    return file


def _parquet(files: Sequence[Path]) -> str:
    return f"read_parquet([{', '.join(_quoted(str(file)) for file in files)}])"


def _quoted(text: str, mark: str = "'") -> str:
    return mark + text.replace(mark, mark * 2) + mark
