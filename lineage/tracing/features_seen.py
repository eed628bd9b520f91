"""The feature values that a prediction was given: looked up again, view by view, as its commit recorded that they were joined."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from assay.features.embeddings.keys import TEXT_KEY
from assay.features.serving.as_of_join import as_of_join
from assay.features.serving.feature_refs import Reference, find_serving
from assay.features.serving.served import served
from assay.features.storage.parquet_files import PARTITION
from assay.features.storage.snapshot import Slice
from assay.features.tables.kinds import Kind, own_name
from assay.features.tables.lake import Lake, TableState
from assay.features.tables.serving import Serving
from assay.lineage.commits.graph import CommitGraph
from assay.lineage.commits.spine import Spine, spine_of_predictions
from assay.lineage.tracing.trace import Trace

MOMENT, PLACE = "__moment", "__partition"  # of the row that was served


@dataclass(frozen=True, slots=True)
class FeaturesSeen:
    """What one view gave a prediction: `values` by the names that the model knows them by.

    Attributes:
        view: Its name.
        table: Where its rows are, as read at `version`.
        keys: Whom or what its rows are about.
        values: Null where there was none.
        names: What the table calls those that the model knows by another name.
        event_time: That of the row that was served; None where there was no row, or the view is looked up by keys alone.
        partition: Where that row lies.
        max_age: How old a row may be at most.
        absent: No row of the keys was there, or none that was young enough.
    """

    view: str
    table: str
    version: int
    keys: tuple[str, ...]
    values: Mapping[str, Any]
    names: Mapping[str, str] = field(default_factory=dict)
    event_time: datetime | None = None
    partition: str | None = None
    max_age: timedelta | None = None
    absent: bool = False

    def age(self, at: datetime) -> timedelta | None:
        return None if self.event_time is None else at - self.event_time


def features_seen(lake: Lake, trace: Trace) -> list[FeaturesSeen]:
    """What each view gave, in the order of the references; embeddings are left out. Raises AssayError when a version is gone."""
    return [seen for item in reads_of_views(trace) if (seen := seen_of(lake, trace, item)) is not None]


def reads_of_views(trace: Trace) -> list[Slice]:
    described = trace.root.commits[-1].predictions
    order = list(dict.fromkeys(Reference.parse(text).view for text in described.features)) if described else []
    direct = {
        own_name(item.snapshot.table): item
        for item in trace.root.commits[-1].inputs
        if not item.lookup and Kind.FEATURES.holds(item.snapshot.table)
    }
    return [direct[view] for view in order if view in direct]


def seen_of(lake: Lake, trace: Trace, read: Slice, version: int | None = None) -> FeaturesSeen | None:
    """What one view gave; with a `version` of its table, what that would give. None where it is not recorded how it is served."""
    newer = version is not None
    state = lake.table(read.snapshot.table).at(version if newer else read.snapshot.version)
    serving, _ = find_serving(state) or (None, {})
    frame, spine = trace.prediction.frame, spine_of(lake, trace)
    if serving is None or not set(serving.keys) <= set(frame.columns) or TEXT_KEY in serving.keys:
        return None
    view = own_name(state.table.name)
    outputs = _outputs(spine, view, state, serving)
    own = {"view": view, "table": state.table.name, "version": state.version, "keys": serving.keys}
    own |= {"names": {output: name for name, output in outputs.items() if name != output}}
    if serving.kind == "lookup":
        asked = frame.select(list(dict.fromkeys((*serving.keys, "event_time"))))
        texts = [text for text in spine.references if Reference.parse(text).view == view]
        given = as_of_join(asked, texts, lake=lake, versions={state.table.name: state.version})
        return FeaturesSeen(**own, values={name: given[name][0] for name in outputs.values() if name in given.columns})
    slice_ = Slice(state.snapshot, None, "") if newer else read
    by_itself = [[name] for name in outputs] if spine.joined.skip_nulls else [list(outputs)]
    values: dict[str, Any] = {}
    newest: tuple[datetime, str | None] | None = None
    for names in by_itself:
        row = served_rows(state, serving, slice_, trace, spine, {name: outputs[name] for name in names})[0]
        values |= {outputs[name]: row[outputs[name]][0] for name in names}
        if (moment := row[MOMENT][0]) is not None and (newest is None or moment > newest[0]):
            newest = moment, row[PLACE][0] if PLACE in row.columns else None
    max_age = timedelta(microseconds=serving.max_age_us) if serving.max_age_us is not None else None
    at, place = newest or (None, None)
    return FeaturesSeen(**own, values=values, event_time=at, partition=place, max_age=max_age, absent=newest is None)


def served_rows(
    state: TableState,
    serving: Serving,
    read: Slice,
    trace: Trace,
    spine: Spine,
    columns: Mapping[str, str],
) -> list[pl.DataFrame]:
    """The row that was served to the prediction: its time as `MOMENT`, its partition as `PLACE` (if the table has some), and
    `columns` (name in the table → name in the result). Once for each way in which it may have been served."""
    frame, time = trace.prediction.frame, serving.event_time
    own = {PARTITION: PLACE} if state.partitioned else {}
    partitions = None
    if state.partitioned:
        among = state.partitions() if read.partitions is None else sorted(read.partitions)
        partitions = [key for key in among if key not in read.excluded]
    # Named so plainly, what cannot answer is passed over by its statistics: files of it may be gone.
    possible = equal(trace.prediction.row, serving.keys) & (pl.col(time) <= trace.prediction.row["event_time"])
    rows = state.scan(read.partitions, read.excluded).filter(possible).with_columns(pl.col(time).alias(MOMENT))
    features = list(columns) or spine.features_of(own_name(state.table.name))
    wanted = {MOMENT: MOMENT} | own | dict(columns)
    return served(state, serving, rows, partitions, frame, wanted, spine.joined, features)


def spine_of(lake: Lake, trace: Trace) -> Spine:
    return spine_of_predictions(CommitGraph(lake), trace.root.commits[-1])


def equal(row: Mapping[str, Any], keys: Sequence[str]) -> pl.Expr:
    return pl.all_horizontal(pl.col(key) == row[key] for key in keys)


def _outputs(spine: Spine, view: str, state: TableState, serving: Serving) -> dict[str, str]:
    """The features that were taken of a view, and the names that the model knows them by."""
    return dict(_named(spine, view, [name for name in state.schema if name not in (*serving.columns(), PARTITION)]))


def _named(spine: Spine, view: str, there: Sequence[str]) -> Iterator[tuple[str, str]]:
    for asked in map(Reference.parse, spine.references):
        if asked.view == view:
            yield from (
                ((name, name) for name in there)
                if asked.feature == "*"
                else ((asked.feature, asked.output),) * (asked.feature in there)
            )
