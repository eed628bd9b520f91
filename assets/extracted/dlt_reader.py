"""`Dlt`: a dlt resource, read incrementally. Each extraction that yields anything is the next batch."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from assay.assets.extracted.kept import extraction_for
from assay.assets.extracted.resource import extract
from assay.assets.sources.deliveries import Delivery
from assay.assets.sources.dispatch import delivery_blocks, read_delivery
from assay.assets.sources.reader import NothingDelivered, Reading, SourceReader
from assay.errors import AssayError

EVERY = timedelta(minutes=15)


@dataclass(frozen=True)
class Dlt(SourceReader):
    """A resource of dlt: `Dlt("orders", shop_api)`, where `shop_api` is a resource, or gives one, or gives a source that has it.

    dlt extracts: pages, retries, credentials, incremental cursors. What the resource yields is kept as JSON lines, byte for
    byte, and becomes the next batch. The state of the resource (`dlt.sources.incremental`, `dlt.current.resource_state()`) is in
    the commit of the batch, so that rows and state cannot part: what was not committed is extracted again. Write dispositions,
    schemas and destinations of dlt are not used: the contract says what holds.

    Attributes:
        name: the resource's name.
        resource: a dlt resource, or a function without arguments that gives a resource or a source.
        every: how often the upstream is asked at most. Between, the source waits.
        version: to be raised when the resource reads in another way and all batches are to be judged again.
    """

    name: str
    resource: Callable[[], Any] = field(repr=False, compare=False)
    every: timedelta = field(default=EVERY, repr=False)
    version: int = 1

    kinds = ("dlt",)  # pyright: ignore[reportAssignmentType]
    numbered = True  # pyright: ignore[reportAssignmentType]

    def __post_init__(self) -> None:
        if not callable(self.resource):
            raise AssayError(f"Dlt({self.name!r}): give a dlt resource, or a function that gives one.")

    def deliveries(self, reading: Reading) -> Sequence[Delivery]:
        state = content = ""
        table = reading.table()
        if table is not None and (last := table.last_partition()):
            commit = table.writer_of(last)
            state, content = _resumed(commit.extra.get("resume") if commit else None)
        now = datetime.now(UTC)
        kept, file = extraction_for(
            reading.settings.home / "extracted" / reading.source,
            reading.partition,
            state,
            now,
            timedelta(0) if reading.forced else self.every,
            lambda unfinished: extract(self.name, self.resource, state, unfinished, now),
        )
        if not kept.rows or kept.content == content:  # what is read whole each time, and has not changed
            at = datetime.fromisoformat(kept.at)
            raise NothingDelivered(
                f"{reading.source} had nothing new at {at:%Y-%m-%d %H:%M} UTC, and is asked again at "
                f"{at + self.every:%Y-%m-%d %H:%M} UTC."
            )
        path = f"{reading.source}/extract-{reading.partition}.jsonl"
        return [
            Delivery(
                path, file, kept.sha256, kept.size, reading.partition, resume=json.dumps([kept.state, kept.content])
            )
        ]

    def read(self, delivery: Delivery) -> pl.DataFrame:
        return read_delivery(delivery, delivery.content())

    def blocks(self, delivery: Delivery) -> Iterator[pl.DataFrame]:
        return delivery_blocks(delivery)


def _resumed(kept: object) -> tuple[str, str]:
    """The state after a batch, and the SHA-256 of what it yielded; empty where its commit holds none."""
    try:
        state, content = json.loads(str(kept)) if kept else ("", "")
    except ValueError:
        return "", ""
    return str(state), str(content)
