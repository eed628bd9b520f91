"""The latest predictions, of a model or of all, without reading the tables.

An id begins with the time of its prediction, and the log knows the smallest and largest id of every data file. So files are
opened from the newest on, and only for as long as they can hold something newer than what was found.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import polars as pl

from assay.errors import AssayError, known_names, nearest
from assay.features.storage.commit_metadata import Commit
from assay.features.storage.log_entry import DataFile
from assay.features.tables.kinds import Kind, own_name
from assay.features.tables.lake import Lake, TableState
from assay.lineage.predictions.find_prediction import ID, files_with_ids, readable_states
from assay.lineage.predictions.outputs import CONFIDENCE, EVENT_TIME, answer_of, outputs_of

_MADE_AT = "__made_at"
_MADE = {"run_id": pl.String, _MADE_AT: pl.Datetime("us", "UTC")}
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
_TIME = 13  # characters of an id that are its time


@dataclass(frozen=True, slots=True)
class LoggedPrediction:
    """A prediction in a list: its id, its moment, the model with its version, its answer, and when it was made.

    `about` are its keys, unmasked: for telling apart, not for showing. `replaced`: the same question, about these keys at this
    moment, has a later answer of the same model.
    """

    id: str
    event_time: datetime
    model: str
    model_version: str
    answer: dict[str, Any]
    made_at: datetime | None = None
    replaced: bool = False
    about: tuple[tuple[str, Any], ...] = field(default=(), repr=False)

    def to_dict(self) -> dict[str, Any]:
        return {
            "prediction_id": self.id,
            "event_time": self.event_time.isoformat(),
            "model": self.model,
            "model_version": self.model_version,
            "answer": self.answer,
            "made_at": self.made_at.isoformat() if self.made_at is not None else None,
            "replaced": self.replaced,
        }


@dataclass(frozen=True, slots=True)
class Sought:
    """Which predictions of a table are sought, the newest first.

    `since` and `until` bound the event time (with a zone; `until` is not part of it). `condition` is on rows, and `partitions`
    are those that may hold such rows (None: any). `ids` bound the id.
    """

    since: datetime | None = None
    until: datetime | None = None
    condition: pl.Expr | None = None
    partitions: Collection[str | None] | None = None
    ids: tuple[str, str] = ("", "g")  # "g" is after all hexadecimal digits

    @property
    def bounds(self) -> tuple[str, str]:
        low = first_id(self.since) if self.since else ""
        high = first_id(self.until) if self.until else "g"
        return max(low, self.ids[0]), min(high, self.ids[1])

    @property
    def conditions(self) -> list[pl.Expr]:
        since = [pl.col(EVENT_TIME) >= self.since] if self.since is not None else []
        until = [pl.col(EVENT_TIME) < self.until] if self.until is not None else []
        return [*since, *until, *([self.condition] if self.condition is not None else [])]


def latest_predictions(
    lake: Lake,
    model: str | None = None,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 20,
) -> list[LoggedPrediction]:
    """The latest predictions of a model by event time, newest first.

    Args:
        lake: Where the tables are.
        model: Its name; None: of all models whose predictions may be read.
        since: Only those at or after this time (with a zone).
        until: Only those before this time (with a zone).
        limit: At most so many.

    Raises:
        AssayError: No predictions of such a model have been logged, or one of its files is gone or damaged.
    """
    states = states_of(lake, model)
    return newest_of(newest_in(state, Sought(since, until), limit) for state in states)[:limit]


def states_of(lake: Lake, model: str | None) -> list[TableState]:
    """The predictions of a model as they are now, or of all models that may be read. Raises AssayError for an unknown one."""
    known = lake.tables(Kind.PREDICTIONS.folder)
    if model is None:
        return readable_states(lake, known)[0]
    table = Kind.PREDICTIONS.table(model)
    if table not in known:
        names = [own_name(name) for name in known]
        raise AssayError(f"No predictions of {model!r} were logged.{nearest(model, names) or known_names(names)}")
    return [lake.table(table).at()]


def newest_of(lists: Iterable[list[LoggedPrediction]]) -> list[LoggedPrediction]:
    """The predictions of several models in one list, the newest first: by event time, then by when they were made."""
    return sorted((item for each in lists for item in each), key=_order, reverse=True)


def _order(item: LoggedPrediction) -> tuple[datetime, datetime, str]:
    return item.event_time, item.made_at or _LONG_AGO, item.id


def newest_in(state: TableState, sought: Sought, limit: int) -> list[LoggedPrediction]:
    """The newest predictions of one table that are sought, at most `limit`; only files that can hold them are opened."""
    table, storage = state.table.name, state.table.lake.storage
    outputs: dict[str, None] = {}
    keys: dict[str, None] = {}
    confidence = [CONFIDENCE] if CONFIDENCE in state.schema else []
    rows, conditions = pl.DataFrame(), sought.conditions
    # A file from before there was one of these columns has no such row.
    needed = {name for condition in conditions for name in condition.meta.root_names()}
    for file, last in files_with_ids(state, *sought.bounds):
        if rows.height >= limit and last is not None and last[:_TIME] < rows[ID][-1][:_TIME]:
            break  # this file, and those after it, hold only older ones
        if sought.partitions is not None and file.partition not in sought.partitions:
            continue
        commits = _commits_of(state, file)
        outputs |= dict.fromkeys(name for commit in commits for name in outputs_of(commit, state.schema))
        described = [commit.predictions for commit in commits if commit.predictions is not None]
        keys |= dict.fromkeys(key for one in described for key in one.keys if key in state.schema)
        wanted = list(dict.fromkeys([ID, EVENT_TIME, "model_version", "run_id", *keys, *outputs, *confidence]))
        frame = pl.scan_parquet(
            storage.uri(f"{table}/{file.path}"),
            glob=False,
            hive_partitioning=False,
            storage_options=storage.options or None,
        )
        there = frame.collect_schema()
        new = frame.filter(*conditions) if needed <= set(there) else frame.clear()
        found = new.select(name for name in wanted if name in there).collect()
        if "run_id" in found.columns:
            times = {commit.run_id: commit.timestamp for commit in commits}
            made = pl.DataFrame({"run_id": list(times), _MADE_AT: list(times.values())}, schema=_MADE)
            found = found.join(made, on="run_id", how="left")
        rows = pl.concat([rows, found], how="diagonal")
        order = [name for name in (EVENT_TIME, _MADE_AT, ID) if name in rows.columns]
        rows = rows.sort(order, descending=True).head(limit)
    return list(_logged(own_name(table), rows, list(keys), outputs))


def _commits_of(state: TableState, file: DataFile) -> list[Commit]:
    """The commits that may have written the rows of a file: the one that added it, or where that was another tool's, as after
    a compaction, those of its partition; all where the log has gaps. As many as the file needs, however old the table is."""
    if state.checkpointed is not None:
        return [commit for commit in state.commits if commit.predictions]
    added = state.index.adders(state.version, [file.path]).get(file.path)
    commit = state.index.commit(added) if added is not None else None
    if commit is not None and commit.predictions:
        return [commit]
    partition = None if file.partition is None else [file.partition]
    return [commit for commit in state.writers(partition) if commit.predictions]


def _logged(
    model: str, rows: pl.DataFrame, keys: Sequence[str], outputs: Collection[str]
) -> Iterator[LoggedPrediction]:
    """The rows, newest first: of several answers to one question the first is the latest."""
    answered: set[Any] = set()
    for row in rows.iter_rows(named=True):
        about = tuple((key, row[key]) for key in keys if row.get(key) is not None)
        question = (row[EVENT_TIME], repr(about)) if about else row[ID]
        yield LoggedPrediction(
            row[ID],
            row[EVENT_TIME],
            model,
            row["model_version"],
            answer_of(row, outputs),
            row.get(_MADE_AT),
            question in answered,
            about,
        )
        answered.add(question)


def first_id(moment: datetime) -> str:
    """What no id of a prediction at this time or later is smaller than."""
    digits = f"{int(moment.timestamp() * 1000):012x}"
    return f"{digits[:8]}-{digits[8:]}"
