"""Column lineage: which input columns an output column comes from (direct) or depends on (indirect: filter, join, group).

Declared per output column as `{"direct": [(table, column)…], "indirect": [(table, column)…]}` or `"unknown"`. One list
of edges is made from that, and both OpenLineage facets from the edges, so that they cannot disagree.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, order=True)
class Edge:
    """`source` of `table` leads to an output `column`; with `column` None, to every row of the output (a filter, say)."""

    column: str | None
    table: str
    source: str
    direct: bool


@dataclass(frozen=True, slots=True)
class ColumnLineage:
    """What is known of an output's columns. `known` columns without an edge come from nothing (constants); of `unknown`
    ones nothing is claimed."""

    edges: tuple[Edge, ...]
    known: tuple[str, ...]
    unknown: tuple[str, ...]

    @property
    def tables(self) -> list[str]:
        return sorted({edge.table for edge in self.edges})

    def of(self, column: str | None) -> list[Edge]:
        return [edge for edge in self.edges if edge.column == column]


def column_lineage(declared: Mapping[str, Any], tables: Collection[str]) -> ColumnLineage:
    """Edges of a declaration. A column declared to come from a table that the run did not touch is unknown: a declaration that
    contradicts what was read is no knowledge."""
    by_column: dict[str, list[Edge]] = {}
    unknown = []
    for column, sources in declared.items():
        edges = list(_edges(column, sources)) if isinstance(sources, Mapping) else None
        if edges is None or any(edge.table not in tables for edge in edges):
            unknown.append(column)
        else:
            by_column[column] = edges
    shared = _shared(by_column) if not unknown else set()
    every = {edge for group in by_column.values() for edge in group}
    edges = {edge for edge in every if edge.direct or (edge.table, edge.source) not in shared}
    edges |= {Edge(None, table, source, direct=False) for table, source in shared}
    ordered = sorted(edges, key=lambda edge: (edge.column or "", edge.table, edge.source, not edge.direct))
    return ColumnLineage(tuple(ordered), tuple(by_column), tuple(unknown))


def _edges(column: str, sources: Mapping[str, Any]) -> Iterable[Edge]:
    for kind in ("direct", "indirect"):
        for table, source in sources.get(kind, ()):
            yield Edge(column, table, source, kind == "direct")


def _shared(by_column: Mapping[str, list[Edge]]) -> set[tuple[str, str]]:
    """Indirect sources that every column has: stated once for the dataset, not once per column."""
    groups = [{(edge.table, edge.source) for edge in edges if not edge.direct} for edges in by_column.values()]
    return set.intersection(*groups) if groups else set()
