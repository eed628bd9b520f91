"""`/versions/<table>`: every version of a table, newest first. `/diff?a=&b=`: two versions side by side."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from assay.errors import AssayError
from assay.features.tables.commit_metadata import Commit
from assay.features.tables.lake import Lake
from assay.lineage.events.naming import LOGICAL
from assay.lineage.queries.diff import Diff, Pair, diff
from assay.lineage.queries.nodes import GraphNode, find
from assay.lineage.store.lineage_store import LineageStore
from assay.web.drawing import checks_badge
from assay.web.html import PageError, link, page
from assay.web.node_labels import graph_link, heading, kind_of, logical, style_of, table_kind
from assay.web.pages.home import moment

LISTED = 100
_SHA = 12
_PASSED = {True: "passed", False: "failed", None: "–"}


def versions_page(lake: Lake, request: Request) -> Response:
    table, text = request.path_params["table"], request.query_params.get("until", "")
    if text and not (text.isascii() and text.isdecimal()):
        raise PageError(400, "No such version", "until is not a whole number.", "Leave it out for the newest versions.")
    try:
        history = lake.table(table).history()
    except AssayError as problem:
        raise PageError(404, "No such table", str(problem), "Choose a table from the first page.") from None
    written = [commit for commit in history if commit.run_id]
    shown = [commit for commit in written if not text or commit.version <= int(text)]
    earlier = dict(
        zip((commit.version for commit in written[1:]), (commit.version for commit in written), strict=False)
    )
    listed = shown[: -LISTED - 1 : -1]
    rest = len(shown) - len(listed)
    return page(
        "versions.html",
        table=table,
        style=style_of(table_kind(table)),
        graph=graph_link(_id(table)),
        versions=[_version(table, commit, earlier.get(commit.version)) for commit in listed],
        older=link(f"/versions/{table}", until=str(shown[-LISTED - 1].version)) if rest else "",
        rest=rest,
    )


def _id(table: str, version: int | None = None) -> str:
    return f"dataset:{LOGICAL}:{table}" + (f"@{version}" if version is not None else "")


def _version(table: str, commit: Commit, before: int | None) -> dict[str, Any]:
    checks = [check for check in commit.checks if check["table"] == table]
    failed = [check["name"] for check in checks if not check["passed"]]
    contract = commit.contract
    return {
        "version": commit.version,
        "href": graph_link(_id(table, commit.version)),
        "written": moment(commit.timestamp),
        "partition": commit.partition or "",
        "rows": f"{commit.rows:,}" if commit.rows is not None else "",
        "badge": checks_badge(len(checks) - len(failed), failed),
        "contract": f"{contract['name']} {contract['version']}" if contract else "",
        "code": commit.code_version[:_SHA],
        "before": before,
        "diff": link("/diff", a=_id(table, before), b=_id(table, commit.version)) if before is not None else "",
    }


def diff_page(store: LineageStore, lake: Lake, request: Request) -> Response:
    given = [request.query_params.get(name, "") for name in ("a", "b")]
    if not all(given):
        advice = "Open a table's versions and compare one with the version before, or add two ids to the address."
        raise PageError(400, "Compare what?", "This page compares two versions, a and b.", advice)
    ids = [text if text.startswith("dataset:") else f"dataset:{LOGICAL}:{text}" for text in given]  # short: TABLE@3
    found = [find(store, node_id) for node_id in ids]
    for node, node_id in zip(found, ids, strict=True):
        if node is None or node.kind != "dataset":
            advice = "Search for its table, and compare from the list of its versions."
            raise PageError(404, "No such version", f"The lineage graph has no dataset {node_id}.", advice)
    a, b = (node for node in found if node is not None)
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


def _rows(found: Diff) -> Iterator[dict[str, Any]]:
    """Every aspect has its say, also where nothing differs: silence could also mean that nobody looked."""
    yield from _one("Rows", found.rows, "rows" in found.unknown, number=True)
    yield from _many("Columns", found.schema, "schema" in found.unknown)
    yield from _one("Contract", found.contract, "contract" in found.unknown)
    checks = {name: (_PASSED[a], _PASSED[b]) for name, (a, b) in found.checks.items()}
    yield from _many("Checks", checks, "checks" in found.unknown)
    yield from _one("Code", found.code, "code" in found.unknown)
    inputs = {name: (_versions(a), _versions(b)) for name, (a, b) in found.inputs.items()}
    yield from _many("Inputs", inputs, "inputs" in found.unknown)


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
    text = str(value) if value is not None else "–"
    return text[:_SHA] if len(text) == 64 else text


def _many(aspect: str, pairs: Mapping[str, Pair], unknown: bool) -> Iterator[dict[str, Any]]:
    if not pairs:
        yield from _one(aspect, None, unknown)
    for name, (a, b) in pairs.items():
        yield {"aspect": aspect, "what": name, "a": a or "–", "b": b or "–", "state": "changed"}


def _versions(found: Iterable[str] | None) -> str:
    return ", ".join(f"@{version}" for version in found or ())
