"""Some of the rows that a version of a table wrote, and reading them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import polars as pl

from assay.errors import AssayError
from assay.features.storage.log_entry import DataFile, Entry
from assay.features.tables.lake import TableState
from assay.lineage.commits.graph import CommitGraph, Version
from assay.lineage.predictions.find_prediction import UNREADABLE

DIGEST = "_source_sha256"


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """Which of the rows that a version wrote are affected: those that equal a row of `by` in its columns; None: all.

    `notes` say where more rows may be among them than are affected, because a step on the way could not be followed row by row.
    """

    version: Version
    by: pl.DataFrame | None = None
    notes: frozenset[str] = frozenset()

    @property
    def is_empty(self) -> bool:
        return self.by is not None and self.by.is_empty()


def compact(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows that are kept for long: digests of files, which are long and few, each once."""
    return rows.with_columns(pl.col(name).cast(pl.Categorical) for name in rows.columns if name == DIGEST)


class Gone(AssayError):
    """The rows of a version cannot be read any more."""


@dataclass
class Rows:
    """Reads the rows that versions of tables wrote."""

    commits: CommitGraph
    _states: dict[Version, TableState] = field(default_factory=dict)

    def state(self, version: Version) -> TableState:
        if version not in self._states:
            self._states[version] = self.commits.lake.table(version[0]).at(version[1])
        return self._states[version]

    def columns(self, version: Version) -> pl.Schema:
        return self.state(version).schema

    def added(self, version: Version) -> tuple[DataFile, ...]:
        """The data files that a version added. Raises Gone where its log does not say."""
        return self._entry(version).added

    def files(self, version: Version) -> tuple[DataFile, ...]:
        """The data files with the rows that a version wrote, also those that were there already: of rows that had been written
        before, as where only something else is true of them, and of parts of a batch. Raises Gone where its log does not say."""
        entry = self._entry(version)
        assert entry.commit is not None
        if entry.commit.mode == "append":
            before = entry.commit.confirms
            return entry.added if entry.added or before is None else self.added((version[0], before))
        partition = entry.commit.partition
        return self.state(version).files_of(None if partition is None else [partition])

    def _entry(self, version: Version) -> Entry:
        log = self.commits.log(version[0])
        entry = log.entry(version[1]) if log else None
        if entry is None or entry.commit is None:
            raise Gone(f"the commit of {version[0]}@{version[1]} is gone or damaged")
        return entry

    def scan(self, selection: Selection) -> pl.LazyFrame:
        """The selected rows. Raises Gone."""
        frame = self.state(selection.version).scan_files(self.files(selection.version))
        if selection.by is None:
            return frame
        by = selection.by.lazy().with_columns(pl.col(pl.Categorical).cast(pl.String))
        return frame.join(by, on=selection.by.columns, how="semi", nulls_equal=True)

    def distinct(self, selections: Iterable[Selection], columns: Sequence[pl.Expr]) -> pl.DataFrame:
        """The distinct values of some columns in the selected rows. Raises Gone."""
        parts = [self._distinct(item, columns) for item in selections]
        return pl.concat(parts, how="vertical_relaxed").unique() if parts else pl.DataFrame()

    def _distinct(self, selection: Selection, columns: Sequence[pl.Expr]) -> pl.DataFrame:
        try:
            return self.scan(selection).select(columns).unique().collect(engine="streaming")
        except UNREADABLE as problem:
            table, version = selection.version
            raise Gone(f"rows of {table}@{version} cannot be read any more ({type(problem).__name__})") from None
