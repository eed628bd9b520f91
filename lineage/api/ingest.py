"""Events from anywhere: Spark, Airflow, dbt, Flink.

Lenient in what a facet is, strict in what makes an event addressable: it is JSON, its run id is a UUID and its time is a
time. What is accepted is stored unchanged; the same bytes again are the same event.
"""

import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request
from sqlalchemy.exc import DataError, SQLAlchemyError
from starlette.concurrency import run_in_threadpool

from assay.errors import AssayError
from assay.lineage.api.marquez_models import BATCH_BODY, EVENT_BODY, BatchResult, Failure, Received, Refused
from assay.lineage.api.own_records import OwnRecords
from assay.lineage.api.safe_json import Answer
from assay.lineage.events.event_json import decoder, read_json
from assay.lineage.store.lineage_store import LineageStore
from assay.lineage.store.parse_event import EventFacts, read_event
from assay.lineage.store.uncollected import uncollected

EVENT_LIMIT = 10 * 1024**2  # bytes
BATCH_LIMIT = 64 * 1024**2
DEPTH_LIMIT = 100  # of nested JSON
BATCH_ITEMS = 10_000
TOGETHER = 500  # events in a transaction: others want to write, too
_NOT_NOW = "The lineage database did not take it now."


def create_router(store: LineageStore, own: OwnRecords) -> APIRouter:
    router = APIRouter(prefix="/api/v1", tags=["ingestion"])
    refused: Any = {code: {"model": Refused} for code in (400, 403, 413, 415)}

    @router.post("/lineage", responses=refused, response_model=Received, openapi_extra=EVENT_BODY)
    async def post_event(body: Annotated[bytes, Depends(_event_body)]) -> Answer:
        """Store a RunEvent, DatasetEvent or JobEvent. Sending the same bytes again changes nothing. What only the runs of the
        lake can say is refused with 403."""
        try:
            facts = parse(body)
            if refusals := await run_in_threadpool(own.refusals, [facts]):
                raise HTTPException(403, str(refusals[0]))
            new = await run_in_threadpool(_put, store, [facts])
        except AssayError as error:
            raise HTTPException(400, str(error)) from None
        return Answer({"sha256": facts.sha256, "new": new == 1})

    @router.post("/lineage/batch", responses=refused, response_model=BatchResult, openapi_extra=BATCH_BODY)
    async def post_batch(body: Annotated[bytes, Depends(_batch_body)]) -> Answer:
        """Store many events. Invalid ones are listed with the reason, all others are stored."""
        try:
            bodies = split(body)
        except AssayError as error:
            raise HTTPException(400, str(error)) from None
        result = await run_in_threadpool(put_batch, store, bodies, own)
        return Answer(result.model_dump())

    return router


# -- reading the request -----------------------------------------------------------------------------------------------


async def _event_body(request: Request) -> bytes:
    return await _body(request, EVENT_LIMIT)


async def _batch_body(request: Request) -> bytes:
    return await _body(request, BATCH_LIMIT)


async def _body(request: Request, limit: int) -> bytes:
    """The request's bytes, unpacked. Only JSON is taken: a browser sends that to another site only after asking, which this
    service never allows, so that no web page can write events here."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise HTTPException(415, "Send the event as application/json.")
    encoding = request.headers.get("content-encoding", "identity").lower()
    if encoding not in ("identity", "gzip"):
        raise HTTPException(415, "The content encoding is neither identity nor gzip.")
    received = bytearray()
    async for chunk in request.stream():
        received += chunk
        if len(received) > limit:
            raise _too_large(limit)
    return _unzip(bytes(received), limit) if encoding == "gzip" else bytes(received)


def _unzip(data: bytes, limit: int) -> bytes:
    unpacker = zlib.decompressobj(wbits=31)
    try:
        content = unpacker.decompress(data, limit + 1)
    except zlib.error:
        raise HTTPException(400, "The content encoding is gzip, but the body is not gzip data.") from None
    if len(content) > limit:
        raise _too_large(limit)
    if not unpacker.eof:
        raise HTTPException(400, "The gzip body ends too early.")
    return content


def _too_large(limit: int) -> HTTPException:
    return HTTPException(413, f"The body is larger than {limit // 1024**2} MB. Send fewer events at once.")


def split(body: bytes) -> list[bytes]:
    """The bytes of each event of a JSON array, unchanged. Raises AssayError for anything else."""
    wrong = AssayError("A batch is a JSON array of OpenLineage events; this is not one.")
    try:
        text, one = body.decode().lstrip(), decoder()
        if not isinstance(read_json(text), list):
            raise wrong
        events, place = [], _skip(text, 1)
        while text[place] != "]":
            _, end = one.raw_decode(text, place)
            events.append(text[place:end].encode())
            place = _skip(text, end)
            if text[place] == ",":
                place = _skip(text, place + 1)
    except (ValueError, RecursionError):
        raise wrong from None
    if len(events) > BATCH_ITEMS:
        raise AssayError(f"A batch has at most {BATCH_ITEMS:,} events; send them in several.")
    return events


def _skip(text: str, place: int) -> int:
    while text[place] in " \t\r\n":
        place += 1
    return place


# -- storing -----------------------------------------------------------------------------------------------------------


def parse(body: bytes) -> EventFacts:
    """An event's facts. Raises AssayError for what cannot be stored and served again."""
    deep = AssayError(f"The event is nested deeper than {DEPTH_LIMIT} levels.")
    try:
        facts = read_event(body)
        if body.count(b"{") + body.count(b"[") > DEPTH_LIMIT and _depth_exceeds(read_json(body), DEPTH_LIMIT):
            raise deep
        datetime.fromtimestamp(facts.at_us / 1e6, UTC)
    except RecursionError:
        raise deep from None
    except (OverflowError, UnicodeError, OSError, ValueError):
        raise AssayError("The event's eventTime or text cannot be represented; send UTC times and UTF-8.") from None
    return facts


def _depth_exceeds(value: Any, limit: int) -> bool:
    level = [value]
    for _ in range(limit):
        inner = (list(item.values()) if isinstance(item, dict) else item for item in level)
        level = [child for items in inner for child in items if isinstance(child, dict | list)]
        if not level:
            return False
    return True


def _put(store: LineageStore, facts: list[EventFacts]) -> int:
    try:
        return store.put_facts(facts)
    except (DataError, UnicodeError, ValueError):
        raise AssayError("A name or id in the event holds characters, or a length, that cannot be stored.") from None


@uncollected()
def put_batch(store: LineageStore, bodies: list[bytes], own: OwnRecords | None = None) -> BatchResult:
    """Store every valid event that does not speak for the lake. They are written together; if the database refuses that, one by
    one, so that a failing event affects no other."""
    failures: list[Failure] = []
    read: list[tuple[int, EventFacts]] = []
    for index, body in enumerate(bodies):
        try:
            read.append((index, parse(body)))
        except AssayError as error:
            failures.append(Failure(index=index, reason=str(error), retriable=False))
    for start in range(0, len(read), TOGETHER):
        part = read[start : start + TOGETHER]
        try:
            refusals = own.refusals([facts for _, facts in part]) if own is not None else {}
        except SQLAlchemyError:
            failures += [Failure(index=index, reason=_NOT_NOW, retriable=True) for index, _ in part]
            continue
        failures += [Failure(index=part[at][0], reason=str(why), retriable=False) for at, why in refusals.items()]
        part = [item for at, item in enumerate(part) if at not in refusals]
        try:
            _put(store, [facts for _, facts in part])
        except (AssayError, SQLAlchemyError):
            failures += _put_singly(store, part)
    return BatchResult.of(len(bodies), sorted(failures, key=lambda failure: failure.index))


def _put_singly(store: LineageStore, part: list[tuple[int, EventFacts]]) -> Iterator[Failure]:
    for index, facts in part:
        try:
            _put(store, [facts])
        except AssayError as error:
            yield Failure(index=index, reason=str(error), retriable=False)
        except SQLAlchemyError:
            yield Failure(index=index, reason=_NOT_NOW, retriable=True)
