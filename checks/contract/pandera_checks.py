"""Checks that only pandera can run: functions that authors write. Pandera runs them, Assay reads the verdicts."""

import pandera.polars as pa
import polars as pl
from pandera.constants import CHECK_OUTPUT_KEY

from assay.errors import AssayError


def run_check(check: pa.Check, frame: pl.DataFrame, column: str | None) -> pl.Series | bool:
    """A verdict per row of `frame` (at least one row), or a single verdict about all of it.

    Raises whatever the author's function raises, and AssayError when the number of verdicts fits neither.
    """
    verdicts = _verdicts(check, frame, column)
    if len(verdicts) == 1:
        # One verdict for one row: whether it is about the row or the batch shows with the row given twice.
        about_batch = frame.height > 1 or len(_verdicts(check, pl.concat([frame, frame]), column)) == 1
        return bool(verdicts[0]) if about_batch else verdicts
    if len(verdicts) != frame.height:
        raise AssayError(f"{check.name}: the check gives {len(verdicts)} verdicts for {frame.height} rows")
    return verdicts


def _verdicts(check: pa.Check, frame: pl.DataFrame, column: str | None) -> pl.Series:
    return check(frame.lazy(), column).check_output.collect()[CHECK_OUTPUT_KEY]
