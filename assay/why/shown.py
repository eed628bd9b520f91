"""What people are shown of stored values: the one rule for every page, command, letter and list.

Data of a column that a contract calls personal shows its class only, as does free text, and what no contract knows shows how
long it is. Answers and attached texts of a model are shown, with addresses and card numbers redacted, unless a contract calls
their column personal. What a person asks for as a file (a list of the affected, `--output`) is not masked: it is for whoever
must tell them.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Any

import polars as pl

from assay.checks.validation.masking import mask_classes
from assay.errors import AssayError
from assay.features.storage.commit_metadata import Commit
from assay.features.tables.kinds import Kind
from assay.features.tables.lake import Lake, TableState
from assay.lineage.predictions.attachments import EXPLANATION, PROMPT, RETRIEVAL
from assay.lineage.predictions.latest import LoggedPrediction
from assay.lineage.predictions.outputs import CONFIDENCE, DIGEST, EVENT_TIME, OURS, TEXT_KEY
from assay.lineage.tracing.trace import Trace
from assay.own_columns import is_link
from assay.why.judged_by import Declared, DeclaredNow, declared_by, personal_classes

_LONGEST = 80  # characters of a value
_OURS = frozenset((*OURS, EVENT_TIME, DIGEST, CONFIDENCE, TEXT_KEY))  # of a prediction: no data about anybody
Classes = Mapping[str, str | None]  # the class of personal data by column that a contract knows


def masked(frame: pl.DataFrame, classes: Classes) -> list[dict[str, str | None]]:
    """The data of each row as text, masked; Assay's own columns are left out."""
    data = frame.select(name for name in frame.columns if not is_link(name))
    return [{name: in_text(value) for name, value in row.items()} for row in mask_classes(data, classes).to_dicts()]


def in_text(value: Any) -> str | None:
    """A value in short: yes or no, times to the second, six digits of a number with decimals."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S").removesuffix(" 00:00:00")
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def prediction_in_text(
    lake: Lake, trace: Trace, declared: DeclaredNow = MappingProxyType({})
) -> tuple[dict[str, str | None], dict[str, str | None], dict[str, str | None]]:
    """The answer, the keys and the attached texts of a prediction, masked by the contracts of every table on the way. A key that
    none of them knows may be personal, and shows how long it is only; of answers and attached texts addresses and card
    numbers are redacted."""
    classes = classes_on_the_way(lake, trace, declared)
    frame = trace.prediction.frame
    keys = [key for key in keys_of(trace) if key in frame.columns]
    attached = [name for name in (PROMPT, EXPLANATION) if name in frame.columns]
    outputs = [name for name in trace.root.details["outputs"] if name in frame.columns and name not in keys]
    own = dict.fromkeys((*outputs, *attached)) | classes

    def text(names: Sequence[str], known: dict[str, str | None]) -> dict[str, str | None]:
        (row,) = masked(frame.select(names), known) if names else ({},)
        return {name: value for name, value in row.items() if value is not None}

    return text(outputs, own), text(keys, classes), text(attached, own)


def keys_of(trace: Trace) -> tuple[str, ...]:
    """The columns that say whom or what a prediction is about."""
    described = trace.root.commits[-1].predictions
    return described.keys if described else ()


def classes_on_the_way(lake: Lake, trace: Trace, declared: DeclaredNow = MappingProxyType({})) -> dict[str, str | None]:
    """The classes of personal data of all columns that the contracts on the way know: those that judged what was read, and
    today's."""
    commits = [commit for node in trace.nodes for commit in node.commits]
    clean = [table for table in dict.fromkeys(node.table for node in trace.nodes) if Kind.CLEAN.holds(table)]
    return _classes_of(lake, commits, clean, declared)


def classes_of_lake(lake: Lake, declared: DeclaredNow = MappingProxyType({})) -> dict[str, str | None]:
    """The same of all that today's contracts know."""
    return _classes_of(lake, [], lake.tables(Kind.CLEAN.folder), declared)


def _classes_of(
    lake: Lake, commits: list[Commit], clean: Iterable[str], declared: DeclaredNow
) -> dict[str, str | None]:
    today = []
    for table in clean:
        today.append(declared.get(table))
        with suppress(AssayError):
            commits.append(lake.table(table).at().last_commit)
    by_digest = {str((commit.contract or {}).get("digest")): commit for commit in commits}
    return personal_classes([*(declared_by(lake.storage, commit) for commit in by_digest.values()), *today])


def shown_trace(lake: Lake, trace: Trace, declared: DeclaredNow = MappingProxyType({})) -> Trace:
    """The trace to be shown: the same, with the values of its prediction masked. Verify, explain and export the one that it was
    made from."""
    frame, classes = trace.prediction.frame, classes_on_the_way(lake, trace, declared)
    attached = (EXPLANATION, PROMPT)
    data = frame.select(name for name in frame.columns if name not in (*_OURS, RETRIEVAL))
    hidden = mask_classes(data, dict.fromkeys((*trace.root.details["outputs"], *attached)) | classes)
    before = data.row(0, named=True)
    changed = {name: value for name, value in hidden.row(0, named=True).items() if value != before[name]}
    details = dict(trace.root.details) | changed
    columns: list[pl.Series] = [hidden[name] for name in changed]
    hits = (details.get(RETRIEVAL) or {}).get("hits")
    if hits:
        keys = mask_classes(pl.DataFrame({"key": [hit["key"] for hit in hits]}), {"key": None})["key"]
        details[RETRIEVAL] = details[RETRIEVAL] | {
            "hits": [hit | {"key": key} for hit, key in zip(hits, keys, strict=True)]
        }
        columns.append(pl.Series(RETRIEVAL, [details[RETRIEVAL]], dtype=frame.schema[RETRIEVAL]))
    prediction = replace(trace.prediction, frame=frame.with_columns(columns))
    return replace(trace, prediction=prediction, root=replace(trace.root, details=details))


def shown_predictions(
    lake: Lake, found: Sequence[LoggedPrediction], declared: DeclaredNow = MappingProxyType({})
) -> list[LoggedPrediction]:
    """Predictions to be listed, with their answers masked."""
    classes = classes_of_lake(lake, declared) if found else {}
    answers = shown_answers([item.answer for item in found], classes)
    return [replace(item, answer=answer) for item, answer in zip(found, answers, strict=True)]


def shown_keys(item: LoggedPrediction, classes: Classes) -> dict[str, Any]:
    """Whom or what a prediction is about, as it is shown: a key that no contract knows shows how long it is."""
    (keys,) = _masked_values([dict(item.about)], classes)
    return keys


def shown_answers(answers: Sequence[Mapping[str, Any]], classes: Classes) -> list[dict[str, Any]]:
    """Answers of models as they are shown: addresses and card numbers are redacted, and a column that a contract calls personal
    shows its class."""
    names = dict.fromkeys(name for answer in answers for name in answer)
    return _masked_values(answers, dict.fromkeys(names) | dict(classes))


def shown_list(rows: pl.DataFrame, classes: Classes) -> pl.DataFrame:
    """Some of a list of affected predictions (see `lineage.affected.answer.SCHEMA`), with `keys` and `answer` masked."""
    keys = _masked_values([json.loads(text) for text in rows["keys"]], classes)
    answers = shown_answers([json.loads(text) for text in rows["answer"]], classes)
    texts = [pl.Series(name, map(json.dumps, some), pl.String) for name, some in (("keys", keys), ("answer", answers))]
    return rows.with_columns(texts)


def _masked_values(rows: Sequence[Mapping[str, Any]], classes: Classes) -> list[dict[str, Any]]:
    """Rows of different columns, masked: those alike together."""
    alike: dict[tuple[tuple[str, type], ...], list[int]] = {}
    for place, row in enumerate(rows):
        alike.setdefault(tuple((name, type(value)) for name, value in row.items()), []).append(place)
    found = [dict[str, Any]() for _ in rows]
    for kind, places in alike.items():
        frame = pl.DataFrame([dict(rows[place]) for place in places], infer_schema_length=None) if kind else None
        for place, row in (
            zip(places, mask_classes(frame, classes).to_dicts(), strict=True) if frame is not None else ()
        ):
            found[place] = row
    return found


def personal_columns(lake: Lake, trace: Trace, declared: DeclaredNow = MappingProxyType({})) -> list[str]:
    """The columns of a prediction that a contract on the way calls personal."""
    classes = classes_on_the_way(lake, trace, declared)
    return [name for name in trace.prediction.frame.columns if classes.get(name) is not None]


def classes_in(state: TableState, writers: Sequence[Commit], declared: Declared | None = None) -> dict[str, str | None]:
    """The classes of personal data of a table's columns, by the contracts that judged what was read, by the newest one, and by
    the one that is declared, though it has judged nothing: what has come to be called personal since is masked, too."""
    storage = state.table.lake.storage
    newest = state.table.open_unasked().last_commit
    by_digest = {str((commit.contract or {}).get("digest")): commit for commit in [*writers, newest]}
    return personal_classes([*(declared_by(storage, commit) for commit in by_digest.values()), declared])
