"""The parts of the windows over one table, at one version: kept ones as long as their events are the same, else made anew.

What was kept of a block says of which files of the table it was made. The name of a file is the digest of its bytes: if the block
would be made of the same files now, it would be the same. So a late, corrected or deleted event costs the blocks that it is in.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import polars as pl

from assay.features.storage.log_entry import DataFile
from assay.features.tables.lake import TableState
from assay.features.tables.partitioning import Partitioning
from assay.features.views.timestamps import INSTANT, instant
from assay.features.views.window_partitions import files_with_events
from assay.features.views.windowed import TIME
from assay.features.window_parts.blocks import Block, cut, ending_at, position_of
from assay.features.window_parts.states import States

SOURCE, LEVEL, BEGIN, END, MADE_FROM = "_source", "_level", "_begin", "_end", "_made_from"
BLOCKS = "blocks"  # in the `extra` of a commit: by table and level, what the block that ends there was made from, and its rows
_FORM = 1  # of what is kept; raise it when the same events give other states
_NOTHING = ""  # what a block without events is made from


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """The events of `[begin, end)`, which is less than a partition."""

    begin: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class _Place:
    """A partition, as a span of time, and the files with its events."""

    key: str
    begin: datetime
    end: datetime
    files: tuple[DataFile, ...]


class Partials:
    """The states of the parts of windows within `[begin, end)`.

    Args:
        table: With the events, at one version.
        partitioning: How time is cut into partitions.
        time: The column with the time of the events.
        columns: What the aggregations read, and the keys.
        states: What is computed of the events.
        kept: The table with the blocks that are kept, at one version; None where there is none.
        begin: Of the longest window.
        end: Of the last one.
    """

    def __init__(
        self,
        table: TableState,
        partitioning: Partitioning,
        time: str,
        columns: Sequence[str],
        states: States,
        kept: TableState | None,
        begin: datetime,
        end: datetime,
    ) -> None:
        self.states = states
        self._table, self._time, self._columns, self._kept = table, time, columns, kept
        whenever = replace(partitioning, start="", end=None)  # an event may be of before the first partition
        keys = whenever.overlapping(begin, end)
        bounds = [whenever.bounds(key) for key in keys]
        files = files_with_events(table, time, bounds)
        self._begins = [begin for begin, _ in bounds]
        self._ends = [end for _, end in bounds]
        self._positions = [position_of(whenever, key) for key in keys]
        self._first_whole = bisect_left(self._begins, begin)
        self._places = {
            position: _Place(key, *span, of)
            for position, key, span, of in zip(self._positions, keys, bounds, files, strict=True)
        }
        about = (_FORM, pl.__version__, table.table.name, time, states.keys, [part.column for part in states.parts])
        self._about = repr(about)
        self._made_from: dict[Block, str] = {}
        self._frames: dict[Block, pl.DataFrame] = {}
        self._events: dict[int, pl.DataFrame] = {}
        self._nothing = states.of_events(self._scan(()).collect())

    def pieces(self, begin: datetime, end: datetime) -> tuple[list[Span], list[Block], list[Span]]:
        """A window cut into what is before its first whole partition, whole partitions, and what is after the last one."""
        first, after = bisect_left(self._begins, begin), bisect_right(self._ends, end)
        if first >= after:
            return [Span(begin, end)], [], []
        edges = self._begins[first], self._ends[after - 1]
        blocks = list(cut(self._positions[first], self._positions[after - 1]))
        before = [Span(begin, edges[0])] if begin < edges[0] else []
        return before, blocks, [Span(edges[1], end)] if edges[1] < end else []

    def frame(self, piece: Block | Span) -> pl.DataFrame:
        """The states of the entities with events in a piece: keys and state, sorted by the keys."""
        if isinstance(piece, Span):
            return self.states.of_events(self._between(piece))
        if piece not in self._frames:
            self._frames[piece] = self._block(piece)
        return self._frames[piece]

    def ending_at(self, key: str) -> tuple[pl.DataFrame, dict[str, list[str | int]]]:
        """The blocks that end with a partition, as they are kept, and by its level what each was made from, and its rows."""
        position = next(position for position, place in self._places.items() if place.key == key)
        length = bisect_right(self._positions, position) - self._first_whole
        blocks = ending_at(position, length)
        about: dict[str, list[str | int]] = {
            str(block.level): [self._of(block), self.frame(block).height] for block in blocks
        }
        return pl.concat([self._described(block) for block in blocks]), about

    def _described(self, block: Block) -> pl.DataFrame:
        first = self._positions[bisect_left(self._positions, block.first)]
        return self.frame(block).with_columns(
            pl.lit(self._table.table.name).alias(SOURCE),
            pl.lit(block.level, dtype=pl.Int64).alias(LEVEL),
            pl.lit(self._places[first].begin, dtype=INSTANT).alias(BEGIN),
            pl.lit(self._places[block.last].end, dtype=INSTANT).alias(END),
            pl.lit(self._of(block)).alias(MADE_FROM),
        )

    # -- blocks ----------------------------------------------------------------------------------------------------

    def _of(self, block: Block) -> str:
        """What the block is made from now."""
        if block not in self._made_from:
            if block.level:
                halves = [self._of(half) for half in block.halves()]
                made_from = _digest(*halves) if any(halves) else _NOTHING
            else:
                place = self._places.get(block.last)  # a position may be one of a day that the clocks have skipped
                files = place.files if place is not None else ()
                made_from = _digest(self._about, *(file.path for file in files)) if files else _NOTHING
            self._made_from[block] = made_from
        return self._made_from[block]

    def _block(self, block: Block) -> pl.DataFrame:
        if self._of(block) == _NOTHING:
            return self._nothing
        if (kept := self._kept_rows(block)) is not None:
            return kept
        if block.level:
            return self.states.join([self.frame(half) for half in block.halves()])
        place = self._places[block.last]
        return self.states.of_events(self._scan(place.files, place.begin, place.end).collect())

    def _kept_rows(self, block: Block) -> pl.DataFrame | None:
        """The block as it is kept, if it would be made of the same now."""
        place = self._places.get(block.last)
        if self._kept is None or place is None:
            return None
        commit = self._kept.writer_of(place.key)
        recorded = commit.extra.get(BLOCKS) if commit is not None else None
        levels = recorded.get(self._table.table.name) if isinstance(recorded, Mapping) else None
        made_from, count = (levels.get(str(block.level)) if isinstance(levels, Mapping) else None) or ("", 0)
        if made_from != self._of(block):
            return None
        rows = self._kept.scan([place.key]).filter(
            pl.col(SOURCE) == self._table.table.name, pl.col(LEVEL) == block.level, pl.col(MADE_FROM) == self._of(block)
        )
        state = self.states.schema
        found = rows.select(*self.states.keys, *(pl.col(name).cast(dtype) for name, dtype in state.items())).collect()
        # Another tool may have gone back to an earlier version, whose rows are not those of the last writer.
        return found if found.height == count else None

    # -- events ----------------------------------------------------------------------------------------------------

    def _between(self, span: Span) -> pl.DataFrame:
        """The events of a part of one or two partitions, which are read once for all of their parts."""
        frames = [self._scan(()).collect()]
        for position in self._positions[bisect_right(self._ends, span.begin) : bisect_left(self._begins, span.end)]:
            if position not in self._events:
                place = self._places[position]
                self._events[position] = self._scan(place.files, place.begin, place.end).collect()
            frames.append(self._events[position])
        inside = pl.col(TIME).is_between(_literal(span.begin), _literal(span.end), closed="left")
        return pl.concat(frames).filter(inside)

    def _scan(
        self, files: Sequence[DataFile], begin: datetime | None = None, end: datetime | None = None
    ) -> pl.LazyFrame:
        """The events of `[begin, end)` in some files, with the columns that are needed."""
        frame = self._table.scan_files(files)
        time = instant(frame.collect_schema(), self._time, f"{self._table.table.name}, whose windows are computed,")
        if begin is not None and end is not None:
            frame = frame.filter(time >= _literal(begin), time < _literal(end))
        return frame.select(*self._columns, time.alias(TIME))


def _literal(moment: datetime) -> pl.Expr:
    return pl.lit(moment, dtype=INSTANT)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
