"""The feature values that a model was given, for people: masked where what they come from is personal."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import polars as pl

from assay.checks.validation.masking import mask_classes
from assay.errors import AssayError
from assay.features.storage.commit_metadata import Commit
from assay.features.tables.freshness import in_words
from assay.features.tables.lake import Lake
from assay.lineage.predictions.find_prediction import UNREADABLE
from assay.lineage.tracing.features_seen import FeaturesSeen, features_seen
from assay.lineage.tracing.trace import Trace
from assay.why.items import ShownFeatures
from assay.why.shown import masked


def seen_by_model(lake: Lake, trace: Trace) -> list[FeaturesSeen]:
    """The values themselves; none where a version is gone or cannot be read, which its status says."""
    try:
        return features_seen(lake, trace)
    except (AssayError, *UNREADABLE):
        return []


def shown_features(
    lake: Lake, trace: Trace, seen: Sequence[FeaturesSeen], classes: Mapping[str, str | None]
) -> list[ShownFeatures]:
    """The same for people.

    Args:
        lake: Where the tables are.
        trace: Of the prediction.
        seen: What `seen_by_model` gave.
        classes: The classes of personal data by column, as the contracts on the way name them.
    """
    at = trace.prediction.row["event_time"]
    return [_shown(lake, one, classes, at) for one in seen]


def _shown(lake: Lake, one: FeaturesSeen, classes: Mapping[str, str | None], at: datetime) -> ShownFeatures:
    names = {name: one.names.get(name, name) for name in one.values}
    own = _classes(lake, one.table, one.version, names, classes)
    (values,) = masked(pl.DataFrame([one.values], strict=False), own) if one.values else ({},)
    age = one.age(at)
    words = "" if age is None else f"{in_words(age)} old" if age else "of the same moment"
    return ShownFeatures(one.view, one.table, one.version, one.keys, values, one.event_time, words, one.absent)


def shown_served(
    lake: Lake, rows: pl.DataFrame, views: Sequence[Mapping[str, Any]], classes: Mapping[str, str | None]
) -> pl.DataFrame:
    """What `served` gave for its views, with its features masked. The keys that somebody asked with are shown."""
    known: dict[str, str | None] = {}
    columns: list[str] = []
    for view in views:
        names = {item["column"]: item["name"] for item in view["features"]}
        known |= _classes(lake, view["table"], view["version"], names, classes)
        columns += names
    hidden = mask_classes(rows.select(columns), known)
    return rows.with_columns(hidden[name] for name in columns)


def _classes(
    lake: Lake, table: str, version: int, names: Mapping[str, str], classes: Mapping[str, str | None]
) -> dict[str, str | None]:
    """The class of each column, named like a feature of the table (`names`): its own, by its name, or that of a personal column
    that it is computed from. One of which that is not known is left out, so that it is masked like free text."""
    commit = _newest(lake, table, version)
    lineage: Mapping[str, Any] = (commit.column_lineage if commit is not None else None) or {}
    found: dict[str, str | None] = {}
    for name, feature in names.items():
        sources = lineage.get(feature)
        if isinstance(sources, Mapping):
            inherited = (classes.get(column) for _, column in sources.get("direct", []))
            found[name] = classes.get(name) or next((kind for kind in inherited if kind is not None), None)
    return found


def _newest(lake: Lake, table: str, version: int) -> Commit | None:
    try:
        state = lake.table(table).at(version)
    except AssayError:
        return None
    written = state.index.last_written(state.version)
    return state.index.commit(written) if written is not None else None
