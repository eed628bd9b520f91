"""Column lineage derived from Polars expressions."""

from collections.abc import Iterable

import polars as pl
from polars.exceptions import PolarsError

from assay.errors import AssayError
from assay.features.views.columns import ColumnLineage
from assay.features.views.expressions import root_columns


def polars_lineage(
    expressions: Iterable[pl.Expr],
    table: str,
    schema: pl.Schema,
    *,
    filters: Iterable[pl.Expr] = (),
    by: Iterable[str] = (),
) -> ColumnLineage:
    """What each output of `table.filter(*filters).group_by(*by).agg(*expressions)` (or `.select`) comes from, in the form
    in which outputs declare their columns.

    Every column that an expression reads is direct, those of `when`, `over` or `sort_by` too: Polars does not tell
    which part of an expression reads which column. Selectors are spelt out by the schema; where a pattern is computed
    with (`cs.numeric() * 2`), the outputs are known and their sources are not. A filter by a pattern makes all unknown.

    Args:
        expressions: What is selected or aggregated.
        table: The name of the table that they read.
        schema: Its columns.
        filters: Conditions on its rows; their columns are indirect sources.
        by: Columns that group its rows; they are indirect sources.

    Raises:
        AssayError: An expression does not fit the schema.
    """
    rows = [root_columns(item) for item in filters]
    chosen = {*by, *(name for names in rows for name in names or ())}
    lineage: ColumnLineage = {}
    empty = pl.LazyFrame(schema=schema)
    for expr in expressions:
        try:
            outputs = empty.select(expr).collect_schema().names()
        except PolarsError as problem:
            raise AssayError(f"An expression does not fit the columns of {table}: {type(problem).__name__}.") from None
        names = root_columns(expr)
        selected = names is None and expr.meta.is_column_selection()
        for output in outputs:
            direct = [output] if selected else names
            if direct is None or None in rows:
                lineage[output] = "unknown"
            else:
                sources = {"direct": direct, "indirect": sorted(chosen)}
                lineage[output] = {kind: [(table, name) for name in given] for kind, given in sources.items()}
    return lineage
