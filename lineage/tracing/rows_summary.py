"""How many delivered rows are behind a prediction, for its trace."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from assay.errors import AssayError, plural
from assay.features.tables.lake import Lake
from assay.lineage.predictions.find_prediction import UNREADABLE
from assay.lineage.tracing.row_provenance import source_rows
from assay.lineage.tracing.trace import Trace


@dataclass(frozen=True, slots=True)
class RowsSummary:
    """How many delivered rows are behind a prediction, per table, in how many files; `problem` says why that is not known."""

    rows: Mapping[str, int]
    files: int
    problem: str = ""

    def to_dict(self) -> dict[str, Any]:
        count = None if self.problem else sum(self.rows.values())
        return {"count": count, "files": self.files, "by_table": dict(self.rows), "problem": self.problem}

    def __str__(self) -> str:
        if self.problem:
            return f"The source rows behind it are not known any more: {self.problem}"
        tables = ", ".join(f"{count:,} of {table}" for table, count in self.rows.items())
        if not tables:
            return "No delivered row is recorded behind the prediction's own features."
        return f"source rows: {tables}; in {plural(self.files, 'file')} (--rows names them)"


def rows_summary(lake: Lake, trace: Trace) -> RowsSummary:
    """The delivered records behind a prediction, counted. A row that counts for two reasons is one row."""
    try:
        found = {(row.table, row.sha256, row.row_number) for row in source_rows(lake, trace)}
    except AssayError as problem:
        return RowsSummary({}, 0, str(problem))
    except UNREADABLE as problem:  # its text may quote cells
        return RowsSummary({}, 0, f"a data file cannot be read ({type(problem).__name__}).")
    tables = sorted({table for table, _, _ in found})
    counts = {table: sum(one == table for one, _, _ in found) for table in tables}
    return RowsSummary(counts, len({sha256 for _, sha256, _ in found}))
