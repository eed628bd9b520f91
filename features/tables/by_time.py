"""Rows of a table by a column of times, with as few of its files as their statistics allow."""

from datetime import UTC, datetime, timedelta

import polars as pl

from assay.features.tables.lake import TableState

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def rows_from(state: TableState, column: str, low: datetime | None) -> pl.LazyFrame:
    """The rows of which a column of times is at `low` or later (None: all rows)."""
    if low is None:
        return state.scan()
    if state.checkpointed is not None:
        return state.scan().filter(pl.col(column) >= low)
    files = state.files_between(column, _micros(low), None)
    return state.scan_files(files).filter(pl.col(column) >= low)


def greatest_time(state: TableState, column: str, at_most: datetime) -> datetime | None:
    """The greatest value of a column of times that is not later than `at_most`; None where there is none. Opens the files that
    may hold later ones, and as a rule one more, however many there are."""
    if state.checkpointed is not None:
        return _greatest(state.scan(), column, at_most)
    ranges = state.ranges_between(column, _micros(at_most), None)  # may hold values of before and after
    found = _greatest(state.scan_files([file for file, _, _ in ranges]), column, at_most)
    below = _micros(at_most)
    while newest := state.index.newest_partitions(state.version, column, None, below, 1):
        partition, high = newest[0]
        if found is not None and high < _micros(found):
            return found
        here = _greatest(state.scan([partition]), column, at_most)
        found = max((one for one in (found, here) if one is not None), default=None)
        below = high
    return found


def _greatest(rows: pl.LazyFrame, column: str, at_most: datetime) -> datetime | None:
    return rows.filter(pl.col(column) <= at_most).select(pl.col(column).max()).collect().item()


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)
