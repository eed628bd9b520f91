"""The pipeline in one picture: every table once, from what is delivered on the left to what models say on the right.

What a table reads, its owner and its columns are those of its newest version; how it came about version by version, the
graph of versions and runs says.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from assay.errors import AssayError, plural
from assay.features.storage.commit_metadata import Commit
from assay.features.tables.kinds import Kind
from assay.features.tables.lake import TableState
from assay.lineage.columns.by_table import ColumnWay, TableColumn, column_way
from assay.lineage.events.columns import ColumnLineage, column_lineage
from assay.own_columns import is_link
from assay.web.badges import Badge, both
from assay.web.drawing import HEIGHT as CARD
from assay.web.drawing import LINE, NAMED_COLUMNS, WIDTH, Card, ColumnLine, Picture, Row, columns_listed, draw, few
from assay.web.grow import unfold
from assay.web.html import link
from assay.web.layout import arrange
from assay.web.missing import MissingBatches
from assay.web.node_labels import dataset_id, graph_link, pipeline_link, table_kind
from assay.web.settings_missing import Lacking
from assay.web.table_states import state_badge

DRAWN = 120  # tables
HEIGHT = CARD + LINE  # of a card with its owner
_BOOKKEEPING = (Kind.PROFILES, Kind.PARTIALS, Kind.RELEASES)


@dataclass(frozen=True, slots=True)
class PipelineView:
    """What the address asks for: the tables around one, or all; which are open; the chosen column and its table. `every`: also
    the tables that only keep books."""

    table: str = ""
    opened: tuple[str, ...] = ()
    column: str = ""
    of: str = ""
    every: bool = False

    @property
    def address(self) -> str:
        chosen = {"column": self.column, "of": self.of if self.column else ""}
        return link("/pipeline", table=self.table, **chosen, every="1" if self.every else "", open=list(self.opened))

    def toggled(self, table: str) -> "PipelineView":
        rest = tuple(other for other in self.opened if other != table)
        return replace(self, opened=rest if table in self.opened else (*rest, table))

    def selecting(self, column: str, of: str) -> "PipelineView":
        """With this column chosen; with none, where it is already."""
        again = (self.column, self.of) == (column, of)
        return replace(self, column="" if again else column, of="" if again else of)


@dataclass(frozen=True)
class PipelineTable:
    """A table as it is now. `problem` says why there is no state. `reads`: what its newest version was made from; true: only
    looked up in. `gone`: it is no longer declared."""

    name: str
    state: TableState | None
    problem: str
    badge: Badge | None
    gone: bool = False

    @cached_property
    def commit(self) -> Commit | None:
        return self.state.last_commit if self.state is not None else None

    @cached_property
    def reads(self) -> Mapping[str, bool]:
        inputs = self.commit.inputs if self.commit else ()
        lookups: dict[str, bool] = {}
        for item in inputs:
            lookups[item.snapshot.table] = lookups.get(item.snapshot.table, True) and item.lookup
        lookups.pop(self.name, None)
        return lookups

    @property
    def owner(self) -> str:
        """Who answers for it: by its contract, or by the step that wrote it."""
        commit = self.commit
        contract = str((commit.contract or {}).get("owner") or "") if commit else ""
        return contract or str(commit.run.get("owner") or "" if commit else "")

    @cached_property
    def partition(self) -> str:
        return (self.state.last_partition() if self.state is not None else None) or ""

    @cached_property
    def amount(self) -> str:
        if self.state is None:
            return self.problem
        partitions = self.state.count_partitions()
        rows = plural(self.state.rows(), "row")
        return f"{plural(partitions, 'partition')}, {rows}" if partitions else rows

    @cached_property
    def columns(self) -> tuple[str, ...]:
        return tuple(name for name in self.state.schema if not is_link(name)) if self.state is not None else ()

    @cached_property
    def lineage(self) -> ColumnLineage:
        read = {item.snapshot.table for item in self.commit.inputs} if self.commit else set()
        return column_lineage((self.commit.column_lineage if self.commit else None) or {}, read)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The tables that are drawn, and how many are left out: for want of room, and because they only keep books."""

    tables: Mapping[str, PipelineTable]
    left_out: int
    bookkeeping: int

    @property
    def edges(self) -> dict[tuple[str, str], bool]:
        """From what is read to who reads it; true: only looked up in."""
        return {
            (read, table.name): lookup
            for table in self.tables.values()
            for read, lookup in table.reads.items()
            if read in self.tables
        }

    def way(self, start: TableColumn) -> ColumnWay | None:
        """The way of a column through the tables that are drawn; None where there is no such column."""
        if start.table not in self.tables or start.column not in self.tables[start.table].columns:
            return None
        made = (table for table in self.tables.values() if table.reads or table.lineage.edges)
        return column_way({table.name: table.lineage for table in made}, start)


def pipeline_of(
    states: Iterable[tuple[str, TableState | AssayError]],
    missing: MissingBatches,
    lacking: Mapping[str, Lacking],
    view: PipelineView,
    undeclared: Mapping[str, Badge] | None = None,
) -> Pipeline:
    """The pipeline around a table, or the whole of it. `undeclared`: marks of tables that are no longer declared."""
    every = dict(states)
    every |= {name: AssayError("no version yet") for name in {*missing.never_made(), *lacking} - every.keys()}
    gone = undeclared or {}
    shown = {name: _table(name, state, missing, lacking, gone.get(name)) for name, state in every.items()}
    found = _around(view.table, shown) if view.table in shown else _newest_first(shown)
    names = [name for name in found if view.every or name == view.table or not _keeps_books(name)]
    drawn = {name: shown[name] for name in sorted(names[:DRAWN])}
    return Pipeline(drawn, len(names) - len(drawn), len(found) - len(names))


def _keeps_books(name: str) -> bool:
    return any(kind.holds(name) for kind in _BOOKKEEPING)


def _table(
    name: str,
    state: TableState | AssayError,
    missing: MissingBatches,
    lacking: Mapping[str, Lacking],
    gone: Badge | None,
) -> PipelineTable:
    known, problem = (None, str(state)) if isinstance(state, AssayError) else (state, "")
    if gone is not None:
        return PipelineTable(name, known, problem, gone, gone=True)
    mark = state_badge(known) if known is not None else None
    for found in (lacking.get(name), missing.of(name)):
        mark = both(found.badge, mark) if found is not None else mark
    if known is None and mark is None:
        mark = Badge("✗ unreadable", "failed", problem)
    return PipelineTable(name, known, problem, mark)


def _newest_first(tables: Mapping[str, PipelineTable]) -> list[str]:
    written = {name: table.commit.timestamp.timestamp() if table.commit else 0.0 for name, table in tables.items()}
    return sorted(tables, key=lambda name: (-written[name], name))


def _around(table: str, tables: Mapping[str, PipelineTable]) -> list[str]:
    """What a table is made from and leads to, the nearest first, and what is only looked up in on the way."""
    readers: dict[str, list[str]] = defaultdict(list)
    lookups: dict[str, list[str]] = defaultdict(list)
    for name, other in tables.items():
        for read, lookup in other.reads.items():
            (lookups if lookup else readers)[read].append(name)
    found = {table: None}
    for side in ("up", "down"):
        walk = [table]
        for name in walk:  # grows as it is walked
            data = (
                [read for read, lookup in tables[name].reads.items() if not lookup] if side == "up" else readers[name]
            )
            new = [other for other in sorted(data) if other in tables and other not in found]
            found |= dict.fromkeys(new)
            walk += new
    beside = [read for name in found for read in tables[name].reads if read in tables]
    return list(found | dict.fromkeys([*beside, *lookups[table]]))


def picture_of(pipeline: Pipeline, view: PipelineView, way: ColumnWay | None, *, unfolds: bool = True) -> Picture:
    """The picture. Cards unfold in place, or lead to the picture around their table."""
    cards = {name: _card(table, view, way, unfolds=unfolds) for name, table in pipeline.tables.items()}
    ids = {name: card.id for name, card in cards.items()}
    edges = {(ids[a], ids[b]): lookup for (a, b), lookup in pipeline.edges.items()}
    layout = arrange([(card.id, WIDTH, HEIGHT) for card in cards.values()], list(edges), sources_left=True)
    for card in cards.values():
        if card.opened:
            layout = unfold(layout, card.id, card.height)
    steps = ((step.source.table, step.target.table) for step in (way.steps if way else ()))
    return draw(
        cards.values(),
        layout,
        dashed=frozenset(ends for ends, lookup in edges.items() if lookup),
        lit=frozenset((ids[a], ids[b]) for a, b in steps if {a, b} <= ids.keys()),
        column_lines=list(dict.fromkeys(_column_lines(cards, way))),
    )


def _card(table: PipelineTable, view: PipelineView, way: ColumnWay | None, *, unfolds: bool) -> Card:
    opened = table.name in view.opened if unfolds else None
    lit = way.columns_of(table.name) if way else []
    return Card(
        id=dataset_id(table.name),
        kind=table_kind(table.name),
        title=table.name,
        href=view.toggled(table.name).address if unfolds else pipeline_link(table.name),
        version=f"@{table.state.version}" if table.state is not None else "",
        note=table.partition,
        also=table.amount,
        badge=table.badge,
        opened=opened,
        rows=tuple(_rows(table, view, lit)) if opened else (),
        actions=_actions(table, view) if opened else (),
        focus=table.name == view.table,
        muted=table.state is None or table.gone,
        owner=table.owner,
        lit=bool(lit),
        columns=", ".join(few(lit, NAMED_COLUMNS)),
    )


def _rows(table: PipelineTable, view: PipelineView, lit: Sequence[str]) -> Iterable[Row]:
    yield Row("", note=table.amount)
    listed = columns_listed(table.columns, lit, view.column if view.of == table.name else "")
    for name in listed:
        yield Row(
            name,
            view.selecting(name, table.name).address,
            unknown=bool(table.reads) and name not in table.lineage.known,
            lit=name in lit,
            selected=(name, table.name) == (view.column, view.of),
        )
    if rest := len(table.columns) - len(listed):
        yield Row("", note=f"{rest:,} more columns")


def _actions(table: PipelineTable, view: PipelineView) -> tuple[tuple[str, str], ...]:
    around = () if table.name == view.table else (("Focus", pipeline_link(table.name)),)
    if table.state is None:
        return around
    name = table.name
    return (
        *around,
        ("Versions", link(f"/versions/{name}")),
        ("Runs", graph_link(dataset_id(name))),
        ("Impact", link(f"/impact/{name}")),
    )


def _column_lines(cards: Mapping[str, Card], way: ColumnWay | None) -> Iterable[ColumnLine]:
    """Lines of the chosen column, where one of their ends is listed."""
    for step in sorted(way.steps if way else ()):
        if step.source.table in cards and step.target.table in cards:
            source, target = (_end(cards[end.table], end.column) for end in (step.source, step.target))
            if max(source[1], target[1]) >= 0:
                yield ColumnLine(source, target, not step.direct)


def _end(card: Card, column: str) -> tuple[str, int]:
    return card.id, next((at for at, row in enumerate(card.rows) if row.name and row.name == column), -1)
