"""The rows of a new generation: all of a table, or what was kept of the generation before with what has changed since."""

from collections.abc import Callable, Iterator

import polars as pl

from assay.features.online.folding import AVAILABLE, KNOWN, PARTITION, TIME, fold, settle
from assay.features.online.manifest import Stream
from assay.features.online.part import HASH
from assay.features.online.plan import StreamPlan
from assay.features.online.table_rows import in_part, partitions_for, pieces, scanned, table_rows

Progress = Callable[[str, int, int], None]
"""Called with a stream, how many rows were read, and how many there are to read."""

_RANK = ["__time", "__known", "__partition"]


def all_rows(planned: StreamPlan, stream: Stream, part: int, at: int, progress: Progress) -> pl.DataFrame:
    """The rows of a part of a stream, from all rows of the table."""
    state, done, total = planned.state, 0, planned.reads * stream.parts
    rows = in_part(table_rows(state, stream, scanned(state)), stream, part)
    kept: pl.DataFrame | None = None
    for piece in pieces(rows):
        kept = _folded(piece if kept is None else pl.concat([kept, piece]), stream, at)
        done += piece.height
        progress(stream.id, done + part * planned.reads, total)
    return _settled(rows.head(0).collect() if kept is None else kept, stream, at)


def changed_rows(
    planned: StreamPlan, former: pl.DataFrame, part: int, was_at: int, at: int, progress: Progress
) -> pl.DataFrame:
    """The same rows, from those of the generation before and from the partitions that have changed.

    A key whose row came from one of these partitions, and has none there now that is as new, is looked for in all of the table.
    """
    stream, state, keys = planned.stream, planned.state, planned.stream.key_columns
    came = table_rows(state, stream, state.scan(list(planned.changed)))
    new = _of_pieces(pieces(in_part(came, stream, part)), stream, at, came)
    progress(stream.id, planned.reads * (part + 1), planned.reads * stream.parts)
    touched = former.filter(pl.col(PARTITION).is_in(list(planned.changed)))
    lost = _without_successor(touched, new, stream, was_at, at)
    again = new.clear()
    if lost.height:
        needed = partitions_for(state, planned.serving, stream, lost, at)
        frame = table_rows(state, stream, state.scan(needed)).join(
            lost.lazy(), on=keys, how="semi", maintain_order="left"
        )
        again = _of_pieces(pieces(frame), stream, at, came)
    stay = former.join(touched.select(keys).unique(), on=keys, how="anti") if touched.height else former
    rest = touched.clear()
    if touched.height:  # rows of these keys that came from other partitions
        rest = former.join(touched.select(keys).unique(), on=keys, how="semi")
        rest = rest.filter(pl.col(PARTITION).is_in(list(planned.changed)).not_())
        rest = rest.join(lost, on=keys, how="anti") if lost.height else rest
    new = new.join(lost, on=keys, how="anti") if lost.height else new
    active = pl.concat([new.select(keys), stay.filter(pl.col(AVAILABLE) > was_at).select(keys)]).unique()
    moved, still = stay.join(active, on=keys, how="semi"), stay.join(active, on=keys, how="anti")
    fresh = pl.concat([new, again]).with_columns(pl.lit(None, pl.UInt64).alias(HASH))
    folded = _folded(pl.concat([moved, rest, fresh.select(former.columns)]), stream, at)
    return pl.concat([still, _settled(folded, stream, at)])


def _of_pieces(given: Iterator[pl.DataFrame], stream: Stream, at: int, schema: pl.LazyFrame) -> pl.DataFrame:
    kept = schema.head(0).collect()
    for piece in given:
        kept = _folded(pl.concat([kept, piece]), stream, at)
    return kept


def _folded(rows: pl.DataFrame, stream: Stream, at: int) -> pl.DataFrame:
    return fold(rows, stream.key_columns, at, lookup=stream.is_lookup)


def _settled(rows: pl.DataFrame, stream: Stream, at: int) -> pl.DataFrame:
    return settle(rows, stream.key_columns, at, lookup=stream.is_lookup)


def _without_successor(touched: pl.DataFrame, new: pl.DataFrame, stream: Stream, was_at: int, at: int) -> pl.DataFrame:
    """The keys of rows that are gone, for which none that is as new has come: what is older than these is not known."""
    keys = stream.key_columns
    if touched.is_empty():
        return touched.select(keys)
    if stream.is_lookup:
        first = new.select(*keys, pl.col(PARTITION).alias(_RANK[2]))
        both = touched.select(*keys, PARTITION).join(first, on=keys, how="left")
        return both.filter(~(pl.col(_RANK[2]) <= pl.col(PARTITION)).fill_null(False)).select(keys).unique()
    waiting = touched.filter(pl.col(AVAILABLE) > was_at).select(keys)
    there = new.filter(pl.col(AVAILABLE) <= at)
    ranks = there.select(*keys, *(pl.col(a).alias(b) for a, b in zip((TIME, KNOWN, PARTITION), _RANK, strict=True)))
    both = touched.select(*keys, TIME, KNOWN, PARTITION).join(ranks, on=keys, how="left")
    time, known = pl.col(_RANK[0]), pl.col(_RANK[1])
    newer = (time > pl.col(TIME)) | (
        (time == pl.col(TIME))
        & ((known > pl.col(KNOWN)) | ((known == pl.col(KNOWN)) & (pl.col(_RANK[2]) >= pl.col(PARTITION))))
    )
    lost = both.filter(~newer.fill_null(False)).select(keys)
    return pl.concat([lost, waiting]).unique()
