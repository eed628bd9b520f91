"""When what was received is cut into a file, and doing it."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from assay.assets.pushed.inbox import REMEMBERED, Inbox, Waiting
from assay.assets.pushed.pushed import Pushed
from assay.assets.sources.source import Source


def due(waiting: Waiting, source: Source, now: datetime) -> bool:
    """Whether the records that wait for a partition are to be cut into a file now."""
    reader = source.reader
    if not isinstance(reader, Pushed):
        return False
    if waiting.rows >= reader.rows or (reader.every is not None and now - waiting.since >= reader.every):
        return True
    return source.partitioning.is_timed and source.partitioning.end_of(waiting.partition) <= now


def cut_due(inbox: Inbox, sources: Iterable[Source], landing: Path, now: datetime) -> list[Path]:
    """Cut what is due, end what a crash has interrupted, and forget the keys of requests of long ago. The files made.

    Raises OSError where the disk is full or cannot be written: nothing is lost, and the next call goes on.
    """
    declared = {source.name: source for source in sources}
    files = list(inbox.finish(landing).values())
    for waiting in inbox.waiting():
        if waiting.source in declared and due(waiting, declared[waiting.source], now):
            file = inbox.cut(waiting.source, waiting.partition, landing, now)
            files += [file] if file else []
    inbox.forget(now - REMEMBERED)
    return files
