"""Which partitions of a table hold the events of a window in time: by the times of the events, not by the partitions' names.

An upstream that cuts its files by the day of another time zone, a late file, a clock that is wrong: the events of a moment may
lie in other partitions than the one that is named after it. Where the statistics of the files leave it open, their times are
read, once.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from statistics import median_low

import polars as pl

from assay.features.storage.log_entry import DataFile
from assay.features.tables.lake import TableState
from assay.features.tables.partitioning import Partitioning
from assay.features.views.timestamps import INSTANT

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HOUR = 3_600_000_000  # µs
_ROUNDED = timedelta(milliseconds=1)  # Delta's statistics may be cut off there
_LOOKED_AT = 28  # partitions, to know how the upstream cuts its files
_LEAST_SHIFT = 0.02  # of the length of a partition; clocks and borders are not exact
_MOST_SPANS = 256  # of a file
_MOST_FILES = 4096  # of which the spans are remembered

Span = tuple[datetime, datetime]  # begin inclusive, end exclusive
_seen: dict[tuple[str, str, str], tuple[Span, ...]] = {}


@dataclass(frozen=True, slots=True)
class WindowPartitions:
    """`present`: those to read, sorted. `missing`: those that usually hold such events and have not arrived."""

    present: tuple[str, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Shift:
    """By how much an upstream usually cuts its files before (`early`) or after (`late`) the borders of its partitions."""

    early: timedelta = timedelta(0)
    late: timedelta = timedelta(0)


def partitions_of_window(
    state: TableState, partitioning: Partitioning, own: str, column: str | None, width: timedelta
) -> WindowPartitions:
    """The partitions with the events of `[end − width, end)`, where `end` is the end of the partition `own`.

    Args:
        state: The table.
        partitioning: How it is cut, in time.
        own: The partition at whose end the window ends.
        column: The time of the events (µs UTC); None: it is not known, and partitions count by their names.
        width: Of the window.
    """
    end = partitioning.end_of(own)
    begin = end - width
    shift = usual_shift(state, partitioning, own, column)
    expected = partitioning.overlapping(begin - shift.late, end + shift.early)
    present = set(state.partitions(expected))
    missing = tuple(key for key in expected if key not in present)
    if column is not None:
        for file, low, high in state.ranges_between(column, _micros(begin - _ROUNDED), _micros(end) - 1):
            key = file.partition
            if key is not None and key not in present and _meets(state, file, column, (low, high), (begin, end)):
                present.add(key)
    return WindowPartitions(tuple(sorted(present)), missing)


def usual_shift(state: TableState, partitioning: Partitioning, own: str, column: str | None) -> Shift:
    """How an upstream has cut its files so far, up to a partition: as in another time zone, if their events begin *and* end
    before the borders of the partitions, or both after them. A late event alone is no such shift: it does not move the end."""
    if column is None:
        return Shift()
    keys = [*partitioning.before(own, _LOOKED_AT - 1), own]
    gaps: list[tuple[timedelta, timedelta]] = []
    length = timedelta(0)
    for key, (low, high) in state.ranges_of(column, keys).items():
        if low is not None and high is not None:
            begin, end = partitioning.bounds(key)
            gaps.append((_moment(low) - begin, _moment(high) - end))
            length = end - begin
    if not gaps:
        return Shift()
    zero = timedelta(0)
    early = min(median_low(max(-low, zero) for low, _ in gaps), min(max(-high, zero) for _, high in gaps))
    late = min(median_low(max(high, zero) for _, high in gaps), min(max(low, zero) for low, _ in gaps))
    return Shift(*(by if by >= length * _LEAST_SHIFT else zero for by in (early, late)))


def partitions_with_events(
    state: TableState, partitioning: Partitioning, changed: str, column: str | None, width: timedelta
) -> list[str]:
    """The partitions whose windows (see `partitions_of_window`) read a partition of this state, or would if it were there; in
    order, and some more perhaps, but none less. Those that only its name makes readers of it are not among them."""
    if column is None:
        return []
    spans = event_spans(state, changed, column)
    if spans is None:  # all, from the first that can be
        return partitioning.overlapping(partitioning.bounds(partitioning.start)[0], _last_end(state, partitioning))
    keys: set[str] = set()
    for begin, end in spans:
        keys.update(partitioning.overlapping(begin, min(end + width, _last_end(state, partitioning))))
    before = partitioning.before(changed, 1)
    shifts = [usual_shift(state, partitioning, key, column) for key in (*before, changed)]
    early, late = max(shift.early for shift in shifts), max(shift.late for shift in shifts)
    begin, end = partitioning.bounds(changed)
    if early or late:  # what the upstream usually does is judged by some partitions before
        keys.update(partitioning.overlapping(begin - early, end + late + width))
        keys.update(partitioning.after(changed, _LOOKED_AT))
    return sorted(keys)


def files_with_events(state: TableState, column: str, spans: Sequence[Span]) -> list[tuple[DataFile, ...]]:
    """For each of some spans of time that follow each other, the files with events in it; by partition and path. A file with a
    wide range is among them only where its events are, to the hour."""
    begins = [_micros(begin) for begin, _ in spans]
    found: list[list[DataFile]] = [[] for _ in (None, *spans, None)]  # before and after, too
    begin, end = spans[0][0], spans[-1][1]
    borders = [*begins, _micros(end)]
    for file, low, high in state.ranges_between(column, _micros(begin - _ROUNDED), _micros(end) - 1):
        if low is None or high is None or bisect_right(borders, high) - bisect_right(borders, low) > 1:
            ranges = [(_micros(first), _micros(after) - 1) for first, after in _spans(state, file, column)]
        else:  # it has events at both of its ends
            ranges = [(low, high)]
        places: set[int] = set()
        for first, last in ranges:
            places.update(range(bisect_right(borders, first), bisect_right(borders, last) + 1))
        for place in places:
            found[place].append(file)
    return [tuple(sorted(files, key=lambda file: (file.partition or "", file.path))) for files in found[1:-1]]


def _last_end(state: TableState, partitioning: Partitioning) -> datetime:
    last = state.last_partition()
    return partitioning.end_of(last) if last is not None and partitioning.is_key(last) else _EPOCH


def event_spans(state: TableState, partition: str, column: str) -> list[Span] | None:
    """When the events of a partition happened, as spans that hold all of them; None where that cannot be told."""
    low, high = state.ranges_of(column, [partition]).get(partition, (0, -1))
    if low is None or high is None:
        return None
    if high - low < 48 * _HOUR:
        return [(_moment(low), _moment(high) + _ROUNDED)] if low <= high else []
    return [span for file in state.files_of([partition]) for span in _spans(state, file, column)]


def _meets(state: TableState, file: DataFile, column: str, known: tuple[int | None, int | None], window: Span) -> bool:
    """Whether a file has events in a window that its range meets."""
    low, high = known
    if low is not None and high is not None and (_within(low, window) or _within(high, window)):
        return True
    return any(begin < window[1] and end > window[0] for begin, end in _spans(state, file, column))


def _within(moment: int, window: Span) -> bool:
    return window[0] <= _moment(moment) < window[1] - _ROUNDED


def _spans(state: TableState, file: DataFile, column: str) -> tuple[Span, ...]:
    """When the events of a file happened, to the hour. The name of a file is the digest of its bytes, so each is read once."""
    key = (state.table.uri, file.path, column)
    if key not in _seen:
        if len(_seen) >= _MOST_FILES:
            _seen.clear()
        hour = pl.col(column).cast(INSTANT).to_physical() // _HOUR
        hours = state.scan_files([file]).select(hour.unique()).collect().to_series().drop_nulls().sort().to_list()
        _seen[key] = tuple((_moment(first * _HOUR), _moment((last + 1) * _HOUR)) for first, last in _runs(hours))
    return _seen[key]


def _runs(hours: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Neighbouring hours as runs (first, last); where there are too many, the nearest are taken together."""
    if not hours:
        return
    gaps = [place for place in range(1, len(hours)) if hours[place] - hours[place - 1] > 1]
    widest = sorted(gaps, key=lambda place: hours[place - 1] - hours[place])[: _MOST_SPANS - 1]
    begins = [0, *sorted(widest), len(hours)]
    for begin, after in pairwise(begins):
        yield hours[begin], hours[after - 1]


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _moment(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)
