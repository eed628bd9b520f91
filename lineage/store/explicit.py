"""What a producer says that an output was made from. Where it says so, that decides; where it does not, an output was made from
all that its run read.

The order is OpenLineage's: the `lineage` facet of the dataset, that of its job, then `columnLineage`. Of the latter only one
that covers all columns of the dataset's `schema` decides: what other columns were made from is not known.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from assay.lineage.store.event_form import is_named

Json = Mapping[str, Any]


def explicit_sources(dataset: Json) -> list[Json] | None:
    """The named sources of an output of an event, with repetitions; None where the event leaves them open. `declared` of the
    dataset are the facets that its job has of it."""
    facets = _mapping(dataset, "facets")
    for given in (facets, _mapping(dataset, "declared")):
        lineage = _mapping(given, "lineage")
        if "inputs" in lineage or "fields" in lineage:
            return _named(lineage)
    columns = _mapping(facets, "columnLineage")
    fields = _mapping(columns, "fields")
    described = [item.get("name") for item in _items(_mapping(facets, "schema"), "fields")]
    if not all(isinstance(name, str) and name in fields for name in described):  # JSON may have anything as a name
        return None
    sources = [*_items(columns, "dataset"), *_of_fields(fields, "inputFields")]
    return [item for item in sources if is_named(item)] or None


def _named(lineage: Json) -> list[Json] | None:
    """None where another job feeds the dataset: what that one took is not known here."""
    sources = [*_items(lineage, "inputs"), *_of_fields(_mapping(lineage, "fields"), "inputs")]
    if any(item.get("type") == "JOB" for item in sources):
        return None
    return [item for item in sources if is_named(item)]


def _of_fields(fields: Json, name: str) -> Iterator[Json]:
    for field in fields.values():
        if isinstance(field, dict):
            yield from _items(field, name)


def _mapping(parent: Json, key: str) -> Json:
    value = parent.get(key)
    return value if isinstance(value, dict) else {}


def _items(parent: Json, key: str) -> Iterator[Json]:
    value = parent.get(key)
    yield from (item for item in value if isinstance(item, dict)) if isinstance(value, list) else ()
