"""Moving a slot on to what the lake holds, and how much a slot keeps on its server."""

from collections.abc import Sequence

from assay.assets.databases.replication.changed import committed_resume
from assay.assets.databases.replication.declared import Slot, SlotMissing
from assay.assets.databases.replication.resume import ResumeMemory
from assay.assets.databases.replication.slot import advance, connected_to, patiently, status_of
from assay.features.tables.lake import TableState
from assay.settings import Settings

_SEGMENT = 1 << 24  # bytes: the server frees its log by such pieces
_MUCH = 1 << 30


def settle(slot: Slot, settings: Settings, source: str, table: TableState | None) -> None:
    """Move the slot on to what the lake holds: to the last commit, or to where nothing of the table was found after it.

    The slot of another log is left alone: what is there now says nothing about it.

    Raises:
        AssayError: As `status_of`, and where another process holds the slot.
    """
    committed = committed_resume(table)
    memory = ResumeMemory.of(settings, source)
    resume = memory.resume(committed)
    advanced = memory.advanced(committed)
    if resume is None or resume.lsn <= advanced:
        return
    if committed is not None and advanced >= committed.lsn and resume.lsn - advanced < _SEGMENT:
        return
    with connected_to(slot) as connection:
        status = status_of(slot, connection)
    if status.origin != resume.origin or status.end < resume.lsn:
        return
    if status.confirmed < resume.lsn:
        advance(slot, resume.lsn)
    memory.keep(committed, None, advanced=resume.lsn)


def held_back(slot: Slot) -> Sequence[str]:
    """A sentence on a slot for which the server keeps much of its log.

    Raises:
        AssayError: As `status_of`.
    """

    def ask() -> Sequence[str]:
        with connected_to(slot) as connection:
            try:
                status = status_of(slot, connection)
            except SlotMissing:
                if slot.create:
                    return ()  # the first run makes it
                raise
        kept = status.end - status.restart if status.restart else 0
        if kept < _MUCH and status.wal_status in ("", "reserved"):
            return ()
        return (
            f"{slot.place}: the server keeps {kept / (1 << 30):,.1f} GB of its log for the slot {slot.name!r}, which nobody has "
            "read since then, and its disk fills. Next: see that the sensor runs (`assay status`), or, if the source is not read "
            f"any more, SELECT pg_drop_replication_slot('{slot.name}').",
        )

    return patiently(slot, ask)
