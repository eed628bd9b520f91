"""The spine as it is given: a Polars frame, lazy or not, or anything that gives Arrow (pyarrow, pandas, DuckDB).

Joins give Polars back whatever came in: one type to document, and a round trip through pandas would turn whole numbers with nulls
into floats. `.to_pandas()` and `.to_arrow()` are one call away.
"""

from __future__ import annotations

import re
from typing import Any, Protocol

import polars as pl

from assay.errors import AssayError

_INDEX = re.compile(r"__index_level_\d+__")


class GivesArrow(Protocol):
    """What follows Arrow's PyCapsule interface: tables and readers of pyarrow, frames of pandas, relations of DuckDB."""

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any: ...


SpineFrame = pl.DataFrame | pl.LazyFrame | GivesArrow


def spine_frame(spine: SpineFrame, event_time: str) -> pl.DataFrame:
    """The spine as a Polars frame. Times of Arrow in nanoseconds become microseconds if they are whole ones: pandas has no
    others by default. An unnamed index of pandas is no column.

    Raises AssayError for what gives no rows, for times of parts of a microsecond, and for naive times of pandas, with the advice
    for pandas. Polars frames come back as they are.
    """
    if isinstance(spine, pl.DataFrame):
        return spine
    if isinstance(spine, pl.LazyFrame):
        return spine.collect()
    if not hasattr(spine, "__arrow_c_stream__"):
        raise AssayError(
            f"The spine is a {type(spine).__name__}: give a frame of Polars or pandas, or anything that gives Arrow."
        )
    frame = pl.DataFrame(spine)
    frame = frame.drop([name for name in frame.columns if _INDEX.fullmatch(name)])
    dtype = frame.schema.get(event_time)
    if not isinstance(dtype, pl.Datetime):
        return frame
    if dtype.time_zone is None and type(spine).__module__.partition(".")[0] == "pandas":
        raise AssayError(
            f"the spine: column {event_time!r} holds naive times; say which zone they are in, "
            f"e.g. frame[{event_time!r}].dt.tz_localize('UTC')"
        )
    if dtype.time_unit == "ns":
        whole = frame[event_time].dt.epoch("ns") % 1000 == 0
        if not whole.all():
            raise AssayError(
                f"the spine: column {event_time!r} holds parts of microseconds and times are kept in microseconds; round "
                "explicitly, in pandas with .dt.floor('us')"
            )
        return frame.with_columns(pl.col(event_time).dt.cast_time_unit("us"))
    return frame
