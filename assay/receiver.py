"""The service that upstreams send records to. What it acknowledges is on disk.

`POST /push/<source>` with JSON lines, a JSON object or an array of objects, and the token of the source:

    curl -H "Authorization: Bearer $TOKEN" -H "Idempotency-Key: 7f3a" -H "Content-Type: application/x-ndjson" \\
         --data-binary @orders.jsonl http://127.0.0.1:3002/push/orders
"""

import asyncio
import hmac
import json
import sys
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import SecretStr

from assay.asgi import LOOPBACK, BodyLimits, OwnOrigin, refusal
from assay.assets.declarations import declarations, sources
from assay.assets.project import active_project
from assay.assets.pushed.cutting import cut_due
from assay.assets.pushed.inbox import Inbox, OtherContent, inbox_of
from assay.assets.pushed.pushed import Pushed
from assay.assets.pushed.records import DOCUMENT, LINES, UNDECLARED, UnusableBody, lines_of_body
from assay.assets.sources.source import Source
from assay.checks import contract_info
from assay.errors import AssayError
from assay.settings import Settings

from starlette.applications import Starlette  # isort: skip - assay.asgi says which extra it takes
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

CUT_SECONDS = 1.0
_LONGEST_KEY = 255
LINES_OPTIONS = f'curl -H "Content-Type: {LINES[0]}" --data-binary @FILE.'


@dataclass(slots=True)
class _Cutting:
    """State that the cutting task shares with `/health`: what keeps files from being cut now; empty: nothing."""

    problem: str = ""


def create_receiver(
    settings: Settings | None = None,
    *,
    hosts: Collection[str] = LOOPBACK,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    note: Callable[[str], None] = lambda line: print(line, file=sys.stderr, flush=True),
) -> ASGIApp:
    """The service over the active project's `Pushed` sources.

    Args:
        settings: Where things are, and the tokens. Default: the `ASSAY_*` settings.
        hosts: The host names that it answers to.
        now: The time of receipt.
        note: Called with each line for the log of the service, which never holds a value.

    Raises:
        AssayError: No source is declared as `Pushed`, or one has no token.
    """
    settings = settings or Settings()
    pushed = pushed_sources(settings)
    inbox, state = inbox_of(settings.home), _Cutting()

    async def push(request: Request) -> Response:
        return await _push(request, pushed, settings, inbox, now)

    async def health(_request: Request) -> Response:
        waiting = sum(one.rows for one in inbox.waiting())
        return _answer(503 if state.problem else 200, {"status": state.problem or "ok", "waiting": waiting})

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        task = asyncio.create_task(_cut_for_ever(inbox, pushed, settings, now, note, state))
        try:
            yield
        finally:
            task.cancel()

    routes = [Route("/push/{source}", push, methods=["POST"]), Route("/health", health)]
    return OwnOrigin(BodyLimits(Starlette(routes=routes, lifespan=lifespan)), hosts)


def pushed_sources(settings: Settings) -> dict[str, Source]:
    """The sources that records are sent to, by name, each with a token. Raises AssayError where that is not so."""
    found = {name: source for name, source in sources().items() if isinstance(source.reader, Pushed)}
    if not found:
        broken = "".join(f" {module}" for module in declarations(active_project()).broken)
        raise AssayError(
            "No source takes records over HTTP. Declare one: Source(…, reader=Pushed('orders', every=timedelta(minutes=15)))."
            f"{broken}"
        )
    for name, source in found.items():
        if not settings.push_tokens.get(name.lower()):
            raise AssayError(
                f"Source {name!r} has no token: set ASSAY_PUSH_TOKENS__{name.upper()} to a long random text, in the environment, "
                "in the project's .env, or in a file of that name in ASSAY_SECRETS_DIR."
            )
        if not source.partitioning.is_timed and isinstance(source.reader, Pushed) and source.reader.every is None:
            raise AssayError(
                f"Source {name!r}: its partitions never end, so say when files are cut: Pushed(…, every=…)."
            )
    return found


async def _push(
    request: Request, pushed: Mapping[str, Source], settings: Settings, inbox: Inbox, now: Callable[[], datetime]
) -> Response:
    source = pushed.get(request.path_params["source"])
    token = settings.push_tokens.get(source.name.lower()) if source else None
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    # Who has no token learns nothing of which sources there are.
    if source is None or token is None or scheme.lower() != "bearer" or not _same(given, token):
        return refusal(401, "Send the token of the source: Authorization: Bearer …", **{"WWW-Authenticate": "Bearer"})
    key = request.headers.get("idempotency-key")
    if key is not None and not 0 < len(key) <= _LONGEST_KEY:
        return refusal(400, f"An Idempotency-Key has 1 to {_LONGEST_KEY} characters.")
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if request.headers.get("content-encoding", "identity") != "identity":
        return refusal(415, "Send the body as it is, not compressed.")
    if media not in (*LINES, DOCUMENT, *UNDECLARED):
        return refusal(415, f"Send {DOCUMENT}, or JSON lines as {LINES_OPTIONS}")
    at = now()
    try:
        partition = _partition(source, request.query_params.get("partition"), at)
        declared = [column.name for column in contract_info(source.contract).columns]
        kind = DOCUMENT if media in UNDECLARED else media
        lines = await asyncio.to_thread(lines_of_body, await request.body(), kind, declared)
    except UnusableBody as problem:
        return refusal(
            400, f"{problem} JSON lines are sent as {LINES_OPTIONS}" if media in UNDECLARED else str(problem)
        )
    except AssayError as problem:
        return refusal(409, str(problem))
    reader = source.reader
    folder = reader.folder if isinstance(reader, Pushed) else ""
    try:
        receipt = await asyncio.to_thread(inbox.put, source.name, folder, partition, lines, at, key)
    except OtherContent as problem:
        return refusal(422, str(problem))
    except OSError:
        return refusal(503, "Nothing was kept: the disk cannot be written now. Send it again.", **{"Retry-After": "30"})
    return _answer(202, {"partition": receipt.partition, "rows": receipt.rows, "repeated": receipt.repeated})


def _same(given: str, token: SecretStr) -> bool:
    return hmac.compare_digest(given.strip().encode(), token.get_secret_value().encode())


def _partition(source: Source, chosen: str | None, at: datetime) -> str:
    """Where records belong: by the time of receipt, or, of fixed keys, where the sender says. Raises AssayError."""
    if source.partitioning.is_timed:
        if chosen is not None:
            raise AssayError("Records belong to the time at which they are received: leave out ?partition=.")
        key = source.partitioning.current(at)
        if key is None:
            raise AssayError(
                f"Source {source.name} takes no records now: its partitioning has no partition of this time."
            )
        return key
    if chosen is None or not source.partitioning.contains(chosen):
        raise AssayError(f"Say which partition: ?partition=KEY, one of {', '.join(source.partitioning.keys)}.")
    return chosen


async def _cut_for_ever(
    inbox: Inbox,
    pushed: Mapping[str, Source],
    settings: Settings,
    now: Callable[[], datetime],
    note: Callable[[str], None],
    state: _Cutting,
) -> None:
    while True:
        problem = ""
        try:
            due = asyncio.to_thread(cut_due, inbox, list(pushed.values()), settings.landing_path, now())
            files, problems = await due
            for file in files:
                note(f"{file.relative_to(settings.landing_path)} was cut")
            problem = f"{len(problems):,} files cannot be cut now ({problems[0]})" if problems else ""
        except Exception as error:  # whatever it is, records come in and wait
            own = isinstance(error, (AssayError, OSError))
            problem = f"no file can be cut now ({error if own else type(error).__name__})"
        if problem and problem != state.problem:
            note(f"Nothing is lost, but {problem}")
        state.problem = problem
        await asyncio.sleep(CUT_SECONDS)


def _answer(status: int, content: Mapping[str, object]) -> Response:
    return Response(json.dumps(content), status, media_type="application/json")
