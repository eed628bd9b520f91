"""What stands in front of every web application here: it answers to this machine only, and no request holds it for ever.

Both UIs listen on loopback without a sign-in. A web page of any origin can send requests there from the user's browser, so
a request is refused that has a foreign Host, that writes on behalf of another origin, or whose body does not end.
"""

import asyncio
import json
import sys
import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs, urlsplit

from assay.optional import require

require("starlette", "Serving over HTTP")

from starlette.exceptions import HTTPException  # noqa: E402 - only where its packages are
from starlette.responses import Response  # noqa: E402
from starlette.types import ASGIApp, Message, Receive, Scope, Send  # noqa: E402

LOOPBACK = ("127.0.0.1", "localhost", "::1")
HEADER_SECONDS = 10.0  # until a connection has sent the head of its next request
BODY_SECONDS = 20.0  # until the whole body is there
BODY_BYTES = 80 * 1024**2
UNTIL_SECONDS = 2.0  # between two looks at whether it is time to end
_NOT_STARTED = 3  # as uvicorn exits
_READS = ("GET", "HEAD", "OPTIONS")
_OWN = ("same-origin", "none")  # Sec-Fetch-Site: the page itself, or the address bar


def header(scope: Scope, name: str) -> str | None:
    """A header of a request; None where it has none."""
    wanted = name.lower().encode()
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == wanted), None)


def host_name(scope: Scope) -> str | None:
    """The host that a request names, without its port; None where it names none, or none that can be read."""
    try:
        return urlsplit(f"//{header(scope, 'host') or ''}").hostname
    except ValueError:
        return None


def refusal(status: int, message: str, **headers: str) -> Response:
    return Response(json.dumps({"error": message}), status, headers, media_type="application/json")


class OwnOrigin:
    """Refuses what another web page could ask for: any request under a foreign host name, every write and every WebSocket from
    another origin, and queries in an address.

    Args:
        app: The application behind.
        hosts: Host names that it answers to.
        queries: Paths where a GET with `query` executes it: refused without exception.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str] = LOOPBACK, queries: Collection[str] = ()) -> None:
        self._app, self._hosts, self._queries = app, frozenset(hosts), frozenset(queries)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        problem = self._problem(scope)
        if problem is None:
            return await self._app(scope, receive, send)
        if scope["type"] == "websocket":
            await receive()
            return await send({"type": "websocket.close", "code": 1008, "reason": problem[1]})
        return await refusal(*problem)(scope, receive, send)

    def _problem(self, scope: Scope) -> tuple[int, str] | None:
        if host_name(scope) not in self._hosts:
            return 400, "This service does not answer to that host name. Open it as http://127.0.0.1."
        path = scope["path"].rstrip("/")
        reads = scope["type"] == "http" and scope["method"] in _READS
        if reads and path in self._queries and "query" in parse_qs(scope["query_string"].decode("latin-1")):
            return 405, "Send GraphQL by POST: an address must not do anything."
        if reads and path not in self._queries:
            return None
        if _is_foreign(scope):
            return 403, "A page of another origin may not do this."
        return None


def _is_foreign(scope: Scope) -> bool:
    """Whether a browser says that the request comes from another origin. Programs that are no browsers say nothing."""
    origin, site = header(scope, "origin"), header(scope, "sec-fetch-site")
    if origin is not None:
        return urlsplit(origin).netloc.lower() != (header(scope, "host") or "").lower()
    return site is not None and site not in _OWN


class BodyLimits:
    """Refuses a body that is too large (413) or not there in time (408), and closes the connection."""

    def __init__(self, app: ASGIApp, *, seconds: float = BODY_SECONDS, size: int = BODY_BYTES) -> None:
        self._app, self._seconds, self._size = app, seconds, size

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        length = header(scope, "content-length") or "0"
        if length.isdecimal() and int(length) > self._size:
            return await self._too_large()(scope, receive, send)
        loop = asyncio.get_running_loop()
        ends, received, complete, started = loop.time() + self._seconds, 0, False, False

        async def limited() -> Message:
            nonlocal received, complete
            if complete:  # only the end of the connection can come now
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), max(ends - loop.time(), 0.001))
            except TimeoutError:
                raise HTTPException(408, "The body did not arrive in time.", {"Connection": "close"}) from None
            received += len(message.get("body", b""))
            complete = message["type"] != "http.request" or not message.get("more_body", False)
            if received > self._size:
                raise HTTPException(413, self._message(), {"Connection": "close"})
            return message

        async def noted(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            return await self._app(scope, limited, noted)
        except HTTPException as problem:  # an application that does not know what this is
            if started:
                raise
            answer = refusal(problem.status_code, str(problem.detail), **dict(problem.headers or {}))
            return await answer(scope, receive, send)

    def _too_large(self) -> Response:
        return refusal(413, self._message(), Connection="close")

    def _message(self) -> str:
        return f"The body is larger than {self._size // 1024**2} MB."


def head_limited(seconds: float = HEADER_SECONDS) -> type[asyncio.Protocol]:
    """uvicorn's HTTP protocol, which ends a connection that does not send the head of a request in time: middleware sees a
    request only from then on."""
    from uvicorn.protocols.http.auto import AutoHTTPProtocol

    base: Any = AutoHTTPProtocol

    class HeadLimited(base):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._wait_for_head()

        def connection_lost(self, exc: Exception | None) -> None:
            self._ends.cancel()
            super().connection_lost(exc)

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self._ends.cancel()
            self._wait_for_head()

        def _wait_for_head(self) -> None:
            self._ends = self.loop.call_later(seconds, self._end)

        def _end(self) -> None:
            waiting = self.cycle is None or self.cycle.response_complete
            if waiting and self.transport.get_protocol() is self:  # else it is a WebSocket now
                self.transport.close()

    return HeadLimited


def serve(
    app: Any,
    port: int,
    host: str = "127.0.0.1",
    *,
    until: Callable[[], bool] | None = None,
    seconds: float = UNTIL_SECONDS,
) -> bool:
    """Serve an application until SIGINT or SIGTERM, or until something is so.

    Args:
        app: The application.
        port: Where it listens.
        host: At which address.
        until: Asked each `seconds`; where it is true, the requests that are under way are answered, and no more.
        seconds: Between two questions.

    Returns:
        Whether `until` ended it.
    """
    import uvicorn

    config = uvicorn.Config(
        app, host=host, port=port, log_level="warning", timeout_graceful_shutdown=5, http=head_limited()
    )
    server, stopped, so = uvicorn.Server(config), threading.Event(), threading.Event()

    def watch() -> None:
        while until is not None and not stopped.wait(seconds):
            if until():
                so.set()
                server.should_exit = True
                return

    threading.Thread(target=watch, daemon=True).start()
    with suppress(KeyboardInterrupt):
        server.run()
    stopped.set()
    if not server.started:
        sys.exit(_NOT_STARTED)
    return so.is_set()
