"""Row provenance: the records of delivered files behind a prediction."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

import polars as pl

from assay.features.embeddings.keys import TEXT_KEY
from assay.features.serving.feature_refs import find_serving
from assay.features.storage.commit_metadata import Commit
from assay.features.storage.parquet_files import PARTITION
from assay.features.storage.snapshot import Slice
from assay.features.tables.kinds import Kind, kind_of, own_name
from assay.features.tables.lake import Lake, TableState
from assay.features.tables.serving import Serving
from assay.features.views.transformation import recorded_rows_read
from assay.lineage.commits.spine import TakenIn
from assay.lineage.tracing.features_seen import MOMENT, PLACE, asked_in, equal, roles_of, row_in, served_rows, spine_of
from assay.lineage.tracing.rows_read import rows_where
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
    `keys` are those by which they were looked for; `commit` computed the feature row that was made from them, None where there
    is none in between."""

    read: Slice
    condition: pl.Expr
    because: str
    commit: Commit | None = None
    keys: tuple[str, ...] = ()


class Lookup(NamedTuple):
    """The slice in which values of a commit's column `own` were looked for, in its column `other`."""

    read: Slice
    own: str
    other: str


OWN = "has the prediction's"  # begins the reason of the rows that the prediction is about
LOOKED_UP = "looked up by "  # begins the reason of rows that only a lookup of a commit on the way found


def source_rows(lake: Lake, trace: Trace) -> tuple[SourceRow, ...]:
    """The delivered records behind a prediction's own features (not its model's training data), by table and file.

    Per feature view: the feature row that was served, and of the tables it was computed from the rows of its entity inside
    its windows; where these are feature rows, what is behind them. Besides, the rows that lookups of commits on the way found
    for these rows: by the columns that the commits compared, or where they do not say which, by the prediction's keys. Raises
    AssayError when a version is gone.
    """
    found: dict[SourceRow, None] = {}
    for rows in rows_read_for(lake, trace):
        state = _at(lake, rows.read)
        found |= dict.fromkeys(_links(state, rows))
    return tuple(sorted(found, key=lambda item: (item.table, item.file, item.row_number)))


def rows_read_for(lake: Lake, trace: Trace) -> list[RowsBehind]:
    """Where the rows behind a prediction's own features are, and which these are. Raises AssayError when a version is gone."""
    row, commit = trace.prediction.row, trace.root.commits[-1]
    found: list[RowsBehind] = []
    looked_up: dict[Lookup, pl.Series] = {}
    unnamed: dict[tuple[str, str], Slice] = {}
    for read in (item for item in commit.inputs if not item.lookup):
        of_own_text = _are_vectors_of_own_text(lake, read, trace)
        for rows in _conditions(lake, read, row, trace):
            if not of_own_text:
                found.append(rows)
            for lookup, values in _lookups(lake, rows, trace):
                if values is None:
                    unnamed[lookup.read.snapshot.table, lookup.read.snapshot.table_id] = lookup.read
                    continue
                known = lookup if not _has_states(_at(lake, lookup.read)) else _same(looked_up, lookup)
                looked_up[lookup] = pl.concat([looked_up.pop(known), values]) if known in looked_up else values
    for lookup, values in looked_up.items():
        state = _at(lake, lookup.read)
        if not _has_states(state):
            condition = pl.col(lookup.other).is_in(values.unique().implode())
            found.append(RowsBehind(lookup.read, condition, f"{LOOKED_UP}{lookup.own}"))
            continue
        for value in values.unique().sort():
            condition = _in_newest_state(state, lookup.read, pl.col(lookup.other) == value)
            found.append(RowsBehind(lookup.read, condition, f"{LOOKED_UP}{lookup.own}"))
    for item in unnamed.values():
        keys = [key for key in _keys(trace) if key in _schema(lake, item)]
        if keys:
            state = _at(lake, item)
            condition = _in_newest_state(state, item, equal(row, keys, state.schema))
            found.append(RowsBehind(item, condition, f"{LOOKED_UP}{', '.join(keys)}"))
    return found


def _in_newest_state(state: TableState, read: Slice, condition: pl.Expr) -> pl.Expr:
    """Where each partition is a whole state, a lookup finds a key in nearly all of them, and one is as good as another: the
    newest in which it is stands for them."""
    if not _has_states(state):
        return condition
    there = state.scan(read.partitions, read.excluded).filter(condition)
    return condition & (pl.col(PARTITION) == there.select(pl.col(PARTITION).max()).collect().item())


def _has_states(state: TableState) -> bool:
    return state.changes is not None and state.changes.states


def _same(looked_up: Iterable[Lookup], asked: Lookup) -> Lookup:
    """The same lookup at an earlier version: of a table of states the newest version stands for all."""
    table = asked.read.snapshot.table_id
    same = (one for one in looked_up if (one.read.snapshot.table_id, *one[1:]) == (table, *asked[1:]))
    return next(same, asked)


def _at(lake: Lake, read: Slice) -> TableState:
    return lake.table(read.snapshot.table).at(read.snapshot.version)


def own_rows(lake: Lake, trace: Trace, read: Slice) -> pl.LazyFrame | None:
    """The rows of a slice with all of the prediction's keys; None where the table does not have them all."""
    state, keys = _at(lake, read), _keys(trace)
    if not keys or not set(keys) <= set(state.schema):
        return None
    return state.scan(read.partitions, read.excluded).filter(equal(trace.prediction.row, keys, state.schema))


def _conditions(lake: Lake, read: Slice, row: dict[str, Any], trace: Trace) -> Iterator[RowsBehind]:
    """The slices to search, with a condition and a reason each, for one table that the prediction read."""
    kind = kind_of(read.snapshot.table)
    if kind in (Kind.FEATURES, Kind.EMBEDDINGS):
        state = _at(lake, read)
        serving, view = find_serving(state) or (None, {})
        if serving is not None and serving.kind == "on_demand":
            return  # a definition: the rows are behind what it uses, which was read, too
        if serving is not None and serving.kind == "lookup":
            yield from _behind_lookup(lake, serving, read, row, trace)
        elif serving is not None and view:
            for role in roles_of(spine_of(lake, trace), own_name(read.snapshot.table)):
                yield from _behind_features(lake, state, serving, read, role, trace)
    elif kind is Kind.CLEAN:
        yield from _behind_spine(lake, read, row, trace)


def _behind_spine(lake: Lake, read: Slice, row: Mapping[str, Any], trace: Trace) -> Iterator[RowsBehind]:
    """The rows of a clean table with the prediction's keys; of several the one of its time, where it is recorded which column
    that is.

    What a function made (`build=`) has columns of its own: of its keys those count that the table has, and the time counts
    where the table has it and a row of that time.
    """
    table, spine = read.snapshot.table, spine_of(lake, trace)
    schema, keys, time = _schema(lake, read), list(_keys(trace)), spine.time_of(read.snapshot.table)
    built = spine.is_made_of(table)
    if built:
        keys = [key for key in keys if key in schema and key in row]
    rows = _with_keys(lake, read, row, keys, OWN)
    if rows is None:
        return
    if time is None or (built and not (time in schema and schema[time].is_temporal())):
        of_its_time = None
    else:
        of_its_time = replace(rows, condition=rows.condition & (pl.col(time) == row["event_time"]))
    if of_its_time is not None and _any(lake, of_its_time, trace):
        yield of_its_time
    elif _any(lake, rows, trace):
        yield rows if built or of_its_time is None else of_its_time


def not_followed(lake: Lake, trace: Trace) -> str:
    """Why the row that the prediction is about cannot be found among those that were delivered, as a sentence; nothing where it
    can. Raises AssayError when a version is gone."""
    spine = spine_of(lake, trace)
    for read in (item for item in trace.root.commits[-1].inputs if not item.lookup):
        table = read.snapshot.table
        if spine.is_made_of(table) and not any(True for _ in _behind_spine(lake, read, trace.prediction.row, trace)):
            names = ", ".join(_keys(trace))
            return (
                f"A function of the project (build=) made the prediction's own row of {table}, where no row has its {names}: "
                "which rows the function took is not recorded."
            )
    return ""


def _schema(lake: Lake, read: Slice) -> pl.Schema:
    return _at(lake, read).schema


def _any(lake: Lake, rows: RowsBehind, trace: Trace) -> bool:
    return not rows_behind(lake, rows, trace).head(1).collect().is_empty()


def rows_behind(lake: Lake, rows: RowsBehind, trace: Trace) -> pl.LazyFrame:
    """The rows themselves. Raises AssayError when the version is gone."""
    return rows_where(trace.rows_read, _at(lake, rows.read), rows.read, rows.condition)


def _are_vectors_of_own_text(lake: Lake, read: Slice, trace: Trace) -> bool:
    """Whether the vectors are of texts that the prediction read itself. A vector depends on nothing but its text, so that it adds
    no record: not that of an earlier delivery of the text either."""
    if not Kind.EMBEDDINGS.holds(read.snapshot.table):
        return False
    serving, _ = find_serving(_at(lake, read)) or (None, {})
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
        for role in roles_of(spine_of(lake, trace), own_name(read.snapshot.table))
        for rows in _own_rows_of(lake, slices, row_in(row, serving, role), keys, because, trace)
    ]
    yield from by_lookup or _own_rows_of(lake, slices, row, list(_keys(trace)), OWN, trace)


def _own_rows_of(
    lake: Lake, slices: Iterable[Slice], row: Mapping[str, Any], keys: list[str], because: str, trace: Trace
) -> Iterator[RowsBehind]:
    """The first slice that has rows with the keys of `row`."""
    for item in slices:
        rows = _with_keys(lake, item, row, keys, because)
        if rows is not None and _any(lake, rows, trace):
            yield rows
            return


def _with_keys(lake: Lake, read: Slice, row: Mapping[str, Any], keys: list[str], because: str) -> RowsBehind | None:
    """The rows of a slice with the keys of `row`; None where the two do not both have these."""
    there = _schema(lake, read)
    if not keys or not set(keys) <= set(there) & set(row):
        return None
    return RowsBehind(read, equal(row, keys, there), f"{because} {', '.join(keys)}", keys=tuple(keys))


def _newest_first(slices: Iterable[Slice]) -> list[Slice]:
    return sorted(slices, key=lambda item: (item.partitions or (), item.snapshot.version), reverse=True)


def _behind_features(
    lake: Lake, state: TableState, serving: Serving, read: Slice, role: TakenIn, trace: Trace
) -> Iterator[RowsBehind]:
    """The rows from which the feature row served to the prediction in a role was computed."""
    if asked_in(trace.prediction.frame, serving, role) is None:
        return
    row = row_in(trace.prediction.row, serving, role)
    found = served_rows(state, serving, read, trace, role, {})
    for moment, partition in dict.fromkeys(
        (one[MOMENT][0], one[PLACE][0] if PLACE in one.columns else None) for one in found
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
            condition = equal(row, keys, _schema(lake, item)) & rows.condition(moment)
            yield RowsBehind(item, condition, rows.reason(view["name"], keys, moment), commit, tuple(keys))
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
    state = _at(lake, read)
    return {item: None for commit in state.writers(read.partitions, read.excluded) for item in commit.inputs}


def _lookups(lake: Lake, rows: RowsBehind, trace: Trace) -> Iterator[tuple[Lookup, pl.Series | None]]:
    """What the commits that wrote these rows looked up elsewhere, and by which values in them; None where a commit does not say
    which columns it compared."""
    state = _at(lake, rows.read)
    commits: list[Commit] = state.writers(rows.read.partitions, rows.read.excluded)
    reads = [(commit, item) for commit in commits for item in commit.inputs if item.lookup]
    reads = [(commit, item) for commit, item in reads if item.snapshot.table != state.table.name]
    compared = {own for commit, item in reads for own, _ in commit.looked_up.get(item.snapshot.table, ())}
    place = [PARTITION] if state.partitioned else []
    names = [*place, *sorted(compared & set(state.schema))]
    compares = len(names) > len(place)
    there = rows_behind(lake, rows, trace).select(names).unique().collect() if compares else None
    for commit, item in reads:
        pairs, schema = commit.looked_up.get(item.snapshot.table, ()), _schema(lake, item)
        if there is None or not pairs or not all(own in there.columns and other in schema for own, other in pairs):
            yield Lookup(item, "", ""), None
            continue
        written = there.filter(pl.col(PARTITION) == commit.partition) if place else there
        for own, other in pairs:
            values = written[own].drop_nulls().unique().cast(schema[other], strict=False).drop_nulls()
            if not values.is_empty():
                yield Lookup(item, own, other), values


def _keys(trace: Trace) -> tuple[str, ...]:
    described = trace.root.commits[-1].predictions
    return described.keys if described else ()
