"""The service as an ASGI application: the API, and behind it the pages of a console that it is given.

For this machine only: it listens on loopback, answers only to names of this machine (so that no web page can reach it by
a name of its own that resolves here), and lets no other origin read it.
"""

from collections.abc import Collection
from pkgutil import resolve_name
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from sqlalchemy.exc import DataError, SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from assay.asgi import LOOPBACK, BodyLimits, OwnOrigin
from assay.errors import AssayError
from assay.features.tables.lake import Lake, open_lake
from assay.lineage.api import ingest, marquez, marquez_lists, queries
from assay.lineage.api import marquez_models as models
from assay.lineage.api.own_records import OwnRecords
from assay.lineage.api.queries import Shown
from assay.lineage.api.safe_json import Answer, refusal
from assay.lineage.store.lineage_store import LineageStore, open_lineage_store
from assay.lineage.verification.verify import Verifier
from assay.settings import Settings

_DESCRIPTION = (
    'OpenLineage events in, the lineage graph out. Errors are `{"error": …}`. Namespaces and names in paths are '
    "percent-encoded (`s3%3A%2F%2Fshop`). Credentials in events are never served."
)


def create_app(
    store: LineageStore | None = None,
    lake: Lake | None = None,
    *,
    console: ASGIApp | bool = True,
    hosts: Collection[str] = LOOPBACK,
    verify: Verifier | None = None,
    shown: Shown | None = None,
) -> ASGIApp:
    """The service over a store and a lake; by default those of the `ASSAY_*` settings.

    Args:
        store: The index of lineage events.
        lake: Where the tables are.
        console: What answers requests that no route of the API matches. True: the console that the setting
            `ASSAY_CONSOLE` names, if it names one. False: nothing, the API stands alone.
        hosts: The host names that the service answers to, such as that of a proxy in front of it.
        verify: How the console of the settings verifies a trace. Default: without computing vectors and answers again.
        shown: Masks personal data in traces and lists of predictions. Default: they are served as they are stored.

    Raises:
        AssayError: The settings name a lake, a database or a console that cannot be used.
    """
    settings = Settings()
    store = store or open_lineage_store(settings.lineage_url, settings.home)
    lake = (lake or open_lake(settings.lake_uri, settings.lake_options, actor=settings.acting)).remembering()
    behind = _configured_console(settings, store, lake, verify) if console is True else console or None
    app = FastAPI(title="Assay lineage", version="1", description=_DESCRIPTION, docs_url=None, redoc_url=None)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(DataError, _unusable)
    app.add_exception_handler(SQLAlchemyError, _unavailable)
    app.add_exception_handler(AssayError, _our_error)

    @app.get("/health", response_model=models.Health, tags=["health"])
    def health() -> Answer:
        """Whether the service and its database answer."""
        with store.reading():
            return Answer({"status": "ok"})

    app.include_router(ingest.create_router(store, OwnRecords(lake, store)))
    app.include_router(marquez.create_router(store))
    app.include_router(marquez_lists.create_router(store))
    app.include_router(marquez_lists.events_router(store))
    app.include_router(queries.create_router(store, lake, shown))
    app.openapi = lambda: _openapi(app)
    return OwnOrigin(BodyLimits(_Router(app, behind or app)), hosts)


def _configured_console(settings: Settings, store: LineageStore, lake: Lake, verify: Verifier | None) -> ASGIApp | None:
    """The console that the settings name. Which one that is, the API does not know."""
    if not settings.console:
        return None
    try:
        create = resolve_name(settings.console)
    except (ImportError, AttributeError, ValueError):
        raise AssayError(
            f"The console {settings.console!r} cannot be imported. Set ASSAY_CONSOLE to module:function, or to nothing "
            "to serve the API alone."
        ) from None
    return create(store, lake, verify=verify)


class _Router:
    """Normalises the path, and sends what no API route matches to the console."""

    def __init__(self, api: ASGIApp, console: ASGIApp) -> None:
        self._api, self._console = api, console

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._api(scope, receive, send)
        path = scope["path"]
        if path.startswith("/api/") and scope.get("raw_path"):
            # Names hold slashes, sent as %2F: routes are found before they are decoded.
            scope = {**scope, "path": scope["raw_path"].decode("ascii", "replace")}
        ours = path.startswith("/api/") or path in ("/health", "/openapi.json")
        return await (self._api if ours else self._console)(scope, receive, send)


# -- errors ------------------------------------------------------------------------------------------------------------


def _http_error(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    messages = {404: "There is nothing at this address.", 405: "This address does not take that method."}
    plain = error.detail in ("Not Found", "Method Not Allowed")
    message = messages.get(error.status_code, error.detail) if plain else error.detail
    return refusal(error.status_code, message, dict(error.headers or {}))


def _invalid(_request: Request, error: Exception) -> Response:
    """Names what is wrong and where, not the value."""
    if not isinstance(error, RequestValidationError):
        raise error
    wrong = (f"{'.'.join(map(str, item['loc'][1:]))}: {item['msg']}" for item in error.errors())
    return refusal(400, "The request cannot be understood: " + "; ".join(wrong))


def _unusable(_request: Request, _error: Exception) -> Response:
    return refusal(400, "The database cannot hold a value of this request.")


def _unavailable(_request: Request, _error: Exception) -> Response:
    return refusal(503, "The lineage database does not answer now. Try again.", {"Retry-After": "1"})


def _our_error(_request: Request, error: Exception) -> Response:
    return refusal(400, str(error))


# -- description -------------------------------------------------------------------------------------------------------


def _openapi(app: FastAPI) -> dict[str, Any]:
    """FastAPI's, with our errors in the place of its own."""
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        shape = {"application/json": {"schema": models.Refused.model_json_schema()}}
        for operation in (operation for path in schema["paths"].values() for operation in path.values()):
            operation["responses"].pop("422", None)
            for code, meaning in (("400", "The request cannot be understood"), ("503", "The database does not answer")):
                operation["responses"].setdefault(code, {"description": meaning, "content": shape})
        for name in ("HTTPValidationError", "ValidationError"):
            schema["components"]["schemas"].pop(name, None)
        app.openapi_schema = schema
    return app.openapi_schema
