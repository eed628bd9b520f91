"""Row provenance: the records of delivered files behind a prediction."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from assay.features.serving.feature_refs import find_serving
from assay.features.storage.commit_metadata import Commit
from assay.features.storage.snapshot import Slice
from assay.features.tables.kinds import Kind, kind_of
from assay.features.tables.lake import Lake, TableState
from assay.features.tables.serving import Serving
from assay.features.views.transformation import recorded_rows_read
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


def source_rows(lake: Lake, trace: Trace) -> tuple[SourceRow, ...]:
    """The delivered records behind a prediction's own features (not its model's training data), by table and file.

    Per feature view: the feature row that was served, and of the tables it was computed from the rows of its entity inside
    its windows. Besides, the rows that lookups found for the prediction's keys. Raises AssayError when a version is gone.
    """
    row, commit = trace.prediction.row, trace.root.commits[-1]
    found: dict[SourceRow, None] = {}
    looked_up: dict[tuple[str, str], Slice] = {}
    for read in (item for item in commit.inputs if not item.lookup):
        for part, condition, because in _conditions(lake, read, row, trace):
            state = lake.table(part.snapshot.table).at(part.snapshot.version)
            found |= dict.fromkeys(_links(state, part, condition, because))
            for item in _references(state, part):
                looked_up[item.snapshot.table, item.snapshot.table_id] = item
    for item in looked_up.values():
        state = lake.table(item.snapshot.table).at(item.snapshot.version)
        keys = [key for key in _keys(trace) if key in state.schema]
        if keys:
            found |= dict.fromkeys(_links(state, item, _equal(row, keys), f"looked up by {', '.join(keys)}"))
    return tuple(sorted(found, key=lambda item: (item.table, item.file, item.row_number)))


def own_rows(lake: Lake, trace: Trace, read: Slice) -> pl.LazyFrame | None:
    """The rows of a slice with all of the prediction's keys; None where the table does not have them all."""
    state, keys = lake.table(read.snapshot.table).at(read.snapshot.version), _keys(trace)
    if not keys or not set(keys) <= set(state.schema):
        return None
    return state.scan(read.partitions, read.excluded).filter(_equal(trace.prediction.row, keys))


def _conditions(lake: Lake, read: Slice, row: dict[str, Any], trace: Trace) -> Iterator[tuple[Slice, pl.Expr, str]]:
    """The slices to search, with a condition and a reason each, for one table that the prediction read."""
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
) -> Iterator[tuple[Slice, pl.Expr, str]]:
    """The newest rows, of the tables that a lookup table was made from, with its keys; or else with the prediction's."""
    slices = _newest_first(item for item in _inputs(lake, read) if not item.lookup)
    by_lookup = list(_own_rows_of(lake, slices, row, list(serving.keys), f"looked up in {read.snapshot.table} by"))
    yield from by_lookup or _own_rows_of(lake, slices, row, list(_keys(trace)), "has the prediction's")


def _own_rows_of(
    lake: Lake, slices: Iterable[Slice], row: dict[str, Any], keys: list[str], because: str
) -> Iterator[tuple[Slice, pl.Expr, str]]:
    """The first slice that has rows with the keys of `row`."""
    for item in slices:
        state = lake.table(item.snapshot.table).at(item.snapshot.version)
        if keys and set(keys) <= set(state.schema) & set(row):
            condition = _equal(row, keys)
            if not state.scan(item.partitions, item.excluded).filter(condition).head(1).collect().is_empty():
                yield item, condition, f"{because} {', '.join(keys)}"
                return


def _newest_first(slices: Iterable[Slice]) -> list[Slice]:
    return sorted(slices, key=lambda item: (item.partitions or (), item.snapshot.version), reverse=True)


def _behind_features(
    state: TableState, serving: Serving, view: Mapping[str, Any], read: Slice, row: dict[str, Any]
) -> Iterator[tuple[Slice, pl.Expr, str]]:
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
        yield item, _equal(row, keys) & rows.condition(moment), rows.reason(view["name"], keys, moment)


def _links(state: TableState, read: Slice, condition: pl.Expr, because: str) -> Iterator[SourceRow]:
    if not set(LINKS) <= set(state.schema):
        return
    for path, sha256, number in (
        state.scan(read.partitions, read.excluded).filter(condition).select(LINKS).collect().rows()
    ):
        yield SourceRow(state.table.name, path, sha256, number, because)


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
