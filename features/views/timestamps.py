"""Durations and instants: everything about time that feature views share. All instants are µs UTC."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import polars as pl

from assay.durations import format_duration as format_duration
from assay.durations import microseconds as microseconds
from assay.durations import parse_duration as parse_duration
from assay.errors import AssayError, nearest

INSTANT = pl.Datetime("us", "UTC")


def utc(at: datetime, what: str) -> datetime:
    """`at` in UTC. Raises AssayError if it is naive."""
    if at.tzinfo is None:
        raise AssayError(f"{what} is a naive time: say which instant, e.g. datetime(2026, 1, 31, tzinfo=UTC)")
    return at.astimezone(UTC)


def instant(schema: Mapping[str, pl.DataType], column: str, where: str) -> pl.Expr:
    """The column as µs UTC. Raises AssayError, naming `where`, if it is missing or does not hold instants.

    Other zones and coarser units convert without loss; naive times and nanoseconds could only be guessed at.
    """
    dtype = schema.get(column)
    if dtype is None:
        close = nearest(column, schema)
        raise AssayError(
            f"{where} has no column {column!r}; its columns are {sorted(schema)}{'.' if close else ''}{close}"
        )
    if not isinstance(dtype, pl.Datetime):
        raise AssayError(
            f"{where}: column {column!r} is {dtype}, not a timestamp; convert it first, "
            f"e.g. pl.col({column!r}).str.to_datetime(time_zone='UTC') for text"
        )
    if dtype.time_zone is None:
        raise AssayError(
            f"{where}: column {column!r} holds naive timestamps; say which zone they are in, "
            f"e.g. pl.col({column!r}).dt.replace_time_zone('UTC')"
        )
    if dtype.time_unit == "ns":
        raise AssayError(
            f"{where}: column {column!r} holds nanoseconds and times are kept in microseconds; "
            f"round explicitly with pl.col({column!r}).dt.cast_time_unit('us')"
        )
    if dtype == INSTANT:
        return pl.col(column)  # a bare column lets the filter reach the file statistics
    return pl.col(column).dt.cast_time_unit("us").dt.convert_time_zone("UTC")
