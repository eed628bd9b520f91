"""How an event speaks of somebody: the part that was played, and the names of the facets."""

import hashlib
import json
from functools import lru_cache
from typing import NamedTuple

from assay.lineage.events.naming import DatasetName

SIDES = ("facets", "inputFacets", "outputFacets", "declared")  # where facets of a dataset stand; see `index.described`


class Shape(NamedTuple):
    """The id is made of the rest, so that nobody has to look it up."""

    id: int
    role: str
    names: str  # JSON: per side the names of the facets, sorted; at last, whether a version is named


class Said(NamedTuple):
    """What an event says of a dataset as such: its shape; by which other names the dataset is known (`symlinks`; None:
    nothing is said of that); which datasets its columns come from."""

    shape: Shape
    symlinks: tuple[DatasetName, ...] | None = None
    sources: tuple[DatasetName, ...] = ()


@lru_cache(4096)
def shape_of(role: str, versioned: bool, *names: tuple[str, ...]) -> Shape:
    text = json.dumps([*map(sorted, names), versioned], ensure_ascii=False)
    digest = hashlib.sha256(f"{role}\n{text}".encode()).digest()
    return Shape(int.from_bytes(digest[:8], signed=True), role, text)


@lru_cache(4096)
def said(role: str, versioned: bool, *names: tuple[str, ...]) -> Said:
    """Nothing but facets, as nearly always."""
    return Said(shape_of(role, versioned, *names))
