"""The feature values that a prediction was given: looked up again, view by view, as its commit recorded that they were joined."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from assay.errors import AssayError
from assay.features.catalogue.readable import served_features
from assay.features.embeddings.keys import TEXT_KEY
from assay.features.serving.as_of_join import as_of_join
from assay.features.serving.feature_refs import find_serving, join, resolve, spine_columns
from assay.features.serving.join_options import JoinOptions
from assay.features.serving.references import Reference
from assay.features.serving.relevant_partitions import partitions_as_of
from assay.features.serving.request import Request
from assay.features.serving.served import served
from assay.features.storage.parquet_files import PARTITION
from assay.features.storage.snapshot import Slice
from assay.features.tables.kinds import Kind, own_name
from assay.features.tables.lake import Lake, TableState
from assay.features.tables.reader import Reader
from assay.features.tables.serving import Serving
from assay.lineage.commits.graph import CommitGraph
from assay.lineage.commits.spine import Spine, TakenIn, spine_of_predictions
from assay.lineage.tracing.rows_read import rows_where
from assay.lineage.tracing.trace import Trace
from assay.own_columns import CHANGE

MOMENT, PLACE = "__moment", "__partition"  # of the row that was served


@dataclass(frozen=True, slots=True)
class FeaturesSeen:
    """What one view gave a prediction in one role: `values` by the names that the model knows them by.

    Attributes:
        view: Its name, and the columns that it was joined by where these are called otherwise.
        table: Where its rows are, as read at `version`.
        keys: The columns of the prediction that it was joined by.
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
    """What each view gave in each of its roles, in the order of the references; embeddings are left out. Raises AssayError when a
    version is gone."""
    return [seen for item in reads_of_views(trace) for seen in seen_of(lake, trace, item)]


def reads_of_views(trace: Trace) -> list[Slice]:
    described = trace.root.commits[-1].predictions
    texts = (*described.features, *described.uses) if described else ()
    order = list(dict.fromkeys(Reference.parse(text).view for text in texts))
    direct = {
        own_name(item.snapshot.table): item
        for item in trace.root.commits[-1].inputs
        if not item.lookup and Kind.FEATURES.holds(item.snapshot.table)
    }
    return [direct[view] for view in order if view in direct]


def seen_of(lake: Lake, trace: Trace, read: Slice, version: int | None = None) -> list[FeaturesSeen]:
    """What one view gave in each role; with a `version` of its table, what that would give. Nothing where it is not recorded how
    it is served."""
    state = lake.table(read.snapshot.table).at(read.snapshot.version if version is None else version)
    serving, _ = find_serving(state) or (None, {})
    if serving is None or TEXT_KEY in serving.keys:
        return []
    roles = roles_of(spine_of(lake, trace), own_name(state.table.name))
    slices = (read if version is None else _needed(state, serving, trace, role) for role in roles)
    seen = (_seen_in(state, serving, slice_, trace, role) for slice_, role in zip(slices, roles, strict=True))
    return [one for one in seen if one is not None]


def _needed(state: TableState, serving: Serving, trace: Trace, role: TakenIn) -> Slice:
    """Of a version that the prediction did not read, what a join would read for it today."""
    asked = asked_in(trace.prediction.frame, serving, role)
    if asked is None or serving.kind != "as_of":
        return Slice(state.snapshot, None, "")
    between = (trace.prediction.row["event_time"],) * 2
    names = [name for name, _ in _outputs(role, served_features(state, serving))] if role.joined.skip_nulls else []
    needed: set[str] | None = set()
    for way in role.joined.known_at:
        found = partitions_as_of(state, serving, asked, between, known=way == "known", features=names)
        needed = None if found is None or needed is None else needed | set(found)
    return Slice(state.snapshot, None if needed is None else tuple(sorted(needed)), "")


def _seen_in(state: TableState, serving: Serving, read: Slice, trace: Trace, role: TakenIn) -> FeaturesSeen | None:
    outputs = dict(_outputs(role, served_features(state, serving)))
    if serving.kind == "on_demand":
        return _computed_in(state, serving, trace, role, outputs)
    asked = asked_in(trace.prediction.frame, serving, role)
    if asked is None or not outputs:
        return None
    own: dict[str, Any] = {
        "view": role.name or own_name(state.table.name),
        "table": state.table.name,
        "version": state.version,
    }
    own |= {"keys": tuple(map(role.column, serving.keys))}
    own |= {"names": {output: name for name, output in outputs.items() if name != output}}
    if serving.kind == "lookup":
        spine = trace.prediction.frame.select(dict.fromkeys((*map(role.column, serving.keys), "event_time")))
        texts = list(map(str, role.references))
        given = as_of_join(spine, texts, lake=state.table.lake, versions={state.table.name: state.version})
        return FeaturesSeen(**own, values={name: given[name][0] for name in outputs.values()})
    values: dict[str, Any] = {}
    newest: tuple[datetime, str | None] | None = None
    for names in [[name] for name in outputs] if role.joined.skip_nulls else [list(outputs)]:
        row = served_rows(state, serving, read, trace, role, {name: outputs[name] for name in names})[0]
        values |= {outputs[name]: row[outputs[name]][0] for name in names}
        if (moment := row[MOMENT][0]) is not None and (newest is None or moment > newest[0]):
            newest = moment, row[PLACE][0] if PLACE in row.columns else None
    max_age = timedelta(microseconds=serving.max_age_us) if serving.max_age_us is not None else None
    at, place = newest or (None, None)
    return FeaturesSeen(**own, values=values, event_time=at, partition=place, max_age=max_age, absent=newest is None)


def _computed_in(
    state: TableState, serving: Serving, trace: Trace, role: TakenIn, outputs: Mapping[str, str]
) -> FeaturesSeen | None:
    """What an on-demand view gave: computed again of what it uses, at the versions that were read. None where the prediction
    lacks an input."""
    commit, lake, frame = trace.root.commits[-1], state.table.lake, trace.prediction.frame
    described = commit.predictions
    versions = {item.snapshot.table: item.snapshot.version for item in commit.inputs if not item.lookup}
    versions[state.table.name] = state.version
    needed = {"event_time", *spine_columns(lake, list(map(str, role.references)), versions)}
    if described is None or not outputs or not needed <= set(frame.columns):
        return None
    spine = frame.select(name for name in frame.columns if name in needed)
    wanted = Request(role.references, JoinOptions.from_dict(described.joined))
    given = join(spine, resolve(Reader(lake), wanted, spine, versions=versions))
    return FeaturesSeen(
        role.name or own_name(state.table.name),
        state.table.name,
        state.version,
        tuple(map(role.column, serving.keys)),
        {name: given[name][0] for name in outputs.values()},
        {output: name for name, output in outputs.items() if name != output},
    )


def served_rows(
    state: TableState, serving: Serving, read: Slice, trace: Trace, role: TakenIn, columns: Mapping[str, str]
) -> list[pl.DataFrame]:
    """The row that was served to the prediction in a role: its time as `MOMENT`, its partition as `PLACE` (if there are some),
    and `columns` (name in the table → name in the result). Once for each way in which it may have been served. Raises
    AssayError when the prediction lacks a column that the role is joined by."""
    asked, time = asked_in(trace.prediction.frame, serving, role), serving.event_time
    if asked is None:
        raise AssayError(
            f"{state.table.name} cannot be joined again: the prediction lacks a column that it was joined by."
        )
    known = None if trace.rows_read is None or role.joined.skip_nulls else trace.rows_read.served
    asked_for = (state.table.name, state.version, read, tuple(sorted(role.keys.items())), role.joined)
    if known is not None and not columns and asked_for in known:
        return known[asked_for]
    own = {PARTITION: PLACE} if state.partitioned else {}
    partitions = None
    if state.partitioned:
        among = state.partitions() if read.partitions is None else sorted(read.partitions)
        partitions = [key for key in among if key not in read.excluded]
    row = asked.row(0, named=True)
    # Named so plainly, what cannot answer is passed over by its statistics: files of it may be gone.
    possible = equal(row, serving.keys, state.schema) & (pl.col(time) <= row["event_time"])
    # Where each feature is joined by itself, which is looked at depends on all.
    needed = None if role.joined.skip_nulls else [*serving.columns(), CHANGE, PARTITION, *columns]
    rows = rows_where(trace.rows_read, state, read, possible, needed).with_columns(pl.col(time).alias(MOMENT))
    wanted = {MOMENT: MOMENT} | own | dict(columns)
    found = served(state, serving, rows, partitions, asked, wanted, role.joined, list(columns) or role.features)
    if known is not None:
        known[asked_for] = found
    return found


def spine_of(lake: Lake, trace: Trace) -> Spine:
    return spine_of_predictions(CommitGraph(lake), trace.root.commits[-1])


def roles_of(spine: Spine, view: str) -> list[TakenIn]:
    """The roles in which a view was joined; its own keys where no reference names it."""
    return spine.roles_of(view) or [TakenIn({}, (), spine.joined(view, view))]


def asked_in(frame: pl.DataFrame, serving: Serving, role: TakenIn) -> pl.DataFrame | None:
    """The row's keys of a view, by their names there, and its time; None where it lacks one."""
    if not {*map(role.column, serving.keys), "event_time"} <= set(frame.columns):
        return None
    return frame.select(*(pl.col(role.column(key)).alias(key) for key in serving.keys), "event_time")


def row_in(row: Mapping[str, Any], serving: Serving, role: TakenIn) -> dict[str, Any]:
    """The row with the keys of a view, as far as it has them."""
    named = {key: role.column(key) for key in serving.keys}
    return {**row, **{key: row[column] for key, column in named.items() if column in row}}


def equal(row: Mapping[str, Any], keys: Iterable[str], there: Mapping[str, pl.DataType]) -> pl.Expr:
    """Whether rows of a table with the columns `there` have the keys of `row`. A column may have another type: rows in quarantine
    are as they were delivered. Numbers are looked for among texts as numbers, everything else is compared as text."""
    return pl.all_horizontal(pl.lit(True), *(_equals(key, row[key], there[key]) for key in keys))


def _equals(key: str, value: Any, dtype: pl.DataType) -> pl.Expr:
    own = pl.Series([value]).dtype
    if _comparable(own, dtype):
        return pl.col(key) == value
    if own.is_numeric() and dtype == pl.String:
        return pl.col(key).cast(own, strict=False) == value
    return pl.col(key).cast(pl.String, strict=False) == pl.lit(value).cast(pl.String)


def _comparable(one: pl.DataType, other: pl.DataType) -> bool:
    if isinstance(one, pl.Datetime) and isinstance(other, pl.Datetime):
        return (one.time_zone is None) == (other.time_zone is None)
    return one == other or (one.is_numeric() and other.is_numeric())


def _outputs(role: TakenIn, there: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The features that were taken of a view, and the names that the model knows them by."""
    for asked in role.references:
        if asked.feature == "*":
            yield from ((name, f"{asked.prefix}{name}") for name in there)
        elif asked.feature in there:
            yield asked.feature, asked.output
