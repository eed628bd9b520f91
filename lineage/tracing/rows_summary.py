"""How many delivered rows are behind a prediction, for its trace."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from assay.errors import AssayError, plural
from assay.features.tables.lake import Lake
from assay.lineage.predictions.find_prediction import UNREADABLE, unreadable
from assay.lineage.tracing.row_provenance import not_followed, source_rows
from assay.lineage.tracing.trace import Trace


@dataclass(frozen=True, slots=True)
class RowsSummary:
    """How many delivered rows are behind a prediction, per table, in how many files; `problem` says why that is not known, and
    `besides` why the row that it is about is not among them."""

    rows: Mapping[str, int]
    files: int
    problem: str = ""
    besides: str = ""

    def to_dict(self) -> dict[str, Any]:
        count = None if self.problem else sum(self.rows.values())
        return {
            "count": count,
            "files": self.files,
            "by_table": dict(self.rows),
            "problem": self.problem or self.besides,
        }

    def __str__(self) -> str:
        if self.problem:
            return f"The source rows behind it are not known any more: {self.problem}"
        tables = ", ".join(f"{count:,} of {table}" for table, count in self.rows.items())
        if not tables:
            return self.besides or "No delivered row is recorded behind the prediction's own features."
        besides = f"\n{self.besides}" if self.besides else ""
        return f"source rows: {tables}; in {plural(self.files, 'file')} (--rows names them){besides}"


def rows_summary(lake: Lake, trace: Trace) -> RowsSummary:
    """The delivered records behind a prediction, counted. A row that counts for two reasons is one row."""
    try:
        besides = not_followed(lake, trace)
        found = {(row.table, row.sha256, row.row_number) for row in source_rows(lake, trace)}
    except AssayError as problem:
        return RowsSummary({}, 0, str(problem))
    except UNREADABLE as problem:
        return RowsSummary({}, 0, f"{unreadable(problem)}.")
    tables = sorted({table for table, _, _ in found})
    counts = {table: sum(one == table for one, _, _ in found) for table in tables}
    return RowsSummary(counts, len({sha256 for _, sha256, _ in found}), besides=besides)
