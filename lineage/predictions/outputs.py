"""The output columns of a model: recorded with each commit of predictions, so that traces, bundles and pages can show an
answer without knowing the model."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from assay.errors import AssayError
from assay.features.storage.commit_metadata import Commit
from assay.features.storage.parquet_files import PARTITION
from assay.lineage.predictions import attachments
from assay.lineage.predictions.find_prediction import ID

EVENT_TIME, DIGEST, CONFIDENCE, TEXT_KEY = "event_time", "feature_digest", "confidence", "text_key"
BY_DEFAULT = "default"  # `outputs_by` of predictions whose outputs nobody declared
OURS = (ID, "model_version", "inputs", "run_id", PARTITION)  # columns that Assay writes itself
_OTHERS = (*OURS, EVENT_TIME, DIGEST, CONFIDENCE, TEXT_KEY, *attachments.COLUMNS)
_ROLES = {
    EVENT_TIME: "it is the time that the answer is about",
    CONFIDENCE: "it says how sure the model is, and is shown with the answer without being an output",
    **dict.fromkeys(attachments.COLUMNS, "it is attached to the answer, and shown with it without being an output"),
}


def default_outputs(columns: Iterable[str], keys: Sequence[str]) -> list[str]:
    """The columns that are neither keys, times, confidence, attachments nor Assay's own."""
    return [name for name in columns if name not in _OTHERS and name not in keys]


def role_of(name: str, keys: Sequence[str] = ()) -> str:
    """What else a column of predictions is than an output, as a clause; nothing for one that may be an output."""
    if name in keys:
        return "it is a key"
    return _ROLES.get(name, "Assay writes it itself") if name in _OTHERS else ""


def checked_outputs(
    outputs: Sequence[str] | None, columns: Sequence[str], keys: Sequence[str], where: str
) -> list[str]:
    """The outputs as they are recorded. Raises AssayError for one that is not in the frame, or has another role there."""
    if outputs is None:
        return default_outputs(columns, keys)
    possible = default_outputs(columns, keys)
    for name in outputs:
        if name not in possible:
            problem = f"has another role: {role_of(name, keys)}" if name in columns else "is not there"
            raise AssayError(
                f"{where}: output {name!r} {problem}. Columns that can be outputs: {', '.join(possible) or 'none'}."
            )
    return list(dict.fromkeys(outputs))


def outputs_of(commit: Commit, columns: Iterable[str]) -> tuple[str, ...]:
    """The outputs of the predictions that a commit wrote, among `columns` of the table; for a commit made before outputs
    were recorded, those that are left (see `default_outputs`)."""
    there = list(columns)
    described = commit.predictions
    recorded = described.outputs if described else ()
    named = recorded or default_outputs(there, described.keys if described else ())
    return tuple(name for name in named if name in there)


def labels_of(commit: Commit, columns: Mapping[str, pl.DataType]) -> tuple[str, ...]:
    """The outputs that certainly are answers, so that their texts may be shown to strangers: those that were declared. Of a
    commit made before outputs were recorded, the only column of texts that is left, if there is just one."""
    named, described = outputs_of(commit, columns), commit.predictions
    if described is not None and described.outputs:
        return () if described.outputs_by == BY_DEFAULT else named
    texts = tuple(name for name in named if columns[name] == pl.String)
    return texts if len(texts) == 1 else ()


def answer_of(row: Mapping[str, Any], outputs: Iterable[str]) -> dict[str, Any]:
    """The model's answer in a row: its outputs and its confidence by name, without nulls."""
    return {name: row[name] for name in (*outputs, CONFIDENCE) if row.get(name) is not None}
