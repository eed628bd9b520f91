"""Events without the address of the lake that they are kept in: it may be moved or copied, and they move along.

The address of a table is in the `symlinks` facet of its datasets, and nowhere else.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from assay.lineage.events import facets
from assay.lineage.events.serialize import encoded


def without_places(body: bytes) -> bytes:
    """The event without the addresses of the lake's tables."""
    event = json.loads(body)
    placed = [given for given in _tables(event) if given.pop("symlinks", None) is not None]
    return encoded(event) if placed else body


def with_places(body: bytes, uri: Callable[[str], str]) -> bytes:
    """The event as it was, with the address that each table has now (`uri` of its name)."""
    event = json.loads(body)
    tables = list(_tables(event))
    for given in tables:
        given["symlinks"] = facets.address_facet(uri(given["assay_snapshot"]["table"]))
    return encoded(event) if tables else body


def _tables(event: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The facets of each dataset that is a table of the lake."""
    datasets = (*event.get("inputs", ()), *event.get("outputs", ()))
    return (given["facets"] for given in datasets if "assay_snapshot" in given.get("facets", ()))
