"""Which rows were served an affected row of a table of features: as of their time, or by a key."""

from collections.abc import Sequence
from functools import partial

import polars as pl

from assay.features.serving.served import Joined, served
from assay.features.storage.parquet_files import PARTITION
from assay.features.storage.snapshot import Slice
from assay.features.tables.serving import Serving
from assay.features.views.timestamps import instant
from assay.lineage.affected.hits import EVENT_TIME, HIT, Test, any_of, is_in
from assay.lineage.affected.hops import Taken
from assay.lineage.affected.selection import Gone, Rows, Selection
from assay.lineage.predictions.find_prediction import UNREADABLE
from assay.own_columns import CHANGE

_KEPT = "__kept"

# -- features as of a row's time ---------------------------------------------------------------------------------------


def as_of(rows: Rows, serving: Serving, joined: Joined, features: Sequence[str], taken: Sequence[Taken]) -> Test:
    keys, time = list(serving.keys), serving.event_time
    parts = []
    for item in taken:
        types = rows.columns(item.selection.version)
        moment = instant(types, time, item.selection.version[0]).alias(time)
        found = rows.distinct([item.selection], [*map(pl.col, keys), moment, _partition(types)])
        parts.append((item.read, found))
    reads: dict[Slice, list[pl.DataFrame]] = {}
    for read, found in parts:
        reads.setdefault(read, []).append(found)
    each = [
        partial(_taken_as_of, rows, serving, joined, features, read, pl.concat(frames).unique())
        for read, frames in reads.items()
    ]
    return any_of(each)


def _partition(types: pl.Schema) -> pl.Expr:
    return (pl.col(PARTITION) if PARTITION in types else pl.lit(None, pl.String)).alias(_KEPT)


def _taken_as_of(
    rows: Rows,
    serving: Serving,
    joined: Joined,
    features: Sequence[str],
    read: Slice,
    affected: pl.DataFrame,
    asked: pl.DataFrame,
) -> pl.Series:
    """Whether the row that each asked one was served is affected. Only rows of entities with an affected row are looked at."""
    keys, time = list(serving.keys), serving.event_time
    state = rows.state((read.snapshot.table, read.snapshot.version))
    near = is_in(asked, affected, keys)
    if not near.any():
        return near
    spine = asked.filter(near)
    entities = affected.select(keys).unique()
    wanted = spine.select(pl.col(key).cast(entities.schema[key], strict=False) for key in keys).unique()
    types = state.schema
    extra = [name for name in (serving.known_time, CHANGE) if name and name in types]
    extra += [name for name in features if joined.skip_nulls and name in types]
    partitions = None
    if state.partitioned:
        partitions = sorted(read.partitions) if read.partitions is not None else state.partitions()
        partitions = [key for key in partitions if key not in read.excluded]
    moment = instant(types, time, read.snapshot.table).alias(time)
    own = [pl.col(PARTITION)] if PARTITION in types else []
    recent = pl.lit(True)
    if serving.max_age_us is not None:
        recent = pl.col(time) >= pl.lit(spine[EVENT_TIME].min()) - pl.duration(microseconds=serving.max_age_us)
    frame = (
        state.scan(read.partitions, read.excluded)
        .select(*keys, moment, *own, *extra)
        .filter(pl.col(time) <= spine[EVENT_TIME].max(), recent)
    )
    if keys:
        frame = frame.join(wanted.lazy(), on=keys, how="semi", maintain_order="left")
    frame = _flagged(frame, affected, [*keys, time])
    found = served(state, serving, frame, partitions, spine, {HIT: HIT}, joined, features)
    hits = pl.repeat(False, spine.height, eager=True)
    for answer in found:
        hits = hits | answer[HIT].fill_null(False)
    return near.scatter(near.arg_true(), hits)


def _flagged(frame: pl.LazyFrame, affected: pl.DataFrame, on: Sequence[str]) -> pl.LazyFrame:
    """The frame with a column that says which of its rows are affected."""
    names = [*on, _KEPT]
    return (
        frame.with_columns(_partition(frame.collect_schema()))
        .join(
            affected.lazy().select(names).unique().with_columns(pl.lit(True).alias(HIT)),
            on=names,
            how="left",
            nulls_equal=True,
            maintain_order="left",
        )
        .drop(_KEPT)
        .with_columns(pl.col(HIT).fill_null(False))
    )


# -- by a key ----------------------------------------------------------------------------------------------------------


def by_lookup(rows: Rows, serving: Serving, taken: Sequence[Taken]) -> Test:
    """By the keys of those affected rows that served: of several rows with a key, the first one, by partition."""
    keys = list(serving.keys)
    reads: dict[Slice, list[Selection]] = {}
    for item in taken:
        reads.setdefault(item.read, []).append(item.selection)
    parts = [_serving_affected(rows, keys, read, selections) for read, selections in reads.items()]
    asked = pl.concat(parts).unique()
    return lambda given: is_in(given, asked, keys)


def _serving_affected(rows: Rows, keys: list[str], read: Slice, selections: Sequence[Selection]) -> pl.DataFrame:
    """The keys of a slice of a lookup table whose first row is affected. Rows of one partition with the same values are alike."""
    state = rows.state((read.snapshot.table, read.snapshot.version))
    plain = [name for name, dtype in state.schema.items() if not dtype.is_nested()]
    affected = rows.distinct(selections, [pl.col(name).cast(state.schema[name], strict=False) for name in plain])
    frame = (
        state.scan(read.partitions, read.excluded)
        .select(plain)
        .join(affected.lazy().select(keys).unique(), on=keys, how="semi", maintain_order="left")
        .join(
            affected.lazy().with_columns(pl.lit(True).alias(HIT)),
            on=plain,
            how="left",
            nulls_equal=True,
            maintain_order="left",
        )
    )
    ordered = frame.sort(PARTITION, maintain_order=True) if PARTITION in plain else frame
    try:
        first = ordered.collect().unique(keys, keep="first", maintain_order=True)
    except UNREADABLE as problem:
        table, version = read.snapshot.table, read.snapshot.version
        raise Gone(f"rows of {table}@{version} cannot be read any more ({type(problem).__name__})") from None
    return first.filter(pl.col(HIT)).select(keys).drop_nulls()
