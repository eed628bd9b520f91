"""What can be done with the rows of a training set, as methods of `TrainingSetVersion`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from assay.features.training.comparison import TrainingSetComparison, compare_rows
from assay.features.training.exports import Numbers, to_arrow, to_numpy, to_pandas, write_parquet
from assay.features.training.folds import fold_rows, split_again
from assay.features.training.splits import split_rows
from assay.notebook_html import facts_html
from assay.optional import installed, require

if TYPE_CHECKING:
    import pyarrow

    from assay.features.storage.snapshot import Snapshot
    from assay.features.training.lookback import Lookback
    from assay.features.training.rows import RowFile, TrainingRows
    from assay.features.training.split import Split
    from assay.features.training.split_data import Columns, Duration
    from assay.features.training.splits import Boundary
    from assay.features.training.torch_rows import TorchRows


class TrainingSetMethods:
    """What `TrainingSetVersion` offers besides its rows and its manifest."""

    __slots__ = ()
    id: str
    snapshot: Snapshot
    manifest: Mapping[str, Any]

    def scan(self) -> pl.LazyFrame:
        """The rows as a lazy frame."""
        raise NotImplementedError

    def frame(self) -> pl.DataFrame:
        """The rows."""
        raise NotImplementedError

    def row_files(self) -> list[RowFile]:
        """The data files, in the order of the rows."""
        raise NotImplementedError

    def scan_unchecked(self) -> pl.LazyFrame:
        """The rows, of files that may have been changed."""
        return pl.concat([file.frame for file in self.row_files()])

    @property
    def feature_columns(self) -> list[str]:
        """The columns that the features gave."""
        return [feature["column"] for item in self.manifest["features"] for feature in item["features"]]

    def lookbacks(self) -> tuple[Lookback, ...]:
        """How far back the features of each view look, from what its table recorded."""
        raise NotImplementedError

    def split(
        self,
        *,
        by_time: Boundary | Sequence[Boundary] | None = None,
        by_entity: Columns | None = None,
        by_column: str | None = None,
        test: float | None = None,
        validation: float | None = None,
        embargo: Duration | None = None,
        lookback: Duration | None = None,
        label_known: str | None = None,
        purge: bool = False,
        shared: Columns = (),
        seed: int = 0,
    ) -> Split:
        """Cut the rows into train, perhaps validation, and test: `train, test = made.split(by_time="2026-09-01", embargo="7d")`.

        By time, every part is later than the one before. By entity, each customer (say) is on one side only, decided by a hash
        of the key and the seed: on every machine, and in later versions of the set. Given both, rows whose entity is on another
        side are left out.

        Args:
            by_time: The first moment of the test rows (a day, or a moment with a zone), or two: of validation and of test.
                `"latest"` holds back the shares `test` and `validation`.
            by_entity: The columns that say who a row is about.
            by_column: A column of the set that holds `train`, `validation` or `test`; null leaves a row out.
            test: The share of rows, or of entities, to measure by.
            validation: The share to choose by.
            embargo: Rows that are less than this before a boundary are left out.
            lookback: How far back features look, instead of what their views recorded. `"0d"`: each value is of one moment.
            label_known: The column that says when a row's label became known. Default: `label_known`, if there is one.
            purge: Leave out rows whose label became known after the boundary, instead of refusing.
            shared: Keys that the parts may have in common; what is joined by them alone is not asked for leaks.
            seed: Chooses among the splits by entity.

        Returns:
            The split; `.definition` says how it was made, and `log_model(training_set=split)` records it.

        Raises:
            SplitLeaks: Parts share an entity, a window of a feature, or a label that was known later.
            AssayError: The arguments do not fit, or a part has no rows.
        """
        return split_rows(
            self,
            self.lookbacks(),
            by_time=by_time,
            by_entity=by_entity,
            by_column=by_column,
            test=test,
            validation=validation,
            embargo=embargo,
            lookback=lookback,
            label_known=label_known,
            purge=purge,
            shared=shared,
            seed=seed,
        )

    def folds(
        self,
        count: int = 5,
        *,
        by_entity: Columns | None = None,
        forward: bool = False,
        embargo: Duration | None = None,
        lookback: Duration | None = None,
        label_known: str | None = None,
        shared: Columns = (),
        seed: int = 0,
    ) -> list[Split]:
        """Splits for cross-validation, each row being in the test part of one: `for train, test in made.folds(5, embargo="7d")`.

        By time, the test parts are blocks that follow each other. What is learned from is purged on both sides of a block: rows
        within the embargo, rows before it whose label was known only later, and rows after it until the last label of the block
        was known. By entity, each entity is tested in one fold.

        Args:
            count: How many folds.
            by_entity: The columns that say who a row is about. Default: folds by time.
            forward: Only learn from rows before the block. There is one more block, which is never tested.
            embargo: How much time is left out on both sides of a block.
            lookback: As for `split`.
            label_known: As for `split`.
            shared: As for `split`.
            seed: Chooses among the folds by entity.

        Raises:
            SplitLeaks: The embargo is shorter than features look back, or folds share an entity.
            AssayError: The arguments do not fit, or a part has no rows.
        """
        return fold_rows(
            self,
            self.lookbacks(),
            count,
            by_entity=by_entity,
            forward=forward,
            embargo=embargo,
            lookback=lookback,
            label_known=label_known,
            shared=shared,
            seed=seed,
        )

    def split_again(self, definition: Mapping[str, Any]) -> Split:
        """The split that a model recorded: `made.split_again(store.model("router").split)`.

        Args:
            definition: Of a split or a fold.

        Raises:
            AssayError: It is of another training set.
        """
        return split_again(self, self.lookbacks(), definition)

    def compare(
        self,
        other: TrainingRows,
        *,
        key: Sequence[str] | None = None,
        classes: Mapping[str, str | None] | None = None,
    ) -> TrainingSetComparison:
        """What differs between this training set and another one, without a cell of any row.

        Args:
            other: The other one, which is called `b` in the answer.
            key: The columns that identify a row. Default: the keys of the views, and the time.
            classes: Column → class of personal data, None for columns that are not personal. Categories are named of those alone;
                of personal columns only counts are given.

        Returns:
            Counts of rows, features by what became of them, versions of inputs, types, distributions and how far they are apart.

        Raises:
            AssayError: The sets have no key in common, or cannot be read.
        """
        return compare_rows(self, other, key=key, classes=classes)

    def to_numpy(
        self, *, columns: Sequence[str] | None = None, label: str | None = None, dtype: str = "float32"
    ) -> Numbers:
        """Features as a matrix, with label and names: `X, y, names = made.to_numpy(label="bought")`. A null is NaN.

        Args:
            columns: Numbers, or lists of numbers. Default: all features that are.
            label: The column to learn.
            dtype: Of the matrix.

        Returns:
            The matrix (rows, columns), the label (rows,) or None, and the names of the columns.

        Raises:
            AssayError: A column is not there, or no number, or the rows are not what the manifest says.
        """
        return to_numpy(self, self.frame(), columns, label, dtype)

    def to_pandas(self) -> Any:
        """The rows as a pandas frame. Raises AssayError if pandas or pyarrow is not installed."""
        return to_pandas(self, self.frame())

    def to_arrow(self) -> pyarrow.RecordBatchReader:
        """The rows as Arrow record batches, of which one is held at a time. Raises AssayError if pyarrow is not installed."""
        return to_arrow(self)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """For whoever takes Arrow data: `pyarrow.table(made)`, DuckDB, Polars."""
        if installed("pyarrow"):
            return self.to_arrow().__arrow_c_stream__(requested_schema)
        return self.frame().__arrow_c_stream__(requested_schema)

    def write_parquet(self, path: str | Path) -> str:
        """Write the rows as one Parquet file: whole, or not at all.

        Args:
            path: Of the file. One that is there is replaced at the end.

        Returns:
            The content's digest, that of the manifest, which the written file was read again for.

        Raises:
            AssayError: What was written is not what the manifest says.
        """
        return write_parquet(self, Path(path))

    def _repr_html_(self) -> str:
        """For notebooks: what it was made from, and no value of a row."""
        manifest = self.manifest
        return facts_html(
            f"Training set {self.id}",
            {
                "rows": manifest["rows"],
                "features": manifest["references"],
                "columns": [f"{column['name']} ({column['type']})" for column in manifest["schema"]],
                "made from": [f"{item['name']}@{item['version']}" for item in manifest["inputs"]],
                "made at": manifest.get("created_at", ""),
                "content": manifest["content_digest"],
            },
        )

    def torch(
        self,
        *,
        columns: Sequence[str] | None = None,
        label: str | None = None,
        batch_size: int = 1024,
        shuffle_seed: int | None = None,
        rank: int = 0,
        world: int = 1,
        drop_last: bool = False,
    ) -> TorchRows:
        """The rows as a torch `IterableDataset` of batches `(features, label)`: float32 tensors of (rows, columns), and labels.

        Rows are shuffled within blocks of 122,880 rows, and the blocks among each other, by the seed and the number of the epoch:
        the order is the same everywhere. Blocks are read one at a time, from files that have the SHA-256 of the log. Each row
        of an epoch comes once, over all ranks and workers.

        Args:
            columns: The columns of the matrix, numbers or lists of numbers. Default: all features that are.
            label: The column to learn.
            batch_size: Rows in a batch; fewer at the end of a worker's part.
            shuffle_seed: Decides the order; None: the order of the rows.
            rank: Which part of the rows this process has, in data parallel training.
            world: Into how many parts they are cut.
            drop_last: Leave out batches with fewer rows.

        Raises:
            ExtraMissing: torch is not installed.
            AssayError: A column is not there, or no number.
        """
        require("torch", "Loading a training set into torch")
        from assay.features.training.torch_rows import TorchRows

        return TorchRows(
            self,
            columns=columns,
            label=label,
            batch_size=batch_size,
            shuffle_seed=shuffle_seed,
            rank=rank,
            world=world,
            drop_last=drop_last,
        )
