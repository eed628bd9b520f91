"""`/browse`: what events of any producer name, by namespace, a page at a time."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from assay.lineage.queries.namespaces import Kind, Namespace, named_in, namespaces
from assay.lineage.store.lineage_store import LineageStore
from assay.web.html import PageError, link, page
from assay.web.node_labels import graph_link
from assay.web.view import DEEPEST

LISTED = 100
ON_HOME = 20
_FARTHEST = 10**9


def browse_page(store: LineageStore, request: Request) -> Response:
    """All namespaces; with `namespace` its datasets, or with `kind=jobs` its jobs. `from` leaves out the first ones."""
    given = request.query_params
    namespace, start, kind = given.get("namespace", ""), _whole(given.get("from", "0")), _kind(given.get("kind", ""))
    if not namespace:
        listed, total = namespaces(store, limit=LISTED, offset=start)
        rows, counts = [namespace_row(item) for item in listed], None
    else:
        names, total = named_in(store, namespace, kind, limit=LISTED, offset=start)
        rows = [_row(namespace, kind, item.name, item.state) for item in names]
        other: Kind = "jobs" if kind == "datasets" else "datasets"
        counts = {kind: total, other: named_in(store, namespace, other, limit=0)[1]}
        if not any(counts.values()):
            advice = "Choose one of those that are listed at /browse, or search for a part of a name."
            raise PageError(404, "No such namespace", "No event names anything in this namespace.", advice)
    place = {"namespace": namespace, "kind": kind if kind != "datasets" else ""}
    return page(
        "browse.html",
        namespace=namespace,
        kind=kind,
        rows=rows,
        counts=counts,
        total=total,
        first=start + 1 if rows else 0,
        last=start + len(rows),
        before=link("/browse", **place, **{"from": max(start - LISTED, 0) or ""}) if start else "",
        after=link("/browse", **place, **{"from": start + LISTED}) if start + len(rows) < total else "",
        datasets=link("/browse", namespace=namespace),
        jobs=link("/browse", namespace=namespace, kind="jobs"),
    )


def namespace_row(item: Namespace) -> dict[str, Any]:
    return {
        "name": item.name,
        "datasets": f"{item.datasets:,}",
        "jobs": f"{item.jobs:,}",
        "href": link("/browse", namespace=item.name, kind="" if item.datasets else "jobs"),
        "jobs_href": link("/browse", namespace=item.name, kind="jobs"),
    }


def other_producers(store: LineageStore) -> dict[str, Any]:
    """The namespaces for the first page, and how many more there are."""
    listed, total = namespaces(store, limit=ON_HOME)
    return {"rows": [namespace_row(item) for item in listed], "more": max(total - len(listed), 0)}


def _row(namespace: str, kind: Kind, name: str, state: str) -> dict[str, Any]:
    node = f"{'dataset' if kind == 'datasets' else 'job'}:{namespace}:{name}"
    return {
        "name": name,
        "state": state.lower(),
        "href": graph_link(node),
        "trace": graph_link(node, up=DEEPEST, down="0"),
        "impact": graph_link(node, up="0", down=DEEPEST),
    }


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text[:10]) <= _FARTHEST and len(text) <= 10):
        raise PageError(400, "No such page", "from is not a whole number.", "Leave it out for the first page.")
    return int(text)


def _kind(text: str) -> Kind:
    if text not in ("", "datasets", "jobs"):
        raise PageError(400, "No such kind", "kind is neither datasets nor jobs.", "Leave it out for the datasets.")
    return "jobs" if text == "jobs" else "datasets"
