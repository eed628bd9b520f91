"""Row provenance: the records of delivered files behind a prediction."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from assay.errors import AssayError, plural
from assay.features.serving.feature_refs import find_serving
from assay.features.storage.commit_metadata import Commit
from assay.features.storage.snapshot import Slice
from assay.features.tables.kinds import Kind, kind_of
from assay.features.tables.lake import Lake, TableState
from assay.features.tables.serving import Serving
from assay.features.views.transformation import recorded_rows_read
from assay.lineage.predictions.find_prediction import UNREADABLE
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


def source_rows(lake: Lake, trace: Trace) -> tuple[SourceRow, ...]:
    """The delivered records behind a prediction's own features (not its model's training data), by table and file.

    Per feature view: the feature row that was served, and of the tables it was computed from the rows of its entity inside
    its windows. Besides, the rows that lookups found for the prediction's keys. Raises AssayError when a version is gone.
    """
    found: dict[SourceRow, None] = {}
    for rows in rows_read_for(lake, trace):
        state = lake.table(rows.read.snapshot.table).at(rows.read.snapshot.version)
        found |= dict.fromkeys(_links(state, rows))
    return tuple(sorted(found, key=lambda item: (item.table, item.file, item.row_number)))


@dataclass(frozen=True, slots=True)
class RowsSummary:
    """How many delivered rows are behind a prediction, per table, in how many files; `problem` says why that is not known."""

    rows: Mapping[str, int]
    files: int
    problem: str = ""

    def to_dict(self) -> dict[str, Any]:
        count = None if self.problem else sum(self.rows.values())
        return {"count": count, "files": self.files, "by_table": dict(self.rows), "problem": self.problem}

    def __str__(self) -> str:
        if self.problem:
            return f"The source rows behind it are not known any more: {self.problem}"
        tables = ", ".join(f"{count:,} of {table}" for table, count in self.rows.items())
        if not tables:
            return "No delivered row is recorded behind the prediction's own features."
        return f"source rows: {tables}; in {plural(self.files, 'file')} (--rows names them)"


def rows_summary(lake: Lake, trace: Trace) -> RowsSummary:
    """The delivered records behind a prediction, counted. A row that counts for two reasons is one row."""
    try:
        found = {(row.table, row.sha256, row.row_number) for row in source_rows(lake, trace)}
    except AssayError as problem:
        return RowsSummary({}, 0, str(problem))
    except UNREADABLE as problem:  # its text may quote cells
        return RowsSummary({}, 0, f"a data file cannot be read ({type(problem).__name__}).")
    tables = sorted({table for table, _, _ in found})
    counts = {table: sum(one == table for one, _, _ in found) for table in tables}
    return RowsSummary(counts, len({sha256 for _, sha256, _ in found}))


def rows_read_for(lake: Lake, trace: Trace) -> list[RowsBehind]:
    """Where the rows behind a prediction's own features are, and which these are. Raises AssayError when a version is gone."""
    row, commit = trace.prediction.row, trace.root.commits[-1]
    found: list[RowsBehind] = []
    looked_up: dict[tuple[str, str], Slice] = {}
    for read in (item for item in commit.inputs if not item.lookup):
        for rows in _conditions(lake, read, row, trace):
            found.append(rows)
            state = lake.table(rows.read.snapshot.table).at(rows.read.snapshot.version)
            for item in _references(state, rows.read):
                looked_up[item.snapshot.table, item.snapshot.table_id] = item
    for item in looked_up.values():
        state = lake.table(item.snapshot.table).at(item.snapshot.version)
        keys = [key for key in _keys(trace) if key in state.schema]
        if keys:
            found.append(RowsBehind(item, _equal(row, keys), f"looked up by {', '.join(keys)}"))
    return found


def own_rows(lake: Lake, trace: Trace, read: Slice) -> pl.LazyFrame | None:
    """The rows of a slice with all of the prediction's keys; None where the table does not have them all."""
    state, keys = lake.table(read.snapshot.table).at(read.snapshot.version), _keys(trace)
    if not keys or not set(keys) <= set(state.schema):
        return None
    return state.scan(read.partitions, read.excluded).filter(_equal(trace.prediction.row, keys))


def _conditions(lake: Lake, read: Slice, row: dict[str, Any], trace: Trace) -> Iterator[RowsBehind]:
    """The rows behind what the prediction read of one table."""
    kind = kind_of(read.snapshot.table)
    if kind in (Kind.FEATURES, Kind.EMBEDDINGS):
        state = lake.table(read.snapshot.table).at(read.snapshot.version)
        serving, view = find_serving(state) or (None, {})
        if serving is not None and serving.kind == "lookup":
            yield from _behind_lookup(lake, serving, read, row, trace)
        elif serving is not None and view:
            yield from _behind_features(state, serving, view, read, row)
    elif kind is Kind.CLEAN:
        yield from _own_rows_of(lake, [read], row, list(_keys(trace)), "has the prediction's")


def _behind_lookup(
    lake: Lake, serving: Serving, read: Slice, row: dict[str, Any], trace: Trace
) -> Iterator[RowsBehind]:
    """The newest rows, of the tables that a lookup table was made from, with its keys; or else with the prediction's."""
    slices = _newest_first(item for item in _inputs(lake, read) if not item.lookup)
    by_lookup = list(_own_rows_of(lake, slices, row, list(serving.keys), f"looked up in {read.snapshot.table} by"))
    yield from by_lookup or _own_rows_of(lake, slices, row, list(_keys(trace)), "has the prediction's")


def _own_rows_of(
    lake: Lake, slices: Iterable[Slice], row: dict[str, Any], keys: list[str], because: str
) -> Iterator[RowsBehind]:
    """The rows with the keys of `row` in the first slice that has any."""
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
    state: TableState, serving: Serving, view: Mapping[str, Any], read: Slice, row: dict[str, Any]
) -> Iterator[RowsBehind]:
    """The rows from which the feature row served to `row` was computed."""
    writers = {commit.partition: commit for commit in state.writers(read.partitions, read.excluded)}
    keys, time = list(serving.keys), serving.event_time
    if not set(keys) <= set(row):
        return
    candidates = state.scan(read.partitions, read.excluded).filter(
        _equal(row, keys) & (pl.col(time) <= row["event_time"])
    )
    served = candidates.sort(time).tail(1).collect()
    if served.is_empty():
        return
    moment = served[time][0]
    commit = writers.get(served["partition_key"][0] if "partition_key" in served.columns else None)
    if commit is None:
        return
    behind = {rows.table: rows for rows in recorded_rows_read(commit.view or {}, serving.to_dict())}
    for item in (item for item in commit.inputs if not item.lookup and item.snapshot.table in behind):
        rows = behind[item.snapshot.table]
        because = rows.reason(view["name"], keys, moment)
        yield RowsBehind(item, _equal(row, keys) & rows.condition(moment), because, commit)


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


def _keys(trace: Trace) -> tuple[str, ...]:
    described = trace.root.commits[-1].predictions
    return described.keys if described else ()


def _equal(row: dict[str, Any], keys: Iterable[str]) -> pl.Expr:
    return pl.all_horizontal(pl.col(key) == row[key] for key in keys)
