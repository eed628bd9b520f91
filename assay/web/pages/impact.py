"""`/impact/<table>`: everything that was made from a table, or from one version of it."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from assay.errors import AssayError
from assay.features.tables.lake import Lake
from assay.lineage.outline import shorten
from assay.lineage.tracing.impact import Affected, impact
from assay.web.html import PageError, link, page
from assay.web.missing import MissingBatches
from assay.web.node_labels import dataset_id, graph_link, style_of, table_kind

NEWEST = 30  # versions of a table that are followed unless all are asked for: their number grows with every day


def impact_page(lake: Lake, request: Request) -> Response:
    table, text = request.path_params["table"], request.query_params.get("version", "").strip()
    if text and not text.isdecimal():
        raise PageError(
            400, "No such version", "A version is a whole number, such as 3.", "Leave it empty for all versions."
        )
    try:
        all_versions = "all" in request.query_params
        downstream = impact(lake, table, int(text) if text else None, newest=None if all_versions else NEWEST)
    except AssayError as problem:
        advice = "Choose a table from the first page; leave the version empty for all of them."
        raise PageError(404, "Nothing to follow", str(problem), advice) from None
    facts = [
        ("predictions", f"{downstream.predictions:,}"),
        ("models", ", ".join(downstream.models) or "none"),
        ("training sets", ", ".join(downstream.training_sets) or "none"),
    ]
    return page(
        "impact.html",
        missing=MissingBatches(lake).of(table),
        origin=downstream.origin_text,
        here=link(f"/impact/{table}"),
        graph=graph_link(dataset_id(table, int(text) if text else None)),
        version=text,
        followed=NEWEST,
        left_out=f"{downstream.left_out:,}" if downstream.left_out else "",
        all=link(f"/impact/{table}", all="1"),
        complete=downstream.complete,
        reasons=downstream.reasons,
        notes=downstream.notes,
        facts=facts,
        affected=[_affected(item) for item in downstream.affected],
        lookups=[
            {"table": name, "href": link(f"/impact/{name}"), "versions": f"{count:,} version{'s' if count > 1 else ''}"}
            for name, count in downstream.looked_up_by.items()
        ],
    )


def _affected(item: Affected) -> dict[str, Any]:
    return {
        "table": item.table,
        "style": style_of(table_kind(item.table)),
        "href": graph_link(dataset_id(item.table, item.versions[-1])),
        "versions": len(item.versions),
        "live": item.live,
        "rows": f"{item.rows:,}",
        "partitions": shorten(item.partitions),
    }
