"""The catalogue: every feature of a lake and of the views that are declared, with its texts and who uses it.

It is read from the tables, which say themselves what they hold, so that it needs none of the code that made them. Where a view
is declared, too, its texts of today count.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from assay.errors import AssayError, nearest
from assay.features.catalogue.feature_info import FeatureInfo, described
from assay.features.catalogue.readable import SERVED, readable, served_features
from assay.features.catalogue.uses import Uses, find_uses
from assay.features.serving.feature_refs import find_serving
from assay.features.serving.on_demand.view import OnDemandView
from assay.features.tables.kinds import own_name
from assay.features.tables.lake import Lake, TableState
from assay.features.tables.serving import Serving
from assay.features.views.feature_view import FeatureView
from assay.features.views.timestamps import format_duration

Declared = FeatureView | OnDemandView
"""What a project declares that has features."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FOREVER = 2**62
_WORD = re.compile(r"[a-z0-9]+")


def catalogue(
    lake: Lake, declared: Mapping[str, Declared] | None = None, *, every_version: bool = False
) -> list[FeatureInfo]:
    """Every feature that the actor may read, by view and in the order of its columns.

    Args:
        lake: Where the tables are.
        declared: The views that a project declares, by name: their texts count, and those without rows are listed, too.
        every_version: Count training sets and models that newer versions replaced among the uses, too.
    """
    declared = declared or {}
    tables = {own_name(state.table.name): state for kind in SERVED for state in readable(lake, kind)}
    views = {name: view for name, state in tables.items() if (view := _Served.of(name, state)) is not None}
    uses = find_uses(lake, {name: view.names for name, view in views.items()}, every_version=every_version)
    listed: list[FeatureInfo] = []
    for name in sorted({*views, *declared}):
        infos = views[name].features() if name in views else ()
        listed += _today(infos, declared[name]) if name in declared else infos
    return [replace(info, uses=uses.get((info.view, info.name), Uses())) for info in listed]


def find_feature(features: Sequence[FeatureInfo], reference: str) -> FeatureInfo:
    """The feature of a reference. Raises AssayError, with the nearest ones, if there is none."""
    by_reference = {info.reference: info for info in features}
    if reference not in by_reference:
        alone = [info.reference for info in features if info.name == reference]
        hint = f" Do you mean {alone[0]}?" if len(alone) == 1 else nearest(reference, by_reference)
        raise AssayError(f"There is no feature {reference!r}.{hint} `assay features list` names all.")
    return by_reference[reference]


def search(features: Sequence[FeatureInfo], text: str) -> list[FeatureInfo]:
    """The features that have every word of a text in their names, texts, owner or sources; those with a word in their name
    first. Capitals, underscores and other separators do not matter."""
    words = _WORD.findall(text.casefold())
    hits = [info for info in features if words and all(word in " ".join(info.texts()).casefold() for word in words)]
    return sorted(hits, key=lambda info: (not any(word in info.reference.casefold() for word in words), info.reference))


@dataclass(frozen=True, slots=True)
class _Served:
    """A table that serves features, and what it says of itself."""

    view: str
    state: TableState
    serving: Serving
    definition: Mapping[str, Any]
    names: tuple[str, ...]

    @classmethod
    def of(cls, view: str, state: TableState) -> _Served | None:
        found = find_serving(state)
        return cls(view, state, *found, served_features(state, found[0])) if found is not None else None

    def features(self) -> Iterator[FeatureInfo]:
        about, serving = self.definition.get("about", {}), self.serving
        defined = {item["name"]: item for item in self.definition.get("features", [])}
        lineage, newest, snapshot, schema = self._lineage(), self._newest(), self.state.snapshot, self.state.schema
        for name in self.names:
            definition = defined.get(name, {})
            width = definition.get("window_us")
            yield FeatureInfo(
                self.view,
                name,
                str(schema[name]),
                snapshot=snapshot,
                entity=serving.entity,
                keys=serving.keys,
                kind=self._kind(definition),
                window=format_duration(timedelta(microseconds=width)) if width else "",
                definition=definition.get("sha256") or "",
                reads=_reads(lineage.get(name)),
                newest=newest,
                **described(about, name),
            )

    def _kind(self, definition: Mapping[str, Any]) -> str:
        if self.serving.kind == "lookup":
            return "lookup"
        if self.serving.kind == "on_demand":
            return "on-demand" if self.definition.get("inputs") else "composed"
        if self.serving.kind == "label":
            return "label"
        if self.definition.get("sql"):
            return "query"
        return "window" if definition.get("window_us") else "row" if self.definition.get("source") else "computed"

    def _lineage(self) -> Mapping[str, Any]:
        versions = self.state.index.with_section("column_lineage", self.state.version, newest=True)
        return (self.state.index.commit(versions[0]).column_lineage or {}) if versions else {}

    def _newest(self) -> datetime | None:
        """By the statistics of the files: no row is read."""
        if not self.serving.event_time or self.state.checkpointed is not None:
            return None
        value = self.state.index.newest_value(self.state.version, self.serving.event_time, _FOREVER)[0]
        return None if value is None else _EPOCH + timedelta(microseconds=value)


def _reads(lineage: Any) -> tuple[str, ...]:
    direct = lineage.get("direct", []) if isinstance(lineage, Mapping) else []
    return tuple(f"{table}.{column}" for table, column in direct)


def _today(recorded: Sequence[FeatureInfo] | Iterator[FeatureInfo], view: Declared) -> Iterator[FeatureInfo]:
    """The features of a declared view: with the texts of today, and those that have no column yet."""
    about, there = view.about(), {info.name: info for info in recorded}
    for name in dict.fromkeys((*there, *view.feature_names)):
        info = there.get(name) or FeatureInfo(
            view.name, name, "", entity=view.entity.name, keys=tuple(view.entity.keys)
        )
        yield replace(info, **described(about, name)) if name in view.feature_names else info
