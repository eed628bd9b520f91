"""`/diff?a=&b=`: two versions side by side."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from assay.features.tables.lake import Lake
from assay.lineage.events.naming import LOGICAL
from assay.lineage.outline import short_digest
from assay.lineage.queries.diff import Diff, Pair, diff
from assay.lineage.queries.nodes import GraphNode, find
from assay.lineage.store.lineage_store import LineageStore
from assay.web.html import PageError, link, page
from assay.web.node_labels import graph_link, heading, kind_of, logical, style_of


def diff_page(store: LineageStore, lake: Lake, request: Request) -> Response:
    given = [request.query_params.get(name, "") for name in ("a", "b")]
    if not all(given):
        advice = "Open a table's versions and compare one with the version before, or add two ids to the address."
        raise PageError(400, "Compare what?", "This page compares two versions, a and b.", advice)
    ids = [text if text.startswith("dataset:") else f"dataset:{LOGICAL}:{text}" for text in given]  # short: TABLE@3
    nodes = [find(store, node_id) for node_id in ids]
    for node, node_id in zip(nodes, ids, strict=True):
        if node is None or node.kind != "dataset":
            advice = "Search for its table, and compare from the list of its versions."
            raise PageError(404, "No such version", f"The lineage graph has no dataset {node_id}.", advice)
    a, b = (node for node in nodes if node is not None)
    different = diff(store, lake, a.id, b.id)
    table, rows = logical(b), list(_rows(different))
    return page(
        "diff.html",
        a=_side(a),
        b=_side(b),
        same_table=heading(a)["title"] == heading(b)["title"],
        rows=rows,
        changed=sum(row["state"] == "changed" for row in rows),
        unknown=sum(row["state"] == "unknown" for row in rows),
        swap=link("/diff", a=ids[1], b=ids[0]),
        versions=link(f"/versions/{table}") if table else "",
    )


def _side(node: GraphNode) -> dict[str, str]:
    words = heading(node)
    return {
        "title": words["title"],
        "version": f"@{words['version']}" if words["version"] else "",
        "style": style_of(kind_of(node)),
        "href": graph_link(node.id),
        "written": str(node.facts.get("written_at") or "")[:19].replace("T", " "),
    }


def _rows(different: Diff) -> Iterator[dict[str, Any]]:
    """A row for every aspect, also for those without a difference, so that an aspect is never missing."""
    yield from _one("Rows", different.rows, "rows" in different.unknown, number=True)
    yield from _many("Columns", different.schema, "schema" in different.unknown)
    yield from _one("Contract", different.contract, "contract" in different.unknown)
    yield from _many("Checks", different.checks, "checks" in different.unknown)
    yield from _one("Code", different.code, "code" in different.unknown)
    inputs = {name: (_versions(a), _versions(b)) for name, (a, b) in different.inputs.items()}
    yield from _many("Inputs", inputs, "inputs" in different.unknown)


def _one(aspect: str, pair: Pair | None, unknown: bool, *, number: bool = False) -> Iterator[dict[str, Any]]:
    if unknown or pair is None:
        yield {"aspect": aspect, "what": "", "a": "", "b": "", "state": "unknown" if unknown else "same"}
        return
    a, b = pair
    change = f"{b - a:+,}" if number else ""
    words = [f"{value:,}" if number else _short(value) for value in pair]
    yield {"aspect": aspect, "what": change, "a": words[0], "b": words[1], "state": "changed"}


def _short(value: Any) -> str:
    """What was not there is a dash; of a digest, its beginning."""
    return short_digest(value) if value is not None else "–"


def _many(aspect: str, pairs: Mapping[str, Pair], unknown: bool) -> Iterator[dict[str, Any]]:
    if not pairs:
        yield from _one(aspect, None, unknown)
    for name, (a, b) in pairs.items():
        yield {"aspect": aspect, "what": name, "a": a or "–", "b": b or "–", "state": "changed"}


def _versions(versions: Iterable[str] | None) -> str:
    return ", ".join(f"@{version}" for version in versions or ())
