"""The console's addresses."""

from collections.abc import Callable, Collection, Mapping
from functools import partial
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route, Router

from assay.features.tables.lake import Lake
from assay.lineage.store.lineage_store import LineageStore
from assay.lineage.verification.verify import Verifier
from assay.lineage.verification.verify import verify as verify_trace
from assay.lineage.verification.witness import StoreWitness
from assay.settings import Settings
from assay.web import static_files
from assay.web.html import HEADERS, PageError, answering
from assay.web.pages.browse import browse_page
from assay.web.pages.diff import diff_page
from assay.web.pages.graph import graph_page
from assay.web.pages.home import home_page, search_page
from assay.web.pages.impact import impact_page
from assay.web.pages.pipeline import pipeline_page
from assay.web.pages.trace import evidence_file, letter_page, trace_page, verify_page
from assay.web.pages.versions import versions_page
from assay.why.judged_by import DeclaredNow


def create_router(
    store: LineageStore,
    lake: Lake,
    *,
    verify: Verifier | None = None,
    declared: Callable[[], DeclaredNow] = dict,
    owners: Callable[[], Mapping[str, str]] = dict,
    tables: Callable[[], Collection[str] | None] = lambda: None,
) -> Router:
    """All pages, to be mounted at the root of an application behind its other routes.

    Args:
        store: The index of lineage events.
        lake: Where the tables are.
        verify: What Verify does, which may need an embedding model and a project's code. Default: neither vectors nor answers are
            computed again.
        declared: Gives the contracts that a project declares today: what they call personal is masked, too. Default: only the
            contracts in the lake are known.
        owners: Gives who answers for which table, as the project declares it. Default: only contracts in the lake say it.
        tables: Gives the tables that the project's steps write: others are marked as no longer declared. None: not known.
    """
    lake = lake.remembering()
    verify = verify or partial(verify_trace, lake, witness=StoreWitness(store))
    # Every page goes through this one router and is given its request. Who looks at it comes in as a `middleware` of the
    # router, in `request.scope`, and is asked there for every page at once, or in a view for what that page shows.
    affected = answering(partial(impact_page, store, lake, declared, owners))
    return Router(
        [
            Route("/", answering(partial(home_page, store, lake, declared, tables))),
            Route("/search", answering(partial(search_page, store, lake, declared)), methods=["GET", "POST"]),
            Route("/pipeline", answering(partial(pipeline_page, lake, tables))),
            Route("/graph", answering(partial(graph_page, store, lake))),
            Route("/trace/{prediction_id}", answering(partial(trace_page, lake, store, declared))),
            Route(
                "/trace/{prediction_id}/verify",
                answering(partial(verify_page, lake, store, declared, verify)),
                methods=["POST"],
            ),
            Route(
                "/trace/{prediction_id}/letter",
                answering(partial(letter_page, lake, store, declared, verify)),
                methods=["POST"],
            ),
            Route(
                "/trace/{prediction_id}/evidence",
                answering(partial(evidence_file, lake, store, declared)),
                methods=["POST"],
            ),
            Route("/impact", affected, methods=["GET", "POST"]),
            Route("/impact/{table:path}", affected, methods=["GET", "POST"]),
            Route("/versions/{table:path}", answering(partial(versions_page, lake, tables))),
            Route("/browse", answering(partial(browse_page, store))),
            Route("/diff", answering(partial(diff_page, store, lake))),
            Route("/dagster/{run_id:uuid}", answering(_dagster_run)),
            Route("/dagster/assets/{table:path}", answering(partial(_dagster_asset, lake))),
            Route("/static/{name}", answering(_static)),
            Route("/{path:path}", answering(_unknown)),
        ]
    )


def _dagster_run(request: Request) -> Response:
    """To the run's page in the Dagster UI, which is another site: no page of the console names it."""
    return RedirectResponse(f"{Settings().dagster_url.rstrip('/')}/runs/{request.path_params['run_id']}", 303, HEADERS)


def _dagster_asset(lake: Lake, request: Request) -> Response:
    """To a table's page in the Dagster UI."""
    table = request.path_params["table"]
    if table not in lake.tables():
        raise PageError(
            404, "No such table", "The lake has no table of this name.", "Search for it by a part of its name."
        )
    return RedirectResponse(f"{Settings().dagster_url.rstrip('/')}/assets/{quote(table)}", 303, HEADERS)


def _static(request: Request) -> Response:
    file = static_files.content(request.path_params["name"])
    if file is None:
        raise PageError(404, "No such file", "This script or style has changed.", "Reload the page that asked for it.")
    content, media_type = file
    kept = {"Cache-Control": "public, max-age=31536000, immutable"}
    return Response(content, media_type=media_type, headers={**HEADERS, **kept})


def _unknown(request: Request) -> Response:
    if request.path_params["path"].startswith("api/"):
        raise HTTPException(404)  # of the application around the pages, which answers its clients in its own way
    raise PageError(404, "No such page", "There is nothing at this address.", "Search, or start at the first page.")
