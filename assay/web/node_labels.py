"""Names, colours and addresses of nodes, the same on all pages."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from assay.features.tables.kinds import kind_of as kind_of_table
from assay.features.tables.kinds import own_name
from assay.lineage.events.naming import LOGICAL
from assay.web.drawing import KINDS
from assay.web.html import link

if TYPE_CHECKING:
    from assay.features.tables.lake import Lake
    from assay.lineage.queries.nodes import GraphNode


NEAR = 3  # names that may be meant
LONGEST = 200  # characters of a text that is compared with names


def table_kind(table: str) -> str:
    """What a table of the lake is, by its folder."""
    kind = kind_of_table(table)
    return kind.singular if kind else "dataset"


def style_of(kind: str) -> str:
    """A class of ours: kinds may be anybody's words."""
    return f"kind-{kind}" if kind in KINDS else "kind-other"


def graph_link(node_id: str, **query: Any) -> str:
    return link("/graph", focus=node_id, **query)


def pipeline_link(table: str) -> str:
    """To the picture around a table of the lake, where it is open."""
    return link("/pipeline", table=table, open=table)


def dataset_id(table: str, version: int | None = None) -> str:
    """The id of a table of the lake in the graph, at a version (None: the latest)."""
    return f"dataset:{LOGICAL}:{table}" + (f"@{version}" if version is not None else "")


def near_tables(lake: "Lake", text: str) -> dict[str, str]:
    """Addresses of the tables whose names are nearest to what was looked for, with or without their folder."""
    by_name: dict[str, list[str]] = {}
    for table in lake.tables():
        for name in (table, own_name(table)):
            by_name.setdefault(name, []).append(table)
    found = get_close_matches(text.lower()[:LONGEST], by_name, n=NEAR)
    tables = dict.fromkeys(table for name in found for table in by_name[name])
    return {table: pipeline_link(table) for table in list(tables)[:NEAR]}


def logical(node: "GraphNode") -> str:
    """The name of a table of the lake, or nothing for what is not one."""
    return node.name if node.namespace == LOGICAL else str(node.facts.get("table") or "")


def kind_of(node: "GraphNode") -> str:
    table = logical(node)
    return table_kind(table) if node.kind == "dataset" and table else node.kind


def heading(node: "GraphNode") -> Mapping[str, str]:
    """A node in words: its short name, its version, and where it is. A run is called by its job."""
    if node.kind == "run":
        job = str(node.facts.get("job") or "")
        return {"title": job or node.name, "kind": "run", "version": "", "where": f"run {node.name}"}
    title = logical(node) or node.name
    return {
        "title": title,
        "kind": kind_of(node),
        "version": node.version or "",
        "where": f"{node.namespace} {node.name}",
    }
