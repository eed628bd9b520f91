"""Which rows of a table answer from a moment on: of each key the newest one until then, and all that hold from later.

Rows come in pieces of any size and in any order; what was kept of earlier pieces is folded together with the next one, so that
no more is held than one row per key and a piece. The order among rows is that of the as-of join: event time, known time,
partition, place in it. So an older row never takes the place of a newer one, whenever it comes.
"""

import polars as pl

TIME, KNOWN, AVAILABLE, PARTITION, GONE = "_time", "_known", "_available", "_partition", "_gone"
INTERNAL = (TIME, KNOWN, AVAILABLE, PARTITION, GONE)
_ORDER = [TIME, KNOWN, PARTITION]
_RANK, _ROW = "_rank", "_row"


def fold(rows: pl.DataFrame, keys: list[str], at: int, *, lookup: bool) -> pl.DataFrame:
    """The rows that count.

    Args:
        rows: With the keys and the internal columns, those kept before first.
        keys: The key columns; none: one stream of rows for all.
        at: The moment, µs since 1970.
        lookup: The rows hold at any time, and of each key the first one by partition serves.
    """
    narrow, order = rows.select(*keys, *INTERNAL).with_row_index(_ROW), _needed(rows)
    if lookup:
        ordered = narrow.sort(order[-1:], maintain_order=True) if order[-1:] == [PARTITION] else narrow
        return rows[ordered.unique(keys, keep="first", maintain_order=True)[_ROW]]
    until = narrow.filter(pl.col(AVAILABLE) <= at).sort(order, maintain_order=True)
    until = rows[(until.unique(keys, keep="last") if keys else until.tail(1))[_ROW]]
    later = rows.filter(pl.col(AVAILABLE) > at)
    if later.is_empty():
        return until
    later = later.sort(_ORDER, maintain_order=True).unique([*keys, TIME, AVAILABLE], keep="last", maintain_order=True)
    return pl.concat([until, later])


def _needed(rows: pl.DataFrame) -> list[str]:
    """The columns of the order that decide: those in which the rows are in order already do not, since sorting is stable."""
    known = [] if rows.is_empty() or rows[KNOWN].min() == rows[KNOWN].max() else [KNOWN]
    return [TIME, *known, *([] if rows[PARTITION].is_sorted() else [PARTITION])]


def settle(rows: pl.DataFrame, keys: list[str], at: int, *, lookup: bool) -> pl.DataFrame:
    """What `fold` kept: the rows of each key in the order in which they become available, without those that are older than
    what is there by then."""
    if lookup or rows.is_empty() or not (rows[AVAILABLE] > at).any():
        return rows  # one of each key
    ranked = rows.sort(_ORDER, maintain_order=True).with_row_index(_RANK).sort(AVAILABLE, _RANK)
    newest = pl.col(_RANK).cum_max()
    return ranked.filter(pl.col(_RANK) == (newest.over(keys) if keys else newest)).drop(_RANK)
