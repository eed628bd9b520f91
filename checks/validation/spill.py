"""Keys of a batch that is larger than memory: on disk as fingerprints, and which rows share one, by an engine that spills."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from assay.checks.validation.uniqueness import constant, repeated
from assay.optional import require

#: What DuckDB may hold in memory; beyond it, it writes to the folder.
MEMORY = "256MB"
#: So many fingerprints of all columns together are compared in memory.
IN_MEMORY = 8_000_000
_ROW = "row"


@dataclass(slots=True)
class Keys:
    """Fingerprints of the keys of a batch's rows: `columns` in memory while they are few, else in files of `folder`."""

    folder: Path
    columns: tuple[str, ...]
    files: list[Path] = field(default_factory=list)
    height: int = 0
    _waiting: list[pl.DataFrame] = field(default_factory=list)

    def add(self, prints: pl.DataFrame) -> None:
        """Take those of the next rows, null where a row has no key."""
        if not self.columns:
            return
        numbers = pl.int_range(self.height, self.height + prints.height, eager=True).alias(_ROW)
        self._waiting.append(prints.with_columns(numbers))
        self.height += prints.height
        if self.files or self.height * len(self.columns) > IN_MEMORY:
            file = self.folder / f"keys-{len(self.files):06d}.parquet"
            self.files.append(on_disk(pl.concat(self._waiting).lazy(), file))
            self._waiting.clear()

    def of(self, column: str) -> pl.Series:
        """The fingerprints that are there, of all rows."""
        rows = pl.scan_parquet(self.files, glob=False) if self.files else pl.concat(self._waiting).lazy()
        return rows.select(pl.col(column).drop_nulls()).collect(engine="streaming").to_series()

    def sharing(self, published: Mapping[str, pl.LazyFrame]) -> pl.Series:
        """Which rows share a key with another row or a published one: all of those, and by chance more.

        published: for some columns the published fingerprints (column `key`).
        """
        rows = pl.concat(list(self._on_disk(published) if self.files else self._in_memory(published)))
        return constant(False, self.height).scatter(rows, True)

    def _in_memory(self, published: Mapping[str, pl.LazyFrame]) -> Iterator[pl.Series]:
        for column in self.columns:
            prints = pl.concat([part[column] for part in self._waiting], rechunk=True)
            shared = [repeated(prints)]
            if column in published:
                taken = published[column].filter(pl.col("key").is_in(prints.drop_nulls().implode()))
                shared.append(taken.collect(engine="streaming").to_series())
            yield prints.is_in(pl.concat(shared).implode()).arg_true()

    def _on_disk(self, published: Mapping[str, pl.LazyFrame]) -> Iterator[pl.Series]:
        require("duckdb", "Validating a batch on disk")
        import duckdb

        taken = {
            column: on_disk(prints, self.folder / f"published-{number}.parquet")
            for number, (column, prints) in enumerate(published.items())
        }
        beyond = self.folder / "duckdb"
        beyond.mkdir(mode=0o700)
        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": MEMORY,
            "temp_directory": str(beyond),
            "preserve_insertion_order": "false",
        }
        with duckdb.connect(config=config) as engine:
            for column in self.columns:
                key = _quoted(column, '"')
                batch = f"(select {_ROW}, {key} as key from {_parquet(self.files)})"
                shared = f"select key from {batch} where key is not null group by key having count(*) > 1"
                if column in taken:
                    shared += (
                        f" union select key from {_parquet([taken[column]])} where key in (select key from {batch})"
                    )
                rows = engine.execute(f"select {_ROW} from {batch} where key in ({shared})").fetchnumpy()[_ROW]
                yield pl.Series(rows).cast(pl.UInt32)


def on_disk(query: pl.LazyFrame, file: Path) -> Path:
    """Run the query, streaming, into a Parquet file that only this user can read."""
    file.touch(mode=0o600)
    query.sink_parquet(file, compression="lz4", statistics=False)
    return file


def _parquet(files: Sequence[Path]) -> str:
    return f"read_parquet([{', '.join(_quoted(str(file)) for file in files)}])"


def _quoted(text: str, mark: str = "'") -> str:
    return mark + text.replace(mark, mark * 2) + mark
