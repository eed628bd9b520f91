"""A feature as the catalogue describes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from assay.features.catalogue.uses import Uses
from assay.features.storage.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class FeatureInfo:
    """One feature of a table that serves features, at one version of it.

    Args:
        view: The view's name.
        name: The feature's.
        dtype: Its type, as text.
        snapshot: The version that was looked at; None for a declared view that has no rows yet.
        entity: What it describes.
        keys: The columns by which it is joined.
        kind: `row`, `window` (with its width), `query`, `lookup`, `on-demand` (of inputs of the request), `composed` (of other
            features, when it is read), `label`, or `computed` by an engine of its own.
        window: How far back it looks, such as `7d`; "" where it has no window.
        description: One sentence for people.
        unit: What it is counted in.
        owner: Who answers for it.
        deprecated: What to use instead; "" where it is not.
        definition: SHA-256 of what computes it; "" where nobody recorded it.
        reads: The columns that its values come from, `table.column`.
        newest: The newest event time in the table.
        uses: Who reads it.
    """

    view: str
    name: str
    dtype: str
    snapshot: Snapshot | None = None
    entity: str = ""
    keys: tuple[str, ...] = ()
    kind: str = ""
    window: str = ""
    description: str = ""
    unit: str = ""
    owner: str = ""
    deprecated: str = ""
    definition: str = ""
    reads: tuple[str, ...] = ()
    newest: datetime | None = None
    uses: Uses = field(default_factory=Uses)

    @property
    def reference(self) -> str:
        """`<view>:<name>`, as it is asked for."""
        return f"{self.view}:{self.name}"

    def to_dict(self) -> dict[str, Any]:
        plain = {name: getattr(self, name) for name in self.__slots__ if name not in ("snapshot", "newest", "uses")}
        return {
            "reference": self.reference,
            **plain,
            "keys": list(self.keys),
            "reads": list(self.reads),
            "snapshot": self.snapshot.to_dict() if self.snapshot else None,
            "newest": self.newest.isoformat() if self.newest else None,
            "uses": self.uses.to_dict(),
        }

    def texts(self) -> tuple[str, ...]:
        """What it can be found by."""
        words = (self.reference, self.description, self.unit, self.owner, self.entity, self.window, self.dtype)
        return tuple(text for text in (*words, *self.keys, *self.reads) if text)

    def __str__(self) -> str:
        about = f": {self.description}" if self.description else ""
        return f"{self.reference} ({self.dtype}{f', {self.unit}' if self.unit else ''}){about}"


def described(about: Mapping[str, Any], feature: str) -> dict[str, Any]:
    """The texts about one feature, from those of its view (see `FeatureView.about`)."""
    own = dict(about.get("features", {}).get(feature, {}))
    return {
        "description": str(own.get("description", "")),
        "unit": str(own.get("unit", "")),
        "deprecated": str(own.get("deprecated", "")),
        "owner": str(about.get("owner", "")),
    }
