"""What a store lists: views and models as values, with `to_dict()` for programs and `str()` for people.

What the actor may not read is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from assay.errors import AssayError, known_names, nearest
from assay.features.catalogue.catalogue import Declared
from assay.features.catalogue.readable import SERVED, readable, served_features
from assay.features.serving.feature_refs import find_serving
from assay.features.serving.training import TrainingSetVersion, load_training_set
from assay.features.storage.snapshot import Snapshot
from assay.features.tables.guard import Denied
from assay.features.tables.kinds import Kind, own_name
from assay.features.tables.lake import Lake
from assay.features.tables.serving import Serving

VIEWS = SERVED
_HOW = {"lookup": "looked up", "on_demand": "computed when it is read", "label": "a label"}


@dataclass(frozen=True, slots=True)
class ViewInfo:
    """A table that serves features, at one version.

    Args:
        name: How references begin: `<name>:<feature>`.
        snapshot: The version that was looked at.
        serving: How it is joined.
        features: The names of its features.
    """

    name: str
    snapshot: Snapshot
    serving: Serving
    features: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "snapshot": self.snapshot.to_dict(),
            "kind": self.serving.kind,
            "serving": self.serving.to_dict(),
            "features": list(self.features),
        }

    def __str__(self) -> str:
        how = _HOW.get(self.serving.kind, "as of a time")
        by = f", by {', '.join(self.serving.keys)}" if self.serving.keys else ""
        return f"{self.name} ({how}{by}): {', '.join(self.features)}"


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A version of a model that the lake holds, without its artefact."""

    name: str
    version: str
    sha256: str
    training_set: str
    created_at: datetime | None

    def to_dict(self) -> dict[str, Any]:
        created = self.created_at.isoformat() if self.created_at else None
        return {name: getattr(self, name) for name in self.__slots__} | {"created_at": created}

    def __str__(self) -> str:
        return f"{self.name} {self.version}, fitted on {self.training_set} (SHA-256 {self.sha256[:12]}…)"


def list_views(lake: Lake) -> list[ViewInfo]:
    """Every table that says how it is served, by name."""
    views = []
    for kind in VIEWS:
        for state in readable(lake, kind):
            table = state.table.name
            described = find_serving(state)
            if described is not None:
                names = served_features(state, described[0])
                views.append(ViewInfo(own_name(table), state.snapshot, described[0], names))
    return sorted(views, key=lambda view: view.name)


def list_training_sets(lake: Lake, name: str | None = None) -> list[TrainingSetVersion]:
    """Every version that can be loaded, oldest first; of all training sets, or of one."""
    tables = lake.tables(Kind.TRAINING.folder)
    names = [own_name(table) for table in tables]
    if name is not None and name not in names:
        raise AssayError(f"There is no training set {name!r}.{nearest(name, names) or known_names(names)}")
    training_sets = []
    for table in tables:
        if name in (None, own_name(table)):
            try:
                state = lake.table(table).at()
            except Denied:
                if name is not None:
                    raise
                continue
            for version in state.index.with_section("manifest", state.version):
                try:
                    training_sets.append(load_training_set(lake, f"{own_name(table)}@{version}"))
                except AssayError:  # vacuumed or erased: `load_training_set` says which
                    continue
    return training_sets


def list_models(lake: Lake) -> list[ModelInfo]:
    """Every version of every model, oldest first."""
    models = []
    for state in readable(lake, Kind.MODELS):
        table, frame = state.table.name, state.scan()
        wanted = ["model_version", "sha256", "training_set", "created_at"]
        there = [name for name in wanted if name in frame.collect_schema()]
        rows = frame.select(there).collect()
        rows = rows.sort("created_at") if "created_at" in there else rows
        models += [
            ModelInfo(
                own_name(table),
                str(row.get("model_version", "")),
                str(row.get("sha256") or ""),
                str(row.get("training_set") or ""),
                row.get("created_at"),
            )
            for row in rows.iter_rows(named=True)
        ]
    return models


def declared_views() -> dict[str, Declared]:
    """The views that the active project declares, by name; none where there is no project."""
    from assay.assets.declarations import declarations
    from assay.assets.project import find_project

    project = find_project()
    items = declarations(project).items if project is not None else ()
    return {item.name: item for item in items if isinstance(item, Declared)}
