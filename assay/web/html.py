"""HTML answers: templates, the headers that every answer carries, and how an error looks."""

from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from assay.errors import AssayError
from assay.web import static_files

# Nothing from anywhere else, nothing inline, nobody's frame. No other site learns an address; with no referrer at all browsers
# would hide the origin of our own forms, too, which are then refused.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
    ),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class PageError(AssayError):
    """What cannot be shown: `status` is HTTP's, `advice` says what to do next, `near` are addresses by names that may be
    meant."""

    def __init__(
        self, status: int, heading: str, message: str, advice: str, near: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.heading, self.advice, self.near = status, heading, advice, near or {}


@cache
def _environment() -> Environment:
    folder = Path(__file__).parent / "templates"
    made = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals["asset"] = static_files.address  # pyrefly: ignore[unsupported-operation] - jinja2 declares no type
    return made


def page(template: str, status: int = 200, **values: Any) -> Response:
    return HTMLResponse(_environment().get_template(template).render(values), status, HEADERS)


def link(path: str, **query: Any) -> str:
    """An address of the console; parameters without a value are left out, lists are repeated."""
    given = {name: value for name, value in query.items() if value not in (None, "", False, [])}
    return quote(path) + (f"?{urlencode(given, doseq=True)}" if given else "")


def answering(view: Callable[[Request], Response]) -> Callable[[Request], Awaitable[Response]]:
    """A view as an endpoint: run in a thread, since it reads files and databases; its errors become pages. The fields of a form
    that was sent are in `request.state.form`."""

    async def endpoint(request: Request) -> Response:
        if request.method == "POST":
            request.state.form = dict(parse_qsl((await request.body()).decode(errors="replace")))
        try:
            return await run_in_threadpool(view, request)
        except PageError as problem:
            words = {
                "heading": problem.heading,
                "message": str(problem),
                "advice": problem.advice,
                "near": problem.near,
            }
            return page("message.html", problem.status, **words)
        except AssayError as problem:
            words = {
                "message": str(problem),
                "advice": "Run `assay doctor` to see what is wrong, then reload this page.",
                "near": {},
            }
            return page("message.html", 500, heading="This cannot be shown", **words)

    return endpoint
