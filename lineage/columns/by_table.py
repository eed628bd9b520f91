"""A column's way through tables, as the newest version of each declares it: no history, so that it costs the same at any age.

`assay.lineage.columns.graph` answers the same question version by version.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from assay.lineage.events.columns import ColumnLineage


class TableColumn(NamedTuple):
    """A column of a table; with no `column`, which of its rows there are."""

    table: str
    column: str


class ColumnStep(NamedTuple):
    """Values of `target` are made from `source` (direct); or they, or its rows, are chosen, grouped or ordered by it."""

    source: TableColumn
    target: TableColumn
    direct: bool


@dataclass(frozen=True, slots=True)
class ColumnWay:
    """All steps that lead to a column (`up`) and on from it (`down`). `unknown`: columns on the way up without declared
    sources. Which rows a table has leads nowhere on: all of its columns would follow."""

    up: frozenset[ColumnStep]
    down: frozenset[ColumnStep]
    unknown: frozenset[TableColumn]

    @property
    def steps(self) -> frozenset[ColumnStep]:
        return self.up | self.down

    def columns_of(self, table: str) -> list[str]:
        """The columns of a table that are on the way."""
        ends = (end for step in self.steps for end in (step.source, step.target))
        return sorted({end.column for end in ends if end.table == table and end.column})


def column_way(lineages: Mapping[str, ColumnLineage], start: TableColumn) -> ColumnWay:
    """Where a column's values come from and go to.

    Args:
        lineages: By table, what its newest version declares. A table that nothing was read for has no entry.
        start: The column.
    """
    into: dict[TableColumn, list[ColumnStep]] = defaultdict(list)
    out: dict[TableColumn, list[ColumnStep]] = defaultdict(list)
    for table, lineage in lineages.items():
        for edge in lineage.edges:
            step = ColumnStep(TableColumn(edge.table, edge.source), TableColumn(table, edge.column or ""), edge.direct)
            if step.source != step.target:
                into[step.target].append(step)
                out[step.source].append(step)

    def before(end: TableColumn) -> Iterable[ColumnStep]:
        yield from into[end]
        yield from into[TableColumn(end.table, "")] if end.column else ()

    up = _followed(start, before, lambda step: step.source)
    down = _followed(start, lambda end: out[end] if end.column else (), lambda step: step.target)
    met = {start, *(step.source for step in up)}
    unknown = {end for end in met if end.table in lineages and end.column not in lineages[end.table].known}
    return ColumnWay(up, down, frozenset(unknown))


def _followed(
    start: TableColumn,
    steps: Callable[[TableColumn], Iterable[ColumnStep]],
    far: Callable[[ColumnStep], TableColumn],
) -> frozenset[ColumnStep]:
    taken: set[ColumnStep] = set()
    queue = [start]
    met = {start}
    for end in queue:  # grows as it is walked
        for step in steps(end):
            taken.add(step)
            if far(step) not in met:
                met.add(far(step))
                queue.append(far(step))
    return frozenset(taken)
