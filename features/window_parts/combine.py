"""The rows of a windowed view out of the parts of its windows: the same rows as `windowed.aggregate` gives of all events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

import polars as pl

from assay.features.views.timestamps import INSTANT
from assay.features.views.windowed import WindowedAggregates, empty_values
from assay.features.window_parts.blocks import Block
from assay.features.window_parts.partials import Partials, Span

_ENTITY = "__entity"
_SEEN = "__seen"

Piece = Block | Span
Window = tuple[str, datetime, datetime]  # table, begin, end


def rows_at(
    view: WindowedAggregates,
    partials: Mapping[str, Partials],
    empty: Mapping[str, pl.DataFrame],
    times: Sequence[datetime],
) -> pl.DataFrame:
    """The rows of a view at each time: keys, event time (µs UTC), features; sorted by time, then keys.

    Sums and means of floats are added up block by block, and so may differ in their last bits from those of all events at once;
    everything else is the same. Whatever is kept of the blocks, the bytes are.

    Args:
        view: The declaration.
        partials: Of each table that it reads.
        empty: The columns that the features over each table read, without rows.
        times: In order.
    """
    cuts = {window: partials[window[0]].pieces(*window[1:]) for window in _windows(view, times)}
    frames: dict[tuple[str, Piece], pl.DataFrame] = {}
    for (table, _, _), (before, blocks, after) in cuts.items():
        frames |= {
            (table, piece): partials[table].frame(piece)
            for piece in (*before, *blocks, *after)
            if (table, piece) not in frames
        }
    keys = list(view.keys)
    entities = pl.concat([frame.select(keys) for frame in frames.values()]).unique().sort(keys).with_row_index(_ENTITY)
    coded = {
        (table, piece): frame.join(entities, on=keys, maintain_order="left").select(
            _ENTITY, *partials[table].states.schema
        )
        for (table, piece), frame in frames.items()
    }
    joined: dict[Window, pl.DataFrame] = {}
    middles: dict[tuple[str, tuple[Block, ...]], pl.DataFrame] = {}
    for window, (before, blocks, after) in cuts.items():
        table, states = window[0], partials[window[0]].states
        whole = (table, tuple(blocks))
        if blocks and whole not in middles:  # windows that end within one partition share it
            middles[whole] = states.join([coded[table, block] for block in blocks], by=[_ENTITY])
        parts = [
            *(coded[table, span] for span in before),
            *([middles[whole]] if blocks else []),
            *(coded[table, span] for span in after),
        ]
        joined[window] = states.join(parts, by=[_ENTITY])
    nothing = pl.concat([empty_values(view, table, frame) for table, frame in empty.items()], how="horizontal")
    rows = pl.concat([_rows_at(view, partials, joined, nothing, time) for time in times])
    names = [feature.name for feature in view.features]
    return rows.join(entities, on=_ENTITY).select(*keys, view.event_time, *names).sort(view.event_time, *keys)


def _windows(view: WindowedAggregates, times: Sequence[datetime]) -> Iterator[Window]:
    for time in times:
        for table in view.sources():
            for width in _widths(view, table):
                yield table, time - width, time


def _widths(view: WindowedAggregates, table: str) -> list[timedelta]:
    return sorted({feature.width for feature in view.of_table(table)})


def _rows_at(
    view: WindowedAggregates,
    partials: Mapping[str, Partials],
    joined: Mapping[Window, pl.DataFrame],
    nothing: pl.DataFrame,
    time: datetime,
) -> pl.DataFrame:
    """A row for each entity with an event in a window that ends at `time`."""
    longest = [joined[table, time - view.lookback_of(table), time] for table in view.sources()]
    rows = pl.concat([frame.select(_ENTITY) for frame in longest]).unique().sort(_ENTITY)
    for table in view.sources():
        for width in _widths(view, table):
            names = [feature.name for feature in view.of_table(table) if feature.width == width]
            values = partials[table].states.features_of(joined[table, time - width, time], names, _ENTITY, time)
            rows = rows.join(
                values.with_columns(pl.lit(True).alias(_SEEN)), on=_ENTITY, how="left", maintain_order="left"
            )
            rows = rows.with_columns(
                pl.when(_SEEN).then(name).otherwise(nothing[name]).alias(name) for name in names
            ).drop(_SEEN)
    return rows.with_columns(pl.lit(time, dtype=INSTANT).alias(view.event_time))
