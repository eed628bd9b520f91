"""The latest predictions of a model, without reading the table.

An id begins with the time of its prediction, and the log knows the smallest and largest id of every data file. So files are
opened from the newest on, and only for as long as they can hold something newer than what was found.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from assay.errors import AssayError, known_names, nearest
from assay.features.tables.kinds import Kind, own_name
from assay.features.tables.lake import Lake
from assay.lineage.predictions.find_prediction import ID, files_with_ids
from assay.lineage.predictions.outputs import CONFIDENCE, EVENT_TIME, answer_of, outputs_of


@dataclass(frozen=True, slots=True)
class LoggedPrediction:
    """A prediction in a list: its id, its moment, the model's version and its answer."""

    id: str
    event_time: datetime
    model_version: str
    answer: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        return {
            "prediction_id": self.id,
            "event_time": self.event_time.isoformat(),
            "model_version": self.model_version,
            "answer": self.answer,
        }


def latest_predictions(
    lake: Lake, model: str, *, since: datetime | None = None, until: datetime | None = None, limit: int = 20
) -> list[LoggedPrediction]:
    """The latest predictions of a model by event time, newest first.

    Args:
        lake: Where the tables are.
        model: Its name.
        since: Only those at or after this time (with a zone).
        until: Only those before this time (with a zone).
        limit: At most so many.

    Raises:
        AssayError: No predictions of such a model have been logged, or one of its files is gone or damaged.
    """
    table = Kind.PREDICTIONS.table(model)
    known = lake.tables(Kind.PREDICTIONS.folder)
    if table not in known:
        names = [own_name(name) for name in known]
        raise AssayError(f"No predictions of {model!r} were logged.{nearest(model, names) or known_names(names)}")
    state = lake.table(table).at()
    outputs = dict.fromkeys(
        name for commit in state.commits if commit.predictions for name in outputs_of(commit, state.schema)
    )
    wanted = [ID, EVENT_TIME, "model_version", *outputs, *([CONFIDENCE] if CONFIDENCE in state.schema else [])]
    low, high = _first_id(since) if since else "", _first_id(until) if until else "g"  # after all hexadecimal digits
    rows = pl.DataFrame()
    for path, last in files_with_ids(state, low, high):
        if rows.height >= limit and last is not None and last < rows[ID][-1]:
            break  # this file, and those after it, hold only older ones
        frame = pl.scan_parquet(
            lake.storage.uri(f"{table}/{path}"),
            glob=False,
            hive_partitioning=False,
            storage_options=lake.storage.options or None,
        )
        there = [name for name in wanted if name in frame.collect_schema()]
        if since is not None:
            frame = frame.filter(pl.col(EVENT_TIME) >= since)
        if until is not None:
            frame = frame.filter(pl.col(EVENT_TIME) < until)
        new = frame.select(there).collect()
        rows = pl.concat([rows, new], how="diagonal").sort(ID, descending=True).head(limit)
    return [
        LoggedPrediction(row[ID], row[EVENT_TIME], row["model_version"], answer_of(row, outputs))
        for row in rows.iter_rows(named=True)
    ]


def _first_id(moment: datetime) -> str:
    """What no id of a prediction at this time or later is smaller than."""
    digits = f"{int(moment.timestamp() * 1000):012x}"
    return f"{digits[:8]}-{digits[8:]}"
