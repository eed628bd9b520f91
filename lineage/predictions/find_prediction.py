"""Finding one prediction among millions, without reading the table.

The log knows the smallest and largest id of every data file; only files between which the id lies are opened, those of the
day that its time names first. A prediction that came late, or was logged under another day, is found like any other: what
counts is the statistics, not the time. Within a file, ids are sorted, so that its row groups narrow the search the same way.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import polars as pl

from assay.errors import AssayError
from assay.features.storage.commit_metadata import Commit
from assay.features.storage.log_entry import DataFile
from assay.features.storage.parquet_files import file_sha256
from assay.features.storage.seals import last_sealed
from assay.features.storage.storage import Storage
from assay.features.tables.guard import Denied
from assay.features.tables.kinds import Kind, own_name
from assay.features.tables.lake import Lake, TableState
from assay.lineage.predictions.uuid7 import uuid7_time

ID = "prediction_id"
# What polars raises on a file that is gone or damaged; it panics over some damaged ones.
UNREADABLE = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)
_OTHER_COLUMNS = (
    pl.exceptions.ColumnNotFoundError,
    pl.exceptions.SchemaError,
    pl.exceptions.SchemaFieldNotFoundError,
    pl.exceptions.InvalidOperationError,
)


def unreadable(problem: BaseException) -> str:
    """A problem of `UNREADABLE` as a clause, without the text of Polars, which may quote cells."""
    if isinstance(problem, _OTHER_COLUMNS):
        return f"the data are there, in other columns or of other types than was asked for ({type(problem).__name__})"
    return f"a data file cannot be read ({type(problem).__name__})"


class NoPrediction(AssayError):
    """No table has such a prediction, and none is known to have lost one."""


@dataclass(frozen=True)
class Prediction:
    """A prediction as it is stored: `frame` is its one row, `file` the data file (relative to the table) that holds it.
    Columns that the table got later are not in the row. `removed_at` is the version that took the row away, where the latest
    one does not have it any more; `version` is then the one before."""

    model: str
    frame: pl.DataFrame
    table: str
    version: int
    partition: str
    file: str
    removed_at: int | None = None

    @property
    def row(self) -> dict[str, Any]:
        return self.frame.row(0, named=True)


@dataclass(frozen=True, slots=True)
class _Candidate:
    table: str
    version: int
    partition: str
    file: str
    removed_at: int | None = None

    @property
    def path(self) -> str:
        return f"{self.table}/{self.file}"

    def holding(self, rows: pl.DataFrame) -> Prediction:
        found = rows.head(1)
        return Prediction(
            own_name(self.table), found, self.table, self.version, self.partition, self.file, self.removed_at
        )


def find_prediction(lake: Lake, prediction_id: str) -> Prediction:
    """The prediction with an id; if the latest version has it no more, as the last one had it that still can be read.

    Args:
        lake: Where the tables are.
        prediction_id: A UUID, as `log_predictions` returns it.

    Raises:
        AssayError: The text is no id, no table has it, or a file that could hold it is gone or damaged.
    """
    wanted = prediction_id.strip().lower()
    day = uuid7_time(wanted).strftime("%Y-%m-%d")
    tables = lake.tables(Kind.PREDICTIONS.folder)
    states, denied = readable_states(lake, tables)
    possible = [item for state in states for item in _candidates(state, wanted)]
    own = _own_tables(states) if len({item.table for item in possible}) > 1 else set(tables)
    candidates = sorted(possible, key=lambda item: (item.table not in own, item.partition != day))
    unreadable = set()
    for item, row in _rows(lake.storage, candidates, wanted):
        if row is None:
            unreadable.add(item)
        elif row.height:
            return item.holding(row)
    for item in candidates:
        problem = file_problem(lake.storage, item.path) or ("damaged" if item in unreadable else "")
        if problem:
            raise AssayError(f"The prediction cannot be looked up: {lake.storage.uri(item.path)} is {problem}.")
    former = [item for state in states for item in _former(state, wanted)]
    for item, row in _rows(lake.storage, former, wanted):
        if row is not None and row.height:
            return item.holding(row)
    if denied is not None:
        raise denied
    where = ", ".join(tables) if tables else "no predictions have been logged in this lake"
    lost = _lost(lake, states, former)
    raise (AssayError if lost or not tables else NoPrediction)(
        f"There is no prediction {wanted} (looked in: {where}).{lost}"
    )


def copies_of(lake: Lake, prediction_id: str) -> list[tuple[str, str]]:
    """Table and data file of every row of the latest versions that has an id, once for each row: one, if all is well."""
    wanted = prediction_id.strip().lower()
    states, _ = readable_states(lake, lake.tables(Kind.PREDICTIONS.folder))
    candidates = [item for state in states for item in _candidates(state, wanted)]
    found = _rows(lake.storage, candidates, wanted)
    return [(item.table, item.file) for item, rows in found if rows is not None for _ in range(rows.height)]


def _own_tables(states: Iterable[TableState]) -> set[str]:
    """The tables whose newest predictions are of the model that they are named after: not those that were copied."""
    return {state.table.name for state in states if not is_copy(state.table.name, _newest(state))}


def _newest(state: TableState) -> Commit | None:
    version = state.index.last_written(state.version)
    try:
        return state.index.commit(version) if version is not None else None
    except AssayError:
        return None


def is_copy(table: str, commit: Commit | None) -> bool:
    """Whether a commit of a table of predictions was made for another table."""
    described = commit.predictions if commit is not None else None
    return described is not None and described.model != own_name(table)


def readable_states(lake: Lake, tables: Sequence[str]) -> tuple[list[TableState], AssayError | None]:
    """The latest version of each table, and why one may not or cannot be looked into: perhaps it is another model's."""
    states, denied = [], None
    for name in tables:
        try:
            lake.allow("read", name)
            states.append(lake.table(name).open_unasked())
        except AssayError as problem:
            denied = denied if isinstance(denied, Denied) else problem
    return states, denied


def _lost(lake: Lake, states: Sequence[TableState], former: Sequence["_Candidate"]) -> str:
    """What is known to be gone that may have held it."""
    found = [
        f"{item.table}@{item.removed_at} removed {item.file}, which may have held it, and the file is gone"
        for item in former
    ]
    found += [
        f"{state.table.name}@{version} was sealed, and the log ends at version {state.version}: newer commits are missing"
        for state in states
        if (version := last_sealed(lake.storage, state.table.name, state.table_id)) > state.version
    ]
    return f" But {'; '.join(found[:3])}." if found else ""


def _candidates(state: TableState, wanted: str) -> list[_Candidate]:
    """The live data files that may hold an id: those whose range it is in, or whose range is not known."""
    possible = state.files_between(ID, wanted, wanted)
    return [_Candidate(state.table.name, state.version, file.partition or "", file.path) for file in possible]


def _former(state: TableState, wanted: str) -> list[_Candidate]:
    """The same of files that the latest version does not have any more, the one that was removed last first."""
    if state.checkpointed is not None:
        return []
    removed = state.index.former(state.version, ID, wanted)
    return [_Candidate(state.table.name, at - 1, file.partition or "", file.path, at) for file, at in removed]


def files_with_ids(state: TableState, low: str, high: str) -> list[tuple[DataFile, str | None]]:
    """The data files that may hold an id from `low` up to `high`, each with its greatest id: the greatest first, and before
    them those of which the log does not know it."""
    possible = state.ranges_between(ID, low, high)
    found = [(file, greatest) for file, least, greatest in possible if least is None or least < high]
    known = sorted((item for item in found if item[1] is not None), key=lambda item: item[1], reverse=True)
    return [*(item for item in found if item[1] is None), *known]


def _rows(
    storage: Storage, candidates: list[_Candidate], wanted: str
) -> Iterator[tuple[_Candidate, pl.DataFrame | None]]:
    """What each file has of an id; None for one that cannot be read."""

    def read(item: _Candidate) -> pl.DataFrame | None:
        options = storage.options or None
        lazy = pl.scan_parquet(storage.uri(item.path), glob=False, hive_partitioning=False, storage_options=options)
        try:
            return lazy.filter(pl.col(ID) == wanted).collect()
        except UNREADABLE:
            return None

    return zip(candidates, _mapped(storage, read, candidates), strict=True)


def _mapped(storage: Storage, function: Any, items: list[Any]) -> Iterable[Any]:
    """One after the other as they are asked for; all at once from an object store, which answers slowly."""
    if storage.is_local:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(16) as pool:
        yield from pool.map(function, items)


def file_problem(storage: Storage, path: str) -> str:
    """What is wrong with a data file: `gone`, `damaged (…)`, or nothing. Names that other tools give promise no bytes."""
    try:
        content, promised = storage.get(path), file_sha256(path)
    except AssayError:
        return "gone"
    same = promised is None or hashlib.sha256(content).hexdigest() == promised
    return "" if same else "damaged (its bytes do not match the SHA-256 in its name)"
