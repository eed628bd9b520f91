"""Folds for cross-validation: purged blocks of time, blocks that only look forward, or entities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from assay.errors import AssayError
from assay.features.training.entity_places import places_of, refuse_nobody
from assay.features.training.leaks import Numbers, leave_out, refuse_shared_entities, refuse_windows
from assay.features.training.lookback import Lookback
from assay.features.training.rows import LoadedRows
from assay.features.training.split import TEST, TRAIN, Split, made_split, refuse_empty
from assay.features.training.split_data import Columns, Duration, SplitData, columns_of, given_arguments, span_of
from assay.features.training.splits import split_rows
from assay.features.views.timestamps import microseconds


def fold_rows(
    rows: LoadedRows,
    lookbacks: Sequence[Lookback],
    count: int,
    *,
    by_entity: Columns | None = None,
    forward: bool = False,
    embargo: Duration | None = None,
    lookback: Duration | None = None,
    label_known: str | None = None,
    shared: Columns = (),
    seed: int = 0,
) -> list[Split]:
    """Folds of a training set. For the arguments see `TrainingSetVersion.folds`."""
    where = f"Folds of {rows.id}"
    if count < 2:
        raise AssayError(f"{where}: at least 2 folds are needed.")
    if by_entity is not None and forward:
        raise AssayError(f"{where}: forward=True is for folds by time; leave by_entity out.")
    keys, common = columns_of(by_entity), columns_of(shared)
    data = SplitData.of(rows, lookbacks, where, keys, common, label_known, lookback)
    names = [TRAIN, TEST]
    arguments: dict[str, Any] = {"folds": count} | ({"forward": True} if forward else {})
    made = []
    if by_entity is not None:
        refuse_nobody(data.frame, keys, where)
        arguments |= {"by_entity": list(keys), "seed": seed} | given_arguments(None, lookback, None, False, common)
        buckets = (places_of(data.frame, keys, seed) * count).astype(np.int64)
        for fold in range(count):
            parts = (buckets == fold).astype(np.int8)
            refuse_empty(where, parts, names)
            refuse_shared_entities(where, parts, names, data.frame, data.owners())
            made.append(made_split(rows, data, names, parts, arguments | {"fold": fold}, {}))
        return made
    span = microseconds(span_of(embargo, f"{where}: embargo"))
    arguments |= given_arguments(embargo, lookback, data.label_known, False, common)
    cuts = _cuts(data.times, count + forward, where)
    for fold in range(count):
        begin, end = cuts[fold + forward], cuts[fold + forward + 1]
        parts, out = _purged(data, begin, end, span, forward=forward)
        refuse_empty(where, parts, names)
        refuse_windows(where, parts, data.times, names, data.frame, data.lookbacks)
        made.append(made_split(rows, data, names, parts, arguments | {"fold": fold}, out))
    return made


def _cuts(times: Numbers, count: int, where: str) -> list[int]:
    """The first moments of blocks with about as many rows each, and one after the last."""
    ordered = np.sort(times)
    cuts = [int(ordered[len(ordered) * block // count]) for block in range(count)] if len(ordered) else []
    if len(set(cuts)) < count:
        raise AssayError(f"{where}: the rows have too few different times for {count} blocks. Make fewer folds.")
    return [*cuts, int(ordered[-1]) + 1]


def _purged(data: SplitData, begin: int, end: int, span: int, *, forward: bool) -> tuple[Numbers, dict[str, int]]:
    """Test rows in [begin, end), and around them what may be learned from: labels that were known before, and rows from
    whose time on nothing of the test is seen."""
    times, out = data.times, dict[str, int]()
    test = (times >= begin) & (times < end)
    parts = np.where(test, 1, 0).astype(np.int8)
    before, after = times < begin, times >= end
    if forward:
        leave_out(parts, after, "later", out)
    leave_out(parts, before & (times >= begin - span), "embargo", out)
    seen = end
    if data.known is not None:
        leave_out(parts, before & (parts == 0) & (data.known > begin), "label", out)
        seen = max(end, int(data.known[test].max(initial=end)))
        leave_out(parts, after & (parts == 0) & (times < seen), "label", out)
    leave_out(parts, after & (parts == 0) & (times < seen + span), "embargo", out)
    return parts, out


def split_again(rows: LoadedRows, lookbacks: Sequence[Lookback], definition: Mapping[str, Any]) -> Split:
    """The split, or fold, with this definition. Raises AssayError if the training set is another one."""
    arguments = dict(definition["arguments"])
    if "folds" in arguments:
        fold = arguments.pop("fold")
        made = fold_rows(rows, lookbacks, arguments.pop("folds"), **arguments)[fold]
    else:
        made = split_rows(rows, lookbacks, **arguments)
    if made.definition["digest"] != definition["digest"]:
        raise AssayError(
            f"The split was made of {definition['training_set']} with the content {definition['content_digest'][:12]}…; "
            f"{rows.id} gives another one."
        )
    return made
