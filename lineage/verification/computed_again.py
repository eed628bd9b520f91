"""What can be computed is computed again: the model's digest, the feature row, the text's vector, and the answer."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from assay.errors import AssayError
from assay.features.embeddings.keys import TEXT_KEY
from assay.features.serving.feature_refs import join, resolve, spine_columns
from assay.features.serving.join_options import JoinOptions
from assay.features.serving.references import Reference
from assay.features.serving.request import Request
from assay.features.tables.digest import row_digests
from assay.features.tables.lake import Lake
from assay.features.tables.reader import Reader
from assay.lineage.predictions.outputs import CONFIDENCE, DIGEST, EVENT_TIME
from assay.lineage.tracing.row_provenance import own_rows
from assay.lineage.tracing.trace import Trace
from assay.lineage.tracing.trace_node import Node
from assay.lineage.verification.finding import ANSWER, Finding

Embed = Callable[[Sequence[str]], Any]


@dataclass(frozen=True, slots=True)
class Again:
    """What a stored model gives now for a traced prediction: one row of outputs, and the confidence. `same_code`: by the code
    that the prediction's commit names."""

    frame: pl.DataFrame
    same_code: bool


Predict = Callable[[Trace], Again]
"""Runs the stored model for a traced prediction. Raises `CannotPredict` with the reason where it cannot be run."""

COSINE = 0.9999  # a vector computed again on other hardware or in other batches differs in its last bits
TOLERANCE = 1e-4  # of numbers among the answers, relative to the larger one and at least to 1: sums in another order


class CannotPredict(AssayError):
    """The model cannot be run again here; the message says why."""


def check_model(lake: Lake, trace: Trace) -> Iterator[Finding]:
    """The stored model has the digest in its row."""
    for node in trace.root.inputs:
        if node.kind == "model" and not node.lookup and "sha256" in node.details:
            state = lake.table(node.table).at(node.snapshot.version)
            rows = state.scan().filter(pl.col("model_version") == node.details["model_version"])
            digests = {hashlib.sha256(item).hexdigest() for item in rows.select("artifact").collect().to_series()}
            same = digests == {node.details["sha256"]}
            yield Finding(f"{node.name} artifact", same, "has its SHA-256" if same else "has another SHA-256")


def check_features(lake: Lake, trace: Trace) -> Iterator[Finding]:
    """Joining the features again at the versions that were read gives the digest in the prediction's row."""
    commit, frame = trace.root.commits[-1], trace.prediction.frame
    described = commit.predictions
    stored = frame[DIGEST][0] if DIGEST in frame.columns else None
    if described is None or not described.features or stored is None:
        yield Finding(
            "feature row", None, "no feature references or digest were logged with the prediction", required=False
        )
        return
    versions = {item.snapshot.table: item.snapshot.version for item in commit.inputs if not item.lookup}
    needed = {*described.keys, EVENT_TIME, *spine_columns(lake, described.features, versions)}
    spine = frame.select(name for name in frame.columns if name in needed)
    how = JoinOptions.from_dict(described.joined)
    wanted = Request(tuple(map(Reference.parse, described.features)), how)
    joined = join(spine, resolve(Reader(lake), wanted, spine, versions=versions))
    same = row_digests(joined, described.feature_columns)[0] == stored
    detail = f"{len(described.feature_columns)} features joined again at the versions read"
    differ = f"{detail} differ from those that were logged (log them as they are joined, before nulls are filled)"
    yield Finding("feature row", same, detail if same else differ)


def check_vector(lake: Lake, trace: Trace, embed: Embed | None) -> Iterator[Finding]:
    """Embedding the prediction's text again gives the stored vector."""
    key = trace.prediction.row.get(TEXT_KEY)
    for node in (node for node in trace.root.inputs if node.kind == "embeddings" and key is not None):
        what = f"{node.name} vector"
        state = lake.table(node.table).at(node.snapshot.version)
        stored = state.scan().filter(pl.col(TEXT_KEY) == key).select("vector").head(1).collect()
        text = _text(lake, trace, node)
        if embed is None or text is None or stored.is_empty():
            reason = "no model was given" if embed is None else "its text or vector was not found"
            yield Finding(what, None, f"not computed again: {reason}", required=False)
            continue
        old, new = np.array(stored["vector"][0]), np.asarray(embed([text]))[0]
        cosine = float(old @ new / (np.linalg.norm(old) * np.linalg.norm(new)))
        yield Finding(what, cosine >= COSINE, f"cosine {cosine:.6f} to the one computed again (at least {COSINE})")


def _text(lake: Lake, trace: Trace, node: Node) -> str | None:
    """The text of the prediction's own row, in the table and column that the vectors were computed from."""
    for commit in reversed(node.commits):
        lineage = (commit.column_lineage or {}).get("vector", {})
        for table, column in lineage.get("direct", []) if lineage != "unknown" else []:
            for item in (item for item in commit.inputs if item.snapshot.table == table and not item.lookup):
                own = own_rows(lake, trace, item)
                texts = own.select(column).collect().to_series().to_list() if own is not None else []
                if texts:
                    return texts[0]
    return None


def check_answer(trace: Trace, predict: Predict | None) -> Iterator[Finding]:
    """The stored model, run again on the same features, gives the stored answer. Texts and counts must be equal, numbers
    within `TOLERANCE`."""
    commit, stored = trace.root.commits[-1], trace.prediction.frame
    described = commit.predictions
    if predict is None or described is None:
        yield Finding(ANSWER, None, "not checked: the model was not run again", required=False)
        return
    try:
        again = predict(trace)
    except CannotPredict as problem:
        yield Finding(ANSWER, None, f"not checked: {problem}", required=False)
        return
    made = again.frame
    compared = [name for name in (*described.outputs, CONFIDENCE) if name in made.columns and name in stored.columns]
    if made.height != 1 or not compared:
        yield Finding(ANSWER, None, "not checked: the model gave none of the stored outputs", required=False)
        return
    wrong = [name for name in compared if not _alike(stored[name][0], made[name][0])]
    detail = f"the stored model gives the same {', '.join(compared)} (numbers within {TOLERANCE:g})"
    differ = f"the stored model gives another {', '.join(wrong)} for the same features"
    if wrong and not again.same_code:
        why = f"not checked: its code is another one now, which gives another {', '.join(wrong)}"
        yield Finding(ANSWER, None, why, required=False)
        return
    yield Finding(ANSWER, not wrong, differ if wrong else detail)


def _alike(stored: Any, made: Any) -> bool:
    if isinstance(stored, float | int) and isinstance(made, float | int) and not isinstance(stored, bool):
        if stored != stored or made != made:
            return stored != stored and made != made
        return abs(stored - made) <= TOLERANCE * max(1.0, abs(stored), abs(made))
    if isinstance(stored, pl.Series) and isinstance(made, pl.Series):
        stored, made = stored.to_list(), made.to_list()
    if isinstance(stored, list) and isinstance(made, list):
        return len(stored) == len(made) and all(map(_alike, stored, made))
    return bool(stored == made)
