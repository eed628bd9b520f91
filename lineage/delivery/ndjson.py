"""Events out of a store and into another, as newline-delimited JSON."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO

import sqlalchemy as sa

from assay.errors import AssayError
from assay.lineage.events.event_json import read_json
from assay.lineage.events.facets import PRODUCER
from assay.lineage.store.lineage_store import LineageStore
from assay.lineage.store.parse_event import read_event
from assay.lineage.store.schema import events

BATCH = 500


@dataclass(frozen=True, slots=True)
class Imported:
    """`new` events were not there yet."""

    read: int
    new: int


def export_events(store: LineageStore, target: BinaryIO, run_id: str | None = None) -> int:
    """Write all events, or those of a run, one a line in the order of their arrival. Returns how many."""
    query = sa.select(events.c.body).order_by(events.c.id)
    if run_id is not None:
        query = query.where(events.c.run_id == run_id)
    count = 0
    with store.reading() as connection:
        for body in connection.execution_options(yield_per=BATCH).scalars(query):
            target.write(_line(bytes(body)) + b"\n")
            count += 1
    return count


def import_events(store: LineageStore, source: Iterable[bytes]) -> Imported:
    """Store every line's event, as if it had just come; what is there already stays as it is. Nothing is forwarded.

    Raises AssayError that names the line which is no event; the batches before it are stored, and may be read again.
    """
    read = new = 0
    for batch in _batches(source):
        read += len(batch)
        # Ours have one START and one end: a run that was restored from its tables must not end twice.
        for once in (True, False):
            new += store.put_all((body for body, ours in batch if ours == once), once=once)
    return Imported(read, new)


def _batches(source: Iterable[bytes]) -> Iterable[list[tuple[bytes, bool]]]:
    batch: list[tuple[bytes, bool]] = []
    for number, line in enumerate(source, 1):
        body = line.strip()
        if not body:
            continue
        try:
            read_event(body)
        except AssayError as problem:
            raise AssayError(f"Line {number} cannot be imported. {problem}") from None
        event = read_json(body)
        # An ABORT is no more than a presumption: what the run itself reported of its end must have room beside it.
        batch.append((body, event.get("producer") == PRODUCER and event.get("eventType") != "ABORT"))
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _line(body: bytes) -> bytes:
    """One line: other producers may send theirs over several. Line breaks in JSON text are between its parts only."""
    return body.strip().replace(b"\r", b" ").replace(b"\n", b" ")
