"""Which row of a table was served, rather than its features: the as-of join asked for the row's own time and partition.

Traces, impact and lists of what is affected ask this, so that they cannot disagree with what the join did.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from assay.features.serving.as_of import point_in_time_join
from assay.features.serving.feature_refs import ranked, states_of
from assay.features.serving.join_options import KnownAt
from assay.features.serving.view_read import ViewRead
from assay.features.storage.parquet_files import PARTITION
from assay.features.tables.lake import TableState
from assay.features.tables.serving import Serving
from assay.own_columns import CHANGE, DELETE


@dataclass(frozen=True, slots=True)
class Joined:
    """How features were joined: by event time, known time, or (where nobody wrote it down) one of both; and with
    `skip_nulls` each feature by itself, as its latest value that is not null."""

    known_at: tuple[KnownAt, ...] = ("event",)
    skip_nulls: bool = False


def served(
    state: TableState,
    serving: Serving,
    frame: pl.LazyFrame,
    partitions: Sequence[str] | None,
    spine: pl.DataFrame,
    columns: Mapping[str, str],
    joined: Joined,
    features: Sequence[str] = (),
) -> list[pl.DataFrame]:
    """The spine's keys and times with `columns` of the row that was served to each, null where none was; once for each
    way in which it may have been served, which are several where each feature is joined by itself.

    Args:
        state: The table at the version that was read.
        serving: How it is served.
        frame: Rows of it that were read, with at least the keys, the times, what became of them, and `columns`.
        partitions: Those that were read; None for a table without partitions.
        spine: Rows with the keys, as the view calls them, and `event_time`.
        columns: Column of the table → name in the result.
        joined: How the features were joined.
        features: Those that were taken; with `skip_nulls` each is looked for by itself.
    """
    keys = list(dict.fromkeys((*serving.keys, "event_time")))
    asked = spine.select(keys)
    ordered, position = ranked(frame, partitions)
    frames = [ordered]
    if joined.skip_nulls and features:
        schema = frame.collect_schema()
        if "*" in features:
            features = [name for name in schema if name not in (*serving.columns(), CHANGE, PARTITION, *columns)]
        gone = pl.col(CHANGE).eq_missing(DELETE) if CHANGE in schema else pl.lit(False)
        frames = [ordered.filter(pl.col(name).is_not_null() | gone) for name in features if name in schema]
    ways: list[KnownAt] = [way for way in joined.known_at if way == "event" or serving.known_time is not None] or [
        "event"
    ]
    states = states_of(state, serving)
    return [
        point_in_time_join(
            asked, [ViewRead(state.table.name, serving, one, columns, position=position, states=states)], known_at=way
        )
        for one in frames
        for way in ways
    ]
