"""The rows that questions about one prediction look at: several of them ask for the same, which is read once."""

from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass, field

import polars as pl

from assay.features.storage.snapshot import Slice
from assay.features.tables.lake import TableState


@dataclass(frozen=True, slots=True)
class _Known:
    state: TableState
    partitions: tuple[str, ...] | None
    excluded: tuple[str, ...]
    condition: pl.Expr
    frame: pl.DataFrame

    def answers(self, state: TableState, read: Slice, condition: pl.Expr, columns: Collection[str]) -> bool:
        same = (self.state.table_id, self.state.version) == (state.table_id, state.version)
        same = same and (self.partitions, self.excluded) == (read.partitions, read.excluded)
        return same and set(columns) <= set(self.frame.columns) and self.condition.meta.eq(condition)


@dataclass(frozen=True, slots=True)
class RowsRead:
    """Remembers the rows that met a condition in a slice, for as long as one answer is being made. `served` are the rows that
    were served to the prediction, by table, version, slice, keys and way of joining (see `served_rows`)."""

    served: dict[Hashable, list[pl.DataFrame]] = field(default_factory=dict)
    _known: list[_Known] = field(default_factory=list)

    def rows(self, state: TableState, read: Slice, condition: pl.Expr, columns: Sequence[str]) -> pl.DataFrame:
        known = (one.frame for one in self._known if one.answers(state, read, condition, columns))
        frame = next(known, None)
        if frame is None:
            scanned = state.scan(read.partitions, read.excluded).filter(condition)
            frame = scanned.select(name for name in state.schema if name in columns).collect()
            self._known.append(_Known(state, read.partitions, read.excluded, condition, frame))
        return frame


def rows_where(
    remembered: RowsRead | None,
    state: TableState,
    read: Slice,
    condition: pl.Expr,
    columns: Sequence[str] | None = None,
) -> pl.LazyFrame:
    """The rows of a slice that meet a condition.

    Args:
        remembered: What was read before; None: they are read when they are collected.
        state: The table, at the version that was read.
        read: Which partitions of it.
        condition: On its columns.
        columns: The columns that are asked for (of those that it has); None: all.
    """
    if remembered is None:
        return state.scan(read.partitions, read.excluded).filter(condition)
    names = list(state.schema) if columns is None else [name for name in columns if name in state.schema]
    return remembered.rows(state, read, condition, names).lazy()
