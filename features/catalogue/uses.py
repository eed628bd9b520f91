"""Who uses a feature: training sets, the models that learnt from them, and predictions."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from assay.errors import AssayError
from assay.features.catalogue.readable import readable
from assay.features.serving.references import Reference
from assay.features.storage.commit_metadata import Commit
from assay.features.tables.kinds import Kind, own_name
from assay.features.tables.lake import Lake, TableState

Feature = tuple[str, str]
"""View and feature."""


@dataclass(frozen=True, slots=True)
class Uses:
    """Who reads a feature.

    Args:
        training_sets: By id, such as `router@3`.
        models: Name and version, such as `router 2`.
        predictions: Tables of predictions.
        feature_sets: By id, as training sets recorded them.
    """

    training_sets: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    predictions: tuple[str, ...] = ()
    feature_sets: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, list[str]]:
        return {name: list(getattr(self, name)) for name in self.__slots__}

    def __bool__(self) -> bool:
        return any(getattr(self, name) for name in self.__slots__)


@dataclass(slots=True)
class _Found:
    """Uses, while they are gathered: ordered, each once."""

    training_sets: dict[str, None] = field(default_factory=dict)
    models: dict[str, None] = field(default_factory=dict)
    predictions: dict[str, None] = field(default_factory=dict)
    feature_sets: dict[str, None] = field(default_factory=dict)

    def uses(self) -> Uses:
        return Uses(*(tuple(names) for names in (self.training_sets, self.models, self.predictions, self.feature_sets)))


def find_uses(
    lake: Lake, features: Mapping[str, tuple[str, ...]], *, every_version: bool = False
) -> dict[Feature, Uses]:
    """Who uses the features of a lake that the actor may read.

    Args:
        lake: Where training sets, models and predictions are.
        features: The features of each view: predictions name all of a view as `view:*`.
        every_version: Also of training sets and models that newer versions replaced. Default: the newest version of each.
    """
    found: defaultdict[Feature, _Found] = defaultdict(_Found)
    learnt: dict[str, list[Feature]] = {}
    for made, manifest in training_sets_of(lake, every_version):
        learnt[made] = _features_in(manifest)
        sets = [f"{item['name']}@{item['version']}" for item in manifest.get("feature_sets", [])]
        for feature in learnt[made]:
            found[feature].training_sets[made] = None
            found[feature].feature_sets |= dict.fromkeys(sets)
    for model, training_set in models_of(lake, every_version):
        if training_set not in learnt:
            learnt[training_set] = _features_of(lake, training_set)
        for feature in learnt[training_set]:
            found[feature].models[model] = None
    for table, references in predictions_of(lake):
        for reference in references:
            names = features.get(reference.view, ()) if reference.feature == "*" else (reference.feature,)
            for name in names:
                found[reference.view, name].predictions[table] = None
    return {feature: item.uses() for feature, item in found.items()}


def training_sets_of(lake: Lake, every_version: bool) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each training set's id, and its manifest."""
    for state in readable(lake, Kind.TRAINING):
        for commit in _with_section(state, "manifest", newest=not every_version):
            if commit.manifest:
                yield f"{own_name(commit.table)}@{commit.version}", commit.manifest


def _features_of(lake: Lake, training_set: str) -> list[Feature]:
    """The features of a version that is not the newest one; none where it is gone."""
    name, _, version = training_set.partition("@")
    try:
        manifest = lake.table(Kind.TRAINING.table(name)).at(int(version)).last_commit.manifest or {}
    except (AssayError, ValueError):
        return []
    return _features_in(manifest)


def _features_in(manifest: Mapping[str, Any]) -> list[Feature]:
    """The features of a training set, those that its on-demand features are computed of, and its label."""
    label = [manifest["label"]] if isinstance(manifest.get("label"), Mapping) else []
    described = (*manifest.get("features", ()), *manifest.get("used", ()), *label)
    return list(dict.fromkeys((item["view"], one["name"]) for item in described for one in item["features"]))


def models_of(lake: Lake, every_version: bool) -> Iterator[tuple[str, str]]:
    """Each model, and the training set that it learnt from."""
    for state in readable(lake, Kind.MODELS):
        columns = set(state.schema)
        if not {"model_version", "training_set", "created_at"} <= columns:
            continue
        rows = state.scan().select("model_version", "training_set", "created_at")
        rows = rows.filter(pl.col("training_set").is_not_null()).sort("created_at").collect()
        for version, training_set, _ in (rows if every_version else rows.tail(1)).rows():
            yield f"{own_name(state.table.name)} {version}", training_set


def predictions_of(lake: Lake) -> Iterator[tuple[str, list[Reference]]]:
    """Each table of predictions, and what its newest ones were joined by."""
    for state in readable(lake, Kind.PREDICTIONS):
        for commit in _with_section(state, "predictions", newest=True):
            if commit.predictions:
                described = commit.predictions
                yield state.table.name, list(map(Reference.parse, (*described.features, *described.uses)))


def _with_section(state: TableState, name: str, *, newest: bool) -> Iterator[Commit]:
    return map(state.index.commit, state.index.with_section(name, state.version, newest=newest))
