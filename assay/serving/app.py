"""The service: feature sets of the online store over HTTP.

    curl -H "Content-Type: application/json" http://127.0.0.1:3003/features \\
         --data '{"sets": ["router"], "keys": {"customer_id": ["C00012", "C00013"]}}'
"""

import hmac
import json
import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr

from assay.asgi import LOOPBACK, BodyLimits, OwnOrigin, refusal
from assay.errors import AssayError
from assay.features.online.manifest import Manifest
from assay.features.online.online_set import OnlineSet
from assay.features.online.reading import Answer
from assay.serving.admission import Admission, Refused
from assay.serving.answers import ARROW, JSON, Question, TooManyKeys, as_arrow, as_json, question
from assay.serving.metrics import Metrics
from assay.serving.openapi import openapi
from assay.store import Store, open_store

from starlette.applications import Starlette  # isort: skip - assay.asgi says which extra it takes
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

MOST_KEYS = 1_000
BODY_BYTES = 1024**2
BODY_SECONDS = 10.0
_NAMES_SECONDS = 1.0


@dataclass(slots=True)
class _Service:
    """What requests share."""

    store: Store
    served: frozenset[str]
    most_keys: int
    admission: Admission
    token: SecretStr
    metrics: Metrics = field(default_factory=Metrics)
    open: dict[str, OnlineSet] = field(default_factory=dict)
    names: dict[str, tuple[float, OnlineSet]] = field(default_factory=dict)

    def set_of(self, name: str) -> OnlineSet:
        """Raises KeyError where it is not served, or not there. What a name means is looked up once a second."""
        now = time.monotonic()
        known = self.names.get(name)
        if known is not None and known[0] > now - _NAMES_SECONDS:
            return known[1]
        found = self._find(name)
        self.names[name] = now, found
        return found

    def _find(self, name: str) -> OnlineSet:
        try:
            found = self.store.online_set(name)
        except AssayError:
            raise KeyError(name) from None
        if self.served and not {found.name, found.name.rpartition("@")[0]} & self.served:
            raise KeyError(name)
        return self.open.setdefault(found.name, found)

    def sets(self) -> list[Manifest]:
        """The generations of what is served."""
        every = self.store.online_sets()
        return [one for one in every if not self.served or {one.set, one.set.rpartition("@")[0]} & self.served]


def create_feature_service(
    store: Store | None = None,
    sets: Sequence[str] = (),
    *,
    hosts: Collection[str] = LOOPBACK,
    most_keys: int = MOST_KEYS,
    admission: Admission | None = None,
) -> ASGIApp:
    """The service over a store's online sets.

    Args:
        store: What `assay.open()` gives. Default: the store of the `ASSAY_*` settings.
        sets: Only these (`router`, `router@1`); none: all that are materialised, also later.
        hosts: The host names that it answers to.
        most_keys: How many keys a request may have.
        admission: How many requests are worked on, may wait, and how long.
    """
    store = store or open_store()
    service = _Service(store, frozenset(sets), most_keys, admission or Admission(), store.settings.serve_token)

    async def ask(request: Request) -> Response:
        began = time.perf_counter()
        response = await _ask(request, service)
        service.metrics.request(response.status_code, time.perf_counter() - began)
        return response

    async def listed(request: Request) -> Response:
        if (problem := _unknown(request, service)) is not None:
            return problem
        try:
            found = await service.admission.run(lambda: [_described(service, one) for one in service.sets()])
        except Refused as refused:
            return _later(refused)
        return _json({"sets": found})

    async def health(_request: Request) -> Response:
        return _json({"status": "ok", "sets": len(service.sets())})

    async def metrics(_request: Request) -> Response:
        now = datetime.now(UTC)
        generations = [(one.set, one.number, (now - one.built_at).total_seconds()) for one in service.sets()]
        text = service.metrics.text(service.admission.busy, generations)
        return Response(text, media_type="text/plain; version=0.0.4")

    async def document(_request: Request) -> Response:
        return _json(openapi(most_keys))

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            service.admission.close()

    routes = [
        Route("/features", ask, methods=["POST"]),
        Route("/features", listed, methods=["GET"]),
        Route("/health", health),
        Route("/metrics", metrics),
        Route("/openapi.json", document),
    ]
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers={HTTPException: _refused})
    return OwnOrigin(BodyLimits(app, seconds=BODY_SECONDS, size=BODY_BYTES), hosts)


async def _ask(request: Request, service: _Service) -> Response:
    if (problem := _unknown(request, service)) is not None:
        return problem
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != JSON or request.headers.get("content-encoding", "identity") != "identity":
        return refusal(415, f"Send {JSON}, not compressed.")
    accepted = _accepted(request.headers.get("accept", "*/*"))
    if accepted is None:
        return refusal(406, f"Accept {JSON} or {ARROW}.")
    try:
        service.admission.admit(request.client.host if request.client else "")
        asked = question(await request.body(), service.most_keys)
        content, answers = await service.admission.run(lambda: _answer(service, asked, accepted))
    except Refused as problem:
        return _later(problem)
    except KeyError as problem:
        there = ", ".join(one.set for one in service.sets()) or "none"
        return refusal(404, f"Feature set {str(problem.args[0])[:100]!r} is not served (there are: {there}).")
    except TooManyKeys as problem:
        return refusal(413, str(problem))
    except AssayError as problem:
        return refusal(422, str(problem))
    service.metrics.keys += asked.rows
    for name, (answer, _) in answers.items():
        for view in answer.views:
            for state in ("present", "missing", "expired"):
                if number := view.state.count(state):
                    service.metrics.states[name, view.joined.name, state] += number
    return Response(content, media_type=accepted)


def _answer(service: _Service, asked: Question, media: str) -> tuple[bytes, dict[str, tuple[Answer, Manifest]]]:
    """All sets at one moment, each from one generation."""
    at, keys = asked.at or datetime.now(UTC), dict(asked.keys)
    answers: dict[str, tuple[Answer, Manifest]] = {}
    fractions = [name for name, values in keys.items() if any(type(value) is float for value in values)]
    for name in asked.sets:
        found = service.set_of(name)
        if fractions and (wrong := [one for one in fractions if one not in found.inputs()]):
            raise AssayError(f"Key {wrong[0]!r} has values that are neither text nor whole numbers.")
        answers[found.name] = found.answer(keys, at)
    return (as_arrow(answers) if media == ARROW else as_json(asked, answers)), answers


def _unknown(request: Request, service: _Service) -> Response | None:
    """The refusal of who has no token, where there is one."""
    token = service.token.get_secret_value()
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if token and (scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), token.encode())):
        return refusal(401, "Send the token: Authorization: Bearer …", **{"WWW-Authenticate": "Bearer"})
    return None


def _accepted(header: str) -> str | None:
    """JSON unless Arrow is asked for by its name; None where neither is."""
    kinds = {part.partition(";")[0].strip().lower() for part in header.split(",")}
    if ARROW in kinds:
        return ARROW
    return JSON if kinds & {JSON, "application/*", "*/*"} else None


def _described(service: _Service, manifest: Manifest) -> dict[str, Any]:
    found = service.set_of(manifest.set)
    return {
        "set": manifest.set,
        "generation": manifest.number,
        "at": manifest.at.isoformat(),
        "built_at": manifest.built_at.isoformat(),
        "rows": manifest.rows,
        "keys": {name: str(dtype) for name, dtype in found.key_types().items()},
        "features": found.columns(),
        "tables": manifest.versions,
    }


def _later(problem: Refused) -> Response:
    return refusal(problem.status, str(problem), **{"Retry-After": str(problem.seconds)})


async def _refused(_request: Request, problem: Exception) -> Response:
    """What the framework refuses: unknown paths and methods, bodies that are too large or too late."""
    assert isinstance(problem, HTTPException)
    return refusal(problem.status_code, str(problem.detail), **dict(problem.headers or {}))


def _json(content: Any) -> Response:
    return Response(json.dumps(content), media_type=JSON)
