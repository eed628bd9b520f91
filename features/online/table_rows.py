"""Rows of a table as a stream keeps them: with the keys, the internal columns and the features, and no row that cannot serve."""

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from assay.features.online.folding import AVAILABLE, GONE, KNOWN, PARTITION, TIME
from assay.features.online.manifest import Stream
from assay.features.serving.relevant_partitions import partitions_as_of, partitions_with
from assay.features.serving.view_read import is_text
from assay.features.storage import parquet_files
from assay.features.tables.lake import TableState
from assay.features.tables.serving import Serving
from assay.features.views.timestamps import INSTANT, instant
from assay.own_columns import CHANGE, DELETE

PIECE = 250_000  # rows that are folded at once
_NULL = int(np.iinfo(np.int64).min)
_YEAR_9999 = 253_402_300_799_000_000  # µs


def table_rows(state: TableState, stream: Stream, frame: pl.LazyFrame) -> pl.LazyFrame:
    """A frame of the table in the form of the stream.

    Raises AssayError where the times of the table are none.
    """
    schema, where = state.schema, f"the table of view {stream.view!r}"
    keys = [
        (pl.col(key).cast(pl.String) if is_text(schema[key]) else pl.col(key)).alias(name)
        for key, name in zip(stream.keys, stream.key_columns, strict=True)
    ]
    partition = pl.col(parquet_files.PARTITION) if state.partitioned else pl.lit(None, pl.String)
    gone = pl.col(CHANGE).eq_missing(DELETE) if CHANGE in schema else pl.lit(False)
    columns = [*keys, partition.alias(PARTITION)]
    there = [pl.col(key).is_not_null() for key in stream.keys]
    if state.partitioned:
        there.append(pl.col(parquet_files.PARTITION).is_not_null())
    if stream.is_lookup:
        times = [pl.lit(0, pl.Int64).alias(name) for name in (TIME, KNOWN, AVAILABLE)]
        columns += [*times, pl.lit(False).alias(GONE)]
    else:
        time = instant(schema, stream.event_time, where)
        known = instant(schema, stream.known_time, where) if stream.known_time else pl.lit(None, INSTANT)
        there.append(time.is_not_null())
        if stream.known_at == "known":
            there.append(known.is_not_null())
        if stream.not_null is not None:
            there.append(pl.col(stream.not_null).is_not_null() | gone)
        available = pl.max_horizontal(time, known) if stream.known_at == "known" else time
        columns += [
            time.to_physical().alias(TIME),
            known.to_physical().fill_null(_NULL).alias(KNOWN),
            available.to_physical().alias(AVAILABLE),
            gone.alias(GONE),
        ]
    return frame.filter(there).select(*columns, *(pl.col(name) for name in stream.features))


def scanned(state: TableState) -> pl.LazyFrame:
    """All rows of the table, partition after partition: then what is kept of them need not be sorted by it."""
    plain = state.checkpointed is None and state.protocol.get("minReaderVersion", 1) == 1
    if not plain or not state.partitioned:
        return state.scan()
    state.refuse_hidden_rows()
    files = state.index.files(state.version, scanned=True)
    return state.scan_files(sorted(files, key=lambda file: file.partition or ""))  # within one in the order of a scan


def pieces(rows: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    """The rows in pieces, in their order, of which few are held at a time."""
    yield from rows.collect_batches(chunk_size=PIECE, maintain_order=True, engine="streaming")


def in_part(rows: pl.LazyFrame, stream: Stream, part: int) -> pl.LazyFrame:
    """The rows whose keys belong to a part of the stream."""
    if stream.parts == 1:
        return rows
    return rows.filter(pl.struct(stream.key_columns).hash(7) % stream.parts == part)


def partitions_for(
    state: TableState, serving: Serving, stream: Stream, keys: pl.DataFrame, at: int
) -> Sequence[str] | None:
    """The partitions with what serves these keys (named as in the stream) from a moment on; None: all there are."""
    asked = keys.rename(dict(zip(stream.key_columns, stream.keys, strict=True)))
    if stream.is_lookup:
        return partitions_with(state, serving, asked)
    moments = pl.Series([at, _YEAR_9999]).cast(INSTANT).to_list()
    features = () if stream.not_null is None else (stream.not_null,)
    return partitions_as_of(
        state,
        serving,
        asked,
        (moments[0], moments[1]),
        bounded=False,
        known=stream.known_at == "known",
        features=features,
    )
