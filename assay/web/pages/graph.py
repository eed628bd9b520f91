"""`/graph`: the neighbourhood of a node, which grows in place, and the columns of its tables."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from assay.errors import AssayError, plural
from assay.features.storage.verdict import CheckState
from assay.features.tables.kinds import Kind
from assay.features.tables.lake import Lake
from assay.lineage.columns.graph import ColumnNode
from assay.lineage.events.naming import LOGICAL
from assay.lineage.queries.nodes import GraphNode, find
from assay.lineage.queries.walk import neighbourhood
from assay.lineage.store.lineage_store import LineageStore
from assay.web.badges import Badge, both, checks_badge
from assay.web.columns import Cell, ColumnPath, Columns, Link
from assay.web.drawing import (
    HEIGHT,
    NAMED_COLUMNS,
    WIDTH,
    Card,
    ColumnLine,
    Picture,
    Row,
    columns_listed,
    cut,
    draw,
    few,
)
from assay.web.grow import extend, unfold
from assay.web.html import HEADERS, PageError, link, page
from assay.web.layout import Layout, arrange
from assay.web.missing import MissingBatches
from assay.web.node_labels import LONGEST, dataset_id, heading, kind_of, logical, near_tables, pipeline_link, style_of
from assay.web.settings_missing import lacking_of
from assay.web.table_states import rows_aside, rule_words
from assay.web.view import DEEPEST, Side, View, parse, text_of
from assay.web.visible import VisibleGraph, visible_graph

SHORT = 9  # characters of a version: some are digests
NAMED = 4  # of the nodes that a node reads from


def graph_page(store: LineageStore, lake: Lake, request: Request) -> Response:
    if not request.query_params.get("focus"):
        return RedirectResponse("/", 303, HEADERS)
    view = parse(request.query_params, request.query_params.getlist("then"))
    focus = find(store, view.focus)
    if focus is None and find(store, f"dataset:{LOGICAL}:{view.focus}") is not None:  # a table by its name alone
        return RedirectResponse(view.on(f"dataset:{LOGICAL}:{view.focus}").address, 303, HEADERS)
    if focus is None:
        raise _no_such_node(lake, view.focus)
    if view.as_of is not None and not view.focus.endswith(f"@{focus.version}"):
        focus = _latest(store, lake, focus, view)
    visible = visible_graph(store, focus.id, view)
    if not visible.nodes:
        advice = "Choose a later time, or leave it empty for now."
        raise PageError(404, "Not there yet", f"{heading(focus)['title']} was not there at that time.", advice)
    columns = Columns(lake, {node.id: node for node in visible.nodes}, visible.edges)
    of = focus.id if view.of == view.focus else view.of
    path, problem = _column_path(columns, of, view.column)
    partitions = columns.partitions()
    cards = {
        node.id: _card(node, focus, view, visible, columns, path, Cell(of, view.column), partitions.get(node.id, ""))
        for node in visible.nodes
    }
    missing = MissingBatches(lake) if view.as_of is None else None
    if missing is not None:
        cards = _with_missing(cards, visible, missing)
    picture = draw(
        cards.values(),
        _layout(visible, cards),
        dashed=frozenset((edge.source, edge.target) for edge in visible.edges if edge.role == "reference"),
        lit=frozenset(ends for item in path.links for ends in _crossed_edges(item)) if path else frozenset(),
        column_lines=_column_lines(cards, path),
    )
    table, words = logical(focus), heading(focus)
    return page(
        "graph.html",
        title=words["title"],
        version=_short(words["version"]),
        style=style_of(kind_of(focus)),
        view=view,
        as_of=text_of(view.as_of),
        deepest=DEEPEST,
        truncated=visible.truncated or "",
        picture_=picture,
        nodes=_listed(picture, visible, view),
        more=[_more(side, visible, view) for side in ("up", "down")],
        opened=_opened(columns, cards),
        path=_path_words(path, columns, Cell(of, view.column)) if path else None,
        problem=problem,
        missing=missing.at(table, focus.version) if missing is not None and table and focus.kind == "dataset" else None,
        lacking=lacking_of(lake).get(table) if missing is not None and focus.kind == "dataset" else None,
        impact=link(f"/impact/{table}", version=words["version"]) if table and focus.kind == "dataset" else "",
        versions=link(f"/versions/{table}") if table and focus.kind == "dataset" else "",
        pipeline=pipeline_link(table) if table and focus.kind == "dataset" else "",
        dagster=_dagster_run(focus),
        in_dagster=link(f"/dagster/assets/{table}") if table and focus.kind == "dataset" and _is_asset(table) else "",
    )


def _no_such_node(lake: Lake, wanted: str) -> PageError:
    table = wanted.removeprefix(f"dataset:{LOGICAL}:").partition("@")[0]
    if table in lake.tables():
        advice = "Run `assay lineage rebuild`: it makes the index again from the lake."
        return PageError(404, "Not in the graph", f"The lineage index does not know {cut(wanted, LONGEST)}.", advice)
    advice = "Search for it by a part of its name. What was recorded elsewhere appears once its events are imported."
    message = f"The lineage graph has no node {cut(wanted, LONGEST)}."
    return PageError(404, "No such node", message, advice, near_tables(lake, table))


def _latest(store: LineageStore, lake: Lake, focus: GraphNode, view: View) -> GraphNode:
    """The version of a table of the lake that was the latest then; `focus` for anything else."""
    table = logical(focus)
    if focus.kind != "dataset" or not table:
        return focus
    try:
        versions = lake.table(table).at().newest_versions(view.as_of)
    except AssayError:
        return focus
    for version in versions:
        node = find(store, dataset_id(table, version))
        if node is not None and neighbourhood(store, node.id, up=1, down=0, as_of=view.as_of, limit=2).nodes:
            return node
    return focus


def _layout(visible: VisibleGraph, cards: Mapping[str, Card]) -> Layout:
    """The first picture, and each act on top of what it found: it moves nothing, but for what makes room below a card that
    was opened."""
    first = ((node.id, WIDTH, HEIGHT) for node in visible.first.nodes)
    layout = arrange(first, [(edge.source, edge.target) for edge in visible.first.edges])
    for done in visible.acts:
        layout = extend(layout, done.nodes, (WIDTH, HEIGHT), done.edges)
        if done.act.kind == "open":
            layout = unfold(layout, done.act.node, cards[done.act.node].height)
    return extend(layout, (), (WIDTH, HEIGHT), [(edge.source, edge.target) for edge in visible.edges])


# -- cards -------------------------------------------------------------------------------------------------------------


def _card(
    node: GraphNode,
    focus: GraphNode,
    view: View,
    visible: VisibleGraph,
    columns: Columns,
    path: ColumnPath | None,
    selected: Cell,
    partition: str,
) -> Card:
    words, opened = heading(node), node.id in visible.opened
    lit = sorted(cell.column for cell in path.cells if cell.node == node.id) if path else []
    return Card(
        id=node.id,
        kind=kind_of(node),
        title=words["title"],
        href=view.toggled(node.id).address,
        version=_short(words["version"]),
        note=partition or _note(node),
        also=f"written {_note(node)}" if partition else "",
        badge=_badge(columns.lake, node),
        opened=opened,
        rows=_rows(node, view, columns, lit, selected) if opened else (),
        actions=_actions(node, focus, view) if opened else (),
        more_up=_hidden("up", node, view, visible),
        more_down=_hidden("down", node, view, visible),
        counted=visible.counted,
        focus=node.id == focus.id,
        columns=", ".join(few(lit, NAMED_COLUMNS)),
        lit=bool(lit) or (path is not None and any(item.via == node.id for item in path.links)),
        path=words["where"],
    )


def _with_missing(cards: Mapping[str, Card], visible: VisibleGraph, missing: MissingBatches) -> dict[str, Card]:
    """A table that lacks batches is marked so at its newest version, before what the checks of that say."""
    tables = {
        node.id: (table, node.version) for node in visible.nodes if node.kind == "dataset" and (table := logical(node))
    }
    lacks = {name: missing.at(*table) for name, table in tables.items()}
    return {
        name: replace(card, badge=both(found.badge, card.badge)) if (found := lacks.get(name)) else card
        for name, card in cards.items()
    }


def _rows(node: GraphNode, view: View, columns: Columns, lit: Sequence[str], selected: Cell) -> tuple[Row, ...]:
    if node.kind != "dataset":
        return ()
    names, unknown = columns.names(node.id), columns.unknown(node.id)
    if names is None:
        return (Row("", note="columns unknown"),)
    listed = columns_listed(names, lit, selected.column if selected.node == node.id else "")
    rows = [
        Row(
            name,
            view.selecting(name, node.id).address,
            unknown=name in unknown,
            lit=name in lit,
            selected=Cell(node.id, name) == selected,
        )
        for name in listed
    ]
    rest = len(names) - len(listed)
    return (*rows, Row("", note=f"{rest} more")) if rest else tuple(rows)


def _actions(node: GraphNode, focus: GraphNode, view: View) -> tuple[tuple[str, str], ...]:
    table = logical(node) if node.kind == "dataset" else ""
    around = () if node.id == focus.id else (("Focus", view.on(node.id).address),)
    if not table:
        run = _dagster_run(node)
        return (*around, ("Dagster", run)) if run else around
    return (
        *around,
        ("Impact", link(f"/impact/{table}", version=node.version)),
        ("Versions", link(f"/versions/{table}")),
    )


def _is_asset(table: str) -> bool:
    """Whether Dagster has a page of this table: it has none of what people decide, and of the indexes of a search."""
    return not (Kind.RELEASES.holds(table) or Kind.SEARCH.holds(table))


def _dagster_run(node: GraphNode) -> str:
    """The address that leads to the Dagster run that a run was a step of."""
    parent = node.facts.get("parent_id") if node.kind == "run" else None
    return link(f"/dagster/{parent}") if parent else ""


def _hidden(side: Side, node: GraphNode, view: View, visible: VisibleGraph) -> tuple[int, str] | None:
    count = visible.more[side].get(node.id)
    return (count, view.more(side, node.id).address) if count else None


def _note(node: GraphNode) -> str:
    facts = node.facts
    if node.kind == "run":
        state = str(facts.get("state") or "begun").lower()
        words = "run" if state == "complete" else f"run {state}"
        return f"{words} {_minute(facts.get('ended_at') or facts.get('started_at'))}"
    if node.kind == "job":
        return f"job, {plural(facts.get('runs', 0), 'run')}"
    return _minute(facts.get("written_at"))


def _minute(iso: Any) -> str:
    return str(iso)[:16].replace("T", " ") if iso else ""


def _badge(lake: Lake, node: GraphNode) -> Badge | None:
    checks = node.facts.get("checks")
    if not checks:
        return None
    names = {state: checks.get(state.replace(" ", "_"), []) for state in CheckState}
    table = logical(node) if node.kind == "dataset" else ""
    words = _words(lake, table, node.version) if table and any(names[state] for state in _MATTERING) else str
    return checks_badge(names, held=checks["passed"], words=words, rows=rows_aside(lake, table))


_MATTERING = (CheckState.SET_ASIDE, CheckState.WARNED, CheckState.FAILED)


def _words(lake: Lake, table: str, version: str | None) -> Callable[[str], str]:
    """What rules demand, by the contract that judged a version; their names where that cannot be read."""
    try:
        return rule_words(lake, lake.table(table).at().index.commit(int(version or "")))
    except (AssayError, ValueError):
        return str


def _short(version: str) -> str:
    return f"@{cut(version, SHORT)}" if version else ""


# -- columns -----------------------------------------------------------------------------------------------------------


def _column_path(columns: Columns, of: str, column: str) -> tuple[ColumnPath | None, str]:
    """The path of the selected column, or why there is none."""
    if not column:
        return None, ""
    if of not in columns.nodes:
        return None, f"The table of the selected column {column} is not in this picture."
    try:
        return columns.path(of, column), ""
    except AssayError as problem:
        return None, str(problem)


def _crossed_edges(item: Link) -> Iterable[tuple[str, str]]:
    """The lines between nodes that a link takes."""
    ends = item.source.node, item.target.node
    return ((ends[0], item.via), (item.via, ends[1])) if item.via else (ends,)


def _column_lines(cards: Mapping[str, Card], path: ColumnPath | None) -> list[ColumnLine]:
    """The lines of the chosen column, where a link has a row to begin or to end at; for what an earlier version carried, at
    both."""
    if path is None:
        return []
    rows = {card.id: {row.name: at for at, row in enumerate(card.rows) if row.name} for card in cards.values()}
    lines: dict[ColumnLine, None] = {}
    for item in sorted(path.links):
        ends = [(cell.node, rows[cell.node].get(cell.column, -1)) for cell in (item.source, item.target)]
        if (any if item.via else all)(row >= 0 for _, row in ends):
            lines[ColumnLine(ends[0], ends[1], not item.direct)] = None
    return list(lines)


def _opened(columns: Columns, cards: Mapping[str, Card]) -> list[dict[str, Any]]:
    """The columns of open cards in words."""
    return [
        {
            "table": f"{card.title}{card.version}",
            "row": row,
            "direct": columns.sources(card.id, row.name, direct=True),
            "indirect": columns.sources(card.id, row.name, direct=False),
        }
        for card in cards.values()
        for row in card.rows
        if row.name
    ]


def _path_words(path: ColumnPath, columns: Columns, selected: Cell) -> dict[str, Any]:
    """The whole path in words, also what is not visible."""
    words = heading(columns.nodes[selected.node])
    return {
        "column": selected.column,
        "table": f"{words['title']}{_short(words['version'])}",
        "up": _columns_by_table(edge.source for edge in path.up.edges),
        "down": _columns_by_table(edge.target for edge in path.down.edges),
        "unknown": _columns_by_table((*path.up.unknown, *path.down.unknown)),
        "reasons": [*path.up.reasons, *path.down.reasons],
    }


def _columns_by_table(columns: Iterable[ColumnNode]) -> list[str]:
    """Columns by table, whatever the version."""
    by_table: dict[str, set[str]] = defaultdict(set)
    for node in columns:
        by_table[node.table].add(node.column)
    return [f"{table}: {', '.join(_few(sorted(names), NAMED_COLUMNS))}" for table, names in sorted(by_table.items())]


# -- words beside the picture ------------------------------------------------------------------------------------------


def _more(side: Side, visible: VisibleGraph, view: View) -> dict[str, Any]:
    """The words of the status line for one side as a whole."""
    total = sum(visible.more[side].values())
    words = f"{total}{'' if visible.counted else ' or'} more {side}stream" if total else ""
    return {"side": side, "words": words, "href": view.more(side).address}


def _listed(picture: Picture, visible: VisibleGraph, view: View) -> list[dict[str, Any]]:
    titles = {item.card.id: f"{item.card.title}{item.card.version}" for item in picture.cards}
    sources: dict[str, list[str]] = defaultdict(list)
    for edge in visible.edges:
        sources[edge.target].append(titles[edge.source])
    return [
        {"card": item.card, "href": view.on(item.card.id).address, "sources": _few(sources[item.card.id])}
        for item in picture.cards
    ]


def _few(names: Iterable[str], most: int = NAMED) -> list[str]:
    return few(list(dict.fromkeys(names)), most)
