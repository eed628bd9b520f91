"""Other answers to the same question: of one model, about the same keys, at the same event time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from assay.errors import AssayError
from assay.features.tables.lake import Lake
from assay.lineage.predictions.find_prediction import UNREADABLE
from assay.lineage.predictions.latest import LoggedPrediction, Sought, newest_in
from assay.lineage.predictions.outputs import EVENT_TIME
from assay.lineage.tracing.trace import Trace

_MOST = 20


@dataclass(frozen=True, slots=True)
class Answers:
    """All answers to one question, the latest first. `own` is the place of the prediction that was asked about."""

    all: tuple[LoggedPrediction, ...]
    own: int = 0

    @property
    def others(self) -> Sequence[LoggedPrediction]:
        return [item for place, item in enumerate(self.all) if place != self.own]

    @property
    def replaced_by(self) -> LoggedPrediction | None:
        """The latest answer, where that is another one."""
        return self.all[0] if self.own else None


def answers_to_the_same(lake: Lake, trace: Trace) -> Answers:
    """The answers that its table holds now to the question of a traced prediction. None where the table cannot be read, which
    its status says."""
    described, row = trace.root.commits[-1].predictions, trace.prediction.row
    keys = [key for key in (described.keys if described else ()) if key in row]
    if not keys:
        return Answers(())
    at = row[EVENT_TIME]
    same = pl.all_horizontal(pl.col(key).eq_missing(pl.lit(row[key])) for key in keys) & (pl.col(EVENT_TIME) == at)
    try:
        state = lake.table(trace.prediction.table).at()
        found = newest_in(state, Sought(at, at + timedelta(milliseconds=1), same), _MOST)
    except (AssayError, *UNREADABLE):
        return Answers(())
    own = next((place for place, item in enumerate(found) if item.id == trace.prediction_id), None)
    return Answers(tuple(found), own) if own is not None else Answers(())
