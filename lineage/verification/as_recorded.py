"""Whether a stored answer is the one that was recorded when it was made: a look at the prediction's own commit and file alone."""

import polars as pl

from assay.errors import AssayError
from assay.features.tables.lake import Lake
from assay.features.tables.table_log import read_log
from assay.lineage.predictions import merkle
from assay.lineage.predictions.answers import answer_leaves
from assay.lineage.predictions.find_prediction import UNREADABLE, file_problem
from assay.lineage.tracing.trace import Trace

_NEXT = "Verify it to see who changed it."


def not_as_recorded(lake: Lake, trace: Trace) -> str:
    """What contradicts the stored answer, as sentences; nothing where it lies untouched in a file of its run's commit, or was
    moved with the answer that this commit recorded. Less than a verification: what it rests on is not looked at."""
    prediction = trace.prediction
    own = [commit for commit in trace.root.commits if commit.run_id == prediction.row["run_id"]]
    log = read_log(lake, prediction.table)
    entries = [log.entry(commit.version) for commit in own] if log is not None else []
    if any(file.path == prediction.file for entry in entries if entry is not None for file in entry.added):
        problem = file_problem(lake.storage, f"{prediction.table}/{prediction.file}")
        return (
            f"The stored answer may not be the one that was given: its data file is {problem}. {_NEXT}"
            if problem
            else ""
        )
    described = own[-1].predictions if own else None
    if described is None or not described.answers:
        return ""  # nothing was recorded to compare with
    try:
        rows = lake.table(prediction.table).at(prediction.version).scan([prediction.partition])
        ours = rows.filter(pl.col("run_id") == own[-1].run_id).select(described.answered).collect()
        root = merkle.root(answer_leaves(ours, described.answered)).hex()
    except (AssayError, *UNREADABLE):
        return ""  # its status says what cannot be read
    if root == described.answers:
        return ""
    return (
        "The stored answers of this prediction's run are not those that it recorded when they were made: the answer shown may "
        f"not be the one that was given. {_NEXT}"
    )
