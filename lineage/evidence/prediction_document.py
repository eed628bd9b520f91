"""The prediction's own row, as an evidence bundle shows it: what its id is made from, the answer, and where it lies."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from assay.errors import AssayError
from assay.features.storage.sections import Predictions
from assay.features.tables.digest import row_digests
from assay.features.tables.lake import Lake
from assay.lineage.evidence.rows_behind import salted
from assay.lineage.predictions import merkle
from assay.lineage.predictions.answers import answer_leaves
from assay.lineage.predictions.attachments import PROMPT
from assay.lineage.predictions.find_prediction import ID, UNREADABLE
from assay.lineage.predictions.outputs import labels_of, outputs_of
from assay.lineage.predictions.prediction_log import DIGEST, EVENT_TIME
from assay.lineage.tracing.trace import Trace
from assay.lineage.verification.commits import Log, Logs

LABEL = 64  # characters: longer texts among the outputs are answers in prose, and appear as digests


def data_file_of(lake: Lake, trace: Trace, logs: Logs) -> tuple[str, bytes]:
    """The data file that holds the prediction, and its bytes: the one that its run wrote, as long as it can be read."""
    log, root = logs[trace.root.table], trace.root
    written = [file.path for file in log.files(root.snapshot.version, root.partitions)] if log else []
    for path in dict.fromkeys(
        [*sorted(written, key=lambda path: path != trace.prediction.file), trace.prediction.file]
    ):
        try:
            content = lake.storage.get(f"{root.table}/{path}")
            ids = pl.read_parquet(io.BytesIO(content), columns=[ID])[ID]
        except (AssayError, *UNREADABLE):
            continue
        if trace.prediction_id in ids:
            return path, content
    raise AssayError(
        f"The data file of {root.table} that holds the prediction is gone: there is nothing to prove it by."
    )


def prediction_document(
    trace: Trace,
    log: Log | None,
    data_file: str,
    salt: bytes | None,
    withhold: Sequence[str],
    answer: Mapping[str, Any],
) -> dict[str, Any]:
    frame, commit = trace.prediction.frame, trace.root.commits[-1]
    entry = log.entry(commit.version) if log else None
    written = {file.path for file in entry.added} if entry else set()
    described = commit.predictions or Predictions(model=trace.prediction.model)
    keys = {f"key:{key}": _typed(frame[key]) for key in described.keys if key not in withhold}
    identity = {
        "model": ("string", described.model),
        "model_version": ("string", described.version),
        EVENT_TIME: _typed(frame[EVENT_TIME]),
        DIGEST: ("string", frame[DIGEST][0] if DIGEST in frame.columns else None),
        **{name: value for name, value in keys.items() if value is not None},
    }
    own = {ID, EVENT_TIME, DIGEST, "model_version", "inputs", "run_id"} | {
        name[4:] for name in identity if "key:" in name
    }
    rest = [name for name in frame.columns if name not in own]
    outputs, labels = outputs_of(commit, frame.columns), labels_of(commit, frame.schema)
    values = {
        name: _typed(frame[name]) for name in rest if name not in withhold and _is_shown(frame[name], name in labels)
    }
    return {
        "prediction_id": trace.prediction_id,
        "table": trace.root.table,
        "version": trace.root.snapshot.version,
        "partition": commit.partition or trace.prediction.partition,
        "data_file": data_file,
        "moved": data_file not in written,  # by another tool, and the file that its run wrote is gone
        "run_id": frame["run_id"][0],
        "identity": [[name, *value] for name, value in sorted(identity.items()) if value is not None],
        "withheld_keys": [key for key in described.keys if key not in own],
        "inputs": trace.prediction.row["inputs"],
        "features": list(described.features),
        "outputs": list(outputs),
        "answer": dict(answer),
        "shown": {name: value[1] for name, value in values.items() if value is not None},
        "withheld": {
            name: salted(salt, row_digests(frame, [name])[0]) if salt else None
            for name in rest
            if values.get(name) is None
        },
    }


def answer_proof(lake: Lake, trace: Trace, log: Log | None, withhold: Sequence[str]) -> dict[str, Any]:
    """The answer, and the way from it to the Merkle root that the commit carries (see `assay.lineage.predictions.answers`):
    `values` as name, type and value, `index` and `size`, `path` in hex; or why it is `unproven`."""
    commit, stored = trace.root.commits[-1], trace.prediction.frame
    described = commit.predictions
    if log is None or described is None or not described.answers:
        return {"unproven": "its commit carries no digest of the answers"}
    labels = labels_of(commit, stored.schema)
    values = {}
    for name in described.answered:
        typed = _typed(stored[name]) if name in stored.columns else None
        shown = name == ID or (name not in withhold and _is_shown(stored[name], name in labels)) if typed else False
        if typed is None or not shown:
            return {"unproven": f"column {name} is not shown"}
        values[name] = typed
    try:
        rows = _rows_of_run(lake, trace, log, described.answered).sort(ID)
    except (AssayError, ValueError, *UNREADABLE) as problem:
        return {"unproven": f"the rows of its run cannot be read ({type(problem).__name__})"}
    place = rows[ID].index_of(trace.prediction_id)
    if place is None:
        return {"unproven": "its run did not write it"}
    return {
        "values": [[name, *value] for name, value in sorted(values.items())],
        "index": place,
        "size": rows.height,
        "path": [item.hex() for item in merkle.inclusion(answer_leaves(rows, described.answered), place)],
    }


def _rows_of_run(lake: Lake, trace: Trace, log: Log, columns: Sequence[str]) -> pl.DataFrame:
    """The answers that the prediction's run wrote, as its files have them; where these are gone, as they were moved to others."""
    entry = log.entry(trace.root.commits[-1].version)
    try:
        contents = [lake.storage.get(f"{log.table}/{file.path}") for file in (entry.added if entry else ())]
    except AssayError:
        moved = lake.table(log.table).at().scan([trace.prediction.partition])
        return moved.filter(pl.col("run_id") == trace.prediction.row["run_id"]).select(columns).collect()
    return pl.concat([pl.read_parquet(io.BytesIO(content)).select(columns) for content in contents])


def _is_shown(column: pl.Series, is_label: bool) -> bool:
    """Numbers, times and truth values; of texts the prompt's version, and declared outputs that are short."""
    if column.dtype == pl.String:
        return column.name == PROMPT or (is_label and len(column[0] or "") <= LABEL)
    return column.dtype.is_numeric() or column.dtype.is_temporal() or column.dtype == pl.Boolean


def _typed(column: pl.Series) -> tuple[str, Any] | None:
    """The type's name in a row digest, and a value that JSON knows; None for types that JSON does not know."""
    dtype = column.dtype
    if isinstance(dtype, pl.Date | pl.Datetime):
        return ("date" if isinstance(dtype, pl.Date) else "timestamp"), column.to_physical()[0]
    if isinstance(dtype, pl.Decimal):
        return "decimal", None if column[0] is None else format(column[0], "f")
    if dtype.is_float():
        return "float", column[0]
    if dtype.is_integer():
        return "int", column[0]
    names = {pl.Boolean: "bool", pl.String: "string"}
    return next(((name, column[0]) for kind, name in names.items() if dtype == kind), None)
