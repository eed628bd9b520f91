"""Columns and their source columns, according to the latest facets of their datasets.

A dataset's `lineage` facet stands before that in its job's, and both before `columnLineage`. What concerns the whole dataset
(a filter, a join, an order) is a source of each of its columns. Nothing is guessed: a source without a column is ignored.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from assay.lineage.api.catalogue import Catalogue, splits
from assay.lineage.api.marquez_json import linked, list_in, text_of
from assay.lineage.api.records import Dataset, Json, Key
from assay.lineage.api.safe_json import NodeId
from assay.lineage.events.redaction import redact_text
from assay.lineage.store.event_form import is_named
from assay.lineage.store.parse_event import dataset_key


class Column(NamedTuple):
    namespace: str
    dataset: str
    field: str

    @property
    def key(self) -> Key:
        return self.namespace, self.dataset

    @property
    def id(self) -> NodeId:
        return NodeId(f"datasetField:{self.namespace}:{self.dataset}:{redact_text(self.field)}")


class Source(NamedTuple):
    """A source of a column; how it was used, where a facet has that."""

    column: Column
    kind: str | None  # DIRECT or INDIRECT, or another value of the facet
    description: str | None


@dataclass(frozen=True, slots=True)
class _Walk:
    known: Catalogue
    datasets: dict[Key, Dataset] = field(default_factory=dict)
    derivations: dict[Key, dict[str, list[Source]]] = field(default_factory=dict)

    def load(self, keys: Iterable[Key]) -> None:
        new = self.known.datasets({key for key in keys if key not in self.derivations})
        self.datasets.update(new)
        self.derivations.update((key, derivation(entry)) for key, entry in new.items())

    def sources(self, column: Column) -> list[Source]:
        return self.derivations.get(column.key, {}).get(column.field, [])

    def up(self, level: list[Column]) -> Iterator[tuple[Column, Column]]:
        """(source, target) of one step from targets."""
        self.load(column.key for column in level)
        for target in level:
            yield from ((source.column, target) for source in self.sources(target))

    def down(self, level: list[Column]) -> Iterator[tuple[Column, Column]]:
        """(source, target) of one step from sources."""
        wanted = set(level)
        derived = {key for keys in self.known.derived_from({item.key for item in level}).values() for key in keys}
        self.load(derived)
        for key in sorted(derived):
            for name, sources in self.derivations[key].items():
                yield from ((source.column, Column(*key, name)) for source in sources if source.column in wanted)


def columns(catalogue: Catalogue, node: str, depth: int, limit: int, *, downstream: bool) -> Json | None:
    """Columns upstream (and, if asked, downstream) of a dataset's columns, or of one column; None where there is none of that
    name."""
    walk = _Walk(catalogue)
    start = _named(walk, node)
    if start is None:
        return None
    reached, edges = dict.fromkeys(start[:limit]), set[tuple[Column, Column]]()
    complete = len(start) <= limit
    for step in (walk.up, walk.down) if downstream else (walk.up,):
        level = start[:limit]
        for _ in range(depth):
            pairs = list(step(level))
            new = list(dict.fromkeys(column for pair in pairs for column in pair if column not in reached))
            level = new[: limit - len(reached)]
            complete = complete and len(level) == len(new)
            edges.update(pairs)
            reached.update(dict.fromkeys(level))
            if not level:
                break
    walk.load({column.key for column in reached})
    return _graph(walk, reached, edges, None if complete else f"there are more than {limit:,} columns")


def _graph(
    walk: _Walk, reached: Iterable[Column], edges: Iterable[tuple[Column, Column]], truncated: str | None
) -> Json:
    listed: dict[str, set[tuple[str, str]]] = {column.id: set() for column in reached}
    for source, target in edges:
        if source.id in listed and target.id in listed:
            listed[source.id].add((source.id, target.id))
            listed[target.id].add((source.id, target.id))
    graph = [linked(column.id, "DATASET_FIELD", _data(walk, column), listed) for column in reached]
    return {"graph": sorted(graph, key=lambda node: node["id"]), "truncated": truncated}


def _named(walk: _Walk, node: str) -> list[Column] | None:
    kind, _, rest = node.partition(":")
    if kind != "datasetField":
        entry = walk.known.node(node)
        if entry is None:
            return None
        kind, key = entry
        written = [other for other, is_written in walk.known.beside_jobs([key])[key] if is_written]
        keys = written if kind == "job" else [key]
        walk.load(keys)
        return [Column(*each, name) for each in keys for name in _all(walk, each)]
    if "#" in rest and (without := _named(walk, f"{kind}:{rest.rpartition('#')[0]}")):
        return without
    for place in reversed([place for place, letter in enumerate(rest) if letter == ":"]):
        for pair in splits(rest[:place]):
            key = walk.known.dataset_named(*pair)
            if key is not None:
                walk.load([key])
                column = Column(*key, rest[place + 1 :])
                if column.field in _all(walk, key) or any(walk.down([column])):
                    return [column]
    return None


def of_dataset(entry: Dataset) -> list[Json] | None:
    """The sources of each column of a dataset; None where nothing says them."""
    derived = derivation(entry)
    listed = [
        {
            "name": name,
            "inputFields": [
                {
                    **source.column._asdict(),
                    "transformationDescription": source.description,
                    "transformationType": source.kind,
                }
                for source in sources
            ],
        }
        for name, sources in derived.items()
    ]
    return listed or None


def _all(walk: _Walk, key: Key) -> list[str]:
    return list(dict.fromkeys([*_types(walk.datasets[key]), *walk.derivations[key]]))


def _types(entry: Dataset) -> dict[str, str | None]:
    return {str(item.get("name", "")): text_of(item, "type") for item in list_in(entry.facets, "schema", "fields")}


def _data(walk: _Walk, column: Column) -> Json:
    entry, sources = walk.datasets.get(column.key), walk.sources(column)
    kinds, descriptions = {source.kind for source in sources}, {source.description for source in sources}
    return {
        "namespace": column.namespace,
        "dataset": column.dataset,
        "datasetVersion": entry.version if entry is not None else None,
        "field": column.field,
        "fieldType": _types(entry).get(column.field) if entry is not None else None,
        "transformationDescription": descriptions.pop() if len(descriptions) == 1 else None,
        "transformationType": kinds.pop() if len(kinds) == 1 else None,
        "inputFields": [
            {
                **source.column._asdict(),
                "transformationDescription": source.description,
                "transformationType": source.kind,
            }
            for source in sources
        ],
    }


# -- facets ------------------------------------------------------------------------------------------------------------


def derivation(entry: Dataset) -> dict[str, list[Source]]:
    """By column of a dataset: what it comes from."""
    for facets in (entry.facets, entry.declared):
        sources = _read(facets.get("lineage"), "inputs", "inputs", _types(entry))
        if sources:
            return sources
    return _read(entry.facets.get("columnLineage"), "dataset", "inputFields", _types(entry))


def _read(facet: Any, of_all: str, of_one: str, types: Iterable[str]) -> dict[str, list[Source]]:
    given = facet if isinstance(facet, dict) else {}
    fields = given.get("fields")
    named = (
        {str(name): item for name, item in fields.items() if isinstance(item, dict)} if isinstance(fields, dict) else {}
    )
    shared = list(_sources(given, of_all))
    if not named and not shared:
        return {}
    sources = {name: [*_sources(item, of_one, item), *shared] for name, item in named.items()}
    return sources | {name: shared for name in types if name not in sources and shared}


def _sources(given: Json, name: str, shared: Json | None = None) -> Iterator[Source]:
    """`shared`: the mapping in which older versions of the facet keep the transformation of all sources."""
    for item in list_in({"facet": given}, "facet", name):
        if "field" not in item or not is_named(item):
            continue
        key = dataset_key(item)
        how = list_in({"facet": item}, "facet", "transformations")
        kinds = [text_of(each, "type") for each in how] or [text_of(shared or {}, "transformationType")]
        descriptions = [text_of(each, "description") for each in how] or [
            text_of(shared or {}, "transformationDescription")
        ]
        kind = "DIRECT" if "DIRECT" in kinds else kinds[0]
        yield Source(
            Column(key.namespace, key.name, str(item["field"])),
            kind,
            next((text for text in descriptions if text), None),
        )
