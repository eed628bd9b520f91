"""Row provenance: the records of delivered files behind a prediction."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import polars as pl

from assay.features.embeddings.keys import TEXT_KEY
from assay.features.serving.feature_refs import find_serving
from assay.features.serving.served import served
from assay.features.storage.commit_metadata import Commit
from assay.features.storage.parquet_files import PARTITION
from assay.features.storage.snapshot import Slice
from assay.features.tables.kinds import Kind, kind_of, own_name
from assay.features.tables.lake import Lake, TableState
from assay.features.tables.serving import Serving
from assay.features.views.transformation import recorded_rows_read
from assay.lineage.commits.graph import CommitGraph
from assay.lineage.commits.spine import Spine, TakenIn, spine_of_predictions
from assay.lineage.tracing.trace import Trace

LINKS = ("_source_file", "_source_sha256", "_row_number")


@dataclass(frozen=True, slots=True)
class SourceRow:
    """Record `row_number` (from 1) of a delivered `file`, as it reached `table`; `because` gives the reason why it counts."""

    table: str
    file: str
    sha256: str
    row_number: int
    because: str

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class RowsBehind:
    """Rows of a table behind a prediction: those of the slice `read` that meet `condition`, and the reason why they count.
    `commit` computed the feature row that was made from them; None where there is none in between."""

    read: Slice
    condition: pl.Expr
    because: str
    commit: Commit | None = None


LOOKED_UP = "looked up by "  # begins the reason of rows that only a lookup of a commit on the way found


def source_rows(lake: Lake, trace: Trace) -> tuple[SourceRow, ...]:
    """The delivered records behind a prediction's own features (not its model's training data), by table and file.

    Per feature view: the feature row that was served, and of the tables it was computed from the rows of its entity inside
    its windows; where these are feature rows, what is behind them. Besides, the rows that lookups found for the prediction's
    keys. Raises AssayError when a version is gone.
    """
    found: dict[SourceRow, None] = {}
    for rows in rows_read_for(lake, trace):
        state = lake.table(rows.read.snapshot.table).at(rows.read.snapshot.version)
        found |= dict.fromkeys(_links(state, rows))
    return tuple(sorted(found, key=lambda item: (item.table, item.file, item.row_number)))


def rows_read_for(lake: Lake, trace: Trace) -> list[RowsBehind]:
    """Where the rows behind a prediction's own features are, and which these are. Raises AssayError when a version is gone."""
    row, commit = trace.prediction.row, trace.root.commits[-1]
    found: list[RowsBehind] = []
    looked_up: dict[tuple[str, str], Slice] = {}
    for read in (item for item in commit.inputs if not item.lookup):
        of_own_text = _are_vectors_of_own_text(lake, read, trace)
        for rows in _conditions(lake, read, row, trace):
            if not of_own_text:
                found.append(rows)
            state = lake.table(rows.read.snapshot.table).at(rows.read.snapshot.version)
            for item in _references(state, rows.read):
                looked_up[item.snapshot.table, item.snapshot.table_id] = item
    for item in looked_up.values():
        state = lake.table(item.snapshot.table).at(item.snapshot.version)
        keys = [key for key in _keys(trace) if key in state.schema]
        if keys:
            found.append(RowsBehind(item, _equal(row, keys), f"{LOOKED_UP}{', '.join(keys)}"))
    return found


def own_rows(lake: Lake, trace: Trace, read: Slice) -> pl.LazyFrame | None:
    """The rows of a slice with all of the prediction's keys; None where the table does not have them all."""
    state, keys = lake.table(read.snapshot.table).at(read.snapshot.version), _keys(trace)
    if not keys or not set(keys) <= set(state.schema):
        return None
    return state.scan(read.partitions, read.excluded).filter(_equal(trace.prediction.row, keys))


def _conditions(lake: Lake, read: Slice, row: dict[str, Any], trace: Trace) -> Iterator[RowsBehind]:
    """The slices to search, with a condition and a reason each, for one table that the prediction read."""
    kind = kind_of(read.snapshot.table)
    if kind in (Kind.FEATURES, Kind.EMBEDDINGS):
        state = lake.table(read.snapshot.table).at(read.snapshot.version)
        serving, view = find_serving(state) or (None, {})
        if serving is not None and serving.kind == "lookup":
            yield from _behind_lookup(lake, serving, read, row, trace)
        elif serving is not None and view:
            for role in _roles(lake, read, trace):
                yield from _behind_features(lake, state, serving, read, role, trace)
    elif kind is Kind.CLEAN:
        found = _own_rows_of(lake, [read], row, list(_keys(trace)), "has the prediction's")
        yield from (replace(rows, condition=rows.condition & _at_its_time(lake, rows.read, trace)) for rows in found)


def _at_its_time(lake: Lake, read: Slice, trace: Trace) -> pl.Expr:
    """Of several rows with the prediction's keys the one of its time, where it is recorded which column that is."""
    time = _spine(lake, trace).time_of(read.snapshot.table)
    there = lake.table(read.snapshot.table).at(read.snapshot.version).schema
    return pl.col(time) == trace.prediction.row["event_time"] if time in there and time is not None else pl.lit(True)


def _are_vectors_of_own_text(lake: Lake, read: Slice, trace: Trace) -> bool:
    """Whether the vectors are of texts that the prediction read itself. A vector depends on nothing but its text, so that it adds
    no record: not that of an earlier delivery of the text either."""
    if not Kind.EMBEDDINGS.holds(read.snapshot.table):
        return False
    serving, _ = find_serving(lake.table(read.snapshot.table).at(read.snapshot.version)) or (None, {})
    direct = {item.snapshot.table for item in trace.root.commits[-1].inputs if not item.lookup}
    texts = {item.snapshot.table for item in _inputs(lake, read) if not item.lookup}
    return serving is not None and TEXT_KEY in serving.keys and texts <= direct


def _behind_lookup(
    lake: Lake, serving: Serving, read: Slice, row: dict[str, Any], trace: Trace
) -> Iterator[RowsBehind]:
    """The newest rows, of the tables that a lookup table was made from, with its keys, in each of its roles; or else with the
    prediction's."""
    slices = _newest_first(item for item in _inputs(lake, read) if not item.lookup)
    because, keys = f"looked up in {read.snapshot.table} by", list(serving.keys)
    by_lookup = [
        rows
        for role in _roles(lake, read, trace)
        for rows in _own_rows_of(lake, slices, _in_role(row, serving, role), keys, because)
    ]
    yield from by_lookup or _own_rows_of(lake, slices, row, list(_keys(trace)), "has the prediction's")


def _roles(lake: Lake, read: Slice, trace: Trace) -> list[TakenIn]:
    """The roles in which a view was joined; its own keys where no reference names it."""
    spine, view = _spine(lake, trace), own_name(read.snapshot.table)
    return spine.roles_of(view) or [TakenIn({}, (), spine.joined(view, view))]


def _in_role(row: Mapping[str, Any], serving: Serving, role: TakenIn) -> dict[str, Any]:
    """The row with the keys of a view, as far as it has them."""
    named = {key: role.column(key) for key in serving.keys}
    return {**row, **{key: row[column] for key, column in named.items() if column in row}}


def _own_rows_of(
    lake: Lake, slices: Iterable[Slice], row: dict[str, Any], keys: list[str], because: str
) -> Iterator[RowsBehind]:
    """The first slice that has rows with the keys of `row`."""
    for item in slices:
        state = lake.table(item.snapshot.table).at(item.snapshot.version)
        if keys and set(keys) <= set(state.schema) & set(row):
            condition = _equal(row, keys)
            if not state.scan(item.partitions, item.excluded).filter(condition).head(1).collect().is_empty():
                yield RowsBehind(item, condition, f"{because} {', '.join(keys)}")
                return


def _newest_first(slices: Iterable[Slice]) -> list[Slice]:
    return sorted(slices, key=lambda item: (item.partitions or (), item.snapshot.version), reverse=True)


def _behind_features(
    lake: Lake, state: TableState, serving: Serving, read: Slice, role: TakenIn, trace: Trace
) -> Iterator[RowsBehind]:
    """The rows from which the feature row served to the prediction in a role was computed."""
    keys, time, frame = list(serving.keys), serving.event_time, trace.prediction.frame
    if not {*map(role.column, keys), "event_time"} <= set(frame.columns):
        return
    row = _in_role(trace.prediction.row, serving, role)
    asked = frame.select(*(pl.col(role.column(key)).alias(key) for key in keys), "event_time")
    own = {PARTITION: "__partition"} if state.partitioned else {}
    partitions = None
    if state.partitioned:
        among = state.partitions() if read.partitions is None else sorted(read.partitions)
        partitions = [key for key in among if key not in read.excluded]
    # Named so plainly, what cannot answer is passed over by its statistics: files of it may be gone.
    possible = _equal(row, keys) & (pl.col(time) <= row["event_time"])
    rows = state.scan(read.partitions, read.excluded).filter(possible).with_columns(pl.col(time).alias("__moment"))
    found = served(
        state,
        serving,
        rows,
        partitions,
        asked,
        {"__moment": "__moment"} | own,
        role.joined,
        role.features,
    )
    for moment, partition in dict.fromkeys(
        (one["__moment"][0], one["__partition"][0] if own else None) for one in found
    ):
        if moment is not None:
            yield from _behind_moment(lake, state, row, moment, partition)


def _behind_moment(
    lake: Lake, state: TableState, row: Mapping[str, Any], moment: datetime, partition: str | None
) -> Iterator[RowsBehind]:
    """The rows from which the feature row of a moment was computed, and where these are feature rows, those behind them."""
    for commit in state.writers(None if partition is None else [partition]):
        if commit.serving is None or not (view := commit.view):
            continue
        keys = list(Serving.from_dict(commit.serving).keys)
        behind = {rows.table: rows for rows in recorded_rows_read(view, commit.serving)}
        for item in (item for item in commit.inputs if not item.lookup and item.snapshot.table in behind):
            rows = behind[item.snapshot.table]
            condition = _equal(row, keys) & rows.condition(moment)
            yield RowsBehind(item, condition, rows.reason(view["name"], keys, moment), commit)
            if kind_of(item.snapshot.table) is Kind.FEATURES:
                source = lake.table(item.snapshot.table).at(item.snapshot.version)
                serving, _ = find_serving(source) or (None, {})
                if serving is None or not serving.event_time:
                    continue
                taken = source.scan(item.partitions, item.excluded).filter(condition)
                names = [*serving.keys, serving.event_time, *([PARTITION] if source.partitioned else [])]
                for before in taken.select(names).unique().collect().rows(named=True):
                    at, place = before[serving.event_time], before.get(PARTITION)
                    yield from _behind_moment(lake, source, before, at, place)


def _links(state: TableState, rows: RowsBehind) -> Iterator[SourceRow]:
    if not set(LINKS) <= set(state.schema):
        return
    scanned = state.scan(rows.read.partitions, rows.read.excluded).filter(rows.condition)
    for path, sha256, number in scanned.select(LINKS).collect().rows():
        yield SourceRow(state.table.name, path, sha256, number, rows.because)


def _inputs(lake: Lake, read: Slice) -> Iterable[Slice]:
    state = lake.table(read.snapshot.table).at(read.snapshot.version)
    return {item: None for commit in state.writers(read.partitions, read.excluded) for item in commit.inputs}


def _references(state: TableState, read: Slice) -> Iterator[Slice]:
    """The newest lookups in other tables by the commits that wrote a slice."""
    commits: list[Commit] = state.writers(read.partitions, read.excluded)
    for item in (item for commit in commits for item in commit.inputs):
        if item.lookup and item.snapshot.table != state.table.name:
            yield item


def _spine(lake: Lake, trace: Trace) -> Spine:
    return spine_of_predictions(CommitGraph(lake), trace.root.commits[-1])


def _keys(trace: Trace) -> tuple[str, ...]:
    described = trace.root.commits[-1].predictions
    return described.keys if described else ()


def _equal(row: Mapping[str, Any], keys: Iterable[str]) -> pl.Expr:
    return pl.all_horizontal(pl.lit(True), *(pl.col(key) == row[key] for key in keys))
