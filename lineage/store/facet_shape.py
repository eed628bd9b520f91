"""The shape of what an event says about an entity: the role it played, and the names of its facets."""

import hashlib
import json
from functools import lru_cache
from typing import NamedTuple

from assay.lineage.events.naming import DatasetName

SIDES = (
    "facets",
    "inputFacets",
    "outputFacets",
    "declared",
)  # where facets of a dataset stand; see `parse_event.described`


class Shape(NamedTuple):
    """The id is a digest of the other fields, so that no look-up is needed to know it."""

    id: int
    role: str
    names: str  # JSON: per side the names of the facets, sorted; last, whether a version is named


class FacetMentions(NamedTuple):
    """What an event says about a dataset: the shape; the dataset's other names (`symlinks`; None: the event has no such
    facet); the datasets that its columns come from; for an output, those that it was made from (None: not declared)."""

    shape: Shape
    symlinks: tuple[DatasetName, ...] | None = None
    sources: tuple[DatasetName, ...] = ()
    made_from: tuple[DatasetName, ...] | None = None


@lru_cache(4096)
def shape_of(role: str, versioned: bool, *names: tuple[str, ...]) -> Shape:
    text = json.dumps([*map(sorted, names), versioned], ensure_ascii=False)
    digest = hashlib.sha256(f"{role}\n{text}".encode()).digest()
    return Shape(int.from_bytes(digest[:8], signed=True), role, text)


@lru_cache(4096)
def facet_mentions(role: str, versioned: bool, *names: tuple[str, ...]) -> FacetMentions:
    """The mentions of a dataset that has facets only: no symlinks, no column sources."""
    return FacetMentions(shape_of(role, versioned, *names))
