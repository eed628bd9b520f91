"""`/graph`: the neighbourhood of a node. The address is the state: focus, how far up and down, as of when."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from assay.errors import AssayError
from assay.features.files import PARTITION
from assay.features.lake import Lake
from assay.lineage.graph import GraphNode, Subgraph, find, neighbourhood
from assay.lineage.naming import LOGICAL
from assay.lineage.store import LineageStore
from assay.lineage.web.layout import rings
from assay.lineage.web.nodes import heading, kind_of, logical, style_of
from assay.lineage.web.pages import HEADERS, PageError, link, page
from assay.lineage.web.picture import Badge, Card, checks_badge, cut, draw

DRAWN = 300  # nodes
COUNTED = 2_000  # nodes looked at to say how many more there are
DEEPEST = 50
STEP = 2  # from a dataset over a run to the next dataset
COLUMNS = 12
SHORT = 9  # characters of a version: some are digests
NAMED = 4  # of the nodes that a node reads from


@dataclass(frozen=True, slots=True)
class View:
    """What the address asks for."""

    focus: str
    up: int
    down: int
    as_of: datetime | None
    columns: bool

    def address(self, **change: Any) -> str:
        view = replace(self, **change)
        as_of = _text(view.as_of) or None
        return link(
            "/graph", focus=view.focus, up=str(view.up), down=str(view.down), as_of=as_of, columns=int(view.columns)
        )


def graph_page(store: LineageStore, lake: Lake, request: Request) -> Response:
    if not request.query_params.get("focus"):
        return RedirectResponse("/", 303, HEADERS)
    view = _view(request.query_params)
    focus = find(store, view.focus)
    if focus is None:
        advice = (
            "Search for it by a part of its name. What was recorded elsewhere appears once its events are imported."
        )
        raise PageError(404, "No such node", f"The lineage graph has no node {view.focus}.", advice)
    if view.as_of is not None and not view.focus.endswith(f"@{focus.version}"):
        focus = _latest(store, lake, focus, view.as_of)
    shown = neighbourhood(store, focus.id, up=view.up, down=view.down, as_of=view.as_of, limit=DRAWN)
    if not shown.nodes:
        advice = "Choose a later time, or leave it empty for now."
        raise PageError(404, "Not there yet", f"{heading(focus)['title']} was not there at that time.", advice)
    wide = neighbourhood(store, focus.id, up=view.up + STEP, down=view.down + STEP, as_of=view.as_of, limit=COUNTED)
    more_up, more_down = _hidden(shown, wide)
    cards = [
        _card(node, view, focus.id, more_up, more_down, _columns(lake, node) if view.columns else ())
        for node in shown.nodes
    ]
    picture = draw(
        cards,
        [(edge.source, edge.target) for edge in shown.edges],
        dashed=_dashed(shown),
        steps=_steps(focus.id, shown, view),
    )
    table, words = logical(focus), heading(focus)
    titles = {card.id: f"{card.title}{card.version}" for card in cards}
    sources: dict[str, list[str]] = defaultdict(list)
    for edge in shown.edges:
        sources[edge.target].append(titles[edge.source])
    return page(
        "graph.html",
        title=words["title"],
        version=f"@{cut(words['version'], SHORT)}" if words["version"] else "",
        style=style_of(kind_of(focus)),
        focus=view.focus,
        up=view.up,
        down=view.down,
        as_of=_text(view.as_of),
        columns=view.columns,
        deepest=DEEPEST,
        truncated=shown.truncated or "",
        picture_=picture,
        nodes=[{"card": item.card, "sources": _few(sources[item.card.id])} for item in picture.cards],
        more_up=_count(more_up, wide),
        more_down=_count(more_down, wide),
        up_href=view.address(up=min(view.up + STEP, DEEPEST)),
        down_href=view.address(down=min(view.down + STEP, DEEPEST)),
        impact=link(f"/impact/{table}", version=words["version"]) if table and focus.kind == "dataset" else "",
    )


def _few(names: Iterable[str]) -> list[str]:
    listed = list(dict.fromkeys(names))
    return listed if len(listed) <= NAMED else [*listed[:NAMED], f"{len(listed) - NAMED} more"]


def _view(given: Mapping[str, str]) -> View:
    return View(
        given["focus"],
        _depth(given, "up"),
        _depth(given, "down"),
        _time(given.get("as_of", "")),
        given.get("columns") == "1",
    )


def _depth(given: Mapping[str, str], name: str) -> int:
    text = given.get(name, str(STEP))
    if not text.isdecimal() or int(text) > DEEPEST:
        raise PageError(
            400, "How far?", f"{name} is not a number from 0 to {DEEPEST}.", "Use the fields above the graph."
        )
    return int(text)


def _time(text: str) -> datetime | None:
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        advice = "Write it like 2026-09-01T12:00:00; it is UTC unless it says otherwise."
        raise PageError(400, "When?", "as_of is not a date and time.", advice) from None
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


def _text(time: datetime | None) -> str:
    """As fields of forms take it, UTC."""
    return time.astimezone(UTC).replace(tzinfo=None).isoformat() if time else ""


def _latest(store: LineageStore, lake: Lake, focus: GraphNode, as_of: datetime) -> GraphNode:
    """The version of a table of the lake that was the latest then; `focus` for anything else."""
    table = logical(focus)
    try:
        history = lake.table(table).history() if focus.kind == "dataset" and table else []
    except AssayError:
        return focus
    for commit in reversed([commit for commit in history if commit.timestamp <= as_of]):
        node = find(store, f"dataset:{LOGICAL}:{table}@{commit.version}")
        if node is not None and neighbourhood(store, node.id, up=1, down=0, as_of=as_of, limit=2).nodes:
            return node
    return focus


def _hidden(shown: Subgraph, wide: Subgraph) -> tuple[dict[str, int], dict[str, int]]:
    """Per shown node, how many of its neighbours are not: upstream, and downstream."""
    ids = {node.id for node in shown.nodes}
    up: dict[str, set[str]] = defaultdict(set)
    down: dict[str, set[str]] = defaultdict(set)
    for edge in wide.edges:
        if edge.target in ids and edge.source not in ids:
            up[edge.target].add(edge.source)
        if edge.source in ids and edge.target not in ids:
            down[edge.source].add(edge.target)
    return {name: len(found) for name, found in up.items()}, {name: len(found) for name, found in down.items()}


def _count(hidden: Mapping[str, int], wide: Subgraph) -> str:
    """How many neighbours are hidden on one side, over all shown nodes."""
    total = sum(hidden.values())
    return f"{total} or" if total and wide.truncated else (str(total) if total else "")


def _dashed(shown: Subgraph) -> frozenset[tuple[str, str]]:
    return frozenset((edge.source, edge.target) for edge in shown.edges if edge.role == "reference")


def _steps(focus: str, shown: Subgraph, view: View) -> list[frozenset[str]]:
    """What was there at each step from the first view to this one."""
    up, down = rings(focus, [(edge.source, edge.target) for edge in shown.edges], up=view.up, down=view.down)
    sizes = [(min(n, view.up), min(STEP, view.down)) for n in range(STEP, max(view.up, STEP) + 1, STEP)]
    sizes += [(view.up, min(n, view.down)) for n in range(STEP, max(view.down, STEP) + 1, STEP)]
    return [
        frozenset(
            [name for name, distance in up.items() if distance <= most_up]
            + [name for name, distance in down.items() if distance <= most_down]
        )
        for most_up, most_down in dict.fromkeys(sizes)
    ]


def _card(
    node: GraphNode,
    view: View,
    focus: str,
    more_up: Mapping[str, int],
    more_down: Mapping[str, int],
    columns: tuple[str, ...],
) -> Card:
    words = heading(node)
    return Card(
        id=node.id,
        kind=kind_of(node),
        title=words["title"],
        href=View(node.id, STEP, STEP, view.as_of, view.columns).address(),
        version=f"@{cut(words['version'], SHORT)}" if words["version"] else "",
        note=_note(node),
        badge=_badge(node),
        columns=columns,
        more_up=more_up.get(node.id, 0),
        more_down=more_down.get(node.id, 0),
        focus=node.id == focus,
        path=words["where"],
    )


def _note(node: GraphNode) -> str:
    facts = node.facts
    if node.kind == "run":
        state = str(facts.get("state") or "begun").lower()
        words = "run" if state == "complete" else f"run {state}"
        return f"{words} {_minute(facts.get('ended_at') or facts.get('started_at'))}"
    if node.kind == "job":
        return f"job, {facts.get('runs', 0)} runs"
    return _minute(facts.get("written_at"))


def _minute(iso: Any) -> str:
    return str(iso)[:16].replace("T", " ") if iso else ""


def _badge(node: GraphNode) -> Badge | None:
    found = node.facts.get("checks")
    return checks_badge(found["passed"], found["failed"]) if found else None


def _columns(lake: Lake, node: GraphNode) -> tuple[str, ...]:
    """The columns of a table of the lake at this version, without those that Assay adds; nothing where it is gone."""
    table = logical(node)
    if node.kind != "dataset" or not table:
        return ()
    try:
        version = int(node.version) if node.version else None
        names = [
            name for name in lake.table(table).at(version).schema if name != PARTITION and not name.startswith("_")
        ]
    except (AssayError, ValueError):
        return ()
    return (*names[:COLUMNS], *([f"{len(names) - COLUMNS} more"] if len(names) > COLUMNS else ()))
