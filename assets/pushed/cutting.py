"""When what was received is cut into a file, and doing it."""

from collections.abc import Iterable
from datetime import datetime, timedelta
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
    if not source.partitioning.contains(waiting.partition):
        return True  # of another declaration: whoever looks at the folder names it
    return source.partitioning.is_timed and source.partitioning.end_of(waiting.partition) <= now


def neglected(inbox: Inbox, sources: Iterable[Source], now: datetime, after: timedelta) -> list[Waiting]:
    """What should have been cut so long ago, as if no service ran; and what waits for a source that is not declared any more."""
    declared = {source.name: source for source in sources}
    return [
        waiting
        for waiting in inbox.waiting()
        if waiting.since <= now - after
        and (waiting.source not in declared or due(waiting, declared[waiting.source], now - after))
    ]


def cut_due(inbox: Inbox, sources: Iterable[Source], landing: Path, now: datetime) -> tuple[list[Path], list[OSError]]:
    """Cut what is due, end what a crash has interrupted, and forget the keys of requests of long ago.

    Returns:
        The files made, and why others could not be: nothing is lost, and the next call tries again.

    Raises:
        OSError: The inbox itself cannot be used.
    """
    declared = {source.name: source for source in sources}
    for waiting in inbox.waiting():
        if waiting.source in declared and due(waiting, declared[waiting.source], now):
            inbox.cut(waiting.source, waiting.partition, now)
    files, problems = inbox.finish(landing)
    inbox.forget(now - REMEMBERED)
    return files, problems
